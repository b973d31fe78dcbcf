-- The control plane: tenants are rows. `{runtime}` is the runtime login.

CREATE SCHEMA IF NOT EXISTS control;
-- Everybody may look through the door, for the sake of `job_enqueue`; the tables are granted to the runtime login alone.
GRANT USAGE ON SCHEMA control TO PUBLIC;

CREATE TABLE control.plans (
    code text PRIMARY KEY,
    name text NOT NULL,
    position smallint NOT NULL UNIQUE
);

INSERT INTO control.plans (code, name, position) VALUES
    ('free', 'Free', 1),
    ('starter', 'Starter', 2),
    ('business', 'Business', 3),
    ('enterprise', 'Enterprise', 4);

CREATE TABLE control.tenants (
    id uuid PRIMARY KEY,
    slug text NOT NULL CONSTRAINT tenants_slug_key UNIQUE,
    -- Derived from the id, never from a person's text; the role that may use the schema has the same name.
    schema_name text NOT NULL CONSTRAINT tenants_schema_name_key UNIQUE,
    name text NOT NULL,
    plan text NOT NULL REFERENCES control.plans (code),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status text NOT NULL CHECK (status IN ('provisioning', 'active', 'suspended', 'offboarding', 'deleted')),
    suspension_reason text,
    -- The newest migration that the tenant's schema has.
    schema_version text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK ((suspension_reason IS NOT NULL) <= (status IN ('suspended', 'offboarding', 'deleted')))
);

-- Every replica drops what it cached of a tenant whose row changes, by whatever hand: a mutation's or psql's.
CREATE FUNCTION control.tenants_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('shelfwise_tenants', coalesce(NEW.slug, OLD.slug));
    IF TG_OP = 'UPDATE' AND OLD.slug <> NEW.slug THEN
        PERFORM pg_notify('shelfwise_tenants', OLD.slug);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER tenants_notify AFTER INSERT OR UPDATE OR DELETE ON control.tenants
FOR EACH ROW EXECUTE FUNCTION control.tenants_notify();

-- The one queue of all tenants, in the manner of River: a row is a job, its state is checked by the database.
CREATE TABLE control.jobs (
    id uuid PRIMARY KEY,
    -- NULL: a job of the platform itself.
    tenant_id uuid REFERENCES control.tenants (id),
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_.]{0,62}$'),
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'available'
        CHECK (state IN ('available', 'scheduled', 'running', 'retryable', 'completed', 'cancelled', 'discarded')),
    priority smallint NOT NULL DEFAULT 1 CHECK (priority BETWEEN 1 AND 4),
    attempt smallint NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    attempts_max smallint NOT NULL DEFAULT 10 CHECK (attempts_max > 0),
    -- Jobs of one kind and key exist once while they are unfinished.
    unique_key text,
    created_at timestamptz NOT NULL DEFAULT now(),
    scheduled_at timestamptz NOT NULL DEFAULT now(),
    attempted_at timestamptz,
    attempted_by text,
    -- A worker's claim: it ends with the lease, and a later claim has a higher fence.
    lease_expires_at timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    finalized_at timestamptz,
    errors jsonb NOT NULL DEFAULT '[]',
    -- The request that caused the job: its id and trace context.
    meta jsonb NOT NULL DEFAULT '{}',
    CHECK ((finalized_at IS NOT NULL) = (state IN ('completed', 'cancelled', 'discarded'))),
    CHECK ((lease_expires_at IS NOT NULL) = (state = 'running'))
);

CREATE INDEX jobs_due_idx ON control.jobs (priority, scheduled_at, id)
    WHERE state IN ('available', 'scheduled', 'retryable');
CREATE INDEX jobs_tenant_due_idx ON control.jobs (tenant_id, priority, scheduled_at, id)
    WHERE state IN ('available', 'scheduled', 'retryable');
CREATE INDEX jobs_lease_idx ON control.jobs (lease_expires_at) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_unique_idx
    ON control.jobs (kind, (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000')), unique_key)
    WHERE unique_key IS NOT NULL AND finalized_at IS NULL;

-- The one bridge from a tenant's transaction: it reads the tenant off the role, so that nobody enqueues for another.
-- Answers the job's id, or NULL where an unfinished job of that kind and key exists.
CREATE FUNCTION control.job_enqueue(
    job_id uuid, job_kind text, job_payload jsonb, job_scheduled_at timestamptz, job_unique_key text, job_meta jsonb
) RETURNS uuid
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog
AS $$
    INSERT INTO control.jobs (id, tenant_id, kind, payload, state, scheduled_at, unique_key, meta)
    SELECT job_id, tenants.id, job_kind, job_payload,
           CASE WHEN job_scheduled_at > now() THEN 'scheduled' ELSE 'available' END,
           coalesce(job_scheduled_at, now()), job_unique_key, coalesce(job_meta, '{}')
    FROM control.tenants
    -- Within a SECURITY DEFINER function current_user is the owner; the setting still names the role of the caller.
    WHERE tenants.schema_name = current_setting('role')
    ON CONFLICT DO NOTHING
    RETURNING id
$$;

GRANT SELECT ON control.plans TO {runtime};
GRANT SELECT, UPDATE ON control.tenants TO {runtime};
GRANT SELECT, INSERT, UPDATE, DELETE ON control.jobs TO {runtime};
