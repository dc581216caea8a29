//! Frames: what a page may send, and what the bridge sends.

pub(crate) mod decode;
mod deltas;
pub(crate) mod encode;
mod text;

pub(crate) use decode::{
    Cancelled, ClientFrame, Hello, Malformed, Open, Send, StreamRequest, Window, decode,
};

/// The subprotocol (GEN-1).
pub(crate) const SUBPROTOCOL: &str = "agentwire.v1";

/// Largest frame before the `welcome`, in bytes (GEN-7).
pub(crate) const MAX_HELLO_BYTES: usize = 65_536;

/// Close codes of a server (CLS-2).
pub(crate) mod close {
    pub(crate) const BAD_FRAME: u16 = 4400;
    pub(crate) const FRAME_TOO_LARGE: u16 = 4402;
    pub(crate) const FORBIDDEN: u16 = 4403;
    pub(crate) const TOKEN_INVALID: u16 = 4450;
    pub(crate) const TOKEN_EXPIRED: u16 = 4451;
    pub(crate) const HELLO_TIMEOUT: u16 = 4452;
    pub(crate) const GOING_AWAY: u16 = 4453;
    pub(crate) const OVERLOADED: u16 = 4455;
    pub(crate) const INTERNAL: u16 = 4456;
}
