-- Makes a shard of each tenant's schema that is not one: in an installation that was there before Citus. Run as a superuser
-- on the coordinator, after `enable.sql`, while no shop is open: each schema is locked while its rows are moved.

\set ON_ERROR_STOP on
SELECT citus_schema_distribute(schema_name::regnamespace)
FROM control.tenants
WHERE to_regnamespace(schema_name) IS NOT NULL
    AND schema_name::regnamespace NOT IN (SELECT schema_name FROM citus_schemas)
ORDER BY id;
