//! A page as a plain socket: it keeps nothing of what it reads.

use std::net::SocketAddr;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub(crate) const SECRET: &str = "a secret for tests, of 32 bytes or more";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A write that takes as long is one that the server does not read.
const STALLED: Duration = Duration::from_millis(100);

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: agentwire.v1\r\n\r\n";

pub(crate) struct Page(TcpStream);

/// The first frame of a page with one thread.
pub(crate) fn hello(user: &str) -> Value {
    let claims = json!({"sub": user, "exp": 4_000_000_000_u64});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
    json!({
        "type": "hello", "token": token, "client": {"name": "test", "version": "0"},
        "window": {"events": 65_536, "bytes": 67_108_864}, "streams": [{"name": "t"}]
    })
}

impl Page {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // What nobody reads shall wait in the bridge and not in the system.
        socket.set_recv_buffer_size(8_192).unwrap();
        let mut page = Self(socket.connect(address).await.unwrap());
        page.0.write_all(UPGRADE.as_bytes()).await.unwrap();
        page.until("\r\n\r\n").await;
        page
    }

    /// Reads until a text has come.
    pub(crate) async fn until(&mut self, text: &str) {
        let (mut last, mut chunk) = (Vec::new(), [0; 256]);
        while !last.windows(text.len()).any(|part| part == text.as_bytes()) {
            let count = timeout(PATIENCE, self.0.read(&mut chunk)).await.unwrap().unwrap();
            assert!(count > 0, "the socket was closed before {text:?}");
            last.extend_from_slice(&chunk[..count]);
            last.drain(..last.len().saturating_sub(512));
        }
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        let text = frame.to_string();
        self.0.write_all(&[head(text.len()), text.into_bytes()].concat()).await.unwrap();
    }

    /// Sends a frame, unless the server does not read any more.
    pub(crate) async fn is_read(&mut self, frame: &Value) -> bool {
        timeout(STALLED, self.send(frame)).await.is_ok()
    }

    /// Sends a part of a message of so many bytes, and no more.
    pub(crate) async fn begin(&mut self, bytes: usize, part: usize) {
        let _ = timeout(STALLED, async {
            self.0.write_all(&head(bytes)).await?;
            self.0.write_all(&vec![b' '; part]).await
        })
        .await;
    }

    /// Sends requests that each get an answer, until the server does not read.
    pub(crate) async fn flood_requests(&mut self) {
        let request = json!({"type": "history", "req": 1, "stream": "t", "limit": 1}).to_string();
        let frame = [head(request.len()), request.into_bytes()].concat();
        let many = frame.repeat(256);
        while timeout(STALLED, self.0.write_all(&many)).await.is_ok() {}
    }
}

/// The head of a text message (RFC 6455, section 5.2), masked with zeros.
fn head(bytes: usize) -> Vec<u8> {
    let mut head = vec![0x81];
    match u16::try_from(bytes) {
        Ok(bytes) if bytes < 126 => head.push(0x80 | bytes as u8),
        Ok(bytes) => {
            head.push(0x80 | 126);
            head.extend(bytes.to_be_bytes());
        }
        Err(_) => {
            head.push(0x80 | 127);
            head.extend((bytes as u64).to_be_bytes());
        }
    }
    head.extend([0; 4]);
    head
}
