//! A client without manners: it writes any bytes, reads when it likes, and sees how it is treated.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{timeout, timeout_at};

/// How long an answer may take that is due at once.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// The request that opens a WebSocket.
pub(super) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: stand\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: agentwire.v1\r\n\r\n";

/// Opcodes of RFC 6455.
pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The first bit of a frame that is whole.
pub(super) const FIN: u8 = 0x80;

/// A TCP connection to the server under attack.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    /// What was read and not used yet.
    read: BytesMut,
}

/// What the server sent.
#[derive(Debug)]
pub(super) enum Got {
    Text(String),
    /// A ping, a pong or binary data.
    Other,
    /// A close frame.
    Close(Option<u16>),
    /// The end of the connection.
    End,
}

/// How the server ended a WebSocket.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// `code` of the last `error` frame.
    pub(super) error: Option<String>,
    /// The code of the close frame.
    pub(super) close: Option<u16>,
    /// The types of all frames that came before.
    pub(super) frames: Vec<String>,
}

/// An answer of HTTP.
#[derive(Debug)]
pub(super) struct Answer {
    /// 0 at the end of the connection.
    pub(super) status: u16,
    pub(super) body: String,
}

impl Peer {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = timeout(SOON, TcpStream::connect(address)).await.context("no connection in time")??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: BytesMut::new() })
    }

    /// The same, with a buffer for reading that is as small as the system allows.
    pub(super) async fn narrow(address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4_096)?;
        let stream = timeout(SOON, socket.connect(address)).await.context("no connection in time")??;
        Ok(Self { stream, read: BytesMut::new() })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Writes a whole frame whose key for masking is zero, so that its payload stands as it is.
    pub(super) async fn frame(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.write(&frame(FIN | opcode, payload)).await
    }

    pub(super) async fn text(&mut self, text: &str) -> io::Result<()> {
        self.frame(TEXT, text.as_bytes()).await
    }

    pub(super) async fn json(&mut self, value: &Value) -> io::Result<()> {
        self.text(&value.to_string()).await
    }

    /// Reads what is there; false at the end of the connection.
    async fn more(&mut self) -> bool {
        more(&mut self.stream, &mut self.read).await
    }

    /// Opens the WebSocket.
    pub(super) async fn upgrade(&mut self) -> Result<()> {
        self.write(UPGRADE.as_bytes()).await?;
        let head = timeout(SOON, async {
            loop {
                if let Some(end) = find(&self.read, b"\r\n\r\n") {
                    return Ok(self.read.split_to(end + 4));
                }
                ensure!(self.more().await, "the connection ended before the WebSocket was open");
            }
        });
        let head = head.await.context("the WebSocket was not opened in time")??;
        ensure!(head.starts_with(b"HTTP/1.1 101"), "no WebSocket: {}", String::from_utf8_lossy(&head));
        Ok(())
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Got {
        next(&mut self.stream, &mut self.read).await
    }

    /// The next frame of this type, in time.
    pub(super) async fn until(&mut self, kind: &str) -> Result<Value> {
        self.either(kind, kind).await
    }

    /// The next frame of one of these types, in time.
    pub(super) async fn either(&mut self, kind: &str, other: &str) -> Result<Value> {
        let found = timeout(SOON, async {
            loop {
                match self.next().await {
                    Got::Text(text) => {
                        let frame: Value = serde_json::from_str(&text).context("a frame is not JSON")?;
                        if frame["type"] == kind || frame["type"] == other {
                            return Ok(frame);
                        }
                        ensure!(frame["type"] != "error", "{frame} instead of `{kind}`");
                    }
                    Got::Close(code) => bail!("closed with {code:?} instead of `{kind}`"),
                    Got::End => bail!("closed without a code instead of `{kind}`"),
                    Got::Other => {}
                }
            }
        });
        found.await.with_context(|| format!("no `{kind}` in time"))?
    }

    /// Reads until the server ends the WebSocket.
    pub(super) async fn end(&mut self, within: Duration) -> Result<Ended> {
        let mut ended = Ended::default();
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let Ok(got) = timeout_at(deadline, self.next()).await else {
                bail!("still open after {} ms; got {:?}", within.as_millis(), brief(&ended.frames));
            };
            match got {
                Got::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).context("a frame is not JSON")?;
                    let kind = frame["type"].as_str().unwrap_or_default();
                    if kind == "error" {
                        ended.error = frame["code"].as_str().map(str::to_owned);
                    }
                    ended.frames.push(kind.to_owned());
                }
                Got::Other => {}
                Got::Close(code) => {
                    ended.close = code;
                    return Ok(ended);
                }
                Got::End => return Ok(ended),
            }
        }
    }

    /// Requires that the server ends the WebSocket in time, with this close code, and before it with this error.
    pub(super) async fn refused(&mut self, within: Duration, error: &str, close: u16) -> Result<Ended> {
        let ended = self.end(within).await?;
        let is_right =
            ended.close == Some(close) && (error.is_empty() || ended.error.as_deref() == Some(error));
        ensure!(
            is_right,
            "ended with {:?} and {:?} instead of {error:?} and {close}",
            ended.error,
            ended.close
        );
        Ok(ended)
    }

    /// Reads an answer of HTTP, or the end of the connection, whichever comes first.
    pub(super) async fn answer(&mut self, within: Duration) -> Result<Answer> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(head) = find(&self.read, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.read[..head]).to_ascii_lowercase();
                let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
                if self.read.len() >= head + 4 + length {
                    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
                    let body = String::from_utf8_lossy(&self.read[head + 4..head + 4 + length]).into_owned();
                    self.read.advance(head + 4 + length);
                    return Ok(Answer { status, body });
                }
            }
            match timeout_at(deadline, self.more()).await {
                Ok(true) => {}
                Ok(false) => return Ok(Answer { status: 0, body: String::new() }),
                Err(_) => bail!("no answer and no end within {} ms", within.as_millis()),
            }
        }
    }

    /// Reads some bytes and drops them: how many, 0 at the end, `None` if nothing comes in time.
    pub(super) async fn some(&mut self, within: Duration) -> Option<usize> {
        self.read.resize(64 * 1024, 0);
        let read = timeout(within, self.stream.read(&mut self.read)).await.ok();
        self.read.clear();
        // One that was reset has ended, too.
        read.map(|read| read.unwrap_or(0))
    }

    /// Ends the connection with a reset in place of a close.
    pub(super) fn reset(self) {
        // Without it, the system sends what is left and closes; that is no attack, but no harm either.
        let _set = self.stream.set_zero_linger();
    }

    /// Requires that the server ends the connection in time; what it sends before that is read and dropped.
    pub(super) async fn gone(&mut self, within: Duration) -> Result<()> {
        let read = async {
            while self.more().await {
                self.read.clear();
            }
        };
        timeout(within, read)
            .await
            .with_context(|| format!("the connection is still open after {} ms", within.as_millis()))
    }

    /// Writes `bytes` again and again, and reads nothing, for `time` or until the server ends the connection.
    pub(super) async fn flood(&mut self, bytes: &[u8], time: Duration) {
        flood(&mut self.stream, bytes, time).await;
    }

    /// The same, but what comes is read, and the frames of one type are counted.
    pub(super) async fn flood_and_count(mut self, bytes: &[u8], time: Duration, kind: &str) -> usize {
        let (mut reader, mut writer) = self.stream.split();
        let begin = format!(r#"{{"type":"{kind}""#);
        let mut count = 0;
        let read = async {
            loop {
                match next(&mut reader, &mut self.read).await {
                    Got::Text(text) => count += usize::from(text.starts_with(&begin)),
                    Got::Other => {}
                    Got::Close(_) | Got::End => return,
                }
            }
        };
        tokio::select! {
            // Its end is the end of both: what is written after the server has read all of it has no answer in time.
            _flood = flood(&mut writer, bytes, time) => {}
            () = read => {}
        }
        count
    }
}

