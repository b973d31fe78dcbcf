//! A tenant's tables. No schema is named: the search path decides whose they are.

diesel::table! {
    /// One row: whose schema this is.
    tenant_stamp (tenant_id) {
        tenant_id -> Uuid,
    }
}

diesel::table! {
    /// One row: what is counted in the order of commits.
    tenant_head (tenant_id) {
        tenant_id -> Uuid,
        event_position -> BigInt,
        audit_sequence -> BigInt,
        audit_hash -> Binary,
        order_number -> BigInt,
        anchored_sequence -> BigInt,
        dispatch_from -> Nullable<BigInt>,
    }
}

diesel::table! {
    /// The shop's people.
    users (id) {
        id -> Uuid,
        email -> Text,
        email_key -> Text,
        created_at -> Timestamptz,
        name -> Text,
        status -> Text,
        password_hash -> Nullable<Text>,
        external_issuer -> Nullable<Text>,
        external_subject -> Nullable<Text>,
        version -> Integer,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// What the shop's people may do.
    roles (id) {
        id -> Uuid,
        key -> Nullable<Text>,
        name -> Text,
        name_key -> Text,
        permissions -> Nullable<Array<Text>>,
        version -> Integer,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Who has which role.
    user_roles (user_id, role_id) {
        user_id -> Uuid,
        role_id -> Uuid,
    }
}

diesel::table! {
    /// Log-ins.
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revocation_reason -> Nullable<Text>,
    }
}

diesel::table! {
    /// Secrets that are good for one use.
    user_tokens (id) {
        id -> Uuid,
        user_id -> Uuid,
        purpose -> Text,
        session_id -> Nullable<Uuid>,
        secret_hash -> Binary,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Keys of programs.
    api_keys (id) {
        id -> Uuid,
        user_id -> Uuid,
        name -> Text,
        permissions -> Array<Text>,
        secret_hash -> Binary,
        previous_hash -> Nullable<Binary>,
        previous_expires_at -> Nullable<Timestamptz>,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// How often somebody has tried to get in.
    login_attempts (key) {
        key -> Binary,
        count -> Integer,
        blocked_until -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// The shop's own log-in.
    identity_providers (id) {
        id -> Uuid,
        issuer -> Text,
        jwks_url -> Text,
        audience -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Operations that the shop's frontends are known to send.
    trusted_documents (hash) {
        hash -> Text,
        body -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Who wrote books.
    authors (id) {
        id -> Uuid,
        name -> Text,
        name_key -> Text,
        version -> Integer,
        archived_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// The tree of categories.
    categories (id) {
        id -> Uuid,
        name -> Text,
        name_key -> Text,
        parent_id -> Nullable<Uuid>,
        path -> Array<Uuid>,
        version -> Integer,
        archived_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// The books.
    books (id) {
        id -> Uuid,
        title -> Text,
        title_key -> Text,
        authors_key -> Text,
        isbn13 -> Nullable<Text>,
        category_id -> Nullable<Uuid>,
        price_minor -> Nullable<BigInt>,
        price_currency -> Nullable<Text>,
        language -> Nullable<Text>,
        published_year -> Nullable<Integer>,
        published_month -> Nullable<SmallInt>,
        published_day -> Nullable<SmallInt>,
        stock -> Integer,
        version -> Integer,
        archived_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        match_key -> Text,
        price_key -> BigInt,
        published_key -> Integer,
        reserved -> Integer,
        sold -> BigInt,
    }
}

diesel::table! {
    /// Who wrote which book, in the order of the title page.
    book_authors (book_id, position) {
        book_id -> Uuid,
        position -> SmallInt,
        author_id -> Uuid,
    }
}

diesel::table! {
    /// Runs of the catalogue import.
    imports (id) {
        id -> Uuid,
        status -> Text,
        row_count -> Integer,
        created_count -> Integer,
        updated_count -> Integer,
        unchanged_count -> Integer,
        rejected_count -> Integer,
        started_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Rows that an import rejected.
    import_row_errors (import_id, position) {
        import_id -> Uuid,
        position -> Integer,
        line -> BigInt,
        column_name -> Nullable<Text>,
        code -> Text,
        message -> Text,
    }
}

diesel::table! {
    /// Who changed what, each row chained to the one before it.
    audit_log (sequence) {
        sequence -> BigInt,
        at -> Timestamptz,
        actor -> Text,
        via -> Nullable<Text>,
        action -> Text,
        entity -> Text,
        before -> Nullable<Json>,
        after -> Nullable<Json>,
        sealed -> Nullable<Binary>,
        request_id -> Nullable<Text>,
        address -> Nullable<Text>,
        hash -> Binary,
    }
}

diesel::table! {
    /// What has happened, in the order of commits.
    events (position) {
        position -> BigInt,
        id -> Uuid,
        kind -> Text,
        version -> SmallInt,
        entity -> Text,
        data -> Jsonb,
        at -> Timestamptz,
        cause -> Nullable<Jsonb>,
    }
}

diesel::table! {
    /// Answers to requests that may come again.
    idempotency_keys (key) {
        key -> Binary,
        fingerprint -> Binary,
        outcomes -> Jsonb,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// People who buy.
    customers (id) {
        id -> Uuid,
        email_hash -> Nullable<Binary>,
        subject_key -> Nullable<Binary>,
        created_at -> Timestamptz,
        erased_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Orders.
    orders (id) {
        id -> Uuid,
        number -> BigInt,
        customer_id -> Uuid,
        customer_sealed -> Binary,
        status -> Text,
        currency -> Text,
        total_minor -> BigInt,
        cancel_reason -> Nullable<Text>,
        version -> Integer,
        created_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        placed_at -> Nullable<Timestamptz>,
        paid_at -> Nullable<Timestamptz>,
        fulfilled_at -> Nullable<Timestamptz>,
        delivered_at -> Nullable<Timestamptz>,
        canceled_at -> Nullable<Timestamptz>,
        refunded_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What is ordered.
    order_lines (order_id, book_id) {
        order_id -> Uuid,
        book_id -> Uuid,
        quantity -> Integer,
        title -> Text,
        unit_price_minor -> BigInt,
    }
}

diesel::table! {
    /// Attempts to be paid.
    payments (id) {
        id -> Uuid,
        order_id -> Uuid,
        status -> Text,
        amount_minor -> BigInt,
        currency -> Text,
        reference -> Nullable<Text>,
        failure -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        account -> Nullable<Text>,
    }
}

diesel::table! {
    /// Where events are sent.
    webhook_endpoints (id) {
        id -> Uuid,
        url -> Text,
        description -> Text,
        kinds -> Array<Text>,
        ordering -> Text,
        status -> Text,
        status_reason -> Nullable<Text>,
        status_at -> Timestamptz,
        secret -> Binary,
        previous_secret -> Nullable<Binary>,
        previous_expires_at -> Nullable<Timestamptz>,
        headers -> Nullable<Binary>,
        cursor -> BigInt,
        breaker -> Text,
        failures -> SmallInt,
        rests_until -> Nullable<Timestamptz>,
        drain_to -> BigInt,
        job_id -> Nullable<Uuid>,
        version -> Integer,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Events on their way to endpoints.
    webhook_deliveries (id) {
        id -> Uuid,
        endpoint_id -> Uuid,
        event_id -> Uuid,
        position -> BigInt,
        kind -> Text,
        ordering_key -> Nullable<Text>,
        body -> Binary,
        state -> Text,
        attempts -> SmallInt,
        attempts_total -> Integer,
        next_attempt_at -> Nullable<Timestamptz>,
        status -> Nullable<SmallInt>,
        latency_ms -> Nullable<Integer>,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Attempts to deliver.
    webhook_attempts (delivery_id, number) {
        delivery_id -> Uuid,
        number -> Integer,
        at -> Timestamptz,
        status -> Nullable<SmallInt>,
        error -> Nullable<Text>,
        latency_ms -> Integer,
        response -> Nullable<Text>,
    }
}

diesel::table! {
    /// What the shop itself has set.
    settings (name) {
        name -> Text,
        value -> Nullable<Jsonb>,
        sealed -> Nullable<Binary>,
        updated_by -> Nullable<Uuid>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// The use of what goes away of the API.
    deprecated_usage (part, operation, credential, client) {
        part -> Text,
        operation -> Text,
        credential -> Text,
        client -> Text,
        count -> BigInt,
        first_used_at -> Timestamptz,
        last_used_at -> Timestamptz,
    }
}

diesel::joinable!(user_roles -> users (user_id));
diesel::joinable!(user_roles -> roles (role_id));
diesel::joinable!(api_keys -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(users, roles, user_roles, api_keys);
diesel::joinable!(book_authors -> authors (author_id));
diesel::allow_tables_to_appear_in_same_query!(authors, books, book_authors, categories);
diesel::joinable!(order_lines -> orders (order_id));
diesel::joinable!(order_lines -> books (book_id));
diesel::joinable!(orders -> customers (customer_id));
diesel::allow_tables_to_appear_in_same_query!(orders, order_lines, customers, books, payments);
diesel::joinable!(webhook_attempts -> webhook_deliveries (delivery_id));
diesel::allow_tables_to_appear_in_same_query!(webhook_attempts, webhook_deliveries);
