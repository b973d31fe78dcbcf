ALTER TABLE control.simulated_payments DROP COLUMN account;
DROP FUNCTION control.tenant_terms;
DROP TABLE control.tenant_flags;
DROP TABLE control.flags;
DROP TABLE control.tenant_settings;
DROP TABLE control.plan_settings;
DROP FUNCTION control.tenant_terms_notify;
DROP FUNCTION control.terms_notify;
