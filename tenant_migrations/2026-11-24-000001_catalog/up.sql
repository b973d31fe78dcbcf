-- A bookshop: its head, its people, its catalogue. Runs with the search path on the tenant's schema alone.

-- One row. What it counts is handed out in the order of commits, because every writer locks it last.
CREATE TABLE tenant_head (
    -- The stamp: whose schema this is.
    tenant_id uuid PRIMARY KEY,
    event_position bigint NOT NULL DEFAULT 0,
    audit_sequence bigint NOT NULL DEFAULT 0,
    audit_hash bytea NOT NULL DEFAULT '\x',
    order_number bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX tenant_head_single_idx ON tenant_head ((true));
-- The role is named as its schema. It counts on, and neither makes, stamps nor removes the head.
DO $$
BEGIN
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON tenant_head FROM %I', current_schema());
    EXECUTE format('GRANT UPDATE (event_position, audit_sequence, audit_hash, order_number) ON tenant_head TO %I',
        current_schema());
END
$$;

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    -- The address in lower case: how a login finds it.
    email_key text NOT NULL CONSTRAINT users_email_key UNIQUE,
    role text NOT NULL CHECK (role IN ('owner', 'manager', 'clerk', 'read-only')),
    created_at timestamptz NOT NULL
);

CREATE TABLE authors (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    -- The folded name: spellings of one name meet here.
    name_key text NOT NULL CONSTRAINT authors_name_key UNIQUE,
    version integer NOT NULL DEFAULT 1,
    archived_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE categories (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    name_key text NOT NULL,
    parent_id uuid REFERENCES categories (id),
    -- The ids from the root down to the category itself: a subtree is one look-up.
    path uuid[] NOT NULL CHECK (cardinality(path) BETWEEN 1 AND 8),
    version integer NOT NULL DEFAULT 1,
    archived_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (path[cardinality(path)] = id),
    CHECK (parent_id IS NOT DISTINCT FROM path[cardinality(path) - 1])
);
CREATE UNIQUE INDEX categories_name_key
    ON categories ((coalesce(parent_id, '00000000-0000-0000-0000-000000000000')), name_key);

CREATE TABLE books (
    id uuid PRIMARY KEY,
    title text NOT NULL,
    -- The folded title, and the folded names of the authors in their order: for sorting, searching and recognising.
    title_key text NOT NULL,
    authors_key text NOT NULL,
    isbn13 text CONSTRAINT books_isbn13_key UNIQUE CHECK (isbn13 ~ '^97[89][0-9]{10}$'),
    category_id uuid REFERENCES categories (id),
    -- NULL: not for sale.
    price_minor bigint CHECK (price_minor >= 0),
    price_currency text CHECK (price_currency ~ '^[A-Z]{3}$'),
    language text,
    -- Astronomical: 0 is 1 BCE.
    published_year integer,
    published_month smallint CHECK (published_month BETWEEN 1 AND 12),
    published_day smallint CHECK (published_day BETWEEN 1 AND 31),
    stock integer NOT NULL DEFAULT 0 CONSTRAINT books_stock_check CHECK (stock >= 0),
    version integer NOT NULL DEFAULT 1,
    archived_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- A book without an ISBN is known by its title and authors.
    match_key text GENERATED ALWAYS AS (md5(title_key || E'\x1f' || authors_key)) STORED NOT NULL,
    -- Sort keys that are never NULL, so that a keyset can compare them: not for sale comes after every price,
    -- an unknown date before every date.
    price_key bigint GENERATED ALWAYS AS (coalesce(price_minor, 9223372036854775807)) STORED NOT NULL,
    published_key integer GENERATED ALWAYS AS (
        coalesce(published_year * 512 + coalesce(published_month, 0) * 32 + coalesce(published_day, 0), -2147483648)
    ) STORED NOT NULL,
    search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', title_key), 'A') || setweight(to_tsvector('simple', authors_key), 'B')
    ) STORED NOT NULL,
    CHECK ((price_minor IS NULL) = (price_currency IS NULL)),
    CHECK (published_month IS NULL OR published_year IS NOT NULL),
    CHECK (published_day IS NULL OR published_month IS NOT NULL)
);
CREATE UNIQUE INDEX books_match_key ON books (match_key) WHERE isbn13 IS NULL;
CREATE INDEX books_title_idx ON books (title_key, id);
CREATE INDEX books_price_idx ON books (price_key, id);
CREATE INDEX books_published_idx ON books (published_key, id);
CREATE INDEX books_category_idx ON books (category_id);
CREATE INDEX books_search_idx ON books USING gin (search);

CREATE TABLE book_authors (
    book_id uuid NOT NULL REFERENCES books (id),
    position smallint NOT NULL CHECK (position BETWEEN 1 AND 100),
    author_id uuid NOT NULL REFERENCES authors (id),
    PRIMARY KEY (book_id, position),
    CONSTRAINT book_authors_author_key UNIQUE (author_id, book_id)
);

CREATE TABLE imports (
    id uuid PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
    row_count integer NOT NULL DEFAULT 0,
    created_count integer NOT NULL DEFAULT 0,
    updated_count integer NOT NULL DEFAULT 0,
    unchanged_count integer NOT NULL DEFAULT 0,
    rejected_count integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK ((finished_at IS NULL) = (status = 'running'))
);

CREATE TABLE import_row_errors (
    import_id uuid NOT NULL REFERENCES imports (id),
    -- The order of the report.
    position integer NOT NULL,
    -- The line of the file on which the record starts; the header is line 1.
    line bigint NOT NULL,
    column_name text,
    code text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (import_id, position)
);
