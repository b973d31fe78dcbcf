-- Makes a shard of each tenant's schema that is not one, and of those that wait for a tenant: in an installation that was there
-- before Citus. Run as a superuser on the coordinator, after `enable.sql`, while no shop is open: each schema is locked while its
-- rows are moved, one after the other. Run again, it goes on with what is left.

\set ON_ERROR_STOP on
SELECT format('SELECT citus_schema_distribute(%L::regnamespace)', name)
FROM (
    SELECT id, schema_name AS name FROM control.tenants
    UNION ALL
    SELECT id, control.schema_name(id) FROM control.spare_schemas
) AS schemas
WHERE to_regnamespace(name) IS NOT NULL
    AND to_regnamespace(name)::oid NOT IN (SELECT schema_name::oid FROM citus_schemas)
ORDER BY id
\gexec
