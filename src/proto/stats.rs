//! What a client has counted.

/// Makes [`Stats`], and its figures as a list: across the border to JavaScript they go by their place in it.
macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// Counters of one client since it was made. They only grow, except those that say "now".
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl Stats {
            /// The names of the counters, in the order of [`values`](Self::values).
            pub const NAMES: [&'static str; [$(stringify!($name)),+].len()] = [$(stringify!($name)),+];

            /// The counters, in the order of the names.
            pub const fn values(&self) -> [u64; Self::NAMES.len()] {
                [$(self.$name),+]
            }
        }
    };
}

counters! {
    /// Attempts to connect.
    attempts,
    /// Welcomes.
    connects,
    /// Frames that came on the socket in use.
    frames_received,
    /// Frames of an unknown type, or of a stream that is not subscribed (GEN-3, SUB-12).
    frames_ignored,
    /// Malformed or contradictory frames (GEN-4).
    malformed_frames,
    /// Events delivered, counted per consumer.
    events_delivered,
    /// Events delivered that were replays, counted per consumer.
    events_replayed,
    /// Events that came again and were dropped.
    duplicates_dropped,
    /// Frames that came before what precedes them.
    out_of_order,
    /// `replay` requests sent.
    replay_requests,
    /// Gaps that the server declared.
    gaps,
    /// `ack` frames sent.
    acks_sent,
    /// Inputs of a socket that is no longer in use.
    stale_events,
    /// Early frames that wait, now.
    parked_frames,
    /// Sends without a receipt, now.
    sends_pending,
    /// Milliseconds that the server took to answer a hello or a ping last, now.
    round_trip_ms,
}

#[cfg(test)]
mod tests {
    use super::Stats;

    #[test]
    fn the_package_has_the_same_counters_in_the_same_order() {
        let text = include_str!("../../pkg/src/core/counters.ts");
        let list = text.split("COUNTERS").nth(1).and_then(|text| text.split(['[', ']']).nth(3));
        let list = list.expect("a list of names");
        let names: Vec<String> = list.split('"').skip(1).step_by(2).map(snake_case).collect();
        assert_eq!(names, Stats::NAMES);
    }

    fn snake_case(name: &str) -> String {
        name.chars().fold(String::new(), |mut text, letter| {
            if letter.is_ascii_uppercase() {
                text.push('_');
            }
            text.push(letter.to_ascii_lowercase());
            text
        })
    }
}
