-- The two logins of an installation and their database. Run once, as a superuser, connected to the database `shelfwise`:
--
--   createdb shelfwise && psql -d shelfwise -f deploy/postgres/logins.sql
--
-- then give both a password: ALTER ROLE shelfwise PASSWORD '…'; ALTER ROLE shelfwise_owner PASSWORD '…';
-- `shelfwise dev` runs this same file on the cluster that it starts.

-- Owns every schema and table, and makes the tenants' roles.
CREATE ROLE shelfwise_owner LOGIN CREATEROLE;

-- Serves requests. Owns nothing, makes nothing, and gains a tenant's rights only by entering its role.
CREATE ROLE shelfwise LOGIN NOINHERIT NOCREATEROLE NOCREATEDB;

-- An empty path: a statement that forgot its tenant finds no table. Set here and not by a start-up option, which
-- PgBouncer refuses.
ALTER ROLE shelfwise SET search_path = '';
-- Bounds of the server's side; a request's own deadline is shorter.
ALTER ROLE shelfwise SET statement_timeout = '30s';
ALTER ROLE shelfwise SET lock_timeout = '5s';
ALTER ROLE shelfwise SET idle_in_transaction_session_timeout = '60s';

-- Nothing is ever kept in `public`, and nobody makes temporary tables, which would shadow a tenant's own.
DO $$
BEGIN
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO shelfwise_owner', current_database());
END
$$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
