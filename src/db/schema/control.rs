//! The control plane's tables.

diesel::table! {
    /// What a tenant pays for.
    control.plans (code) {
        code -> Text,
        name -> Text,
        position -> SmallInt,
        points_per_minute -> Integer,
        requests_per_minute -> Integer,
        mutations_per_minute -> Integer,
        concurrent_operations -> Integer,
        books -> Integer,
        webhook_endpoints -> Integer,
        jobs -> Integer,
        page_size -> Integer,
        weight -> Integer,
        updated_at -> Timestamptz,
    }
}

diesel::define_sql_function! {
    /// What a tenant was given more time for.
    #[sql_name = "control.tenant_extensions"]
    fn tenant_extensions(tenant: diesel::sql_types::Uuid) -> diesel::sql_types::Jsonb;
}

diesel::table! {
    /// The use of what goes away of the tenants' API.
    control.deprecated_usage (tenant_id, part, operation, credential, client) {
        tenant_id -> Uuid,
        part -> Text,
        operation -> Text,
        credential -> Text,
        client -> Text,
        count -> BigInt,
        first_used_at -> Timestamptz,
        last_used_at -> Timestamptz,
    }
}

diesel::table! {
    /// Which tenants were told of what goes away.
    control.deprecation_notices (tenant_id, part, removal_on, days) {
        tenant_id -> Uuid,
        part -> Text,
        removal_on -> Date,
        days -> SmallInt,
        at -> Timestamptz,
    }
}

diesel::table! {
    /// Which tenants were given more time.
    control.deprecation_extensions (tenant_id, part) {
        tenant_id -> Uuid,
        part -> Text,
        until -> Date,
        reason -> Text,
        made_by -> Text,
        made_at -> Timestamptz,
    }
}

diesel::table! {
    /// What was agreed for single tenants beside their plans.
    control.plan_overrides (tenant_id, limit_name) {
        tenant_id -> Uuid,
        limit_name -> Text,
        value -> Integer,
        ends_at -> Timestamptz,
        reason -> Text,
        made_by -> Text,
        made_at -> Timestamptz,
    }
}

diesel::define_sql_function! {
    /// What a tenant of a plan may use.
    #[sql_name = "control.tenant_limits"]
    fn tenant_limits(tenant: diesel::sql_types::Uuid, plan_code: diesel::sql_types::Text)
        -> diesel::sql_types::Nullable<diesel::sql_types::Jsonb>;
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
        keys -> Jsonb,
        sealed_as -> Nullable<Uuid>,
    }
}

