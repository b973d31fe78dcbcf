//! A client of `graphql-transport-ws`, which says what it is told to, be it of the protocol or not.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::world::World;

/// How long something may take that is waited for: far less where nothing else runs on the machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// One socket.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens a socket with these headers.
    pub async fn open(world: &World, path: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::try_open(world, path, headers).await.unwrap()
    }

    /// The status by which a socket is refused that is to be opened with these headers.
    pub async fn refused(world: &World, headers: &[(&'static str, &str)]) -> u16 {
        let headers = [&[("sec-websocket-protocol", "graphql-transport-ws")], headers].concat();
        match Self::try_open(world, "/graphql/ws", &headers).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it is open"),
        }
    }

    async fn try_open(world: &World, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let address = world.base_url.strip_prefix("http://").unwrap();
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| Self(socket))
    }

    /// Opens a socket that has yet to say who it is.
    pub async fn greet(world: &World) -> Self {
        Self::open(world, "/graphql/ws", &[("sec-websocket-protocol", "graphql-transport-ws")]).await
    }

    /// Opens a socket of whoever has a token.
    pub async fn of(world: &World, token: &str) -> Self {
        Self::at(world, "/graphql/ws", token).await
    }

    /// The same at any path.
    pub async fn at(world: &World, path: &str, token: &str) -> Self {
        let mut socket = Self::open(world, path, &[("sec-websocket-protocol", "graphql-transport-ws")]).await;
        socket.init(token).await;
        assert_eq!(socket.hears().await, json!({ "type": "connection_ack" }));
        socket
    }

    /// Says who it is.
    pub async fn init(&mut self, token: &str) {
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        self.say(json!({ "type": "connection_init", "payload": payload })).await;
    }

    /// Says something.
    pub async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    /// Says something that need not be JSON.
    pub async fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Says something that is no text.
    pub async fn say_bytes(&mut self, bytes: &'static [u8]) {
        self.0.send(Message::binary(bytes)).await.unwrap();
    }

    /// Sends an operation.
    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "id": id, "type": "subscribe", "payload": payload })).await;
    }

    /// Ends an operation.
    pub async fn complete(&mut self, id: &str) {
        self.say(json!({ "id": id, "type": "complete" })).await;
    }

    /// The next message.
    pub async fn hears(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The data of the next message, which answers an operation.
    pub async fn next_of(&mut self, id: &str) -> Value {
        let message = self.hears().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)), "{message}");
        message["payload"]["data"].clone()
    }

    /// The code of the next message, which refuses an operation.
    pub async fn refusal_of(&mut self, id: &str) -> String {
        let message = self.hears().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!(id)), "{message}");
        assert!(message["payload"][0]["extensions"]["requestId"].is_string(), "{message}");
        message["payload"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    }

    /// Hears that an operation is over.
    pub async fn ends(&mut self, id: &str) {
        assert_eq!(self.hears().await, json!({ "type": "complete", "id": id }));
    }

    /// Hears whether the server is there: all that was said before has been read by then, and nothing was answered.
    pub async fn hears_nothing(&mut self) {
        self.say(json!({ "type": "ping" })).await;
        assert_eq!(self.hears().await, json!({ "type": "pong" }));
    }

    /// Waits until the socket is closed, and answers the code and the reason.
    pub async fn closed(&mut self) -> (u16, String) {
        match self.next().await {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the socket is closed, whatever is said of its operations before, and answers the code and the reason.
    pub async fn closed_at_last(&mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
                Message::Text(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn next(&mut self) -> Message {
        let next = async {
            loop {
                match self.0.next().await.expect("the socket is open").unwrap() {
                    Message::Ping(_) | Message::Pong(_) => {}
                    message => return message,
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("something is said")
    }
}
