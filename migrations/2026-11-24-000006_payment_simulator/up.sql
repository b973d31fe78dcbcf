-- The ledger of the payment simulator: what a provider of payments would keep at its own place. Its rows are written in
-- transactions of their own, never in a shop's.

CREATE TABLE control.simulated_payments (
    -- The payment's id, by which the provider knows a request again.
    key text NOT NULL,
    step text NOT NULL CHECK (step IN ('authorize', 'capture', 'void', 'refund')),
    -- NULL: it was done. Else why it was declined.
    declined text,
    amount_minor bigint,
    currency text,
    -- How often it was asked for. It is done once.
    calls integer NOT NULL DEFAULT 1,
    at timestamptz NOT NULL,
    PRIMARY KEY (key, step)
);

GRANT SELECT, INSERT, UPDATE ON control.simulated_payments TO {runtime};
