//! `login`, `tokenRefresh`, `logout`, `passwordChange`

use serde_json::json;

use super::{CHANGE, DISABLE, Insider, PASSWORD, code, hired, invite, login, platform, refresh, trail};

#[tokio::test]
async fn nothing_tells_whether_an_account_exists() {
    platform(async |world, psql| {
        let (ann, bob) = (hired(world, "ann@platform.example").await, hired(world, "bob@platform.example").await);
        invite(&world.admin(), "carl@platform.example").await;
        ann.client.data(DISABLE, json!({ "id": bob.id })).await;
        let before = trail(psql).await;
        let mut answers = Vec::new();
        for (email, password) in [
            ("ann@platform.example", "wrong horse battery"),
            ("nobody@platform.example", PASSWORD),
            ("bob@platform.example", PASSWORD),
            ("carl@platform.example", PASSWORD),
            ("no address at all \u{0}", PASSWORD),
        ] {
            let computed = world.app.services.admin_passwords.computed();
            answers.push(login(world, email, password).await);
            assert_eq!(world.app.services.admin_passwords.computed() - computed, 1, "{email}");
        }
        assert_eq!(code(&answers[0]), "CREDENTIALS_INVALID");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(trail(psql).await, before, "who did not get in did nothing");
    })
    .await;
}

#[tokio::test]
async fn after_a_few_attempts_more_are_refused_unread() {
    platform(async |world, psql| {
        let (email, wrong) = ("ann@platform.example", "wrong horse battery");
        hired(world, email).await;
        hired(world, "bob@platform.example").await;
        let mut codes = Vec::new();
        // Each attempt beyond the free ones doubles the wait, so that some attempt comes within it on any machine.
        while codes.len() < 20 && codes.last() != Some(&json!("TOO_MANY_ATTEMPTS")) {
            codes.push(code(&login(world, email, wrong).await).clone());
        }
        assert!(codes.len() > 5 && codes[..5].iter().all(|code| code == "CREDENTIALS_INVALID"), "{codes:?}");
        assert_eq!(codes.last(), Some(&json!("TOO_MANY_ATTEMPTS")));

        let block = "UPDATE control.login_attempts SET blocked_until = now() + interval '1 hour'
            WHERE blocked_until > updated_at";
        psql.execute(block, &[]).await.unwrap();
        let computed = world.app.services.admin_passwords.computed();
        assert_eq!(code(&login(world, email, PASSWORD).await), "TOO_MANY_ATTEMPTS", "the right password too");
        assert_eq!(world.app.services.admin_passwords.computed(), computed);
        Insider::new(world, &login(world, "bob@platform.example", PASSWORD).await);
        psql.execute("UPDATE control.login_attempts SET blocked_until = now()", &[]).await.unwrap();
        Insider::new(world, &login(world, email, PASSWORD).await);
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_works_once_and_shown_again_ends_its_log_in() {
    platform(async |world, _| {
        let first = hired(world, "ann@platform.example").await;
        let other = Insider::new(world, &login(world, "ann@platform.example", PASSWORD).await);
        let second = Insider::new(world, &refresh(world, &first.refresh).await);
        assert_ne!(second.refresh, first.refresh);
        second.assert_is_in().await;
        for strange in
            ["", "sw_admin_x_y", &second.refresh.replace("sw_admin_", "sw_acme_"), &other.refresh.replace('_', "-")]
        {
            assert_eq!(code(&refresh(world, strange).await), "TOKEN_INVALID", "{strange}");
        }

        assert_eq!(code(&refresh(world, &first.refresh).await), "TOKEN_INVALID", "the thief");
        assert_eq!(code(&refresh(world, &second.refresh).await), "TOKEN_INVALID", "the owner, with the next one");
        second.assert_ends().await;
        other.assert_is_in().await;
    })
    .await;
}

#[tokio::test]
async fn logging_out_ends_one_log_in_or_all() {
    platform(async |world, psql| {
        let [one, two, three] = [
            hired(world, "ann@platform.example").await,
            Insider::new(world, &login(world, "ann@platform.example", PASSWORD).await),
            Insider::new(world, &login(world, "ann@platform.example", PASSWORD).await),
        ];
        let logout = "mutation($all: Boolean!) { logout(everywhere: $all) { userErrors { code } } }";
        one.client.data(logout, json!({ "all": false })).await;
        one.assert_ends().await;
        assert_eq!(code(&refresh(world, &one.refresh).await), "TOKEN_INVALID");
        two.assert_is_in().await;
        two.client.data(logout, json!({ "all": true })).await;
        two.assert_ends().await;
        three.assert_ends().await;
        // The command line's token has no log-in that could end.
        assert_eq!(world.admin().gql(logout, json!({ "all": true })).await.code(), "FORBIDDEN");
        assert_eq!(trail(psql).await.iter().filter(|(_, action, ..)| action == "admin.logout").count(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    platform(async |world, psql| {
        let here = hired(world, "ann@platform.example").await;
        let there = Insider::new(world, &login(world, "ann@platform.example", PASSWORD).await);
        let change = async |old: &str, new: &str| {
            here.client.data(CHANGE, json!({ "old": old, "new": new })).await["passwordChange"].clone()
        };
        assert_eq!(code(&change("wrong horse battery", "another horse").await), "CREDENTIALS_INVALID");
        let plain = change(PASSWORD, "ann@platform.example").await;
        assert_eq!(plain["userErrors"], json!([{ "code": "PASSWORD_INVALID", "path": ["input", "newPassword"] }]));
        assert_eq!(change(PASSWORD, "another horse").await["userErrors"], json!([]));
        there.assert_ends().await;
        here.assert_is_in().await;
        Insider::new(world, &login(world, "ann@platform.example", "another horse").await);
        let by_operator = world.admin().gql(CHANGE, json!({ "old": PASSWORD, "new": "another horse" })).await;
        assert_eq!(by_operator.code(), "FORBIDDEN");
        assert_eq!(trail(psql).await.iter().filter(|(_, action, ..)| action == "admin.password_change").count(), 1);
    })
    .await;
}
