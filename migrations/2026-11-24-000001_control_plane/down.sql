DROP FUNCTION control.job_enqueue;
DROP TABLE control.jobs;
DROP TABLE control.tenants;
DROP FUNCTION control.tenants_notify;
DROP TABLE control.plans;
