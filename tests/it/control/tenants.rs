//! `tenant`, `tenants`

use serde_json::json;

use crate::harness::world;

#[tokio::test]
async fn tenants_are_found_by_slug_and_listed_in_its_order() {
    world(async |world| {
        let admin = world.admin();
        let query = "query($slug: String!) { tenant(slug: $slug) { slug name plan status suspensionReason } }";
        let data = admin.data(query, json!({ "slug": world.a.slug.as_str() })).await;
        assert_eq!(
            data["tenant"],
            json!({ "slug": world.a.slug.as_str(), "name": world.a.name, "plan": "business", "status": "ACTIVE", "suspensionReason": null })
        );
        assert_eq!(admin.data(query, json!({ "slug": "nobody" })).await["tenant"], json!(null));

        let mut slugs: Vec<String> = Vec::new();
        let mut after = json!(null);
        loop {
            let query = "query($after: String) { tenants(first: 100, after: $after) { totalCount nodes { slug } pageInfo { hasNextPage endCursor } } }";
            let page = admin.data(query, json!({ "after": after })).await["tenants"].clone();
            slugs.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["slug"].as_str().unwrap().to_owned()));
            if page["pageInfo"]["hasNextPage"] == json!(false) {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        assert!(slugs.is_sorted() && slugs.contains(&world.a.slug.to_string()) && slugs.contains(&world.b.slug.to_string()));
    })
    .await;
}

#[tokio::test]
async fn strangers_see_no_tenants() {
    world(async |world| {
        let response = crate::harness::Client::new(world, "/admin/graphql", None)
            .gql("{ tenants { nodes { slug } } }", json!({}))
            .await;
        assert_eq!(response.code(), "UNAUTHENTICATED");
        assert!(!response.body.to_string().contains(world.a.slug.as_str()));
    })
    .await;
}
