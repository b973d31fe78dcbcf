//! `userInvite`, `invitationAccept`, `login`, `passwordChange`, `passwordResetRequest`, `passwordResetConfirm`

use serde_json::{Value, json};
use shelfwise::kernel::password::Password;
use shelfwise::tenant::identity::links::service::Purpose;

use super::{PASSWORD, SESSION, becomes, forged, holder, joined, link, login, visitor};
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::harness::{World, world};

async fn jobs(world: &World, kind: &str) -> Vec<Value> {
    let query = "SELECT payload::text FROM control.jobs WHERE tenant_id = $1 AND kind = $2 AND state = 'available'
        ORDER BY id";
    let rows = psql().await.query(query, &[&world.a.id.0, &kind]).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

#[tokio::test]
async fn an_invited_user_joins_by_choosing_a_password() {
    world(async |world| {
        let session = joined(world, "Ann@Acme.example", "Clerk").await;
        assert_eq!(session["user"]["status"], "ACTIVE");
        let viewer = "{ viewer { user { email status } roles { name } permissions tenant { slug } } }";
        let data = holder(world, &session).data(viewer, json!({})).await;
        assert_eq!(
            data["viewer"],
            json!({ "user": { "email": "Ann@Acme.example", "status": "ACTIVE" }, "roles": [{ "name": "Clerk" }],
                "permissions": ["CATALOG_READ", "CATALOG_WRITE", "ORDERS_READ", "ORDERS_WRITE"], "tenant": { "slug": world.a.slug.as_str() } })
        );
        let payload = login(world, " ann@ACME.example", PASSWORD).await;
        assert_eq!(payload["userErrors"], json!([]));
        assert_eq!(payload["session"]["user"]["id"], session["user"]["id"]);
    })
    .await;
}

#[tokio::test]
async fn an_invitation_is_mailed_by_a_job_that_holds_no_secret() {
    world(async |world| {
        let before = jobs(world, "mail.invitation").await.len();
        joined(world, "ann@acme.example", "Clerk").await;
        let mails = jobs(world, "mail.invitation").await;
        assert_eq!(mails.len(), before + 1);
        assert_eq!(mails[before], json!({ "email": "ann@acme.example" }));
    })
    .await;
}

#[tokio::test]
async fn a_link_works_once_and_only_for_its_purpose_shop_and_time() {
    world(async |world| {
        joined(world, "ann@acme.example", "Clerk").await;
        assert_eq!(link(world, &world.a, Purpose::Invitation, "ann@acme.example").await, None, "joined already");
        assert_eq!(link(world, &world.a, Purpose::PasswordReset, "nobody@acme.example").await, None);
        let token = link(world, &world.a, Purpose::PasswordReset, "ann@acme.example").await.unwrap();
        let other = link(world, &world.a, Purpose::PasswordReset, "ann@acme.example").await.unwrap();
        let accept = format!(
            "mutation($token: String!, $password: String!) {{
                r: invitationAccept(input: {{ token: $token, password: $password }}) {{ {SESSION} }} }}"
        );
        let confirm = accept.replace("invitationAccept", "passwordResetConfirm");
        let code = async |query: &str, token: &str, password: &str| {
            let data = world.stranger().data(query, json!({ "token": token, "password": password })).await;
            codes(&data["r"]).first().copied().unwrap_or("").to_owned()
        };
        let wrong_secret = forged(&token);
        let other_shop = token.replace(world.a.slug.as_str(), world.b.slug.as_str());
        for (query, token) in
            [(&accept, &token), (&confirm, &wrong_secret), (&confirm, &other_shop), (&confirm, &"nonsense".to_owned())]
        {
            assert_eq!(code(query, token, PASSWORD).await, "TOKEN_INVALID", "{token}");
        }
        assert_eq!(code(&confirm, &token, "short").await, "PASSWORD_INVALID", "which uses nothing up");
        assert_eq!(code(&confirm, &token, "another password").await, "");
        assert_eq!(code(&confirm, &token, PASSWORD).await, "TOKEN_INVALID", "used");
        assert_eq!(code(&confirm, &other, PASSWORD).await, "TOKEN_INVALID", "its sister is used up with it");
        assert_eq!(codes(&login(world, "ann@acme.example", PASSWORD).await), ["CREDENTIALS_INVALID"]);
        assert_eq!(codes(&login(world, "ann@acme.example", "another password").await), Vec::<&str>::new());

        let late = link(world, &world.a, Purpose::PasswordReset, "ann@acme.example").await.unwrap();
        let expire = format!(r#"UPDATE "{}".user_tokens SET expires_at = now()"#, world.a.schema);
        psql().await.execute(&expire, &[]).await.unwrap();
        assert_eq!(code(&confirm, &late, PASSWORD).await, "TOKEN_INVALID", "late");
    })
    .await;
}

