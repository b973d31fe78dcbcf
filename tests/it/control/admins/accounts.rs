//! `adminInvite`, `invitationAccept`, `adminDisable`, `adminEnable`, `admins`, `auditLog`

use serde_json::json;
use shelfwise::kernel::actor::Role;

use super::{
    CHANGE, DISABLE, INVITE, Insider, PASSWORD, VIEWER, accept, code, hired, invite, login, nobody, platform, refresh,
    trail,
};

const ENABLE: &str = "mutation($id: ID!) { adminEnable(id: $id) { admin { status } userErrors { code } } }";

#[tokio::test]
async fn who_is_invited_gets_in_and_every_act_is_in_the_trail() {
    platform(async |world, psql| {
        let invited = invite(&world.admin(), "Ann@Platform.Example").await;
        assert_eq!((&invited["admin"]["status"], &invited["userErrors"]), (&json!("INVITED"), &json!([])));
        assert!(invited["invitationToken"].as_str().unwrap().starts_with("sw_admin_"));
        assert_eq!(code(&accept(world, &invited["invitationToken"], "short").await), "PASSWORD_INVALID");
        let accepted = accept(world, &invited["invitationToken"], PASSWORD).await;
        assert_eq!(accepted["session"]["admin"]["status"], "ACTIVE");
        assert_eq!(code(&accept(world, &invited["invitationToken"], PASSWORD).await), "TOKEN_INVALID");

        let ann = Insider::new(world, &login(world, " ann@platform.EXAMPLE ", PASSWORD).await);
        let viewer = ann.client.data(VIEWER, json!({})).await["viewer"].clone();
        assert_eq!(viewer, json!({ "name": ann.id, "admin": { "email": "Ann@Platform.Example" } }));
        let slug = world.a.slug.as_str();
        let suspend =
            "mutation($slug: String!) { tenantSuspend(slug: $slug, reason: \"unpaid\") { userErrors { code } } }";
        ann.client.data(suspend, json!({ "slug": slug })).await;

        let log = "query($target: String, $after: String) { auditLog(target: $target, first: 1, after: $after) {
            nodes { id operator action target details requestId address } pageInfo { hasNextPage endCursor } } }";
        let page = ann.client.data(log, json!({ "target": slug })).await["auditLog"].clone();
        let entry = &page["nodes"][0];
        assert_eq!((&entry["operator"], &entry["action"]), (&json!(ann.id), &json!("tenant.suspend")));
        assert_eq!((&entry["details"], &entry["address"]), (&json!({ "reason": "unpaid" }), &json!("127.0.0.1")));
        assert!(entry["id"].as_str().unwrap().starts_with("audit_") && entry["requestId"].is_string());
        let after = json!({ "target": slug, "after": page["pageInfo"]["endCursor"] });
        let page = ann.client.data(log, after).await["auditLog"].clone();
        assert_eq!(
            (&page["nodes"][0]["action"], &page["pageInfo"]["hasNextPage"]),
            (&json!("tenant.provision"), &json!(false))
        );
        assert_eq!(ann.client.data(log, json!({ "target": "a\u{0}b" })).await["auditLog"]["nodes"], json!([]));

        let entry =
            |who: &str, action: &str| (who.to_owned(), action.to_owned(), "Ann@Platform.Example".to_owned(), true);
        let expected =
            [entry("cli:test", "admin.invite"), entry(&ann.id, "admin.accept"), entry(&ann.id, "admin.login")];
        assert_eq!(trail(psql).await, expected);
    })
    .await;
}