diesel::table! {
    /// Archives of tenants.
    control.archives (id) {
        id -> Uuid,
        tenant_id -> Uuid,
        slug -> Text,
        purpose -> Text,
        status -> Text,
        object_key -> Nullable<Text>,
        schema_version -> Nullable<Text>,
        bytes -> Nullable<BigInt>,
        sha256 -> Nullable<Binary>,
        content_hash -> Nullable<Binary>,
        manifest -> Nullable<Jsonb>,
        key_wrapped -> Nullable<Binary>,
        key_master -> Nullable<Text>,
        error -> Nullable<Text>,
        requested_by -> Text,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// The one queue of all tenants.
    control.jobs (id) {
        id -> Uuid,
        tenant_id -> Nullable<Uuid>,
        kind -> Text,
        payload -> Jsonb,
        state -> Text,
        priority -> SmallInt,
        attempt -> SmallInt,
        attempts_max -> SmallInt,
        unique_key -> Nullable<Text>,
        created_at -> Timestamptz,
        scheduled_at -> Timestamptz,
        attempted_at -> Nullable<Timestamptz>,
        attempted_by -> Nullable<Text>,
        lease_expires_at -> Nullable<Timestamptz>,
        fence -> BigInt,
        finalized_at -> Nullable<Timestamptz>,
        errors -> Jsonb,
        meta -> Jsonb,
        lane -> Uuid,
    }
}

diesel::table! {
    /// When each periodic job is enqueued next.
    control.periodic_jobs (kind) {
        kind -> Text,
        next_due -> Timestamptz,
    }
}

diesel::table! {
    /// The platform's administrators.
    control.admins (id) {
        id -> Uuid,
        email -> Text,
        email_key -> Text,
        status -> Text,
        password_hash -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Log-ins of administrators.
    control.admin_sessions (id) {
        id -> Uuid,
        admin_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Administrators' secrets that are good for one use.
    control.admin_tokens (id) {
        id -> Uuid,
        admin_id -> Uuid,
        purpose -> Text,
        session_id -> Nullable<Uuid>,
        secret_hash -> Binary,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// How often somebody has tried to get in.
    control.login_attempts (key) {
        key -> Binary,
        count -> Integer,
        blocked_until -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// What operators did.
    control.admin_audit (id) {
        id -> Uuid,
        at -> Timestamptz,
        operator -> Text,
        action -> Text,
        target -> Text,
        details -> Jsonb,
        request_id -> Nullable<Text>,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    /// Places of the tenants' trails, kept where no tenant reaches.
    control.audit_anchors (tenant_id, sequence) {
        tenant_id -> Uuid,
        sequence -> BigInt,
        hash -> Binary,
        at -> Timestamptz,
    }
}

diesel::table! {
    /// Endpoints that are not well.
    control.webhook_troubles (tenant_id, endpoint_id) {
        tenant_id -> Uuid,
        endpoint_id -> Uuid,
        state -> Text,
        backlog -> BigInt,
        since -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(webhook_troubles -> tenants (tenant_id));
diesel::allow_tables_to_appear_in_same_query!(plans, tenants, jobs, webhook_troubles);
diesel::table! {
    /// The ledger of the payment simulator.
    control.simulated_payments (key, step) {
        key -> Text,
        step -> Text,
        declined -> Nullable<Text>,
        amount_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        calls -> Integer,
        at -> Timestamptz,
        account -> Nullable<Binary>,
    }
}

diesel::table! {
    /// Schemas that wait for a tenant.
    control.spare_schemas (id) {
        id -> Uuid,
        schema_version -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// What the platform's operators are told of.
    control.notices (id) {
        id -> Uuid,
        kind -> Text,
        details -> Jsonb,
        at -> Timestamptz,
        notified_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Runs of the fleet from one version to another.
    control.migration_runs (id) {
        id -> Uuid,
        direction -> Text,
        target_version -> Text,
        status -> Text,
        pause_reason -> Nullable<Text>,
        reverts -> Nullable<Uuid>,
        wave_size -> Integer,
        concurrency -> SmallInt,
        error_rate_max -> Double,
        attempts_max -> SmallInt,
        lock_timeout_ms -> Integer,
        hold_after_canaries -> Bool,
        leader -> Nullable<Text>,
        leader_until -> Nullable<Timestamptz>,
        leader_fence -> BigInt,
        requested_by -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What a run does to each schema.
    control.migration_steps (run_id, tenant_id) {
        run_id -> Uuid,
        tenant_id -> Uuid,
        is_spare -> Bool,
        wave -> Integer,
        status -> Text,
        from_version -> Text,
        to_version -> Text,
        versions -> Array<Text>,
        attempts -> SmallInt,
        due_at -> Timestamptz,
        error -> Nullable<Text>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What migrations leave to be filled in.
    control.backfills (tenant_id, version) {
        tenant_id -> Uuid,
        version -> Text,
        row_count -> BigInt,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(migration_steps, tenants);
diesel::allow_tables_to_appear_in_same_query!(backfills, tenants);
diesel::joinable!(admin_sessions -> admins (admin_id));
diesel::allow_tables_to_appear_in_same_query!(admins, admin_sessions);
diesel::table! {
    /// Tenants on their way out.
    control.offboardings (id) {
        id -> Uuid,
        tenant_id -> Uuid,
        slug -> Text,
        status -> Text,
        reason -> Text,
        prior_status -> Text,
        prior_reason -> Nullable<Text>,
        requested_by -> Text,
        requested_at -> Timestamptz,
        delete_after -> Timestamptz,
        archive_id -> Uuid,
        audit_archive_id -> Uuid,
        error -> Nullable<Text>,
        failures -> Integer,
        retry_at -> Nullable<Timestamptz>,
        keys_destroyed_at -> Nullable<Timestamptz>,
        keys_destroyed -> Nullable<Jsonb>,
        audit_sequence -> Nullable<BigInt>,
        audit_hash -> Nullable<Binary>,
        tables_dropped -> Jsonb,
        rows_purged -> Jsonb,
        certificate -> Nullable<Text>,
        certificate_key -> Nullable<Jsonb>,
        completed_at -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(tenants, offboardings);

diesel::table! {
    /// What operators have set for plans.
    control.plan_settings (plan, name) {
        plan -> Text,
        name -> Text,
        value -> Jsonb,
        updated_by -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// What operators have set for tenants.
    control.tenant_settings (tenant_id, name) {
        tenant_id -> Uuid,
        name -> Text,
        value -> Jsonb,
        updated_by -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// How far features are switched on.
    control.flags (name) {
        name -> Text,
        owner -> Text,
        ends_on -> Date,
        percent -> SmallInt,
        updated_by -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// What was decided for single tenants.
    control.tenant_flags (flag, tenant_id) {
        flag -> Text,
        tenant_id -> Uuid,
        is_on -> Bool,
        ends_at -> Nullable<Timestamptz>,
        reason -> Text,
        updated_by -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(tenant_flags -> tenants (tenant_id));
diesel::allow_tables_to_appear_in_same_query!(tenant_flags, tenants);

diesel::define_sql_function! {
    /// What was decided for one tenant and its plan.
    #[sql_name = "control.tenant_terms"]
    fn tenant_terms(tenant: diesel::sql_types::Uuid, plan: diesel::sql_types::Text) -> diesel::sql_types::Jsonb;
}
diesel::joinable!(plan_overrides -> tenants (tenant_id));
diesel::allow_tables_to_appear_in_same_query!(plan_overrides, tenants);
diesel::joinable!(deprecated_usage -> tenants (tenant_id));
diesel::joinable!(deprecation_extensions -> tenants (tenant_id));
diesel::allow_tables_to_appear_in_same_query!(deprecated_usage, tenants);
diesel::allow_tables_to_appear_in_same_query!(deprecation_extensions, tenants);
diesel::allow_tables_to_appear_in_same_query!(archives, tenants);
