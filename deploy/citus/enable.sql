-- Shards an installation by schema, with Citus 12 or newer. Run as a superuser on the coordinator, connected to the
-- installation's database, after `deploy/postgres/logins.sql` and `shelfwise migrate`, and before the first tenant is made;
-- running it again changes nothing:
--
--   psql -d shelfwise -v coordinator=HOST -f deploy/citus/enable.sql
--
-- Nodes are added before or afterwards: SELECT citus_add_node('worker-1', 5432);

\set ON_ERROR_STOP on
CREATE EXTENSION IF NOT EXISTS citus;
SELECT citus_set_coordinator_host(:'coordinator');

-- From now on each schema that the owner makes is a shard of its own. `control` was made before, and stays where it is.
ALTER ROLE shelfwise_owner SET citus.enable_schema_based_sharding = on;
-- Roles and what they may do reach all nodes with the schemas.
ALTER ROLE shelfwise_owner SET citus.enable_create_role_propagation = on;
ALTER ROLE shelfwise_owner SET citus.enable_ddl_propagation = on;

-- `control` must not be one of them.
DO $$
BEGIN
    IF EXISTS (SELECT FROM citus_schemas WHERE schema_name = 'control'::regnamespace) THEN
        RAISE EXCEPTION 'control is distributed; SELECT citus_schema_undistribute(''control'')';
    END IF;
END
$$;
