DROP TABLE control.deprecation_extensions;
DROP FUNCTION control.deprecation_extensions_notify();
DROP FUNCTION control.tenant_extensions(uuid);
DROP TABLE control.deprecation_notices;
DROP TABLE control.deprecated_usage;
