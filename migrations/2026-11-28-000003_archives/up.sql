-- Archives of tenants, and under whose name a restored tenant's values are sealed.

-- Values are bound to the tenant that sealed them. A restored one keeps them as they were, and with them the id that they are
-- bound to. NULL: its own.
ALTER TABLE control.tenants ADD COLUMN sealed_as uuid;

CREATE TABLE control.archives (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    -- What the tenant was called then.
    slug text NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('export', 'offboarding', 'audit')),
    status text NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'expired')),
    -- Where the object store has it.
    object_key text,
    schema_version text,
    -- Bytes of the zip, and its SHA-256; what the store has is that, sealed.
    bytes bigint CHECK (bytes >= 0),
    sha256 bytea CHECK (octet_length(sha256) = 32),
    -- SHA-256 over what the shop's tables held, however it was written down.
    content_hash bytea CHECK (octet_length(content_hash) = 32),
    -- What is in it: counts and hashes.
    manifest jsonb,
    -- The archive's own key, wrapped under a master key, and under which. Destroyed when the archive expires.
    key_wrapped bytea,
    key_master text,
    -- Why it failed.
    error text,
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    expires_at timestamptz,
    CHECK ((key_wrapped IS NULL) = (key_master IS NULL)),
    CHECK ((status IN ('completed', 'failed', 'expired')) = (finished_at IS NOT NULL)),
    CHECK (status <> 'completed' OR (object_key IS NOT NULL AND schema_version IS NOT NULL AND bytes IS NOT NULL
        AND sha256 IS NOT NULL AND content_hash IS NOT NULL AND manifest IS NOT NULL AND key_wrapped IS NOT NULL
        AND expires_at IS NOT NULL)),
    CHECK (status <> 'expired' OR key_wrapped IS NULL)
);
-- One of a kind is made at a time.
CREATE UNIQUE INDEX archives_unfinished_key ON control.archives (tenant_id, purpose)
    WHERE status IN ('pending', 'running');
CREATE INDEX archives_tenant_idx ON control.archives (tenant_id, id);
CREATE INDEX archives_expires_idx ON control.archives (expires_at) WHERE status = 'completed';

GRANT SELECT, INSERT, UPDATE ON control.archives TO {runtime};
