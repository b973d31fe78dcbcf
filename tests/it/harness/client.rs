//! A client of the API, as real as curl.

use std::ops::Index;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::world::World;

/// Somebody who sends requests, with or without a token.
pub struct Client<'a> {
    world: &'a World,
    path: &'static str,
    token: Option<String>,
    headers: HeaderMap,
}

/// An answer.
#[derive(Debug)]
#[must_use]
pub struct GqlResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl<'a> Client<'a> {
    pub fn new(world: &'a World, path: &'static str, token: Option<String>) -> Self {
        Self { world, path, token, headers: HeaderMap::new() }
    }

    /// The same client with another header.
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// The same client with another token.
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The request that the client sends, for tests that send it in their own way.
    pub fn request(&self, query: &str, variables: Value) -> reqwest::RequestBuilder {
        let mut request = self
            .world
            .http
            .post(format!("{}{}", self.world.base_url, self.path))
            .header("accept", "application/graphql-response+json")
            .headers(self.headers.clone())
            .json(&json!({ "query": query, "variables": variables }));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request
    }

    /// The request of an operation whose answers come as events.
    pub fn stream(&self, query: &str, variables: Value) -> reqwest::RequestBuilder {
        let request = self.world.http.post(format!("{}/graphql/stream", self.world.base_url));
        let request = request.header("accept", "text/event-stream").headers(self.headers.clone());
        let request = request.json(&json!({ "query": query, "variables": variables }));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends an operation and answers the status with its answers up to the end; the one answer of what was refused.
    pub async fn events(&self, query: &str, variables: Value) -> (u16, Vec<Value>) {
        let response = self.stream(query, variables).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        if status != 200 {
            return (status, vec![serde_json::from_str(&text).unwrap()]);
        }
        let events = text.split("event: next\ndata: ").skip(1);
        let events = events.map(|event| serde_json::from_str(event.split_once("\n\n").unwrap().0).unwrap());
        (status, events.collect())
    }

    /// Sends an operation.
    pub async fn gql(&self, query: &str, variables: Value) -> GqlResponse {
        GqlResponse::read(self.request(query, variables).send().await.unwrap()).await
    }

    /// Sends an operation that must succeed in every part, and answers its data.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let response = self.gql(query, variables).await;
        assert_eq!(response.body.get("errors"), None, "{query}");
        response.body["data"].clone()
    }
}

impl GqlResponse {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    /// The code of the first error; empty where there is none.
    pub fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }

    /// Statements and round trips of the operation.
    pub fn sql(&self) -> (u64, u64) {
        let sql = &self.body["extensions"]["sql"];
        (sql["statements"].as_u64().unwrap(), sql["roundTrips"].as_u64().unwrap())
    }

    /// Checks that nothing was executed, and why.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
        assert_eq!(self.body.get("data"), None, "{}", self.body);
        assert!(self.body["errors"][0]["extensions"]["requestId"].is_string(), "{}", self.body);
    }
}

impl Index<&str> for GqlResponse {
    type Output = Value;

    /// The value at a JSON pointer below `data`; null where there is none.
    fn index(&self, pointer: &str) -> &Value {
        self.body["data"].pointer(pointer).unwrap_or(&Value::Null)
    }
}
