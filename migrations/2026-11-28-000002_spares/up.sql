-- Schemas that wait for a tenant, with their roles, final names and first rows: what a sign-up takes makes no schema. Who
-- takes one deletes its row.
CREATE TABLE control.spare_schemas (
    -- The tenant's id to be: the schema and the role are named by it.
    id uuid PRIMARY KEY,
    -- The newest migration that the schema has.
    schema_version text NOT NULL,
    created_at timestamptz NOT NULL
);
GRANT SELECT ON control.spare_schemas TO {runtime};

-- The name of a tenant's schema and role, as the server makes it of the id: for people with psql, who look for schemas that
-- are nobody's.
CREATE FUNCTION control.schema_name(tenant_id uuid) RETURNS text
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog
AS $$
    SELECT 't_' || string_agg(
        substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + substring(bits FROM 1 + digit * 5 FOR 5)::bit(5)::integer, 1),
        '' ORDER BY digit
    )
    FROM generate_series(0, 25) AS digit,
        (SELECT B'00' || ('x' || replace(tenant_id::text, '-', ''))::bit(128)) AS id (bits)
$$;
REVOKE EXECUTE ON FUNCTION control.schema_name(uuid) FROM PUBLIC;

-- What the platform's operators are told of, one row for each event; told together, once in a while.
CREATE TABLE control.notices (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_.]{0,62}$'),
    -- Ids, names of shops and numbers, nothing secret.
    details jsonb NOT NULL CHECK (jsonb_typeof(details) = 'object'),
    at timestamptz NOT NULL,
    -- NULL: nobody has been told yet.
    notified_at timestamptz
);
CREATE INDEX notices_untold_idx ON control.notices (id) WHERE notified_at IS NULL;
CREATE INDEX notices_told_idx ON control.notices (notified_at) WHERE notified_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON control.notices TO {runtime};
