-- Lets the tenants' roles reach the nodes. Citus opens its connections between nodes as the role that runs the statement, so
-- tenants' roles must be able to log in there. They get no password: `pg_hba.conf` of each node takes them from the other
-- nodes' addresses alone, by certificate, and from nobody else:
--
--   hostssl shelfwise all             10.1.0.0/24 cert map=citus      the other nodes
--   host    shelfwise shelfwise       10.2.0.0/16 scram-sha-256       the servers, on the coordinator: by name,
--   host    shelfwise shelfwise_owner 10.2.0.0/16 scram-sha-256       so that no tenant's role is among them
--
-- Run as a superuser on the coordinator, every minute where tenants are made: schemas are made in advance
-- (`SPARE_SCHEMAS`), so that a role is among those that can log in before its shop signs up. With one node it is not needed.

\set ON_ERROR_STOP on
SELECT format('ALTER ROLE %I LOGIN PASSWORD NULL', rolname)
FROM pg_roles
WHERE rolname ~ '^t_[0-9a-z]{26}$' AND NOT rolcanlogin \gexec
