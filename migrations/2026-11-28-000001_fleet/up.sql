-- Bringing the fleet of tenants' schemas from one version to another: a run, a step for each schema, and what the steps leave
-- to be filled in. Times are the database's, so that those who lead a run need not agree on theirs.

CREATE TABLE control.migration_runs (
    id uuid PRIMARY KEY,
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    -- What schemas are brought to. Downwards each goes back to where it came from, and this is where it comes from.
    target_version text NOT NULL,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'paused', 'completed', 'abandoned')),
    -- Why it is paused: an operator's word, or its own.
    pause_reason text,
    -- The run whose steps this one takes back.
    reverts uuid REFERENCES control.migration_runs (id),
    wave_size integer NOT NULL CHECK (wave_size > 0),
    concurrency smallint NOT NULL CHECK (concurrency > 0),
    -- The share of a wave's steps that may fail.
    error_rate_max double precision NOT NULL CHECK (error_rate_max BETWEEN 0 AND 1),
    attempts_max smallint NOT NULL CHECK (attempts_max > 0),
    lock_timeout_ms integer NOT NULL CHECK (lock_timeout_ms > 0),
    -- Whether it pauses when the canaries are done.
    hold_after_canaries boolean NOT NULL,
    -- Who does its steps, until when, and under which number: whoever comes later has a higher one.
    leader text,
    leader_until timestamptz,
    leader_fence bigint NOT NULL DEFAULT 0,
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'abandoned'))),
    CHECK ((pause_reason IS NOT NULL) <= (status IN ('paused', 'abandoned')))
);

-- The fleet goes one way at a time.
CREATE UNIQUE INDEX migration_runs_unfinished_idx ON control.migration_runs ((true))
    WHERE status IN ('running', 'paused');
CREATE INDEX migration_runs_reverts_idx ON control.migration_runs (reverts) WHERE reverts IS NOT NULL;

CREATE TABLE control.migration_steps (
    run_id uuid NOT NULL REFERENCES control.migration_runs (id),
    -- The tenant, or the tenant that a spare schema is to become.
    tenant_id uuid NOT NULL,
    is_spare boolean NOT NULL,
    -- 0: spare schemas, 1: canaries, then the others.
    wave integer NOT NULL CHECK (wave >= 0),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'failed', 'skipped')),
    from_version text NOT NULL,
    to_version text NOT NULL,
    -- Upwards what was run, downwards what is to be taken back.
    versions text[] NOT NULL DEFAULT '{}',
    attempts smallint NOT NULL DEFAULT 0,
    -- When it is tried, or tried again.
    due_at timestamptz NOT NULL DEFAULT now(),
    error text,
    finished_at timestamptz,
    PRIMARY KEY (run_id, tenant_id),
    CHECK ((finished_at IS NOT NULL) = (status <> 'pending'))
);

CREATE INDEX migration_steps_pending_idx ON control.migration_steps (run_id, wave, due_at) WHERE status = 'pending';
CREATE INDEX migration_steps_failed_idx ON control.migration_steps (run_id, tenant_id) WHERE status = 'failed';

-- What a migration leaves to be filled in, tenant by tenant, a batch at a time.
CREATE TABLE control.backfills (
    tenant_id uuid NOT NULL REFERENCES control.tenants (id) ON DELETE CASCADE,
    version text NOT NULL,
    -- Rows touched so far.
    row_count bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, version)
);

CREATE INDEX backfills_open_idx ON control.backfills (version, tenant_id) WHERE finished_at IS NULL;

-- Who is behind.
CREATE INDEX tenants_version_idx ON control.tenants (schema_version) WHERE status <> 'deleted';

GRANT SELECT, INSERT, UPDATE ON control.migration_runs, control.migration_steps TO {runtime};
GRANT SELECT, UPDATE ON control.backfills TO {runtime};
