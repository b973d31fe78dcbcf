DROP TABLE control.notices;
DROP FUNCTION control.schema_name(uuid);
DROP TABLE control.spare_schemas;
