//! The control plane's tables.

diesel::table! {
    /// What a tenant pays for.
    control.plans (code) {
        code -> Text,
        name -> Text,
        position -> SmallInt,
    }
}

diesel::table! {
    /// The registry of tenants.
    control.tenants (id) {
        id -> Uuid,
        slug -> Text,
        schema_name -> Text,
        name -> Text,
        plan -> Text,
        currency -> Text,
        status -> Text,
        suspension_reason -> Nullable<Text>,
        schema_version -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// The one queue of all tenants: what an enqueuer writes, the engine's own columns are left out.
    control.jobs (id) {
        id -> Uuid,
        tenant_id -> Nullable<Uuid>,
        kind -> Text,
        payload -> Jsonb,
        state -> Text,
        created_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(plans, tenants, jobs);
