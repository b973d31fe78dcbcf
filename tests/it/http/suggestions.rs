//! What the schema has instead of what was asked for, and who is told.

use serde_json::json;

use crate::harness::world::world_with;
use crate::harness::{Client, World};

/// Documents with a slip of the pen, for each API.
const SLIPS: [(&str, &[&str]); 2] = [
    ("/graphql", &["{ boks { totalCount } }", "{ books { totalCont } }", "mutation { logn { __typename } }"]),
    ("/admin/graphql", &["{ tenantz { nodes { slug } } }", "mutation { tenantResum(slug: \"x\") { __typename } }"]),
];

/// The message of the first error.
async fn message(client: &Client<'_>, document: &str) -> String {
    let response = client.gql(document, json!({})).await;
    response.assert_refused(400, "BAD_REQUEST");
    response.body["errors"][0]["message"].as_str().unwrap().to_owned()
}

fn somebody<'a>(world: &'a World, path: &str) -> Client<'a> {
    if path == "/graphql" { world.owner() } else { world.admin() }
}

#[tokio::test]
async fn in_production_a_strangers_slip_is_not_mended_and_a_users_is() {
    world_with(&[("SHELFWISE_ENV", "production")], async |world| {
        for (path, slips) in SLIPS {
            for slip in slips {
                let stranger = Client::new(world, path, None);
                let named = Client::new(world, path, None).with_header("x-tenant", world.a.slug.as_str());
                for client in [stranger, named] {
                    let told = message(&client, slip).await;
                    assert!(told.starts_with("Unknown field") && !told.contains("Did you mean"), "{slip}: {told}");
                }
                let told = message(&somebody(world, path), slip).await;
                assert!(told.contains("Did you mean"), "{slip}: {told}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn in_development_everybodys_slip_is_mended() {
    crate::harness::world(async |world| {
        for (path, slips) in SLIPS {
            for slip in slips {
                let told = message(&Client::new(world, path, None), slip).await;
                assert!(told.contains("Did you mean"), "{slip}: {told}");
            }
        }
    })
    .await;
}
