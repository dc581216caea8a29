//! Stands in front of the bridge and spoils what it does for its own protection.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the relay does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relay {
    /// Errors, closes and ends do not reach the client; an answer of HTTP that refuses becomes one that does not.
    HidesRefusals,
    /// Takes everything that either side sends, keeps it, and never closes a connection.
    Hoards,
}

/// Frames of a server that refuse something, or that are an answer which must come.
const REFUSALS: [&str; 3] = [r#"{"type":"error""#, r#"{"type":"pong""#, r#""status":"rejected""#];

/// Relays every connection.
pub(super) async fn run(outer: TcpListener, inner: SocketAddr, relay: Relay) {
    loop {
        // One that is gone before it is taken is no reason to stop.
        if let Ok((client, _)) = outer.accept().await {
            tokio::spawn(connection(client, inner, relay));
        }
    }
}

async fn connection(client: TcpStream, inner: SocketAddr, relay: Relay) -> io::Result<()> {
    let server = TcpStream::connect(inner).await?;
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    match relay {
        Relay::Hoards => {
            let _kept = tokio::join!(hoard(client_reads, server_writes), hoard(server_reads, client_writes));
            // Neither half is dropped.
            std::future::pending::<()>().await;
        }
        Relay::HidesRefusals => {
            let down = async {
                let mut client_writes = client_writes;
                let _gone = hide(server_reads, &mut client_writes).await;
                // The client does not hear of the end.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = swallow(client_reads, server_writes) => {}
                () = down => {}
            }
        }
    }
    Ok(())
}

/// Passes on what comes, at any pace, and keeps all of it. Returns what has to stay.
async fn hoard(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> (Vec<Vec<u8>>, impl AsyncRead + Unpin, impl AsyncWrite + Unpin) {
    let (sender, mut chunks) = mpsc::unbounded_channel::<Vec<u8>>();
    let read = async {
        let mut kept = Vec::new();
        let mut chunk = vec![0; 65_536];
        while let Ok(length @ 1..) = from.read(&mut chunk).await {
            kept.push(chunk[..length].to_vec());
            // The other side may be gone; this one is read all the same.
            let _gone = sender.send(chunk[..length].to_vec());
        }
        drop(sender);
        kept
    };
    let write = async {
        while let Some(chunk) = chunks.recv().await {
            if to.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let _gone = to.shutdown().await;
    };
    let (kept, ()) = tokio::join!(read, write);
    (kept, from, to)
}

/// Passes on what a client sends, and reads it also when the server is gone. Ends with the client.
async fn swallow(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut chunk = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let _gone = to.write_all(&chunk[..length]).await;
    }
}

/// Passes on what a server sends without what refuses.
async fn hide(mut from: impl AsyncRead + Unpin, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut read = Vec::new();
    let mut is_websocket = false;
    loop {
        if from.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        if !is_websocket {
            is_websocket = read.starts_with(b"HTTP/1.1 101");
            if let Some(status) = read.strip_prefix(b"HTTP/1.1 4").map(|_| 9..12) {
                read[status].copy_from_slice(b"200");
            }
            let head = read.windows(4).position(|window| window == b"\r\n\r\n");
            let end = if is_websocket { head.map_or(0, |head| head + 4) } else { read.len() };
            is_websocket = is_websocket && head.is_some();
            to.write_all(&read.drain(..end).collect::<Vec<u8>>()).await?;
            if !is_websocket {
                continue;
            }
        }
        while let Some((is_refusal, end)) = frame(&read) {
            let frame: Vec<u8> = read.drain(..end).collect();
            if !is_refusal {
                to.write_all(&frame).await?;
            }
        }
    }
}

/// Whether the first frame refuses something, and where it ends.
fn frame(bytes: &[u8]) -> Option<(bool, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length): (usize, usize) = match second & 127 {
        126 => (4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into()),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        length => (2, length.into()),
    };
    let payload = bytes.get(start..start.checked_add(length)?)?;
    let is_close = first & 15 == 8;
    let text = std::str::from_utf8(&payload[..payload.len().min(400)]).unwrap_or_default();
    Some((is_close || REFUSALS.iter().any(|refusal| text.contains(refusal)), start + length))
}
