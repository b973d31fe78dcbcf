-- Places of the tenants' trails, kept where no tenant's role reaches. A trail alone cannot tell that its end was cut off:
-- what comes before a place that is kept here can neither be cut off nor be written anew without that it shows.
CREATE TABLE control.audit_anchors (
    tenant_id uuid NOT NULL REFERENCES control.tenants (id),
    -- The entry of the tenant's audit_log that was the last one then, and its hash.
    sequence bigint NOT NULL CHECK (sequence > 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, sequence)
);

GRANT SELECT, INSERT ON control.audit_anchors TO {runtime};
