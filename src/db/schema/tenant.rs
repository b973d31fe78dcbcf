//! A tenant's tables. No schema is named: the search path decides whose they are.

diesel::table! {
    /// One row: whose schema this is, and what is counted in the order of commits.
    tenant_head (tenant_id) {
        tenant_id -> Uuid,
        event_position -> BigInt,
        audit_sequence -> BigInt,
        audit_hash -> Binary,
        order_number -> BigInt,
    }
}

diesel::table! {
    /// The shop's people.
    users (id) {
        id -> Uuid,
        email -> Text,
        email_key -> Text,
        role -> Text,
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

diesel::joinable!(book_authors -> authors (author_id));
diesel::allow_tables_to_appear_in_same_query!(authors, books, book_authors, categories);
