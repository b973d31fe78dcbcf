DROP TABLE control.admin_audit;
DROP TABLE control.login_attempts;
DROP TABLE control.admin_tokens;
DROP TABLE control.admin_sessions;
DROP TABLE control.admins;
