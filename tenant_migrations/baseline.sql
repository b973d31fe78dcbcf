-- version 20261129000009
-- What the migrations up to this version make, at once: printed by `shelfwise schema baseline`.

CREATE TABLE audit_log (
    sequence bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    via text,
    action text NOT NULL,
    entity text NOT NULL,
    before json,
    after json,
    sealed bytea,
    request_id text,
    address text,
    hash bytea NOT NULL,
    CONSTRAINT audit_log_action_check CHECK ((action ~ '^[a-z_]+\.[a-z_]+$'::text)),
    CONSTRAINT audit_log_pkey PRIMARY KEY (sequence)
);
CREATE TABLE authors (
    id uuid NOT NULL,
    name text NOT NULL,
    name_key text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    archived_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT authors_pkey PRIMARY KEY (id),
    CONSTRAINT authors_name_key UNIQUE (name_key)
);
CREATE TABLE categories (
    id uuid NOT NULL,
    name text NOT NULL,
    name_key text NOT NULL,
    parent_id uuid,
    path uuid[] NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    archived_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT categories_check CHECK ((path[cardinality(path)] = id)),
    CONSTRAINT categories_check1 CHECK ((NOT (parent_id IS DISTINCT FROM path[(cardinality(path) - 1)]))),
    CONSTRAINT categories_path_check CHECK (((cardinality(path) >= 1) AND (cardinality(path) <= 8))),
    CONSTRAINT categories_pkey PRIMARY KEY (id),
    CONSTRAINT categories_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES categories(id)
);
CREATE TABLE customers (
    id uuid NOT NULL,
    email_hash bytea,
    subject_key bytea,
    created_at timestamp with time zone NOT NULL,
    erased_at timestamp with time zone,
    CONSTRAINT customers_check CHECK (((erased_at IS NULL) = (subject_key IS NOT NULL))),
    CONSTRAINT customers_check1 CHECK (((erased_at IS NULL) = (email_hash IS NOT NULL))),
    CONSTRAINT customers_pkey PRIMARY KEY (id),
    CONSTRAINT customers_email_key UNIQUE (email_hash)
);
CREATE TABLE deprecated_usage (
    part text NOT NULL,
    operation text NOT NULL,
    credential text NOT NULL,
    client text NOT NULL,
    count bigint NOT NULL,
    first_used_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone NOT NULL,
    CONSTRAINT deprecated_usage_pkey PRIMARY KEY (part, operation, credential, client)
);
CREATE TABLE events (
    "position" bigint NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    version smallint NOT NULL,
    entity text NOT NULL,
    data jsonb NOT NULL,
    at timestamp with time zone NOT NULL,
    cause jsonb,
    CONSTRAINT events_kind_check CHECK ((kind ~ '^[a-z_]+\.[a-z_]+$'::text)),
    CONSTRAINT events_version_check CHECK ((version > 0)),
    CONSTRAINT events_pkey PRIMARY KEY ("position")
);
CREATE TABLE idempotency_keys (
    key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    outcomes jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key)
);
CREATE TABLE identity_providers (
    id uuid NOT NULL,
    issuer text NOT NULL,
    jwks_url text NOT NULL,
    audience text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT identity_providers_pkey PRIMARY KEY (id),
    CONSTRAINT identity_providers_issuer_key UNIQUE (issuer)
);
CREATE TABLE imports (
    id uuid NOT NULL,
    status text NOT NULL,
    row_count integer DEFAULT 0 NOT NULL,
    created_count integer DEFAULT 0 NOT NULL,
    updated_count integer DEFAULT 0 NOT NULL,
    unchanged_count integer DEFAULT 0 NOT NULL,
    rejected_count integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT imports_check CHECK (((finished_at IS NULL) = (status = 'running'::text))),
    CONSTRAINT imports_status_check CHECK ((status = ANY (ARRAY['running'::text, 'completed'::text, 'failed'::text]))),
    CONSTRAINT imports_pkey PRIMARY KEY (id)
);
CREATE TABLE login_attempts (
    key bytea NOT NULL,
    count integer NOT NULL,
    blocked_until timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT login_attempts_count_check CHECK ((count >= 0)),
    CONSTRAINT login_attempts_pkey PRIMARY KEY (key)
);
CREATE TABLE roles (
    id uuid NOT NULL,
    key text,
    name text NOT NULL,
    name_key text NOT NULL,
    permissions text[],
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT roles_check CHECK (((key IS NULL) = (permissions IS NOT NULL))),
    CONSTRAINT roles_key_check CHECK ((key = ANY (ARRAY['owner'::text, 'manager'::text, 'clerk'::text, 'read-only'::text]))),
    CONSTRAINT roles_pkey PRIMARY KEY (id),
    CONSTRAINT roles_key UNIQUE (key),
    CONSTRAINT roles_name_key UNIQUE (name_key)
);
CREATE TABLE settings (
    name text NOT NULL,
    value jsonb,
    sealed bytea,
    updated_by uuid,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT settings_check CHECK (((value IS NULL) <> (sealed IS NULL))),
    CONSTRAINT settings_pkey PRIMARY KEY (name)
);
CREATE TABLE tenant_head (
    tenant_id uuid NOT NULL,
    event_position bigint DEFAULT 0 NOT NULL,
    audit_sequence bigint DEFAULT 0 NOT NULL,
    audit_hash bytea DEFAULT '\x'::bytea NOT NULL,
    order_number bigint DEFAULT 0 NOT NULL,
    anchored_sequence bigint DEFAULT 0 NOT NULL,
    dispatch_from bigint,
    CONSTRAINT tenant_head_pkey PRIMARY KEY (tenant_id)
);
CREATE TABLE tenant_stamp (
    tenant_id uuid NOT NULL,
    CONSTRAINT tenant_stamp_pkey PRIMARY KEY (tenant_id)
);
CREATE TABLE trusted_documents (
    hash text NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT trusted_documents_hash_check CHECK ((hash ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT trusted_documents_pkey PRIMARY KEY (hash)
);
CREATE TABLE users (
    id uuid NOT NULL,
    email text NOT NULL,
    email_key text NOT NULL,
    role text,
    created_at timestamp with time zone NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    status text DEFAULT 'invited'::text NOT NULL,
    password_hash text,
    external_issuer text,
    external_subject text,
    version integer DEFAULT 1 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT users_check CHECK (((external_issuer IS NULL) = (external_subject IS NULL))),
    CONSTRAINT users_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'manager'::text, 'clerk'::text, 'read-only'::text]))),
    CONSTRAINT users_status_check CHECK ((status = ANY (ARRAY['invited'::text, 'active'::text, 'disabled'::text]))),
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key UNIQUE (email_key),
    CONSTRAINT users_external_key UNIQUE (external_issuer, external_subject)
);
CREATE TABLE webhook_endpoints (
    id uuid NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    kinds text[] NOT NULL,
    ordering text NOT NULL,
    status text NOT NULL,
    status_reason text,
    status_at timestamp with time zone NOT NULL,
    secret bytea NOT NULL,
    previous_secret bytea,
    previous_expires_at timestamp with time zone,
    headers bytea,
    cursor bigint NOT NULL,
    breaker text DEFAULT 'closed'::text NOT NULL,
    failures smallint DEFAULT 0 NOT NULL,
    rests_until timestamp with time zone,
    drain_to bigint DEFAULT 0 NOT NULL,
    job_id uuid,
    version integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT webhook_endpoints_breaker_check CHECK ((breaker = ANY (ARRAY['closed'::text, 'open'::text, 'half_open'::text]))),
    CONSTRAINT webhook_endpoints_check CHECK (((status = 'active'::text) = (status_reason IS NULL))),
    CONSTRAINT webhook_endpoints_check1 CHECK (((previous_secret IS NULL) = (previous_expires_at IS NULL))),
    CONSTRAINT webhook_endpoints_check2 CHECK (((breaker = 'closed'::text) OR (failures > 0))),
    CONSTRAINT webhook_endpoints_cursor_check CHECK ((cursor >= 0)),
    CONSTRAINT webhook_endpoints_failures_check CHECK ((failures >= 0)),
    CONSTRAINT webhook_endpoints_ordering_check CHECK ((ordering = ANY (ARRAY['entity'::text, 'endpoint'::text, 'none'::text]))),
    CONSTRAINT webhook_endpoints_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'disabled'::text]))),
    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id)
);
CREATE TABLE api_keys (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    permissions text[] NOT NULL,
    secret_hash bytea NOT NULL,
    previous_hash bytea,
    previous_expires_at timestamp with time zone,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT api_keys_check CHECK (((previous_hash IS NULL) = (previous_expires_at IS NULL))),
    CONSTRAINT api_keys_permissions_check CHECK ((cardinality(permissions) > 0)),
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);
CREATE TABLE books (
    id uuid NOT NULL,
    title text NOT NULL,
    title_key text NOT NULL,
    authors_key text NOT NULL,
    isbn13 text,
    category_id uuid,
    price_minor bigint,
    price_currency text,
    language text,
    published_year integer,
    published_month smallint,
    published_day smallint,
    stock integer DEFAULT 0 NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    archived_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    match_key text GENERATED ALWAYS AS (md5(((title_key || E'\x1f'::text) || authors_key))) STORED NOT NULL,
    price_key bigint GENERATED ALWAYS AS (COALESCE(price_minor, '9223372036854775807'::bigint)) STORED NOT NULL,
    published_key integer GENERATED ALWAYS AS (COALESCE((((published_year * 512) + (COALESCE((published_month)::integer, 0) * 32)) + COALESCE((published_day)::integer, 0)), '-2147483648'::integer)) STORED NOT NULL,
    search tsvector GENERATED ALWAYS AS ((setweight(to_tsvector('simple'::regconfig, title_key), 'A'::"char") || setweight(to_tsvector('simple'::regconfig, authors_key), 'B'::"char"))) STORED NOT NULL,
    reserved integer DEFAULT 0 NOT NULL,
    sold bigint DEFAULT 0 NOT NULL,
    CONSTRAINT books_check CHECK (((price_minor IS NULL) = (price_currency IS NULL))),
    CONSTRAINT books_check1 CHECK (((published_month IS NULL) OR (published_year IS NOT NULL))),
    CONSTRAINT books_check2 CHECK (((published_day IS NULL) OR (published_month IS NOT NULL))),
    CONSTRAINT books_isbn13_check CHECK ((isbn13 ~ '^97[89][0-9]{10}$'::text)),
    CONSTRAINT books_price_currency_check CHECK ((price_currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT books_price_minor_check CHECK ((price_minor >= 0)),
    CONSTRAINT books_published_day_check CHECK (((published_day >= 1) AND (published_day <= 31))),
    CONSTRAINT books_published_month_check CHECK (((published_month >= 1) AND (published_month <= 12))),
    CONSTRAINT books_reserved_check CHECK ((reserved >= 0)),
    CONSTRAINT books_sold_check CHECK ((sold >= 0)),
    CONSTRAINT books_stock_check CHECK ((stock >= 0)),
    CONSTRAINT books_pkey PRIMARY KEY (id),
    CONSTRAINT books_isbn13_key UNIQUE (isbn13),
    CONSTRAINT books_category_id_fkey FOREIGN KEY (category_id) REFERENCES categories(id)
);
CREATE TABLE import_row_errors (
    import_id uuid NOT NULL,
    "position" integer NOT NULL,
    line bigint NOT NULL,
    column_name text,
    code text NOT NULL,
    message text NOT NULL,
    CONSTRAINT import_row_errors_pkey PRIMARY KEY (import_id, "position"),
    CONSTRAINT import_row_errors_import_id_fkey FOREIGN KEY (import_id) REFERENCES imports(id)
);
CREATE TABLE orders (
    id uuid NOT NULL,
    number bigint NOT NULL,
    customer_id uuid NOT NULL,
    customer_sealed bytea NOT NULL,
    status text NOT NULL,
    currency text NOT NULL,
    total_minor bigint DEFAULT 0 NOT NULL,
    cancel_reason text,
    version integer DEFAULT 1 NOT NULL,
    created_by uuid,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    placed_at timestamp with time zone,
    paid_at timestamp with time zone,
    fulfilled_at timestamp with time zone,
    delivered_at timestamp with time zone,
    canceled_at timestamp with time zone,
    refunded_at timestamp with time zone,
    CONSTRAINT orders_check CHECK (((canceled_at IS NOT NULL) = (status = 'canceled'::text))),
    CONSTRAINT orders_check1 CHECK (((refunded_at IS NOT NULL) = (status = 'refunded'::text))),
    CONSTRAINT orders_check2 CHECK (((status = ANY (ARRAY['draft'::text, 'canceled'::text])) OR (placed_at IS NOT NULL))),
    CONSTRAINT orders_check3 CHECK (((status <> ALL (ARRAY['paid'::text, 'fulfilled'::text, 'delivered'::text, 'refunded'::text])) OR (paid_at IS NOT NULL))),
    CONSTRAINT orders_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT orders_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'placed'::text, 'paid'::text, 'fulfilled'::text, 'delivered'::text, 'canceled'::text, 'refunded'::text]))),
    CONSTRAINT orders_total_minor_check CHECK ((total_minor >= 0)),
    CONSTRAINT orders_pkey PRIMARY KEY (id),
    CONSTRAINT orders_number_key UNIQUE (number),
    CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id)
);
CREATE TABLE sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    revocation_reason text,
    CONSTRAINT sessions_check CHECK (((revoked_at IS NULL) = (revocation_reason IS NULL))),
    CONSTRAINT sessions_revocation_reason_check CHECK ((revocation_reason = ANY (ARRAY['logout'::text, 'password'::text, 'disabled'::text, 'reuse'::text]))),
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);
CREATE TABLE user_roles (
    user_id uuid NOT NULL,
    role_id uuid NOT NULL,
    CONSTRAINT user_roles_pkey PRIMARY KEY (user_id, role_id),
    CONSTRAINT user_roles_role_id_fkey FOREIGN KEY (role_id) REFERENCES roles(id),
    CONSTRAINT user_roles_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);
