-- Has a job of the tenant whose role this is done sooner: at a time, or now where none is said. Nothing happens to a job that
-- is under way or due already, and one that has failed waits as long as it must. Answers whether the job is unfinished; a finished one does nothing any more.
CREATE FUNCTION control.job_advance(job_id uuid, job_at timestamptz) RETURNS boolean
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog
AS $$
    WITH advanced AS (
        UPDATE control.jobs SET
            state = CASE WHEN job_at > now() THEN jobs.state ELSE 'available' END,
            scheduled_at = coalesce(job_at, now())
        WHERE jobs.id = job_id AND jobs.state = 'scheduled'
            AND jobs.scheduled_at > coalesce(job_at, now())
            AND jobs.tenant_id
                = (SELECT tenants.id FROM control.tenants WHERE tenants.schema_name = current_setting('role'))
    )
    SELECT EXISTS (
        SELECT FROM control.jobs
        WHERE jobs.id = job_id AND jobs.finalized_at IS NULL
            AND jobs.tenant_id
                = (SELECT tenants.id FROM control.tenants WHERE tenants.schema_name = current_setting('role'))
    )
$$;

-- Endpoints that are not well, of all tenants: what operators look at first, and what metrics count. Kept by the worker that
-- delivers; an endpoint that is well has no row.
CREATE TABLE control.webhook_troubles (
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    endpoint_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'half_open', 'suspended')),
    -- Events and deliveries that wait, up to 10,000 counted.
    backlog bigint NOT NULL CHECK (backlog >= 0),
    since timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, endpoint_id)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON control.webhook_troubles TO {runtime};
