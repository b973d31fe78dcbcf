DROP VIEW control.schema_versions;
