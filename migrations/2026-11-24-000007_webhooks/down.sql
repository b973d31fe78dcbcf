DROP TABLE control.webhook_troubles;
DROP FUNCTION control.job_advance;
