-- Which migrations the control plane has had, for servers: they ask before they say that they are ready, and the ledger itself
-- is the owner's.
CREATE VIEW control.schema_versions AS SELECT version::text AS version, run_on FROM control.__diesel_schema_migrations;

GRANT SELECT ON control.schema_versions TO {runtime};
