DROP TABLE control.archives;
ALTER TABLE control.tenants DROP COLUMN sealed_as;