#[tokio::test]
async fn who_does_not_exist_is_answered_as_who_does() {
    world(async |world| {
        joined(world, "ann@acme.example", "Clerk").await;
        let passwords = &world.app.services.passwords;
        let mut answers = Vec::new();
        // A wrong password, an address that nobody has, one that is invited, and what is no address at all.
        for email in ["ann@acme.example", "bob@acme.example", "owner@shop.example", "nonsense", "\u{0}", ""] {
            let before = passwords.computed();
            answers.push((login(world, email, "wrong password").await, passwords.computed() - before));
        }
        for answer in &answers {
            assert_eq!(*answer, answers[0]);
        }
        assert_eq!(codes(&answers[0].0), ["CREDENTIALS_INVALID"]);
        assert_eq!(answers[0].1, 1, "each costs one hash");

        let request =
            "mutation($email: String!) { passwordResetRequest(input: { email: $email }) { userErrors { code } } }";
        let visitor = visitor(world, &world.a);
        let known = visitor.gql(request, json!({ "email": "ann@acme.example" })).await;
        let unknown = visitor.gql(request, json!({ "email": "bob@acme.example" })).await;
        assert_eq!(known.body["data"], unknown.body["data"]);
        assert_eq!(known.sql(), unknown.sql(), "the same statements");
        assert_eq!(jobs(world, "mail.password_reset").await.len(), 2, "the job finds out who exists");
        let again = visitor.gql(request, json!({ "email": "ann@acme.example" })).await;
        assert_eq!(again.body["data"], known.body["data"]);
        assert_eq!(jobs(world, "mail.password_reset").await.len(), 2, "one unfinished mail is enough");
    })
    .await;
}

