//! Long answers to queries are compressed for who takes it, and nothing else is.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::harness::{Client, world};

/// Long enough to be compressed.
const LONG: &str = "{ __schema { types { name description } } }";

/// Sends an operation and answers the headers with the body as it came.
async fn raw(
    client: &Client<'_>,
    accept_encoding: Option<&str>,
    document: &str,
) -> (reqwest::header::HeaderMap, Vec<u8>) {
    let mut request = client.request(document, json!({}));
    if let Some(accepted) = accept_encoding {
        request = request.header("accept-encoding", accepted);
    }
    let response = request.send().await.unwrap();
    (response.headers().clone(), response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn a_long_answer_to_a_query_is_compressed_and_the_same() {
    world(async |world| {
        let owner = world.owner();
        let (headers, plain) = raw(&owner, None, LONG).await;
        assert_eq!(headers.get("content-encoding"), None);
        assert_eq!(headers["vary"], "accept-encoding", "who keeps it knows what it depends on");
        for accepted in ["gzip", "gzip, deflate, br", "br;q=1.0, *;q=0.1"] {
            let (headers, packed) = raw(&owner, Some(accepted), LONG).await;
            assert_eq!(
                (&headers["content-encoding"], &headers["vary"]),
                (&"gzip".parse().unwrap(), &"accept-encoding".parse().unwrap())
            );
            assert_eq!(headers["content-length"], packed.len().to_string());
            assert!(packed.len() * 5 / 2 < plain.len(), "{} of {}", packed.len(), plain.len());
            let mut text = String::new();
            GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
            let data = |text: &str| serde_json::from_str::<Value>(text).unwrap()["data"].clone();
            assert_eq!(data(&text), data(std::str::from_utf8(&plain).unwrap()));
        }
        for refused in ["br", "gzip;q=0, *", "identity", "identity;q=0"] {
            assert_eq!(raw(&owner, Some(refused), LONG).await.0.get("content-encoding"), None, "{refused}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_short_or_may_hold_a_secret_is_sent_as_it_is() {
    world(async |world| {
        let owner = world.owner();
        let (headers, _) = raw(&owner, Some("gzip"), "{ books { totalCount } }").await;
        assert_eq!(headers.get("content-encoding"), None);
        // A payload that is long, by any number of aliases of what is short.
        let fields: String = (0..60).map(|n| format!("a{n}: __typename ")).collect();
        let create = format!(
            "mutation {{ apiKeyCreate(input: {{ name: \"a Key\", permissions: [API_KEYS_WRITE] }}) {{ secret {fields} userErrors {{ code message }} }} }}"
        );
        let (headers, body) = raw(&owner, Some("gzip"), &create).await;
        let text = String::from_utf8(body).unwrap();
        assert!(text.len() > 1024 && text.contains("sw_"), "{text}");
        assert_eq!((headers.get("content-encoding"), headers.get("vary")), (None, None));
    })
    .await;
}
