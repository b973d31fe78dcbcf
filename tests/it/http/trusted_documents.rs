//! Shops whose frontends' operations are known: `TRUSTED_DOCUMENTS`.

use std::sync::Arc;

use serde_json::json;
use shelfwise::db::TenantTx;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::tenant::documents::service::documents_trust;

use super::documents::{QUERY, assert_unknown, by_hash, get_by_hash, post, register};
use crate::harness::World;
use crate::harness::world::world_with;

const ONLY: &[(&str, &str)] = &[("TRUSTED_DOCUMENTS", "only")];
const COUNT: &str = "{ authors { totalCount } }";
const WRITE: &str = "mutation { authorCreate(input: { name: \"X\" }) { author { id } } }";

/// Trusts documents beside those that are, as an operator does at the command line, and answers how many are new.
async fn trust(world: &World, shop: &Arc<TenantCtx>, documents: &[&str]) -> usize {
    let session = world.app.services.tenants.session(Arc::clone(shop));
    let bodies: Vec<String> = documents.iter().map(|&document| document.to_owned()).collect();
    let clock = &*world.app.services.clock;
    let work = async |tx: &mut TenantTx| documents_trust(tx, clock, &bodies, false).await;
    let new = session.write(work).await.unwrap();
    session.finish().await;
    new
}

#[tokio::test]
async fn a_document_that_is_not_trusted_is_refused_and_writes_nothing() {
    world_with(ONLY, async |world| {
        assert_eq!(trust(world, &world.a, &[COUNT]).await, 1);
        let owner = world.owner();
        for document in [QUERY, WRITE, "{ __typename }", "{ nope", "{ authors { totalCount }  }"] {
            owner.gql(document, json!({})).await.assert_refused(403, "DOCUMENT_NOT_TRUSTED");
        }
        let older = world.owner().with_header("accept", "application/json").gql(WRITE, json!({})).await;
        assert_eq!((older.status, older.code()), (200, "DOCUMENT_NOT_TRUSTED"));
        assert_eq!(owner.data(COUNT, json!({})).await["authors"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_trusted_document_is_served_by_its_text_and_by_its_hash_in_its_shop_alone() {
    world_with(ONLY, async |world| {
        assert_eq!(trust(world, &world.a, &[COUNT, WRITE, COUNT]).await, 2);
        assert_eq!(trust(world, &world.a, &[COUNT, WRITE]).await, 0);
        let owner = world.owner();
        // By its hash first: nobody need ever send the text.
        for response in [
            by_hash(&owner, COUNT).await,
            get_by_hash(world, &owner, COUNT).await,
            register(&owner, COUNT).await,
            owner.gql(COUNT, json!({})).await,
            by_hash(&owner, COUNT).await,
        ] {
            assert_eq!((response.status, &response["/authors/totalCount"]), (200, &json!(0)), "{}", response.body);
        }
        get_by_hash(world, &owner, WRITE).await.assert_refused(405, "METHOD_NOT_ALLOWED");

        let elsewhere = world.stranger().with_header("x-tenant", world.b.slug.as_str());
        for client in [world.other_owner(), elsewhere, world.stranger()] {
            client.gql(COUNT, json!({})).await.assert_refused(403, "DOCUMENT_NOT_TRUSTED");
            assert_unknown(&by_hash(&client, COUNT).await);
        }
        let inside = world.stranger().with_header("x-tenant", world.a.slug.as_str());
        assert_eq!(inside.gql(COUNT, json!({})).await.code(), "UNAUTHENTICATED", "trust is no credential");
        assert_eq!(owner.data(COUNT, json!({})).await["authors"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_document_that_is_not_trusted_cannot_be_made_known_by_its_hash() {
    world_with(ONLY, async |world| {
        let owner = world.owner();
        register(&owner, QUERY).await.assert_refused(403, "DOCUMENT_NOT_TRUSTED");
        assert_unknown(&by_hash(&owner, QUERY).await);
        // The hash of a trusted document beside another text.
        assert_eq!(trust(world, &world.a, &[COUNT]).await, 1);
        let hash = shelfwise::tenant::documents::service::document_hash(COUNT);
        let lie = json!({ "query": QUERY, "extensions": super::documents::named(&hash) });
        post(&owner, lie).await.assert_refused(400, "BAD_REQUEST");
        assert_eq!(by_hash(&owner, COUNT).await["/authors/totalCount"], json!(0));
    })
    .await;
}

#[tokio::test]
async fn trust_lifts_no_bound() {
    world_with(ONLY, async |world| {
        let dear = "{ books(first: 100) { nodes { authors(first: 100) { nodes { name id } } } } }";
        let circle = "{ ...A } fragment A on Query { ...A }";
        assert_eq!(trust(world, &world.a, &[dear, circle]).await, 2);
        for (document, code) in [(dear, "QUERY_TOO_COMPLEX"), (circle, "BAD_REQUEST")] {
            world.owner().gql(document, json!({})).await.assert_refused(400, code);
            by_hash(&world.owner(), document).await.assert_refused(400, code);
        }
    })
    .await;
}

#[tokio::test]
async fn operators_of_the_platform_send_what_they_like() {
    world_with(ONLY, async |world| {
        assert_eq!(world.admin().data("{ __typename }", json!({})).await["__typename"], "Query");
    })
    .await;
}

#[tokio::test]
async fn where_it_is_not_asked_for_every_document_is_served() {
    for mode in ["warn", "off"] {
        world_with(&[("TRUSTED_DOCUMENTS", mode)], async |world| {
            assert_eq!(trust(world, &world.a, &[COUNT]).await, 1);
            let owner = world.owner();
            assert_eq!(by_hash(&owner, COUNT).await["/authors/totalCount"], json!(0), "unsent, and known all the same");
            assert_unknown(&by_hash(&owner, QUERY).await);
            assert_eq!(register(&owner, QUERY).await["/books/totalCount"], json!(0));
            assert_eq!(by_hash(&owner, QUERY).await["/books/totalCount"], json!(0));
            assert_eq!(owner.gql(WRITE, json!({})).await.code(), "");
            assert_eq!(world.stranger().gql("{ __typename }", json!({})).await.code(), "");
        })
        .await;
    }
}
