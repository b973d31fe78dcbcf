-- Webhooks: where the shop's events are sent, what became of each, and how each endpoint is doing.

-- From which event on somebody has been asked to look for who wants it. NULL: nobody is asked.
ALTER TABLE tenant_head ADD COLUMN dispatch_from bigint;

CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    url text NOT NULL,
    description text NOT NULL,
    -- The kinds of events that it gets; none: all.
    kinds text[] NOT NULL,
    -- What must arrive in order: what happened to one entity, all of it, or nothing.
    ordering text NOT NULL CHECK (ordering IN ('entity', 'endpoint', 'none')),
    status text NOT NULL CHECK (status IN ('active', 'suspended', 'disabled')),
    -- Why it is not active, and since when.
    status_reason text,
    status_at timestamptz NOT NULL,
    -- Sealed: what signs, what signed before the last rotation, and headers that are sent along.
    secret bytea NOT NULL,
    previous_secret bytea,
    previous_expires_at timestamptz,
    headers bytea,
    -- Events up to this position have become deliveries or were not wanted.
    cursor bigint NOT NULL CHECK (cursor >= 0),
    -- The breaker: how many failures in a row, and until when nothing is sent.
    breaker text NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'half_open')),
    failures smallint NOT NULL DEFAULT 0 CHECK (failures >= 0),
    rests_until timestamptz,
    -- Up to this position the backlog of an outage is sent, and no faster than is bearable.
    drain_to bigint NOT NULL DEFAULT 0,
    -- The one job that looks after it next.
    job_id uuid,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK ((status = 'active') = (status_reason IS NULL)),
    CHECK ((previous_secret IS NULL) = (previous_expires_at IS NULL)),
    CHECK (breaker = 'closed' OR failures > 0)
);

-- An event on its way to an endpoint: made when its turn comes, and kept for a while after.
CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    event_id uuid NOT NULL,
    -- The event's; a test has none and is 0.
    position bigint NOT NULL CHECK (position >= 0),
    kind text NOT NULL,
    -- What has the same key arrives in order of position. NULL: whenever it may.
    ordering_key text,
    -- The very bytes that are signed and sent, by each attempt.
    body bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Of all attempts, those before a replay included.
    attempts_total integer NOT NULL DEFAULT 0 CHECK (attempts_total >= attempts),
    next_attempt_at timestamptz,
    -- Of the last attempt.
    status smallint,
    latency_ms integer,
    error text,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT webhook_deliveries_event_key UNIQUE (endpoint_id, event_id),
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'pending') = (finished_at IS NULL))
);
CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries (endpoint_id, ordering_key, position, id)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_dead_idx ON webhook_deliveries (id) WHERE state = 'dead';
CREATE INDEX webhook_deliveries_finished_idx ON webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    delivery_id uuid NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
    number integer NOT NULL CHECK (number > 0),
    at timestamptz NOT NULL,
    -- What was answered, or why nothing was.
    status smallint,
    error text,
    latency_ms integer NOT NULL CHECK (latency_ms >= 0),
    -- The beginning of the answer.
    response text,
    PRIMARY KEY (delivery_id, number),
    CHECK ((status IS NULL) = (error IS NOT NULL))
);

-- The role is named as its schema.
DO $$
BEGIN
    EXECUTE format('GRANT UPDATE (dispatch_from) ON tenant_head TO %I', current_schema());
    EXECUTE format('REVOKE UPDATE, DELETE ON webhook_attempts FROM %I', current_schema());
END
$$;
