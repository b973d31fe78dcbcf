-- Who still uses what goes away of the tenants' API, who was told, and who was given more time.

-- What shops' own tables say, a minute old.
CREATE TABLE control.deprecated_usage (
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    -- A schema coordinate.
    part text NOT NULL,
    operation text NOT NULL,
    credential text NOT NULL,
    client text NOT NULL,
    count bigint NOT NULL,
    first_used_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, part, operation, credential, client)
);
-- Who has used a part of late, and what is old.
CREATE INDEX deprecated_usage_part_idx ON control.deprecated_usage (part, last_used_at);

-- A shop is told once for each part, day of removal and distance from it.
CREATE TABLE control.deprecation_notices (
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    part text NOT NULL,
    removal_on date NOT NULL,
    days smallint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, part, removal_on, days)
);

CREATE TABLE control.deprecation_extensions (
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    part text NOT NULL,
    -- The first day on which it is gone for this tenant.
    until date NOT NULL,
    reason text NOT NULL,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, part)
);

-- What a tenant was given more time for, as its entry carries it.
CREATE FUNCTION control.tenant_extensions(tenant uuid) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(pg_catalog.jsonb_object_agg(part, until), '{}'::jsonb)
    FROM control.deprecation_extensions WHERE tenant_id = tenant
$$;

REVOKE ALL ON FUNCTION control.tenant_extensions(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.tenant_extensions(uuid) TO {runtime};

-- Replicas forget what they have of a tenant that is given more time, or less.
CREATE FUNCTION control.deprecation_extensions_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('shelfwise_tenants', tenants.slug) FROM control.tenants
    WHERE tenants.id = coalesce(NEW.tenant_id, OLD.tenant_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER deprecation_extensions_notify AFTER INSERT OR UPDATE OR DELETE ON control.deprecation_extensions
FOR EACH ROW EXECUTE FUNCTION control.deprecation_extensions_notify();

GRANT SELECT, INSERT, UPDATE, DELETE ON control.deprecated_usage, control.deprecation_extensions TO {runtime};
GRANT SELECT, INSERT, DELETE ON control.deprecation_notices TO {runtime};
