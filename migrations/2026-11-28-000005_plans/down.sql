DROP FUNCTION control.tenant_limits(uuid, text);
DROP TABLE control.plan_overrides;
DROP FUNCTION control.plan_overrides_notify();
DROP TRIGGER plans_notify ON control.plans;
DROP FUNCTION control.plans_notify();
ALTER TABLE control.plans
    DROP COLUMN points_per_minute,
    DROP COLUMN requests_per_minute,
    DROP COLUMN mutations_per_minute,
    DROP COLUMN concurrent_operations,
    DROP COLUMN books,
    DROP COLUMN webhook_endpoints,
    DROP COLUMN jobs,
    DROP COLUMN page_size,
    DROP COLUMN weight,
    DROP COLUMN updated_at;
