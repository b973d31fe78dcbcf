-- The shop's people, how they show who they are, and what they may do.

-- Owners from before could not log in: they have no password until they accept an invitation or reset it.
ALTER TABLE users
    ADD COLUMN name text NOT NULL DEFAULT '',
    ADD COLUMN status text NOT NULL DEFAULT 'invited' CHECK (status IN ('invited', 'active', 'disabled')),
    -- A PHC string of Argon2id. NULL: the user cannot log in by a password.
    ADD COLUMN password_hash text,
    -- Who the user is to the shop's own identity provider.
    ADD COLUMN external_issuer text,
    ADD COLUMN external_subject text,
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    -- `user_roles` says it now; the column goes when no release reads it any more.
    ALTER COLUMN role DROP NOT NULL,
    ADD CONSTRAINT users_external_key UNIQUE (external_issuer, external_subject),
    ADD CHECK ((external_issuer IS NULL) = (external_subject IS NULL));

CREATE TABLE roles (
    id uuid PRIMARY KEY,
    -- A default role, whose permissions are the code's, so that a release can widen them. NULL: made by the shop.
    key text CONSTRAINT roles_key UNIQUE CHECK (key IN ('owner', 'manager', 'clerk', 'read-only')),
    name text NOT NULL,
    name_key text NOT NULL CONSTRAINT roles_name_key UNIQUE,
    permissions text[],
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK ((key IS NULL) = (permissions IS NOT NULL))
);
INSERT INTO roles (id, key, name, name_key, created_at, updated_at)
SELECT gen_random_uuid(), lower(replace(name, ' ', '-')), name, lower(name), now(), now()
FROM unnest(ARRAY['Owner', 'Manager', 'Clerk', 'Read only']) AS name;

CREATE TABLE user_roles (
    user_id uuid NOT NULL REFERENCES users (id),
    role_id uuid NOT NULL REFERENCES roles (id),
    PRIMARY KEY (user_id, role_id)
);
CREATE INDEX user_roles_role_idx ON user_roles (role_id);
INSERT INTO user_roles (user_id, role_id) SELECT users.id, roles.id FROM users JOIN roles ON roles.key = users.role;

-- A log-in, and all tokens that were made from it.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL,
    -- Refreshing does not move it: a log-in ends.
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revocation_reason text CHECK (revocation_reason IN ('logout', 'password', 'disabled', 'reuse')),
    CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL))
);
CREATE INDEX sessions_user_idx ON sessions (user_id) WHERE revoked_at IS NULL;

-- Secrets that are good for one use. Only a hash is kept: each has 256 random bits, so a plain one will do.
CREATE TABLE user_tokens (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    purpose text NOT NULL CHECK (purpose IN ('invitation', 'password_reset', 'refresh')),
    session_id uuid REFERENCES sessions (id),
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CHECK ((session_id IS NOT NULL) = (purpose = 'refresh'))
);
CREATE INDEX user_tokens_user_idx ON user_tokens (user_id, purpose) WHERE used_at IS NULL;
CREATE INDEX user_tokens_expires_idx ON user_tokens (expires_at);
CREATE INDEX user_tokens_session_idx ON user_tokens (session_id);

CREATE INDEX sessions_expires_idx ON sessions (expires_at);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    -- The maker: a key never may more than its maker may at the time.
    user_id uuid NOT NULL REFERENCES users (id),
    name text NOT NULL,
    permissions text[] NOT NULL CHECK (cardinality(permissions) > 0),
    secret_hash bytea NOT NULL,
    -- The secret before the last rotation, and how long it goes on working.
    previous_hash bytea,
    previous_expires_at timestamptz,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK ((previous_hash IS NULL) = (previous_expires_at IS NULL))
);
CREATE INDEX api_keys_user_idx ON api_keys (user_id);

-- How often somebody has tried to get in, by a hash of the account's or the client's address.
CREATE TABLE login_attempts (
    key bytea PRIMARY KEY,
    count integer NOT NULL CHECK (count >= 0),
    -- Until then further attempts are refused unread.
    blocked_until timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX login_attempts_updated_idx ON login_attempts (updated_at);

-- The shop's own log-in: an OpenID Connect issuer whose tokens are accepted.
CREATE TABLE identity_providers (
    id uuid PRIMARY KEY,
    issuer text NOT NULL CONSTRAINT identity_providers_issuer_key UNIQUE,
    jwks_url text NOT NULL,
    audience text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE UNIQUE INDEX identity_providers_single_idx ON identity_providers ((true));

-- Operations that the shop's frontends are known to send, by the SHA-256 of their text in hexadecimal.
CREATE TABLE trusted_documents (
    hash text PRIMARY KEY CHECK (hash ~ '^[0-9a-f]{64}$'),
    body text NOT NULL,
    created_at timestamptz NOT NULL
);
