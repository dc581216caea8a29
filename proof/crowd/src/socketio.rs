//! A page of socket.io 4: the Engine.IO 4 transport over a WebSocket, and the events of the default namespace.

use anyhow::{Context as _, Result, bail, ensure};
use serde::de::IgnoredAny;

use crate::connect::{Socket, connect};
use crate::frames::Event;
use crate::tally::Tally;

/// Connects and joins the room `<stream>`.
pub(crate) async fn open(server: &str, stream: u32) -> Result<Socket> {
    let path = format!("/socket.io/?EIO=4&transport=websocket&stream={stream}");
    let mut socket = connect(server, &path, None).await?;
    let open = socket.text().await?;
    ensure!(open.starts_with("0{"), "the server did not open Engine.IO: {open}");
    socket.send("40".to_owned()).await?;
    let connected = socket.text().await?;
    ensure!(connected.starts_with("40{"), "the server did not connect the namespace: {connected}");
    // A session that can be recovered has a private id.
    ensure!(connected.contains("\"pid\""), "the server does not recover connections: {connected}");
    Ok(socket)
}

/// Reads until the socket ends, which is an error: it is the crowd that ends first.
pub(crate) async fn read(mut socket: Socket, page: u32, tally: &Tally) -> Result<()> {
    loop {
        let text = socket.text().await?;
        if let Some(packet) = text.strip_prefix("42") {
            // The last one is the offset that a recovery goes on from.
            let (_, event, _): (&str, Event<'_>, IgnoredAny) =
                serde_json::from_str(packet).with_context(|| format!("a packet can't be read: {packet}"))?;
            tally.frame(page, text.len(), std::iter::once(event.text));
        } else if text == "2" {
            socket.send("3".to_owned()).await?;
        } else {
            bail!("the server sent {text:?}");
        }
    }
}
