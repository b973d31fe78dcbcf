-- Tenants on their way out: how far each has come. What becomes of one next is told by its row alone.

CREATE TABLE control.offboardings (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    -- What the tenant was called then.
    slug text NOT NULL,
    status text NOT NULL CHECK (status IN ('exporting', 'waiting', 'deleting', 'completed', 'canceled')),
    reason text NOT NULL,
    -- What a cancellation restores.
    prior_status text NOT NULL CHECK (prior_status IN ('active', 'suspended')),
    prior_reason text,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    -- Nothing is destroyed before. Servers enter it, as requested_at and the grace period; who may put it elsewhere later is
    -- the owner alone. What the deletion relies on beside it are the archives, which it reads back.
    delete_after timestamptz NOT NULL,
    -- All that the shop had, and its trail alone, which is kept for longer.
    archive_id uuid NOT NULL REFERENCES control.archives (id),
    audit_archive_id uuid NOT NULL REFERENCES control.archives (id),
    -- What failed last, how often something has, and when it is tried again.
    error text,
    failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    retry_at timestamptz,
    -- From here on there is no way back. Which keys they were, without the keys.
    keys_destroyed_at timestamptz,
    keys_destroyed jsonb,
    -- Where the trail ended.
    audit_sequence bigint,
    audit_hash bytea,
    -- Rows of each table that is gone, and of the control plane's.
    tables_dropped jsonb NOT NULL DEFAULT '{}',
    rows_purged jsonb NOT NULL DEFAULT '{}',
    -- A JSON Web Signature, and the public key that verifies it.
    certificate text,
    certificate_key jsonb,
    completed_at timestamptz,
    updated_at timestamptz NOT NULL,
    CHECK ((keys_destroyed_at IS NOT NULL) = (status IN ('deleting', 'completed'))),
    CHECK ((keys_destroyed IS NOT NULL) = (keys_destroyed_at IS NOT NULL)),
    CHECK ((audit_sequence IS NOT NULL) = (keys_destroyed_at IS NOT NULL)),
    CHECK ((certificate IS NOT NULL) = (status = 'completed')),
    CHECK ((certificate_key IS NOT NULL) = (certificate IS NOT NULL)),
    CHECK ((completed_at IS NOT NULL) = (status IN ('completed', 'canceled')))
);
-- A tenant leaves once at a time.
CREATE UNIQUE INDEX offboardings_live_key ON control.offboardings (tenant_id) WHERE completed_at IS NULL;
CREATE INDEX offboardings_slug_idx ON control.offboardings (slug, id);

-- What destroys is the owner's: the runtime login can neither begin a deletion nor write a certificate, in a new row as
-- little as in an old one.
GRANT SELECT ON control.offboardings TO {runtime};
GRANT INSERT (id, tenant_id, slug, status, reason, prior_status, prior_reason, requested_by, requested_at, delete_after,
    archive_id, audit_archive_id, updated_at) ON control.offboardings TO {runtime};
GRANT UPDATE (status, archive_id, audit_archive_id, error, failures, retry_at, completed_at, updated_at)
    ON control.offboardings TO {runtime};
