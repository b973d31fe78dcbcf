DROP TABLE trusted_documents;
DROP TABLE identity_providers;
DROP TABLE login_attempts;
DROP TABLE api_keys;
DROP TABLE user_tokens;
DROP TABLE sessions;
UPDATE users SET role = coalesce(
    (SELECT min(roles.key) FROM user_roles JOIN roles ON roles.id = user_roles.role_id WHERE user_roles.user_id = users.id),
    'read-only');
DROP TABLE user_roles;
DROP TABLE roles;
ALTER TABLE users
    ALTER COLUMN role SET NOT NULL,
    DROP COLUMN name,
    DROP COLUMN status,
    DROP COLUMN password_hash,
    DROP COLUMN external_issuer,
    DROP COLUMN external_subject,
    DROP COLUMN version,
    DROP COLUMN updated_at;
