DROP FUNCTION control.job_hold(uuid, bigint);
DROP TABLE control.periodic_jobs;
ALTER TABLE control.jobs RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold,
    autovacuum_vacuum_insert_scale_factor,
    autovacuum_analyze_scale_factor,
    autovacuum_vacuum_cost_delay
);
DROP INDEX control.jobs_dead_idx;
DROP INDEX control.jobs_tenant_idx;
DROP INDEX control.jobs_finalized_idx;
DROP INDEX control.jobs_running_idx;
DROP INDEX control.jobs_waiting_idx;
DROP INDEX control.jobs_available_idx;
ALTER TABLE control.jobs DROP COLUMN lane;
CREATE INDEX jobs_due_idx ON control.jobs (priority, scheduled_at, id)
    WHERE state IN ('available', 'scheduled', 'retryable');
CREATE INDEX jobs_tenant_due_idx ON control.jobs (tenant_id, priority, scheduled_at, id)
    WHERE state IN ('available', 'scheduled', 'retryable');
