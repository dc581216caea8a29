//! A WebSocket to a server on this machine.

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::{WebSocketStream, client_async};

/// A socket that is open.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

/// Opens a socket to `path` of `server`.
pub(crate) async fn connect(server: &str, path: &str, subprotocol: Option<&'static str>) -> Result<Socket> {
    let stream = TcpStream::connect(server).await.with_context(|| format!("{server} can't be reached"))?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{server}{path}").into_client_request()?;
    if let Some(subprotocol) = subprotocol {
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    let (socket, _) = client_async(request, stream).await.context("the server opens no WebSocket")?;
    Ok(Socket(socket))
}

impl Socket {
    /// The next text. Pings of the transport are answered in the meantime.
    pub(crate) async fn text(&mut self) -> Result<Utf8Bytes> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(Some(close)))) => {
                    bail!("the server closed the socket: {} {}", u16::from(close.code), close.reason)
                }
                Some(Ok(Message::Close(None))) | None => bail!("the server closed the socket"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => bail!("the server sent a message that is no text: {message:?}"),
                Some(Err(error)) => return Err(error).context("the socket broke"),
            }
        }
    }

    pub(crate) async fn send(&mut self, text: String) -> Result<()> {
        self.0.send(Message::text(text)).await.context("the socket broke")
    }
}
