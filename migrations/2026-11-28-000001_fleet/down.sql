DROP INDEX control.tenants_version_idx;
DROP TABLE control.backfills;
DROP TABLE control.migration_steps;
DROP TABLE control.migration_runs;
