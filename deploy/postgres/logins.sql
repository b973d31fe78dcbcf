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
    EXECUTE format('GRANT CREATE ON DATABASE %I TO shelfwise_owner', current_database());
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

-- Nothing is ever kept in `public`.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
