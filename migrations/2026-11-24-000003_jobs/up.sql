-- What the job engine needs of the queue: lanes, indexes for each of its questions, periodic jobs, and a fence for tenants.

-- Whose turn it is: a tenant's, or the platform's own, which comes last.
ALTER TABLE control.jobs ADD COLUMN lane uuid NOT NULL
    GENERATED ALWAYS AS (coalesce(tenant_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) STORED;

-- A claim asks for kinds that its worker knows, and goes from lane to lane: nothing that waits for another worker or for
-- its time is ever passed on the way. What becomes due is made `available` first.
DROP INDEX control.jobs_due_idx;
DROP INDEX control.jobs_tenant_due_idx;
CREATE INDEX jobs_available_idx ON control.jobs (kind, lane, priority, scheduled_at, id) WHERE state = 'available';
CREATE INDEX jobs_waiting_idx ON control.jobs (scheduled_at) WHERE state IN ('scheduled', 'retryable');
CREATE INDEX jobs_running_idx ON control.jobs (lane) WHERE state = 'running';
-- For pruning, and for what operators look at: a tenant's jobs, and dead letters.
CREATE INDEX jobs_finalized_idx ON control.jobs (state, finalized_at) WHERE finalized_at IS NOT NULL;
CREATE INDEX jobs_tenant_idx ON control.jobs (tenant_id, id);
CREATE INDEX jobs_dead_idx ON control.jobs (id) WHERE state = 'discarded';

-- A row of a queue changes three times and is gone. Vacuum comes by the number of changes, not by a share of the table,
-- and takes no rests: dead entries at the head of an index are what a queue grows slow by.
ALTER TABLE control.jobs SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- When each periodic job is enqueued next, by whichever worker comes first.
CREATE TABLE control.periodic_jobs (
    kind text PRIMARY KEY,
    next_due timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON control.periodic_jobs TO {runtime};

-- Whether a claim still holds and is of the tenant whose transaction asks. If so, it holds until that transaction ends:
-- who wants to rescue or cancel the job locks its row FOR UPDATE first. A heartbeat does not wait for this lock.
CREATE FUNCTION control.job_hold(job_id uuid, job_fence bigint) RETURNS boolean
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog
AS $$
    SELECT coalesce((
        SELECT true FROM control.jobs
        WHERE jobs.id = job_id AND jobs.fence = job_fence AND jobs.state = 'running'
            AND jobs.tenant_id
                = (SELECT tenants.id FROM control.tenants WHERE tenants.schema_name = current_setting('role'))
        FOR KEY SHARE OF jobs
    ), false)
$$;
