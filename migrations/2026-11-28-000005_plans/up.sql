-- What plans give, and what was agreed for single tenants beside.

-- Rates are of a tenant as a whole. The names of these columns are those of the limits everywhere.
ALTER TABLE control.plans
    ADD COLUMN points_per_minute integer NOT NULL DEFAULT 60000 CHECK (points_per_minute BETWEEN 1 AND 60000000),
    ADD COLUMN requests_per_minute integer NOT NULL DEFAULT 600 CHECK (requests_per_minute BETWEEN 1 AND 60000000),
    ADD COLUMN mutations_per_minute integer NOT NULL DEFAULT 120 CHECK (mutations_per_minute BETWEEN 1 AND 60000000),
    ADD COLUMN concurrent_operations integer NOT NULL DEFAULT 8 CHECK (concurrent_operations BETWEEN 1 AND 10000),
    ADD COLUMN books integer NOT NULL DEFAULT 5000 CHECK (books BETWEEN 0 AND 1000000000),
    ADD COLUMN webhook_endpoints integer NOT NULL DEFAULT 2 CHECK (webhook_endpoints BETWEEN 0 AND 1000),
    ADD COLUMN jobs integer NOT NULL DEFAULT 2 CHECK (jobs BETWEEN 1 AND 1000),
    -- No smaller than a page that nobody asked a size for, no greater than the API has.
    ADD COLUMN page_size integer NOT NULL DEFAULT 100 CHECK (page_size BETWEEN 20 AND 100),
    ADD COLUMN weight integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100),
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

UPDATE control.plans SET points_per_minute = 120000, requests_per_minute = 1200, mutations_per_minute = 240,
    concurrent_operations = 16, books = 20000, webhook_endpoints = 5, jobs = 4, weight = 2 WHERE code = 'starter';
UPDATE control.plans SET points_per_minute = 600000, requests_per_minute = 6000, mutations_per_minute = 1200,
    concurrent_operations = 32, books = 200000, webhook_endpoints = 20, jobs = 8, weight = 4 WHERE code = 'business';
UPDATE control.plans SET points_per_minute = 3000000, requests_per_minute = 30000, mutations_per_minute = 6000,
    concurrent_operations = 64, books = 2000000, webhook_endpoints = 100, jobs = 16, weight = 8 WHERE code = 'enterprise';

CREATE TABLE control.plan_overrides (
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    -- The name of a column of control.plans.
    limit_name text NOT NULL CHECK (limit_name IN ('points_per_minute', 'requests_per_minute', 'mutations_per_minute',
        'concurrent_operations', 'books', 'webhook_endpoints', 'jobs', 'page_size', 'weight')),
    value integer NOT NULL CHECK (value >= 0),
    -- From then on it is the plan's again, whether anybody looks or not.
    ends_at timestamptz NOT NULL,
    reason text NOT NULL,
    made_by text NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, limit_name)
);

-- What a tenant may use, as its entry carries it: the plan's row, what goes before it, and in how many seconds the next of
-- that ends. One place says it, for servers and for whoever claims jobs.
CREATE FUNCTION control.tenant_limits(tenant uuid, plan_code text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT pg_catalog.to_jsonb(plans)
        || coalesce(pg_catalog.jsonb_object_agg(overrides.limit_name, overrides.value)
            FILTER (WHERE overrides.limit_name IS NOT NULL), '{}'::jsonb)
        || pg_catalog.jsonb_build_object('ends_in_s',
            extract(epoch FROM pg_catalog.min(overrides.ends_at) - pg_catalog.clock_timestamp()))
    FROM control.plans
    LEFT JOIN control.plan_overrides AS overrides
        ON overrides.tenant_id = tenant AND overrides.ends_at > pg_catalog.clock_timestamp()
    WHERE plans.code = plan_code
    GROUP BY plans.code
$$;

REVOKE ALL ON FUNCTION control.tenant_limits(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION control.tenant_limits(uuid, text) TO {runtime};

-- Replicas forget what they have of a tenant whose limits change, by whatever hand; of all, where a plan does.
CREATE FUNCTION control.plans_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('shelfwise_tenants', '*');
    RETURN NULL;
END
$$;

CREATE TRIGGER plans_notify AFTER INSERT OR UPDATE OR DELETE ON control.plans
FOR EACH STATEMENT EXECUTE FUNCTION control.plans_notify();

CREATE FUNCTION control.plan_overrides_notify() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('shelfwise_tenants', tenants.slug) FROM control.tenants
    WHERE tenants.id = coalesce(NEW.tenant_id, OLD.tenant_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER plan_overrides_notify AFTER INSERT OR UPDATE OR DELETE ON control.plan_overrides
FOR EACH ROW EXECUTE FUNCTION control.plan_overrides_notify();

GRANT UPDATE (name, points_per_minute, requests_per_minute, mutations_per_minute, concurrent_operations, books,
    webhook_endpoints, jobs, page_size, weight, updated_at) ON control.plans TO {runtime};
GRANT SELECT, INSERT, UPDATE, DELETE ON control.plan_overrides TO {runtime};
