//! Sends of one stream stay in their order when the log fails for a moment (SND-4, SND-9).
//!
//! A send that was rejected for now is owed: it has to come again before anything that was sent after it is applied.
//! What the log was given meanwhile is held back there, by [`Append::after`](crate::Append).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// The order of the sends of one socket, per stream.
#[derive(Default)]
pub(super) struct Order {
    lanes: HashMap<Arc<str>, Lane>,
    next: u64,
}

/// The sends of one stream, by the order in which they first came.
#[derive(Default)]
struct Lane {
    under_way: BTreeMap<u64, Arc<str>>,
    owed: BTreeMap<u64, Owed>,
}

struct Owed {
    id: Arc<str>,
    since: Instant,
}

/// Where a send stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: Arc<str>,
    number: u64,
    pub(super) id: Arc<str>,
    /// The send before it, while it is not known whether that one is in the log.
    pub(super) after: Option<Arc<str>>,
}

/// An earlier send of the stream has to come first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooEarly;

impl Order {
    /// Gives a send its place. One that was owed gets the place it had.
    ///
    /// After `horizon` a page does not send again what it owes (SND-5), so that nothing waits for it any more.
    pub(super) fn enter(
        &mut self,
        stream: &str,
        id: &Arc<str>,
        horizon: Duration,
    ) -> Result<Place, TooEarly> {
        let stream = Arc::<str>::from(stream);
        let lane = self.lanes.entry(Arc::clone(&stream)).or_default();
        lane.owed.retain(|_, owed| owed.since.elapsed() <= horizon);
        let number = match lane.owed.first_entry() {
            Some(first) if first.get().id == *id => first.remove_entry().0,
            Some(_) => {
                if !lane.has(id) {
                    lane.owed.insert(self.next, Owed { id: Arc::clone(id), since: Instant::now() });
                    self.next += 1;
                }
                return Err(TooEarly);
            }
            None => {
                self.next += 1;
                self.next - 1
            }
        };
        let after = lane.under_way.range(..number).next_back().map(|(_, id)| Arc::clone(id));
        lane.under_way.insert(number, Arc::clone(id));
        Ok(Place { stream, number, id: Arc::clone(id), after })
    }

    /// Ends what [`enter`](Self::enter) began: with an answer, or owed when the page is to send it again.
    pub(super) fn leave(&mut self, place: &Place, is_owed: bool) {
        let Some(lane) = self.lanes.get_mut(&place.stream) else { return };
        lane.under_way.remove(&place.number);
        if !is_owed {
            // Also by another copy, if this one was answered.
            lane.owed.retain(|_, owed| owed.id != place.id);
        } else if !lane.has(&place.id) {
            lane.owed.insert(place.number, Owed { id: Arc::clone(&place.id), since: Instant::now() });
        }
        if lane.under_way.is_empty() && lane.owed.is_empty() {
            self.lanes.remove(&place.stream);
        }
    }

    /// How many sends have to come again.
    pub(super) fn owed(&self) -> usize {
        self.lanes.values().map(|lane| lane.owed.len()).sum()
    }
}

impl Lane {
    fn has(&self, id: &Arc<str>) -> bool {
        self.owed.values().any(|owed| owed.id == *id) || self.under_way.values().any(|one| one == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn enter(order: &mut Order, id: &str) -> Result<Place, TooEarly> {
        order.enter("t", &id.into(), DAY)
    }

    fn after(place: &Place) -> Option<&str> {
        place.after.as_deref()
    }

    // PROTOCOL: SND-4, SND-9
    #[test]
    fn what_follows_a_rejected_send_waits_until_it_came_again() {
        let mut order = Order::default();
        let s1 = enter(&mut order, "s1").unwrap();
        let s2 = enter(&mut order, "s2").unwrap();
        assert_eq!((after(&s1), after(&s2)), (None, Some("s1")));
        order.leave(&s1, true);
        assert_eq!(enter(&mut order, "s3"), Err(TooEarly));
        assert!(order.enter("u", &"other".into(), DAY).is_ok());
        order.leave(&s2, true);
        // In the first order, and no other.
        assert_eq!(enter(&mut order, "s2"), Err(TooEarly));
        let s1 = enter(&mut order, "s1").unwrap();
        assert_eq!(enter(&mut order, "s3"), Err(TooEarly));
        let s2 = enter(&mut order, "s2").unwrap();
        let s3 = enter(&mut order, "s3").unwrap();
        assert_eq!((after(&s1), after(&s2), after(&s3)), (None, Some("s1"), Some("s2")));
        assert_eq!(order.owed(), 0);
        for place in [s1, s2, s3] {
            order.leave(&place, false);
        }
        assert_eq!(after(&enter(&mut order, "s4").unwrap()), None);
    }

    // PROTOCOL: SND-4
    #[test]
    fn a_send_that_comes_again_does_not_wait_for_what_follows_it() {
        let mut order = Order::default();
        let s1 = enter(&mut order, "s1").unwrap();
        let s2 = enter(&mut order, "s2").unwrap();
        order.leave(&s1, true);
        // The answer to s2 is not known yet.
        let s1 = enter(&mut order, "s1").unwrap();
        let s3 = enter(&mut order, "s3").unwrap();
        assert_eq!((after(&s1), after(&s3)), (None, Some("s2")));
        order.leave(&s2, true);
        order.leave(&s1, false);
        order.leave(&s3, true);
        assert_eq!(enter(&mut order, "s3"), Err(TooEarly));
        assert!(enter(&mut order, "s2").is_ok());
        assert!(enter(&mut order, "s3").is_ok());
    }

    #[test]
    fn copies_are_owed_once_and_nothing_is_owed_for_ever() {
        let mut order = Order::default();
        let one = enter(&mut order, "s1").unwrap();
        let copy = enter(&mut order, "s1").unwrap();
        order.leave(&one, true);
        order.leave(&copy, true);
        assert_eq!(order.owed(), 1);
        let again = enter(&mut order, "s1").unwrap();
        order.leave(&again, false);
        assert!(order.lanes.is_empty());
        let lost = enter(&mut order, "s1").unwrap();
        order.leave(&lost, true);
        assert_eq!(enter(&mut order, "s2"), Err(TooEarly));
        // Past the horizon the page has given both up.
        while order.lanes["t"].owed.values().any(|owed| owed.since.elapsed() == Duration::ZERO) {}
        assert!(order.enter("t", &"s3".into(), Duration::ZERO).is_ok());
    }
}
