//! The section `[limits]`.

use agentwire_bridge::Limits;
use agentwire_server::config::{Config, Flags, LimitsSection};

use super::support::{file, least};

#[test]
fn every_limit_can_be_set() {
    let mut text = least() + "[limits]\nmax_body_bytes = 2048\n";
    for (key, _) in LimitsSection::KEYS {
        text += &format!("{key} = 5000\n");
    }
    // 5,000 is in the range of most; the others are checked elsewhere.
    let file = file(&text);
    let flags = Flags { config: Some(file.path().to_owned()), ..Flags::default() };
    let limits = Config::read(&flags, []).config.limits;
    assert_eq!(limits.max_body_bytes(), 2048);
    // Without `..`: a new limit has to be here, and in the section.
    let Limits {
        max_connections,
        max_connections_per_user,
        max_opening,
        max_requests,
        max_connections_per_address,
        header_timeout,
        body_timeout,
        max_streams,
        max_frame_bytes,
        page_bytes,
        page_events,
        live_batch,
        heartbeat,
        backoff_max,
        idle_timeout,
        hello_timeout,
        auth_timeout,
        log_timeout,
        max_buffered_bytes,
        max_buffered_bytes_per_user,
        max_buffered_bytes_in_total,
        write_timeout,
        send_horizon,
        max_bytes_per_second,
        max_frames_per_second,
        max_large_bytes_in_total,
        max_sends_per_minute,
        max_waiting_messages,
        max_pending_sends,
        max_answer_bytes,
        new_streams_per_hour,
        signal_expiry,
        max_concurrent_turns,
        max_concurrent_turns_per_user,
        cache_events,
        cache_bytes,
        cache_bytes_in_total,
        http_page_events,
        goaway_reconnect_after,
        goaway_spread,
        shutdown_timeout,
    } = limits.limits();
    let counts = [
        max_connections,
        max_connections_per_user,
        max_opening,
        max_requests,
        max_connections_per_address,
        max_streams,
        max_frame_bytes,
        page_bytes,
        page_events,
        max_buffered_bytes,
        max_buffered_bytes_per_user,
        max_buffered_bytes_in_total,
        max_bytes_per_second,
        max_frames_per_second,
        max_large_bytes_in_total,
        max_sends_per_minute,
        max_waiting_messages,
        max_pending_sends,
        max_answer_bytes,
        new_streams_per_hour,
        max_concurrent_turns,
        max_concurrent_turns_per_user,
        cache_events,
        cache_bytes,
        cache_bytes_in_total,
        http_page_events,
    ];
    let times = [
        Some(header_timeout),
        Some(body_timeout),
        Some(live_batch),
        Some(heartbeat),
        backoff_max,
        idle_timeout,
        Some(hello_timeout),
        Some(auth_timeout),
        Some(log_timeout),
        Some(write_timeout),
        Some(send_horizon),
        Some(signal_expiry),
        Some(goaway_reconnect_after),
        Some(goaway_spread),
        Some(shutdown_timeout),
    ];
    assert!(counts.iter().all(|count| *count == 5000), "{counts:?}");
    assert!(times.iter().all(|time| time.is_some_and(|time| time.as_millis() == 5000)), "{times:?}");
    assert_eq!(counts.len() + times.len(), LimitsSection::KEYS.len());
}