#[tokio::test]
async fn who_is_disabled_is_out_soon_until_enabled_again() {
    platform(async |world, psql| {
        let (ann, bob) = (hired(world, "ann@platform.example").await, hired(world, "bob@platform.example").await);
        bob.assert_is_in().await;
        let id = json!({ "id": bob.id });
        assert_eq!(ann.client.data(DISABLE, id.clone()).await["adminDisable"]["admin"]["status"], "DISABLED");
        assert_eq!(ann.client.data(DISABLE, id.clone()).await["adminDisable"]["admin"]["status"], "DISABLED", "twice");
        bob.assert_ends().await;
        assert_eq!(code(&refresh(world, &bob.refresh).await), "TOKEN_INVALID");
        assert_eq!(code(&login(world, "bob@platform.example", PASSWORD).await), "CREDENTIALS_INVALID");
        assert_eq!(code(&invite(&ann.client, "bob@platform.example").await), "ADMIN_IS_DISABLED");

        assert_eq!(ann.client.data(ENABLE, id).await["adminEnable"]["admin"]["status"], "ACTIVE");
        bob.assert_ends().await;
        Insider::new(world, &login(world, "bob@platform.example", PASSWORD).await).assert_is_in().await;
        let acts: Vec<_> = trail(psql).await.into_iter().map(|(_, action, ..)| action).skip(4).collect();
        assert_eq!(acts, ["admin.disable", "admin.enable", "admin.login"], "what changes nothing is not noted");
        let unknown = ann.client.data(DISABLE, json!({ "id": "admin_01h455vb4pex5vsknk084sn02q" })).await;
        assert_eq!(code(&unknown["adminDisable"]), "ADMIN_NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn somebody_can_always_log_in() {
    platform(async |world, psql| {
        let ann = hired(world, "ann@platform.example").await;
        invite(&world.admin(), "carl@platform.example").await;
        let of_ann = json!({ "id": ann.id });
        assert_eq!(code(&ann.client.data(DISABLE, of_ann.clone()).await["adminDisable"]), "ADMIN_IS_SELF");
        assert_eq!(code(&world.admin().data(DISABLE, of_ann.clone()).await["adminDisable"]), "LAST_ADMIN");

        // Two who disable each other at the same moment.
        let bob = hired(world, "bob@platform.example").await;
        let (first, second) = futures_util::future::join(
            ann.client.gql(DISABLE, json!({ "id": bob.id })),
            bob.client.gql(DISABLE, of_ann),
        )
        .await;
        let active = "SELECT count(*) FROM control.admins WHERE status = 'active'";
        assert_eq!(psql.query_one(active, &[]).await.unwrap().get::<_, i64>(0), 1, "{first:?} {second:?}");
    })
    .await;
}

#[tokio::test]
async fn another_invitation_mends_a_lost_password() {
    platform(async |world, _| {
        let ann = hired(world, "ann@platform.example").await;
        let earlier = invite(&world.admin(), "ANN@platform.example").await;
        let again = invite(&world.admin(), "ann@platform.example").await;
        assert_eq!(again["admin"], json!({ "id": ann.id, "email": "ann@platform.example", "status": "ACTIVE" }));
        ann.assert_is_in().await;
        assert_eq!(code(&accept(world, &earlier["invitationToken"], PASSWORD).await), "TOKEN_INVALID");
        let new = Insider::new(world, &accept(world, &again["invitationToken"], "another horse").await);
        ann.assert_ends().await;
        new.assert_is_in().await;
        assert_eq!(code(&login(world, "ann@platform.example", PASSWORD).await), "CREDENTIALS_INVALID");
        Insider::new(world, &login(world, "ann@platform.example", "another horse").await);
        assert_eq!(code(&invite(&new.client, "nobody").await), "EMAIL_INVALID");
    })
    .await;
}

#[tokio::test]
async fn strangers_and_shops_people_change_nothing() {
    platform(async |world, psql| {
        let ann = hired(world, "ann@platform.example").await;
        let state = async || {
            let query = "SELECT md5((SELECT string_agg(t::text, '|' ORDER BY id) FROM control.admins t)
                || (SELECT string_agg(t::text, '|' ORDER BY id) FROM control.admin_sessions t)
                || (SELECT string_agg(t::text, '|' ORDER BY id) FROM control.admin_audit t))";
            psql.query_one(query, &[]).await.unwrap().get::<_, String>(0)
        };
        let before = state().await;
        let tenants = world.token(&crate::harness::world::user_claims(&world.a, Role::Owner));
        for (query, variables) in [
            (INVITE, json!({ "email": "eve@evil.example" })),
            (DISABLE, json!({ "id": ann.id })),
            (ENABLE, json!({ "id": ann.id })),
            (CHANGE, json!({ "old": PASSWORD, "new": "another horse" })),
            ("mutation { logout(everywhere: true) { userErrors { code } } }", json!({})),
            ("{ admins { email } }", json!({})),
            ("{ auditLog { nodes { target } } }", json!({})),
        ] {
            let response = nobody(world).gql(query, variables.clone()).await;
            assert_eq!(response.code(), "UNAUTHENTICATED", "{query}");
            assert!(!response.body.to_string().contains("platform.example"), "{}", response.body);
            nobody(world).with_token(&tenants).gql(query, variables).await.assert_refused(401, "UNAUTHENTICATED");
        }
        assert_eq!(state().await, before);
        assert_eq!(nobody(world).data(VIEWER, json!({})).await["viewer"], json!(null));
        nobody(world).with_token(&ann.refresh).gql(VIEWER, json!({})).await.assert_refused(401, "UNAUTHENTICATED");
    })
    .await;
}

#[tokio::test]
async fn there_are_as_many_as_can_be_listed_at_once() {
    platform(async |world, psql| {
        let insert = "INSERT INTO control.admins (id, email, email_key, status, created_at, updated_at)
            SELECT gen_random_uuid(), 'x' || n, 'x' || n, 'disabled', now(), now() FROM generate_series(1, 99) n";
        psql.execute(insert, &[]).await.unwrap();
        assert_eq!(invite(&world.admin(), "ann@platform.example").await["userErrors"], json!([]));
        assert_eq!(code(&invite(&world.admin(), "bob@platform.example").await), "ADMIN_LIMIT_REACHED");
        assert_eq!(invite(&world.admin(), "ann@platform.example").await["userErrors"], json!([]), "not a new one");
        let admins = world.admin().data("{ admins { email } }", json!({})).await["admins"].clone();
        assert_eq!((admins.as_array().unwrap().len(), &admins[0]["email"]), (100, &json!("ann@platform.example")));
    })
    .await;
}
