-- What is written beside every change, in its transaction: the trail, the events, and the answer to a repeated request.

-- The stamp: whose schema this is. Every transaction reads it first, so it is not in the row that every change writes: what
-- that row was keeps piling up while somebody has a long transaction anywhere in the database.
CREATE TABLE tenant_stamp (
    tenant_id uuid PRIMARY KEY
);
CREATE UNIQUE INDEX tenant_stamp_single_idx ON tenant_stamp ((true));
INSERT INTO tenant_stamp (tenant_id) SELECT tenant_id FROM tenant_head;

-- Up to where the trail was last anchored outside of this schema: the first entry behind it asks for the next anchor.
ALTER TABLE tenant_head ADD COLUMN anchored_sequence bigint NOT NULL DEFAULT 0;

-- Who changed what. A row's hash covers the row and the hash before it, so a row that was changed or removed later shows.
CREATE TABLE audit_log (
    sequence bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    -- `user_…`, `system` for the platform's jobs and commands, `anonymous` for who was about to log in.
    actor text NOT NULL,
    -- What the user had shown: `session_…`, `apikey_…`, `identity_provider` or `operator`.
    via text,
    action text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    entity text NOT NULL,
    -- As text within: the hash is taken over the very bytes.
    before json,
    after json,
    -- What is known of people by it, encrypted.
    sealed bytea,
    request_id text,
    address text,
    hash bytea NOT NULL
);
CREATE INDEX audit_log_entity_idx ON audit_log (entity, sequence);
CREATE INDEX audit_log_actor_idx ON audit_log (actor, sequence);
CREATE INDEX audit_log_action_idx ON audit_log (action, sequence);

-- What has happened, in the order of commits.
CREATE TABLE events (
    position bigint PRIMARY KEY,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z_]+\.[a-z_]+$'),
    version smallint NOT NULL CHECK (version > 0),
    entity text NOT NULL,
    -- Ids and numbers, nothing personal.
    data jsonb NOT NULL,
    at timestamptz NOT NULL
);

-- Answers to requests that may come again.
CREATE TABLE idempotency_keys (
    -- A hash of who sent the key and of the key.
    key bytea PRIMARY KEY,
    -- A hash of the request: the same key for another request is refused.
    fingerprint bytea NOT NULL,
    -- What became of each mutation of the request, by its place in the answer: an id, or the reasons why not.
    outcomes jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_expires_idx ON idempotency_keys (expires_at);

-- The role is named as its schema. It reads the stamp; it adds to the trail and never changes it; of events it removes old ones.
DO $$
BEGIN
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON tenant_stamp FROM %I', current_schema());
    EXECUTE format('REVOKE UPDATE, DELETE ON audit_log FROM %I', current_schema());
    EXECUTE format('REVOKE UPDATE ON events FROM %I', current_schema());
    EXECUTE format('GRANT UPDATE (anchored_sequence) ON tenant_head TO %I', current_schema());
END
$$;
