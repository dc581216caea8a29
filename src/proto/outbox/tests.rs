use super::*;

fn push(outbox: &mut Outbox, id: &str, bytes: u32, fx: &mut Effects) {
    let made = (FirstSent::default(), Instant::ZERO);
    outbox.push(SendKind::Message, (id.into(), "t".into(), None), (Slot(1), bytes), made, fx);
}

#[test]
fn a_send_is_given_up_only_when_it_is_older_than_the_horizon() {
    // PROTOCOL: SND-5
    let first = Instant::from_millis(1_000);
    let horizon = Duration::from_secs(60);
    let mut fx = Effects::default();
    let mut outbox = Outbox::new(8, 5);
    push(&mut outbox, "m1", 100, &mut fx);
    assert_eq!(outbox.flush(first, None, |_| {}), Flushed::default());
    outbox.on_link_down();
    outbox.expire((first + horizon, None), horizon, &mut fx);
    assert_eq!(outbox.len(), 1);
    outbox.expire((first + horizon + Duration::from_millis(1), None), horizon, &mut fx);
    assert_eq!(outbox.len(), 0);
}

#[test]
fn the_servers_time_decides_the_age_of_a_send_and_no_clock_of_the_page() {
    // PROTOCOL: SND-5
    let horizon = Duration::from_secs(60);
    let mut fx = Effects::default();
    let mut outbox = Outbox::new(8, 5);
    push(&mut outbox, "m1", 100, &mut fx);
    outbox.flush(Instant::from_millis(1_000), Some(1_790_000_000_000), |frame| {
        assert!(matches!(frame, ClientFrame::Keyed { first_sent_at: None, .. }));
    });
    outbox.on_link_down();
    // The user set the clock forward by a day.
    let day = Instant::from_millis(86_400_000);
    outbox.expire((day, Some(1_790_000_001_000)), horizon, &mut fx);
    assert_eq!(outbox.len(), 1);
    outbox.flush(day, Some(1_790_000_001_000), |frame| {
        let at = Some(1_790_000_000_000);
        assert!(matches!(frame, ClientFrame::Keyed { first_sent_at, .. } if first_sent_at == at));
    });
    outbox.on_link_down();
    outbox.expire((day, Some(1_790_000_060_001)), horizon, &mut fx);
    assert_eq!(outbox.len(), 0);
}

#[test]
fn a_socket_that_is_lost_while_it_is_measured_is_forgotten() {
    // PROTOCOL: SND-22
    let (mut fx, mut outbox, mut sent) = (Effects::default(), Outbox::new(8, 5), 0);
    for id in ["m1", "m2"] {
        push(&mut outbox, id, 100_000, &mut fx);
    }
    for round in 1..=2 {
        let flushed = outbox.flush(Instant::ZERO, None, |_| sent += 1);
        assert_eq!((flushed.measure, sent), (true, round), "one goes into a socket that is empty");
        let again = outbox.flush(Instant::ZERO, None, |_| sent += 1);
        assert_eq!((again.measure, sent), (false, round), "one question is open");
        outbox.on_link_down();
    }
}
