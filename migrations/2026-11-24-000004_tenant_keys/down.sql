ALTER TABLE control.tenants DROP COLUMN keys;
