//! The section `[limits]`: every limit of the bridge, with its unit in its name.

use std::time::Duration;

use agentwire_bridge::Limits;
use serde::Deserialize;

use super::problem::Problem;

/// Writes the section from one table, so that no limit is missing: the literal of [`Limits`] below names all of its fields.
macro_rules! limits {
    ($($key:ident: $kind:ident = $field:ident,)*) => {
        /// What differs from the defaults of the bridge, and the limit of the HTTP API.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[expect(missing_docs, reason = "the fields of `Limits` have the docs")]
        pub struct LimitsSection {
            $(pub $key: Option<u64>,)*
            /// Bytes of the largest body of the HTTP API.
            pub max_body_bytes: Option<u64>,
        }

        impl LimitsSection {
            /// The keys of this section, without `max_body_bytes`, and the limits that they set.
            pub const KEYS: &[(&'static str, &'static str)] =
                &[$((stringify!($key), stringify!($field)),)*];

            /// The limits of the bridge.
            pub fn limits(&self) -> Limits {
                let default = Limits::default();
                Limits { $($field: limits!(@$kind self.$key, default.$field),)* }
            }

            /// Every key of the bridge's limits with the value that is used; `None` is worked out from others.
            pub fn values(&self) -> Vec<(&'static str, Option<u64>)> {
                let limits = self.limits();
                vec![$((stringify!($key), limits!(@number $kind limits.$field)),)*]
            }

            /// Sets a key back to its default; says whether it was set.
            fn forget(&mut self, key: &str) -> bool {
                match key {
                    $(stringify!($key) => self.$key.take().is_some(),)*
                    _ => false,
                }
            }
        }
    };
    (@count $value:expr, $default:expr) => {
        $value.map_or($default, |value| usize::try_from(value).unwrap_or(usize::MAX))
    };
    (@time $value:expr, $default:expr) => { $value.map_or($default, Duration::from_millis) };
    (@number count $value:expr) => { u64::try_from($value).ok() };
    (@number time $value:expr) => { u64::try_from($value.as_millis()).ok() };
    (@number optional_time $value:expr) => {
        $value.and_then(|value| u64::try_from(value.as_millis()).ok())
    };
    (@optional_time $value:expr, $default:expr) => { $value.map(Duration::from_millis).or($default) };
}

limits! {
    max_connections: count = max_connections,
    max_connections_per_user: count = max_connections_per_user,
    max_opening: count = max_opening,
    max_requests: count = max_requests,
    max_connections_per_address: count = max_connections_per_address,
    header_timeout_ms: time = header_timeout,
    body_timeout_ms: time = body_timeout,
    max_streams: count = max_streams,
    max_frame_bytes: count = max_frame_bytes,
    page_bytes: count = page_bytes,
    page_events: count = page_events,
    live_batch_ms: time = live_batch,
    heartbeat_ms: time = heartbeat,
    backoff_max_ms: optional_time = backoff_max,
    idle_timeout_ms: optional_time = idle_timeout,
    hello_timeout_ms: time = hello_timeout,
    auth_timeout_ms: time = auth_timeout,
    log_timeout_ms: time = log_timeout,
    max_buffered_bytes: count = max_buffered_bytes,
    max_buffered_bytes_per_user: count = max_buffered_bytes_per_user,
    max_buffered_bytes_in_total: count = max_buffered_bytes_in_total,
    write_timeout_ms: time = write_timeout,
    send_horizon_ms: time = send_horizon,
    max_bytes_per_second: count = max_bytes_per_second,
    max_frames_per_second: count = max_frames_per_second,
    max_large_bytes_in_total: count = max_large_bytes_in_total,
    max_sends_per_minute: count = max_sends_per_minute,
    max_waiting_messages: count = max_waiting_messages,
    max_pending_sends: count = max_pending_sends,
    max_answer_bytes: count = max_answer_bytes,
    new_streams_per_hour: count = new_streams_per_hour,
    signal_expiry_ms: time = signal_expiry,
    max_concurrent_turns: count = max_concurrent_turns,
    max_concurrent_turns_per_user: count = max_concurrent_turns_per_user,
    cache_events: count = cache_events,
    cache_bytes: count = cache_bytes,
    cache_bytes_in_total: count = cache_bytes_in_total,
    http_page_events: count = http_page_events,
    goaway_reconnect_after_ms: time = goaway_reconnect_after,
    goaway_spread_ms: time = goaway_spread,
    shutdown_timeout_ms: time = shutdown_timeout,
}

impl LimitsSection {
    /// Bytes of the largest body of the HTTP API. 1,024 to 64 MiB, defaults to 1 MiB.
    pub fn max_body_bytes(&self) -> usize {
        self.max_body_bytes.map_or(1 << 20, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Every limit that is outside its range.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        // The bridge names the first one that is wrong: it is set aside, and the rest is checked again.
        let mut rest = self.clone();
        while let Err(error) = rest.limits().check() {
            let text = error.to_string();
            let name = text.strip_prefix("limit ").and_then(|text| text.split_once(" is "));
            let key = name
                .and_then(|(name, _)| Self::KEYS.iter().find(|(_, field)| *field == name))
                .map(|(key, _)| *key);
            let Some(key) = key.filter(|key| rest.forget(key)) else {
                problems.push(Problem::new("limits", text));
                return;
            };
            let what = text.split_once(" is ").map_or("", |(_, what)| what);
            problems.push(Problem::new(format!("limits.{key}"), format!("is {what}")));
        }
        if !(1_024..=64 << 20).contains(&self.max_body_bytes()) {
            let message = format!("is {} bytes; it must be 1024 to {}", self.max_body_bytes(), 64 << 20);
            problems.push(Problem::new("limits.max_body_bytes", message));
        }
    }
}
