-- What operators set for plans and for tenants, and how far features are switched on. All of it reaches a server in the row of
-- the tenant, by `control.tenant_terms`, so that no request asks for more than one row.

CREATE TABLE control.plan_settings (
    plan text NOT NULL REFERENCES control.plans (code),
    name text NOT NULL,
    value jsonb NOT NULL,
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (plan, name)
);

CREATE TABLE control.tenant_settings (
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    name text NOT NULL,
    value jsonb NOT NULL,
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE control.flags (
    name text PRIMARY KEY,
    -- Who sees to it that it goes, and by when. The end switches nothing: a flag that has outlived it is told of.
    owner text NOT NULL,
    ends_on date NOT NULL,
    -- The share of all tenants that it is on for.
    percent smallint NOT NULL CHECK (percent BETWEEN 0 AND 100),
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE control.tenant_flags (
    flag text NOT NULL REFERENCES control.flags (name),
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    is_on boolean NOT NULL,
    -- From here on the share counts again.
    ends_at timestamptz,
    reason text NOT NULL,
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (flag, tenant_id)
);
CREATE INDEX tenant_flags_tenant_idx ON control.tenant_flags (tenant_id);

-- What was decided for one tenant and its plan.
CREATE FUNCTION control.tenant_terms(tenant uuid, plan_code text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT pg_catalog.jsonb_build_object(
        'tenant', (
            SELECT coalesce(pg_catalog.jsonb_object_agg(name, value), '{}')
            FROM control.tenant_settings WHERE tenant_id = tenant
        ),
        'plan', (
            SELECT coalesce(pg_catalog.jsonb_object_agg(name, value), '{}')
            FROM control.plan_settings WHERE plan = plan_code
        ),
        'flags', (
            SELECT coalesce(pg_catalog.jsonb_object_agg(flags.name, pg_catalog.jsonb_build_object(
                'percent', flags.percent, 'is_on', tenant_flags.is_on, 'ends_at', tenant_flags.ends_at
            )), '{}')
            FROM control.flags
            LEFT JOIN control.tenant_flags ON tenant_flags.flag = flags.name AND tenant_flags.tenant_id = tenant
        )
    )
$$;
REVOKE ALL ON FUNCTION control.tenant_terms FROM PUBLIC;

-- As with the registry's own rows: every replica drops what it cached, by whatever hand it was changed.
CREATE FUNCTION control.terms_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('shelfwise_tenants', '*');
    RETURN NULL;
END
$$;

CREATE FUNCTION control.tenant_terms_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('shelfwise_tenants', tenants.slug)
    FROM control.tenants WHERE tenants.id = coalesce(NEW.tenant_id, OLD.tenant_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER plan_settings_notify AFTER INSERT OR UPDATE OR DELETE ON control.plan_settings
FOR EACH STATEMENT EXECUTE FUNCTION control.terms_notify();
CREATE TRIGGER flags_notify AFTER INSERT OR UPDATE OR DELETE ON control.flags
FOR EACH STATEMENT EXECUTE FUNCTION control.terms_notify();
CREATE TRIGGER tenant_settings_notify AFTER INSERT OR UPDATE OR DELETE ON control.tenant_settings
FOR EACH ROW EXECUTE FUNCTION control.tenant_terms_notify();
CREATE TRIGGER tenant_flags_notify AFTER INSERT OR UPDATE OR DELETE ON control.tenant_flags
FOR EACH ROW EXECUTE FUNCTION control.tenant_terms_notify();

-- The payment simulator notes by whose account it was asked: a hash of the shop's own key; NULL for the platform's.
ALTER TABLE control.simulated_payments ADD COLUMN account bytea;

GRANT EXECUTE ON FUNCTION control.tenant_terms TO {runtime};
GRANT SELECT, INSERT, UPDATE, DELETE ON control.plan_settings, control.tenant_settings, control.tenant_flags TO {runtime};
GRANT SELECT, INSERT, UPDATE ON control.flags TO {runtime};
