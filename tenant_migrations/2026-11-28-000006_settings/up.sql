-- What the shop itself has set. Which settings there are and what each may be is the release's to say.

CREATE TABLE settings (
    name text PRIMARY KEY,
    value jsonb,
    -- A secret, sealed with the shop's data key.
    sealed bytea,
    -- The user who has set it; NULL: the platform.
    updated_by uuid,
    updated_at timestamptz NOT NULL,
    CHECK ((value IS NULL) <> (sealed IS NULL))
);
