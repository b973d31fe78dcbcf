-- The platform's administrators: accounts as carefully kept as those of a shop's people, and the trail of their acts.

CREATE TABLE control.admins (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    email_key text NOT NULL CONSTRAINT admins_email_key UNIQUE,
    status text NOT NULL CHECK (status IN ('invited', 'active', 'disabled')),
    -- A PHC string of Argon2id. NULL: the invitation has not been accepted.
    password_hash text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- A log-in, and all tokens that were made from it.
CREATE TABLE control.admin_sessions (
    id uuid PRIMARY KEY,
    admin_id uuid NOT NULL REFERENCES control.admins (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX admin_sessions_admin_idx ON control.admin_sessions (admin_id) WHERE revoked_at IS NULL;

-- Secrets that are good for one use, kept as hashes.
CREATE TABLE control.admin_tokens (
    id uuid PRIMARY KEY,
    admin_id uuid NOT NULL REFERENCES control.admins (id),
    purpose text NOT NULL CHECK (purpose IN ('invitation', 'refresh')),
    session_id uuid REFERENCES control.admin_sessions (id),
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CHECK ((session_id IS NOT NULL) = (purpose = 'refresh'))
);
CREATE INDEX admin_tokens_admin_idx ON control.admin_tokens (admin_id, purpose) WHERE used_at IS NULL;
CREATE INDEX admin_tokens_session_idx ON control.admin_tokens (session_id);

-- How often somebody has tried to get in, by a hash of the account's or the client's address.
CREATE TABLE control.login_attempts (
    key bytea PRIMARY KEY,
    count integer NOT NULL CHECK (count >= 0),
    blocked_until timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- What operators did, by the API or the command line. Written with the act, in its transaction, and never changed.
CREATE TABLE control.admin_audit (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    -- `admin_…` of an account, or `cli:…` of whoever had the keys at hand.
    operator text NOT NULL,
    action text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    -- The slug of a tenant, or the address of an administrator.
    target text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    request_id text,
    address text
);
CREATE INDEX admin_audit_target_idx ON control.admin_audit (target, id);

GRANT SELECT, INSERT, UPDATE ON control.admins TO {runtime};
GRANT SELECT, INSERT, UPDATE, DELETE ON control.admin_sessions, control.admin_tokens, control.login_attempts TO {runtime};
GRANT SELECT, INSERT ON control.admin_audit TO {runtime};
