-- Orders: who buys, what, at which price, and what becomes of it.

-- A copy is in stock, reserved for an order, or sold. Moving it from one to the other changes no sum.
ALTER TABLE books
    ADD COLUMN reserved integer NOT NULL DEFAULT 0 CONSTRAINT books_reserved_check CHECK (reserved >= 0),
    ADD COLUMN sold bigint NOT NULL DEFAULT 0 CONSTRAINT books_sold_check CHECK (sold >= 0);

-- People who buy. What is known of one is sealed with a key of the person's own: without it all of it is erased at once.
CREATE TABLE customers (
    id uuid PRIMARY KEY,
    -- A keyed hash of the address in lower case: how it is found. NULL: erased.
    email_hash bytea CONSTRAINT customers_email_key UNIQUE,
    -- The person's key, sealed with the tenant's. NULL: erased.
    subject_key bytea,
    created_at timestamptz NOT NULL,
    erased_at timestamptz,
    CHECK ((erased_at IS NULL) = (subject_key IS NOT NULL)),
    CHECK ((erased_at IS NULL) = (email_hash IS NOT NULL))
);

CREATE TABLE orders (
    id uuid PRIMARY KEY,
    -- Counted by `tenant_head`, in the order of commits and without gaps.
    number bigint NOT NULL CONSTRAINT orders_number_key UNIQUE,
    customer_id uuid NOT NULL REFERENCES customers (id),
    -- Name, e-mail address and postal address as they were given for this order, sealed with the customer's key.
    customer_sealed bytea NOT NULL,
    status text NOT NULL
        CHECK (status IN ('draft', 'placed', 'paid', 'fulfilled', 'delivered', 'canceled', 'refunded')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor bigint NOT NULL DEFAULT 0 CHECK (total_minor >= 0),
    cancel_reason text,
    version integer NOT NULL DEFAULT 1,
    -- Which user entered it; NULL for the platform. Users are never removed.
    created_by uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    placed_at timestamptz,
    paid_at timestamptz,
    fulfilled_at timestamptz,
    delivered_at timestamptz,
    canceled_at timestamptz,
    refunded_at timestamptz,
    CHECK ((canceled_at IS NOT NULL) = (status = 'canceled')),
    CHECK ((refunded_at IS NOT NULL) = (status = 'refunded')),
    CHECK (status IN ('draft', 'canceled') OR placed_at IS NOT NULL),
    CHECK (status NOT IN ('paid', 'fulfilled', 'delivered', 'refunded') OR paid_at IS NOT NULL)
);
CREATE INDEX orders_customer_idx ON orders (customer_id, id);
CREATE INDEX orders_status_idx ON orders (status, id);
CREATE INDEX orders_total_idx ON orders (total_minor, id);
CREATE INDEX orders_placed_idx ON orders (placed_at, id) WHERE placed_at IS NOT NULL;
CREATE INDEX orders_paid_idx ON orders (paid_at) WHERE status IN ('paid', 'fulfilled', 'delivered');

CREATE TABLE order_lines (
    order_id uuid NOT NULL REFERENCES orders (id),
    book_id uuid NOT NULL REFERENCES books (id),
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
    -- The title and the price of a copy: of now in a draft, frozen when the order is placed.
    title text NOT NULL,
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (order_id, book_id)
);
CREATE INDEX order_lines_book_idx ON order_lines (book_id, order_id);

-- An attempt to be paid. Its id is the key by which the provider knows each step again.
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (id),
    status text NOT NULL CHECK (status IN
        ('pending', 'authorized', 'captured', 'confirmed', 'failed', 'voided', 'refunding', 'refunded')),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- What the provider calls it.
    reference text,
    -- Why it failed.
    failure text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX payments_order_idx ON payments (order_id, id);
-- An order is paid once.
CREATE UNIQUE INDEX payments_live_key ON payments (order_id)
    WHERE status IN ('pending', 'authorized', 'captured', 'confirmed', 'refunding');
