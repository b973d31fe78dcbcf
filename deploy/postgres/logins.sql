-- The two logins of an installation. Run as a superuser, connected to the installation's database; running it again
-- changes nothing:
--
--   createdb shelfwise && psql -d shelfwise -f deploy/postgres/logins.sql
--
-- then give both a password: ALTER ROLE shelfwise PASSWORD '…'; ALTER ROLE shelfwise_owner PASSWORD '…';
-- `shelfwise dev` runs this same file on the cluster that it starts.

DO $$
BEGIN
    -- Owns every schema and table, and makes the tenants' roles.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shelfwise_owner') THEN
        CREATE ROLE shelfwise_owner LOGIN CREATEROLE;
    END IF;
    -- Serves requests. Owns nothing, makes nothing, and gains a tenant's rights only by entering its role.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shelfwise') THEN
        CREATE ROLE shelfwise LOGIN NOINHERIT NOCREATEROLE NOCREATEDB;
    END IF;
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    -- Whoever owns the database may vacuum its catalogues, which is due after very many tenants were made.
    EXECUTE format('ALTER DATABASE %I OWNER TO shelfwise_owner', current_database());
END
$$;

-- An empty path: a statement that forgot its tenant finds no table. Set here and not by a start-up option, which
-- PgBouncer refuses.
ALTER ROLE shelfwise_owner SET search_path = '';
ALTER ROLE shelfwise SET search_path = '';
-- Errors are told apart by PostgreSQL's own words where they have no code of their own.
ALTER ROLE shelfwise_owner SET lc_messages = 'C';
ALTER ROLE shelfwise SET lc_messages = 'C';
-- Bounds of the server's side, behind REQUEST_TIMEOUT_MS, whose default is 30 seconds.
ALTER ROLE shelfwise SET statement_timeout = '60s';
ALTER ROLE shelfwise SET lock_timeout = '5s';
ALTER ROLE shelfwise SET idle_in_transaction_session_timeout = '60s';

-- What would let one statement switch the role, or run another statement within it: `set_config('role', …)`, the
-- functions that turn a query's text into XML, and blocks of code. Nobody but the owner needs them here, for pg_dump and
-- migrations. PostgreSQL keeps these rights in each database, so this is run again after one is made or restored.
DO $$
DECLARE
    switching regprocedure;
BEGIN
    FOR switching IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
            AND (proname = 'set_config' OR proname ~ '^(query|cursor|table|schema|database)_to_xml')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', switching);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO shelfwise_owner', switching);
    END LOOP;
END
$$;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO shelfwise_owner;

-- What a backend of its own has allocated, which PostgreSQL lets only superusers ask: the server tells it as a metric.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_get_backend_memory_contexts() TO shelfwise;

-- Nothing is ever kept in `public`.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
