//! What is counted of requests.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{scrape, scrape_when};
use crate::harness::cluster::psql;
use crate::harness::world;

/// A series of requests for operations.
fn answered(status: u16) -> String {
    format!("shelfwise_http_requests_total{{route=\"/graphql\",status=\"{status}\"}}")
}

#[tokio::test]
async fn a_request_whose_client_goes_before_the_answer_is_counted_once_with_its_duration() {
    world(async |world| {
        let (owner, psql) = (world.owner(), psql().await);
        let query = "{ books { totalCount } }";
        // The credential is known from here on.
        owner.data(query, json!({})).await;
        let lock = format!(r#"BEGIN; LOCK TABLE "{}".books IN ACCESS EXCLUSIVE MODE"#, world.a.schema);
        psql.batch_execute(&lock).await.unwrap();

        let (address, body) = (world.base_url.strip_prefix("http://").unwrap(), json!({ "query": query }).to_string());
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            world.owner_token(),
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let before = scrape_when(world, |scrape| scrape.value("shelfwise_pool_connections{state=\"in_use\"}") == 1.0).await;
        assert_eq!((before.value(&answered(200)), before.get(&answered(499))), (1.0, None));
        drop(stream);
        let gone = scrape_when(world, |scrape| scrape.get(&answered(499)).is_some()).await;
        gone.assert(&[
            (&answered(499), 1.0),
            (&answered(200), 1.0),
            ("shelfwise_http_request_duration_seconds_count{route=\"/graphql\"}", 2.0),
        ]);

        // What it had asked for is done to its end, and is no request once more.
        psql.batch_execute("ROLLBACK").await.unwrap();
        world.assert_nothing_borrowed().await;
        let ended = "shelfwise_operations_total{operation=\"books\",outcome=\"ok\",plane=\"tenant\"}";
        scrape_when(world, |scrape| scrape.value(ended) == 2.0).await;
        scrape(world).await.assert(&[
            (&answered(499), 1.0),
            (&answered(200), 1.0),
            ("shelfwise_http_request_duration_seconds_count{route=\"/graphql\"}", 2.0),
        ]);
    })
    .await;
}