/// Reads what is there; false at the end of the connection.
async fn more(stream: &mut (impl AsyncRead + Unpin), read: &mut BytesMut) -> bool {
    read.reserve(16 * 1024);
    matches!(stream.read_buf(read).await, Ok(1..))
}

async fn next(stream: &mut (impl AsyncRead + Unpin), read: &mut BytesMut) -> Got {
    loop {
        if let Some((first, payload, used)) = parse(read) {
            let got = match first & 15 {
                TEXT => Got::Text(String::from_utf8_lossy(&read[payload]).into_owned()),
                CLOSE => Got::Close(read[payload].first_chunk().map(|code| u16::from_be_bytes(*code))),
                _ => Got::Other,
            };
            read.advance(used);
            return got;
        }
        if !more(stream, read).await {
            return Got::End;
        }
    }
}

async fn flood(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], time: Duration) {
    let write = async { while stream.write_all(bytes).await.is_ok() {} };
    let until = Instant::now() + time;
    // Keeps the whole time: what was written before the end of the connection may still be answered.
    let _written = timeout_at(until.into(), write).await;
    tokio::time::sleep_until(until.into()).await;
}

/// A frame with this first byte, its length in the shortest form, and a key for masking that is zero.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The frame of a text.
pub(super) fn text(text: &str) -> Vec<u8> {
    frame(FIN | TEXT, text.as_bytes())
}

/// What stands before a payload of `length` bytes, which need not follow.
pub(super) fn head(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}

/// The first byte of a frame of the server, where its payload is, and where it ends.
fn parse(bytes: &[u8]) -> Option<(u8, std::ops::Range<usize>, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length): (usize, usize) = match second & 127 {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        length => (2, usize::from(length)),
    };
    let end = start.checked_add(length)?;
    (bytes.len() >= end).then_some((first, start..end, end))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The last few of many.
fn brief(frames: &[String]) -> &[String] {
    &frames[frames.len().saturating_sub(5)..]
}