CREATE TABLE webhook_deliveries (
    id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    event_id uuid NOT NULL,
    "position" bigint NOT NULL,
    kind text NOT NULL,
    ordering_key text,
    body bytea NOT NULL,
    state text NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    attempts_total integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone,
    status smallint,
    latency_ms integer,
    error text,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT webhook_deliveries_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT webhook_deliveries_check CHECK ((attempts_total >= attempts)),
    CONSTRAINT webhook_deliveries_check1 CHECK (((state = 'pending'::text) = (next_attempt_at IS NOT NULL))),
    CONSTRAINT webhook_deliveries_check2 CHECK (((state = 'pending'::text) = (finished_at IS NULL))),
    CONSTRAINT webhook_deliveries_position_check CHECK (("position" >= 0)),
    CONSTRAINT webhook_deliveries_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'dead'::text]))),
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_deliveries_event_key UNIQUE (endpoint_id, event_id),
    CONSTRAINT webhook_deliveries_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoints(id) ON DELETE CASCADE
);
CREATE TABLE book_authors (
    book_id uuid NOT NULL,
    "position" smallint NOT NULL,
    author_id uuid NOT NULL,
    CONSTRAINT book_authors_position_check CHECK ((("position" >= 1) AND ("position" <= 100))),
    CONSTRAINT book_authors_pkey PRIMARY KEY (book_id, "position"),
    CONSTRAINT book_authors_author_key UNIQUE (author_id, book_id),
    CONSTRAINT book_authors_author_id_fkey FOREIGN KEY (author_id) REFERENCES authors(id),
    CONSTRAINT book_authors_book_id_fkey FOREIGN KEY (book_id) REFERENCES books(id)
);
CREATE TABLE order_lines (
    order_id uuid NOT NULL,
    book_id uuid NOT NULL,
    quantity integer NOT NULL,
    title text NOT NULL,
    unit_price_minor bigint NOT NULL,
    CONSTRAINT order_lines_quantity_check CHECK (((quantity >= 1) AND (quantity <= 10000))),
    CONSTRAINT order_lines_unit_price_minor_check CHECK ((unit_price_minor >= 0)),
    CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, book_id),
    CONSTRAINT order_lines_book_id_fkey FOREIGN KEY (book_id) REFERENCES books(id),
    CONSTRAINT order_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(id)
);
CREATE TABLE payments (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    status text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    reference text,
    failure text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    account text,
    CONSTRAINT payments_amount_minor_check CHECK ((amount_minor >= 0)),
    CONSTRAINT payments_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payments_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'authorized'::text, 'captured'::text, 'confirmed'::text, 'failed'::text, 'voided'::text, 'refunding'::text, 'refunded'::text]))),
    CONSTRAINT payments_pkey PRIMARY KEY (id),
    CONSTRAINT payments_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(id)
);
CREATE TABLE user_tokens (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    purpose text NOT NULL,
    session_id uuid,
    secret_hash bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    CONSTRAINT user_tokens_check CHECK (((session_id IS NOT NULL) = (purpose = 'refresh'::text))),
    CONSTRAINT user_tokens_purpose_check CHECK ((purpose = ANY (ARRAY['invitation'::text, 'password_reset'::text, 'refresh'::text]))),
    CONSTRAINT user_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT user_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES sessions(id),
    CONSTRAINT user_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);