#[tokio::test]
async fn guessing_slows_down_for_the_account_alone() {
    world(async |world| {
        joined(world, "ann@acme.example", "Clerk").await;
        joined(world, "bob@acme.example", "Clerk").await;
        for _ in 0..6 {
            assert_eq!(codes(&login(world, "ann@acme.example", "wrong password").await), ["CREDENTIALS_INVALID"]);
        }
        let hashes = world.app.services.passwords.computed();
        assert_eq!(codes(&login(world, "ann@acme.example", PASSWORD).await), ["TOO_MANY_ATTEMPTS"]);
        assert_eq!(world.app.services.passwords.computed(), hashes, "refused unread");
        for _ in 0..6 {
            assert_ne!(codes(&login(world, "nobody@acme.example", "wrong password").await), ["TOO_MANY_ATTEMPTS"]);
        }
        assert_eq!(codes(&login(world, "nobody@acme.example", PASSWORD).await), ["TOO_MANY_ATTEMPTS"], "nobody too");
        assert_eq!(codes(&login(world, "bob@acme.example", PASSWORD).await), Vec::<&str>::new());

        let wait = format!(r#"UPDATE "{}".login_attempts SET blocked_until = now()"#, world.a.schema);
        psql().await.execute(&wait, &[]).await.unwrap();
        assert_eq!(codes(&login(world, "ann@acme.example", PASSWORD).await), Vec::<&str>::new());
        assert_eq!(
            codes(&login(world, "ann@acme.example", "wrong password").await),
            ["CREDENTIALS_INVALID"],
            "forgotten"
        );
    })
    .await;
}

#[tokio::test]
async fn guesses_that_run_at_once_are_all_counted() {
    world(async |world| {
        joined(world, "ann@acme.example", "Clerk").await;
        let tries = (0..12).map(|_| login(world, "ann@acme.example", "wrong password"));
        let answers = futures_util::future::join_all(tries).await;
        let refused = answers.iter().filter(|answer| codes(answer) == ["TOO_MANY_ATTEMPTS"]).count();
        assert!(refused >= 6, "{refused} of 12 were refused");
    })
    .await;
}

#[tokio::test]
async fn no_connection_is_held_while_a_password_waits_to_be_hashed() {
    crate::harness::world::world_with(&[("DB_POOL_MAX", "1")], async |world| {
        joined(world, "ann@acme.example", "Clerk").await;
        let owner = world.owner();
        owner.gql("{ viewer { permissions } }", json!({})).await.code();
        let (passwords, shown) = (world.app.services.passwords.clone(), Password::shown("somebody's password"));
        let others = futures_util::future::join_all((0..40).map(|_| passwords.verify(&shown, None)));
        let is_in = std::cell::Cell::new(false);
        let entering = async {
            let payload = login(world, "ann@acme.example", PASSWORD).await;
            is_in.set(true);
            codes(&payload).len()
        };
        let asking = async {
            // Until the attempt is counted, the log-in has yet to come to the hash.
            let counted = format!(r#"SELECT count(*) FROM "{}".login_attempts WHERE count > 0"#, world.a.schema);
            let psql = psql().await;
            while psql.query_one(&counted, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
            assert_eq!(owner.gql("{ books { totalCount } }", json!({})).await.code(), "");
            assert!(!is_in.get(), "the only connection was free while the password waited");
        };
        let (_, refusals, ()) = tokio::join!(others, entering, asking);
        assert_eq!(refusals, 0);
    })
    .await;
}

#[tokio::test]
async fn one_address_cannot_try_every_account() {
    world(async |world| {
        for number in 0..31 {
            let email = format!("user{number}@acme.example");
            assert_eq!(codes(&login(world, &email, "wrong password").await), ["CREDENTIALS_INVALID"], "{number}");
        }
        assert_eq!(codes(&login(world, "fresh@acme.example", "wrong password").await), ["TOO_MANY_ATTEMPTS"]);
    })
    .await;
}

#[tokio::test]
async fn a_changed_password_ends_the_other_log_ins() {
    world(async |world| {
        let first = joined(world, "ann@acme.example", "Clerk").await;
        let second = login(world, "ann@acme.example", PASSWORD).await["session"].clone();
        let change = "mutation($current: String!, $new: String!) {
            passwordChange(input: { currentPassword: $current, newPassword: $new }) { userErrors { code path } } }";
        let client = holder(world, &second);
        let attempt = async |current: &str, new: &str| {
            let data = client.data(change, json!({ "current": current, "new": new })).await;
            data["passwordChange"]["userErrors"].clone()
        };
        assert_eq!(attempt("wrong password", "another password").await[0]["code"], "CREDENTIALS_INVALID");
        let short = attempt(PASSWORD, "short").await;
        assert_eq!(short, json!([{ "code": "PASSWORD_INVALID", "path": ["input", "newPassword"] }]));
        assert_eq!(attempt(PASSWORD, "another password").await, json!([]));

        let viewer = "{ viewer { user { id } } }";
        becomes(&holder(world, &first), viewer, |answer| answer.code() == "UNAUTHENTICATED").await;
        assert_eq!(client.gql(viewer, json!({})).await.code(), "", "the one that changed it goes on");
        assert_eq!(codes(&login(world, "ann@acme.example", PASSWORD).await), ["CREDENTIALS_INVALID"]);
    })
    .await;
}

#[tokio::test]
async fn nobody_logs_in_to_another_shop() {
    world(async |world| {
        let session = joined(world, "ann@acme.example", "Clerk").await;
        let query = format!(
            "mutation($password: String!) {{
                login(input: {{ email: \"ann@acme.example\", password: $password }}) {{ {SESSION} }} }}"
        );
        // In a third shop, so that the attempt is not written to the one that must not change.
        let third = crate::harness::world::shop(&world.app, "c").await;
        let data = visitor(world, &third).data(&query, json!({ "password": PASSWORD })).await;
        assert_eq!(codes(&data["login"]), ["CREDENTIALS_INVALID"]);
        let elsewhere = holder(world, &session).with_header("x-tenant", world.b.slug.as_str());
        assert_eq!(elsewhere.gql("{ viewer { user { id } } }", json!({})).await.code(), "TENANT_MISMATCH");
        let nowhere = world.stranger().gql(&query, json!({ "password": PASSWORD })).await;
        assert_eq!(nowhere.code(), "UNAUTHENTICATED", "no shop is named");
    })
    .await;
}
