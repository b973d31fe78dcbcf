//! GraphiQL as a browser gets it; what it does is tested in a browser.

use crate::harness::world;

#[tokio::test]
async fn a_browser_gets_the_page_and_a_client_does_not() {
    world(async |world| {
        let get = async |path: &str, accept: &str| {
            let response =
                world.http.get(format!("{}{path}", world.base_url)).header("accept", accept).send().await.unwrap();
            (
                response.status().as_u16(),
                response.headers()["content-type"].to_str().unwrap().to_owned(),
                response.text().await.unwrap(),
            )
        };
        let preflighted = async |path: &str| {
            let request = world.http.get(format!("{}{path}", world.base_url)).header("graphql-require-preflight", "1");
            let response = request.header("accept", "application/graphql-response+json").send().await.unwrap();
            let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
            (response.status().as_u16(), content_type, response.text().await.unwrap())
        };
        for path in ["/", "/graphql", "/admin/graphql"] {
            let (status, content_type, text) = get(path, "text/html,application/xhtml+xml").await;
            assert_eq!((status, content_type.as_str()), (200, "text/html; charset=utf-8"), "{path}");
            assert!(text.contains("<html"), "{path}");
        }
        let (status, content_type, _) =
            get("/graphql?query={__typename}", "text/html,application/graphql-response+json").await;
        assert_eq!((status, content_type.as_str()), (400, "application/graphql-response+json; charset=utf-8"));
        let (status, content_type, _) = preflighted("/graphql?query={__typename}").await;
        assert_eq!((status, content_type.as_str()), (200, "application/graphql-response+json; charset=utf-8"));
        let missing = world.http.get(format!("{}/assets/nothing.js", world.base_url)).send().await.unwrap();
        assert_eq!(missing.status().as_u16(), 404);
        let outside = world.http.get(format!("{}/assets/..%2f..%2fCargo.toml", world.base_url)).send().await.unwrap();
        assert_eq!(outside.status().as_u16(), 404);
    })
    .await;
}