CREATE TABLE webhook_attempts (
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamp with time zone NOT NULL,
    status smallint,
    error text,
    latency_ms integer NOT NULL,
    response text,
    CONSTRAINT webhook_attempts_check CHECK (((status IS NULL) = (error IS NOT NULL))),
    CONSTRAINT webhook_attempts_latency_ms_check CHECK ((latency_ms >= 0)),
    CONSTRAINT webhook_attempts_number_check CHECK ((number > 0)),
    CONSTRAINT webhook_attempts_pkey PRIMARY KEY (delivery_id, number),
    CONSTRAINT webhook_attempts_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES webhook_deliveries(id) ON DELETE CASCADE
);

CREATE INDEX api_keys_user_idx ON api_keys USING btree (user_id);
CREATE INDEX audit_log_action_idx ON audit_log USING btree (action, sequence);
CREATE INDEX audit_log_actor_idx ON audit_log USING btree (actor, sequence);
CREATE INDEX audit_log_entity_idx ON audit_log USING btree (entity, sequence);
CREATE INDEX books_category_idx ON books USING btree (category_id);
CREATE UNIQUE INDEX books_match_key ON books USING btree (match_key) WHERE isbn13 IS NULL;
CREATE INDEX books_price_idx ON books USING btree (price_key, id);
CREATE INDEX books_published_idx ON books USING btree (published_key, id);
CREATE INDEX books_search_idx ON books USING gin (search);
CREATE INDEX books_title_idx ON books USING btree (title_key, id);
CREATE UNIQUE INDEX categories_name_key ON categories USING btree (COALESCE(parent_id, '00000000-0000-0000-0000-000000000000'::uuid), name_key);
CREATE INDEX idempotency_keys_expires_idx ON idempotency_keys USING btree (expires_at);
CREATE UNIQUE INDEX identity_providers_single_idx ON identity_providers USING btree ((true));
CREATE INDEX login_attempts_updated_idx ON login_attempts USING btree (updated_at);
CREATE INDEX order_lines_book_idx ON order_lines USING btree (book_id, order_id);
CREATE INDEX orders_customer_idx ON orders USING btree (customer_id, id);
CREATE INDEX orders_paid_idx ON orders USING btree (paid_at) WHERE status = ANY (ARRAY['paid'::text, 'fulfilled'::text, 'delivered'::text]);
CREATE INDEX orders_placed_idx ON orders USING btree (placed_at, id) WHERE placed_at IS NOT NULL;
CREATE INDEX orders_status_idx ON orders USING btree (status, id);
CREATE INDEX orders_total_idx ON orders USING btree (total_minor, id);
CREATE UNIQUE INDEX payments_live_key ON payments USING btree (order_id) WHERE status = ANY (ARRAY['pending'::text, 'authorized'::text, 'captured'::text, 'confirmed'::text, 'refunding'::text]);
CREATE INDEX payments_order_idx ON payments USING btree (order_id, id);
CREATE INDEX sessions_expires_idx ON sessions USING btree (expires_at);
CREATE INDEX sessions_user_idx ON sessions USING btree (user_id) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX tenant_head_single_idx ON tenant_head USING btree ((true));
CREATE UNIQUE INDEX tenant_stamp_single_idx ON tenant_stamp USING btree ((true));
CREATE INDEX user_roles_role_idx ON user_roles USING btree (role_id);
CREATE INDEX user_tokens_expires_idx ON user_tokens USING btree (expires_at);
CREATE INDEX user_tokens_session_idx ON user_tokens USING btree (session_id);
CREATE INDEX user_tokens_user_idx ON user_tokens USING btree (user_id, purpose) WHERE used_at IS NULL;
CREATE INDEX webhook_deliveries_dead_idx ON webhook_deliveries USING btree (id) WHERE state = 'dead'::text;
CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries USING btree (endpoint_id, id);
CREATE INDEX webhook_deliveries_finished_idx ON webhook_deliveries USING btree (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX webhook_deliveries_pending_idx ON webhook_deliveries USING btree (endpoint_id, ordering_key, "position", id) WHERE state = 'pending'::text;

REVOKE UPDATE, DELETE ON webhook_attempts FROM "{tenant}";
REVOKE UPDATE, DELETE ON audit_log FROM "{tenant}";
REVOKE UPDATE ON events FROM "{tenant}";
REVOKE INSERT, UPDATE, DELETE ON tenant_stamp FROM "{tenant}";
REVOKE INSERT, UPDATE, DELETE ON tenant_head FROM "{tenant}";
GRANT UPDATE (event_position, audit_sequence, audit_hash, order_number, anchored_sequence, dispatch_from) ON tenant_head TO "{tenant}";

INSERT INTO roles (id, key, name, name_key, permissions, version, created_at, updated_at) VALUES
    (gen_random_uuid(), 'owner', 'Owner', 'owner', NULL, '1', now(), now()),
    (gen_random_uuid(), 'manager', 'Manager', 'manager', NULL, '1', now(), now()),
    (gen_random_uuid(), 'clerk', 'Clerk', 'clerk', NULL, '1', now(), now()),
    (gen_random_uuid(), 'read-only', 'Read only', 'read only', NULL, '1', now(), now());
