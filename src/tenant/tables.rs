//! What each table of a shop holds, for those who carry a shop elsewhere: into an archive and back, or into a sandbox.
//!
//! A table that is not listed here is a table that an export forgets: a test compares this list with a fresh schema.

/// A table, in a list that can be filled from top to bottom: whatever a row refers to is in a table further up, or in an
/// earlier row of its own.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns by which its rows are put in order, as SQL: a key, so that the order is one.
    pub order: &'static str,
    /// Whether an archive has it.
    pub archived: bool,
    /// Columns that an archive has sealed: what somebody could get in with.
    pub secrets: &'static [&'static str],
    /// What a sandbox gets of it.
    pub sandbox: Sandbox,
}

/// What a sandbox gets of a table.
#[derive(Debug, Clone, Copy)]
pub enum Sandbox {
    /// Its rows, with something else, as SQL over the row, in these columns.
    Copied(&'static [(&'static str, &'static str)]),
    /// Nothing of it, or what a new shop has.
    Left,
}

const fn copied(name: &'static str, order: &'static str) -> Table {
    Table { name, order, archived: true, secrets: &[], sandbox: Sandbox::Copied(&[]) }
}

const fn left(name: &'static str, order: &'static str) -> Table {
    Table { name, order, archived: false, secrets: &[], sandbox: Sandbox::Left }
}

const fn archived(name: &'static str, order: &'static str) -> Table {
    Table { name, order, archived: true, secrets: &[], sandbox: Sandbox::Left }
}

/// All tables of a shop but the ledger of its migrations.
pub const TABLES: &[Table] = &[
    // Whose schema it is, is made with the schema.
    left("tenant_stamp", "tenant_id"),
    // An archive has what it counts, without whose it is.
    archived("tenant_head", "tenant_id"),
    Table {
        secrets: &["password_hash"],
        sandbox: Sandbox::Copied(&[
            ("email", "'user-' || id || '@example.invalid'"),
            ("email_key", "'user-' || id || '@example.invalid'"),
            ("name", "'User ' || left(md5(id::text), 6)"),
            ("password_hash", "NULL"),
            ("external_issuer", "NULL"),
            ("external_subject", "NULL"),
        ]),
        ..copied("users", "id")
    },
    copied("roles", "id"),
    copied("user_roles", "user_id, role_id"),
    // Log-ins and secrets that are good for one use end with the shop they were made in.
    left("sessions", "id"),
    left("user_tokens", "id"),
    Table { secrets: &["secret_hash", "previous_hash"], ..archived("api_keys", "id") },
    left("login_attempts", "key"),
    archived("identity_providers", "id"),
    copied("trusted_documents", "hash"),
    // A sandbox takes no money by the shop's account, and answers to nobody's mail.
    archived("settings", "name"),
    copied("authors", "id"),
    copied("categories", "cardinality(path), id"),
    copied("books", "id"),
    copied("book_authors", "book_id, position"),
    copied("imports", "id"),
    copied("import_row_errors", "import_id, position"),
    archived("audit_log", "sequence"),
    archived("events", "position"),
    // What was counted is about programs that call this shop, and not what it becomes elsewhere.
    left("deprecated_usage", "part, operation, credential, client"),
    // Answers to requests that may come again: they come to the shop itself.
    left("idempotency_keys", "key"),
    // Sealed anew for a sandbox, about nobody.
    copied("customers", "id"),
    copied("orders", "id"),
    copied("order_lines", "order_id, book_id"),
    // A provider knows a payment by its id; a sandbox must not take back what the shop was paid.
    archived("payments", "id"),
    // A sandbox must not call whom the shop calls.
    archived("webhook_endpoints", "id"),
    archived("webhook_deliveries", "id"),
    archived("webhook_attempts", "delivery_id, number"),
];
