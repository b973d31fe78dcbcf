-- How often the shop's programs have used what goes away of the API. The platform's own, as far as the trail is concerned.
CREATE TABLE deprecated_usage (
    -- A schema coordinate.
    part text NOT NULL,
    -- The operation's name; empty where it has none, `(other)` for all there is no row left for.
    operation text NOT NULL,
    -- The id of an API key, or `session`, `identity_provider` or `operator`.
    credential text NOT NULL,
    -- What the program calls itself; empty where it does not say.
    client text NOT NULL,
    count bigint NOT NULL,
    first_used_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (part, operation, credential, client)
);
