//! Close codes: RFC 6455 and our own (PROTOCOL section 10).

use super::text::Text;

/// Why a socket was closed, as a number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The application closed the client.
    pub const NORMAL: Self = Self(1000);
    /// The connection broke without a close frame (never on the wire).
    pub const ABNORMAL: Self = Self(1006);
    /// The server did not understand a frame of ours.
    pub const BAD_FRAME: Self = Self(4400);
    /// A frame of ours was larger than the server allows.
    pub const FRAME_TOO_LARGE: Self = Self(4402);
    /// This subject may not connect.
    pub const FORBIDDEN: Self = Self(4403);
    /// The token was refused.
    pub const TOKEN_INVALID: Self = Self(4450);
    /// The token has expired.
    pub const TOKEN_EXPIRED: Self = Self(4451);
    /// The server is about to stop.
    pub const GOING_AWAY: Self = Self(4453);
    /// A frame of the server was malformed.
    pub const BAD_SERVER_FRAME: Self = Self(4480);
    /// The server was silent for too long.
    pub const HEARTBEAT_TIMEOUT: Self = Self(4481);
    /// No welcome came.
    pub const WELCOME_TIMEOUT: Self = Self(4482);
    /// A replay request was not answered.
    pub const REPLAY_UNANSWERED: Self = Self(4483);
    /// Too many frames came out of order.
    pub const OUT_OF_ORDER_OVERFLOW: Self = Self(4484);
    /// The page goes into the back/forward cache, or away.
    pub const PAGE_LEFT: Self = Self(4485);
    /// A send was not answered.
    pub const RECEIPT_TIMEOUT: Self = Self(4487);
    /// The server asked the page to move to another connection.
    pub const MOVED: Self = Self(4488);
    /// A stream was asked for, and nothing came.
    pub const SUBSCRIBE_UNANSWERED: Self = Self(4489);
    /// The network or a proxy did not take a message for its size, or a server without this protocol (RFC 6455).
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// The same, for what is in a message (RFC 6455).
    pub const INVALID_PAYLOAD: Self = Self(1007);

    /// Tells whether the page may connect again by itself (CLS-1).
    pub const fn is_retryable(self) -> bool {
        !matches!(self.0, 4400..=4449) || self.is_rejection()
    }

    /// Tells whether the server rejected a frame of ours: a frame that is sent again leads there again (CLS-1).
    pub const fn is_rejection(self) -> bool {
        matches!(self, Self::BAD_FRAME | Self::FRAME_TOO_LARGE)
    }

    /// Tells whether the server may have ended the socket because it failed at a frame: it crashed, closed without a code, or said
    /// that something went wrong (SND-20).
    pub const fn may_be_a_crash(self) -> bool {
        matches!(self.0, 1005 | 1006 | 1011 | 4456)
    }

    /// Tells whether the next attempt needs another token (CLS-3).
    pub const fn needs_token(self) -> bool {
        matches!(self, Self::TOKEN_INVALID | Self::TOKEN_EXPIRED)
    }

    /// Returns the reason a state change names for this code.
    pub const fn reason(self) -> Text {
        match self {
            Self::NORMAL => Text::CLOSED_BY_SERVER,
            Self::BAD_FRAME => Text::BAD_FRAME,
            Self::FRAME_TOO_LARGE => Text::FRAME_TOO_LARGE,
            Self::FORBIDDEN => Text::FORBIDDEN,
            Self::TOKEN_INVALID => Text::TOKEN_INVALID,
            Self::TOKEN_EXPIRED => Text::TOKEN_EXPIRED,
            Self::GOING_AWAY => Text::GOING_AWAY,
            Self::BAD_SERVER_FRAME => Text::BAD_SERVER_FRAME,
            Self::HEARTBEAT_TIMEOUT => Text::HEARTBEAT_TIMEOUT,
            Self::WELCOME_TIMEOUT => Text::WELCOME_TIMEOUT,
            Self::REPLAY_UNANSWERED => Text::REPLAY_UNANSWERED,
            Self::OUT_OF_ORDER_OVERFLOW => Text::OUT_OF_ORDER_OVERFLOW,
            Self::PAGE_LEFT => Text::PAGE_LEFT,
            Self::RECEIPT_TIMEOUT => Text::RECEIPT_TIMEOUT,
            Self::MOVED => Text::GOING_AWAY,
            Self::SUBSCRIBE_UNANSWERED => Text::SUBSCRIBE_UNANSWERED,
            Self(4452) => Text::HELLO_TIMEOUT,
            Self(4454) => Text::SLOW_CONSUMER,
            Self(4455) => Text::OVERLOADED,
            Self(4456) => Text::INTERNAL,
            Self(4404..=4449 | 4401) => Text::REFUSED,
            Self(_) => Text::CONNECTION_LOST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_refusing_range_of_ours_stops_the_client() {
        // PROTOCOL: CLS-1, CLS-2
        for code in 1000..5000 {
            let refuses = (4400..=4449).contains(&code) && !matches!(code, 4400 | 4402);
            assert_eq!(CloseCode(code).is_retryable(), !refuses, "{code}");
        }
    }
}
