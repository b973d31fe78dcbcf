DROP TABLE idempotency_keys;
DROP TABLE events;
DROP TABLE audit_log;
