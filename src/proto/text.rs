//! Texts as numbers. The core compares names, epochs, ids and reasons, and passes them on; it never looks inside one.
//!
//! In the browser the package keeps the texts, and only their numbers enter wasm. Natively, and with the feature `json`, this file
//! keeps them, for each thread, so that they can be written and read as texts.

/// A text that the core knows by its number. Equal texts have equal numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(all(target_arch = "wasm32", not(feature = "json")), derive(Debug))]
pub struct Text(pub u32);

/// Texts that the core itself gives or asks for: the first numbers, in the order of their names.
macro_rules! words {
    ($($name:ident = $text:literal,)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the places of the constants below")]
        enum Place { $($name),+ }

        #[allow(missing_docs, reason = "each is the text it stands for")]
        impl Text {
            $(pub const $name: Self = Self(Place::$name as u32);)+

            /// The texts of the first numbers.
            pub const WORDS: &'static [&'static str] = &[$($text),+];
        }
    };
}

words! {
    ACCEPTED = "accepted",
    AHEAD = "ahead",
    ALREADY_CLAIMED = "already_claimed",
    ALREADY_FINISHED = "already_finished",
    ALREADY_RESOLVED = "already_resolved",
    BAD_FRAME = "bad_frame",
    BAD_SERVER_FRAME = "bad_server_frame",
    CANCELLED = "cancelled",
    CLOSED = "closed",
    CLOSED_BY_SERVER = "closed_by_server",
    CONNECT = "connect",
    CONNECTION_LOST = "connection_lost",
    EPOCH = "epoch",
    FORBIDDEN = "forbidden",
    FRAME_TOO_LARGE = "frame_too_large",
    GOING_AWAY = "going_away",
    HEARTBEAT_TIMEOUT = "heartbeat_timeout",
    HELLO_TIMEOUT = "hello_timeout",
    INTERNAL = "internal",
    MESSAGE_TOO_LARGE = "message_too_large",
    OFFLINE = "offline",
    ONLINE = "online",
    OUTBOX_FULL = "outbox_full",
    OUTCOME_UNKNOWN = "outcome_unknown",
    OUT_OF_ORDER_OVERFLOW = "out_of_order_overflow",
    OVERLOADED = "overloaded",
    PAGE_BACK = "page_back",
    PAGE_LEFT = "page_left",
    RECEIPT_TIMEOUT = "receipt_timeout",
    REFUSED = "refused",
    REJECTED = "rejected",
    RECONNECT = "reconnect",
    REPLAY_UNANSWERED = "replay_unanswered",
    RETRY = "retry",
    RUN_OVER = "run_over",
    SILENT = "silent",
    SLOW = "slow",
    SLOW_CONSUMER = "slow_consumer",
    SEND_HELD = "send_held",
    SOCKET_REFUSED = "socket_refused",
    SUBJECT_CHANGED = "subject_changed",
    SUBPROTOCOL = "agentwire.v1",
    SUBSCRIBE_UNANSWERED = "subscribe_unanswered",
    TOKEN_EXPIRED = "token_expired",
    TOKEN_FAILED = "token_failed",
    TOKEN_INVALID = "token_invalid",
    TOKEN_REJECTED = "token_rejected",
    TOKEN_TIMEOUT = "token_timeout",
    TRIMMED = "trimmed",
    UNANSWERED = "unanswered",
    UNAVAILABLE = "unavailable",
    UNKNOWN_APPROVAL = "unknown_approval",
    UNKNOWN_RUN = "unknown_run",
    UNKNOWN_SEND = "unknown_send",
    UNSUPPORTED_PROTOCOL = "unsupported_protocol",
    WAKE = "wake",
    WELCOME = "welcome",
    WELCOME_TIMEOUT = "welcome_timeout",
    WITHDRAWN = "withdrawn",
}

#[cfg(any(not(target_arch = "wasm32"), feature = "json"))]
mod native {
    use std::{cell::RefCell, collections::HashMap, fmt, rc::Rc};

    use super::Text;

    /// The texts of one thread, by number.
    struct Texts {
        numbers: HashMap<Rc<str>, u32>,
        texts: Vec<Rc<str>>,
    }

    thread_local! {
        static TEXTS: RefCell<Texts> = RefCell::new(Texts::new());
    }

    impl Texts {
        fn new() -> Self {
            let mut texts = Self { numbers: HashMap::new(), texts: Vec::new() };
            for word in Text::WORDS {
                texts.number(word);
            }
            texts
        }

        fn number(&mut self, text: &str) -> u32 {
            if let Some(&number) = self.numbers.get(text) {
                return number;
            }
            let (number, text) = (self.texts.len() as u32, Rc::<str>::from(text));
            self.numbers.insert(Rc::clone(&text), number);
            self.texts.push(text);
            number
        }
    }

    impl Text {
        /// Returns the text.
        pub fn as_rc(self) -> Rc<str> {
            TEXTS.with_borrow(|texts| Rc::clone(&texts.texts[self.0 as usize]))
        }

        /// Forgets every text of this thread but the words of the core. No [`Text`] that was made before may be used again.
        pub fn forget_all() {
            TEXTS.set(Texts::new());
        }
    }

    impl From<&str> for Text {
        fn from(text: &str) -> Self {
            Self(TEXTS.with_borrow_mut(|texts| texts.number(text)))
        }
    }

    impl From<String> for Text {
        fn from(text: String) -> Self {
            text.as_str().into()
        }
    }

    impl From<&String> for Text {
        fn from(text: &String) -> Self {
            text.as_str().into()
        }
    }

    impl From<Text> for String {
        fn from(text: Text) -> Self {
            text.as_rc().as_ref().into()
        }
    }

    impl fmt::Display for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.pad(&self.as_rc())
        }
    }

    impl fmt::Debug for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Debug::fmt(&*self.as_rc(), f)
        }
    }

    impl PartialEq<str> for Text {
        fn eq(&self, other: &str) -> bool {
            *self.as_rc() == *other
        }
    }

    impl PartialEq<&str> for Text {
        fn eq(&self, other: &&str) -> bool {
            *self == **other
        }
    }

    impl PartialEq<String> for Text {
        fn eq(&self, other: &String) -> bool {
            *self == **other
        }
    }

    impl PartialEq<Text> for String {
        fn eq(&self, other: &Text) -> bool {
            other == self
        }
    }

    impl PartialEq<Text> for str {
        fn eq(&self, other: &Text) -> bool {
            other == self
        }
    }

    impl PartialEq<Text> for &str {
        fn eq(&self, other: &Text) -> bool {
            other == *self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn words_have_their_numbers_and_other_texts_the_next() {
        assert_eq!(Text::from("trimmed"), Text::TRIMMED);
        assert_eq!(Text::WELCOME_TIMEOUT.to_string(), "welcome_timeout");
        let name = Text::from("thread-42");
        assert_eq!(name, Text::from("thread-42".to_owned()));
        assert!(name.0 as usize >= Text::WORDS.len());
        assert_eq!(name, "thread-42");
    }
}
