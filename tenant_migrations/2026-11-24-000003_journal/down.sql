DROP TABLE idempotency_keys;
DROP TABLE events;
DROP TABLE audit_log;
ALTER TABLE tenant_head DROP COLUMN anchored_sequence;
DROP TABLE tenant_stamp;
