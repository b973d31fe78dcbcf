//! `tokenRefresh`, `logout`

use serde_json::{Value, json};

use super::{PASSWORD, SESSION, becomes, forged, holder, joined, login};
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::harness::{World, world};

const VIEWER: &str = "{ viewer { user { id } } }";

async fn refresh(world: &World, token: &Value) -> Value {
    let query =
        format!("mutation($token: String!) {{ tokenRefresh(input: {{ refreshToken: $token }}) {{ {SESSION} }} }}");
    world.stranger().data(&query, json!({ "token": token })).await["tokenRefresh"].clone()
}

#[tokio::test]
async fn each_refresh_token_is_taken_for_its_successor() {
    world(async |world| {
        let first = joined(world, "ann@acme.example", "Clerk").await;
        let second = refresh(world, &first["refreshToken"]).await;
        assert_eq!(second["userErrors"], json!([]));
        assert_ne!(second["session"]["refreshToken"], first["refreshToken"]);
        assert_eq!(holder(world, &second["session"]).gql(VIEWER, json!({})).await.code(), "");
        let third = refresh(world, &second["session"]["refreshToken"]).await;
        assert_eq!(third["userErrors"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_that_is_shown_twice_ends_the_whole_log_in() {
    world(async |world| {
        let stolen = joined(world, "ann@acme.example", "Clerk").await;
        let untouched = login(world, "ann@acme.example", PASSWORD).await["session"].clone();
        let thief = refresh(world, &stolen["refreshToken"]).await["session"].clone();
        assert_eq!(codes(&refresh(world, &stolen["refreshToken"]).await), ["TOKEN_INVALID"]);
        assert_eq!(codes(&refresh(world, &thief["refreshToken"]).await), ["TOKEN_INVALID"], "the thief's ends too");
        for session in [&stolen, &thief] {
            becomes(&holder(world, session), VIEWER, |answer| answer.code() == "UNAUTHENTICATED").await;
        }
        assert_eq!(refresh(world, &untouched["refreshToken"]).await["userErrors"], json!([]), "another log-in goes on");
    })
    .await;
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_is_granted_and_the_log_in_ends() {
    world(async |world| {
        let session = joined(world, "ann@acme.example", "Clerk").await;
        let token = &session["refreshToken"];
        let answers = futures_util::future::join_all((0..4).map(|_| refresh(world, token))).await;
        assert_eq!(answers.iter().filter(|answer| answer["session"].is_object()).count(), 1);
        let granted = answers.iter().find(|answer| answer["session"].is_object()).unwrap();
        assert_eq!(codes(&refresh(world, &granted["session"]["refreshToken"]).await), ["TOKEN_INVALID"]);
    })
    .await;
}

#[tokio::test]
async fn tokens_that_are_late_or_wrong_refresh_nothing() {
    world(async |world| {
        let session = joined(world, "ann@acme.example", "Clerk").await;
        let token = session["refreshToken"].as_str().unwrap();
        let forged = forged(token);
        let elsewhere = token.replace(world.a.slug.as_str(), world.b.slug.as_str());
        let nowhere = token.replace(world.a.slug.as_str(), "no-such-shop");
        for wrong in ["", "nonsense", &forged, &elsewhere, &nowhere] {
            assert_eq!(codes(&refresh(world, &json!(wrong)).await), ["TOKEN_INVALID"], "{wrong}");
        }
        assert_eq!(refresh(world, &json!(token)).await["userErrors"], json!([]), "wrong ones end nothing");

        let session = login(world, "ann@acme.example", PASSWORD).await["session"].clone();
        let late = format!(r#"UPDATE "{}".sessions SET expires_at = now()"#, world.a.schema);
        psql().await.execute(&late, &[]).await.unwrap();
        assert_eq!(codes(&refresh(world, &session["refreshToken"]).await), ["TOKEN_INVALID"]);
        becomes(&holder(world, &session), VIEWER, |answer| answer.code() == "UNAUTHENTICATED").await;
    })
    .await;
}

#[tokio::test]
async fn who_logs_out_is_out_within_a_second() {
    world(async |world| {
        let first = joined(world, "ann@acme.example", "Clerk").await;
        let second = login(world, "ann@acme.example", PASSWORD).await["session"].clone();
        let third = login(world, "ann@acme.example", PASSWORD).await["session"].clone();
        let logout = async |session: &Value, everywhere: bool| {
            let query = "mutation($everywhere: Boolean!) { logout(everywhere: $everywhere) { userErrors { code } } }";
            holder(world, session).data(query, json!({ "everywhere": everywhere })).await
        };
        assert_eq!(logout(&first, false).await["logout"]["userErrors"], json!([]));
        becomes(&holder(world, &first), VIEWER, |answer| answer.code() == "UNAUTHENTICATED").await;
        assert_eq!(codes(&refresh(world, &first["refreshToken"]).await), ["TOKEN_INVALID"]);
        assert_eq!(holder(world, &second).gql(VIEWER, json!({})).await.code(), "", "the others go on");

        logout(&second, true).await;
        for session in [&second, &third] {
            becomes(&holder(world, session), VIEWER, |answer| answer.code() == "UNAUTHENTICATED").await;
        }
        let stranger = world.stranger().gql("mutation { logout { userErrors { code } } }", json!({})).await;
        assert_eq!(stranger.code(), "UNAUTHENTICATED");
    })
    .await;
}
