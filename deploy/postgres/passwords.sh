#!/bin/bash
# Gives the logins of `logins.sql` their passwords when the database of docker-compose.yml is first made. They come by
# the environment and not on a command line, which other processes could read.
: "${SHELFWISE_DB_PASSWORD:?must be set}" "${SHELFWISE_DB_OWNER_PASSWORD:?must be set}"
psql --set=ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv runtime_password SHELFWISE_DB_PASSWORD
\getenv owner_password SHELFWISE_DB_OWNER_PASSWORD
ALTER ROLE shelfwise PASSWORD :'runtime_password';
ALTER ROLE shelfwise_owner PASSWORD :'owner_password';
SQL
