//! Where a subscription begins (SUB-3 to SUB-9).

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::subscription::{Start, Subscription};
use super::{End, Session};
use crate::auth::{Access, Refusal};
use crate::bridge::Inner;
use crate::hub::{Watch, Watching};
use crate::log::StreamState;
use crate::stream::StreamKey;
use crate::wire::encode::ServerFrame;
use crate::wire::{Malformed, Open, StreamRequest};

/// Requests of one frame whose rights are checked at once: a slow authorizer holds up a socket once and not for each.
const CHECKS: usize = 64;

/// Open runs that a `caughtUp` names at the most (SUB-10). With more it names none: a run that a list leaves out counts
/// as lost (RUN-3).
const MAX_OPEN_RUNS: usize = 1_000;

/// Where a stream continues for a page, and what was lost.
#[derive(Debug, PartialEq, Eq)]
struct Resume {
    next: u64,
    /// `None` when nothing was lost.
    reason: Option<&'static str>,
    /// The position is one that the log does not have: it needs a new epoch first.
    is_ahead: bool,
}

impl Resume {
    fn of(state: &StreamState, request: &StreamRequest) -> Self {
        let opened = match request.open {
            Open::Start => state.oldest,
            Open::Live => state.head + 1,
            Open::Last(n) => state.oldest.max((state.head + 1).saturating_sub(n)),
        };
        // For a page that knows another epoch: what was written in this one is new to it in any case.
        let owed = match request.open {
            Open::Start => state.oldest,
            Open::Live | Open::Last(_) => state.oldest.max(state.base + 1),
        };
        let (next, reason) = match &request.position {
            None if request.open == Open::Start && state.oldest > 1 => (opened, Some("trimmed")),
            None => (opened, None),
            Some((epoch, _)) if *epoch != *state.epoch => (owed, Some("epoch")),
            Some((_, offset)) if request.seen.unwrap_or(*offset) > state.head => (owed, Some("ahead")),
            Some((_, offset)) if offset + 1 < state.oldest => (state.oldest, Some("trimmed")),
            Some((_, offset)) => (offset + 1, None),
        };
        Self { next, reason, is_ahead: reason == Some("ahead") }
    }
}

impl Session {
    /// Answers each request in order. Nothing is applied when one names a stream that is subscribed (SUB-2).
    pub(super) async fn subscribe(&mut self, requests: Vec<StreamRequest>) -> Result<(), End> {
        let is_subscribed =
            |request: &StreamRequest| self.subscriptions.iter().any(|one| one.name == request.name);
        if requests.iter().any(is_subscribed) {
            return Err(Malformed::Contradiction("a stream is subscribed on this socket already").into());
        }
        let (inner, subject) = (Arc::clone(&self.inner), Arc::clone(&self.subject));
        let check = |request: StreamRequest| {
            let (inner, subject) = (Arc::clone(&inner), Arc::clone(&subject));
            async move {
                let right = Right::of(&inner, &subject, &request.name).await;
                (request, right)
            }
        };
        let mut requests = requests.into_iter();
        let (max, mut refused) = (self.inner.limits.max_streams, 0);
        loop {
            // As many as can come to something: a frame can name tens of thousands, and each check may be a request.
            let room = CHECKS.min(max - self.subscriptions.len()).min(max - refused);
            let some: Vec<_> = requests.by_ref().take(room).collect();
            if some.is_empty() {
                break;
            }
            let mut checked = stream::iter(some.into_iter().map(&check)).buffered(CHECKS);
            while let Some((request, right)) = checked.next().await {
                if let Some(reason) = self.subscribe_one(&request, right).await? {
                    refused += 1;
                    self.refuse(&request, reason);
                }
            }
        }
        for request in requests {
            self.refuse(&request, "too_many_streams");
        }
        Ok(())
    }

    /// Says that a request is answered with no subscription.
    fn refuse(&mut self, request: &StreamRequest, reason: &'static str) {
        let frame = ServerFrame::Unsubscribed { ch: None, name: &request.name, reason };
        self.control.push_back(frame.encode());
    }

    /// Subscribes to one stream, or says why not.
    async fn subscribe_one(
        &mut self,
        request: &StreamRequest,
        mut right: Right,
    ) -> Result<Option<&'static str>, End> {
        let store = &self.inner.store;
        let mut watched: Option<(StreamKey, Watch)> = None;
        let (key, watch) = loop {
            let key = match right.key {
                Ok(key) => key,
                // No reason of `unsubscribed` says that it is worth asking again (SUB-11); a new connection does.
                Err(Refusal::Unavailable) => return Err(End::rights_unknown()),
                Err(refusal) => return Ok(Some(reason_of(refusal))),
            };
            if let Some((_, watch)) = watched.take_if(|(of, _)| *of == key) {
                // Withdrawn before the second check, it was refused there; after it, the watch was notified.
                if watch.is_revoked() {
                    return Ok(Some("forbidden"));
                }
                break (key, watch);
            }
            // Watched before the state is read, so that no commit falls between the two.
            let watching = Watching {
                session: self.id,
                user: &self.subject,
                wake: &self.wake,
                signals: &self.signal_sender,
            };
            let watch = store.watch(&key, watching).await?;
            if right.revocations == store.revocations() {
                break (key, watch);
            }
            // It may have been withdrawn since it was checked, with no watch yet that could have been notified. Others
            // are withdrawn all the time: with the watch in place, a second check is enough.
            watched = Some((key, watch));
            right = Right::of(&self.inner, &self.subject, &request.name).await;
        };
        let mut state = store.state(&key).await?;
        let mut resume = Resume::of(&state, request);
        if resume.is_ahead && state.begun_here {
            // The epoch has lost nothing, so nobody has seen more of it: a claim must not end it for everybody.
            let claim = "a `position` or `seen` is above every offset that its epoch ever had";
            return Err(Malformed::Contradiction(claim).into());
        }
        if resume.is_ahead {
            tracing::warn!(session = self.name, stream = %key, head = state.head,
                "a page is ahead of the log: the log went back, so it gets a new epoch");
            state = store.log().new_epoch(&key, &state.epoch).await?;
            resume.next = Resume::of(&state, request).next;
        }
        let ch = self.next_ch;
        self.next_ch += 1;
        let subscribed = ServerFrame::Subscribed {
            ch,
            name: &request.name,
            epoch: &state.epoch,
            base: (state.base > 0).then_some(state.base),
            oldest: state.oldest,
            head: state.head,
            next: resume.next,
            recovered: resume.reason.is_none(),
            reason: resume.reason,
        };
        self.control.push_back(subscribed.encode());
        self.subscriptions.push(Subscription::new(Start {
            ch,
            name: request.name.clone(),
            key,
            watch,
            epoch_number: state.epoch_number,
            head: state.head,
            next: resume.next,
            open_runs: (state.open_runs.len() <= MAX_OPEN_RUNS).then_some(state.open_runs),
            window: self.window,
        }));
        Ok(None)
    }

    /// Checks the rights to every subscription again: the reason to end it for each one that has none any more.
    ///
    /// Says also whether all of them could be checked.
    pub(super) fn check_rights(
        &self,
    ) -> impl Future<Output = (Vec<(u32, &'static str)>, bool)> + Send + use<> {
        let check = |one: &Subscription| {
            let (ch, key) = (one.ch, one.key.clone());
            let (inner, subject, name) =
                (Arc::clone(&self.inner), Arc::clone(&self.subject), one.name.clone());
            async move { (ch, key, inner.authorize(&subject, &name, Access::Read).await) }
        };
        let checks: Vec<_> = self.subscriptions.iter().map(check).collect();
        async move {
            let mut checked = stream::iter(checks).buffered(CHECKS);
            let (mut ended, mut is_complete) = (Vec::new(), true);
            while let Some((ch, key, right)) = checked.next().await {
                match right {
                    Ok(now) if now == key => {}
                    // The name stands for another stream now.
                    Ok(_) => ended.push((ch, "forbidden")),
                    Err(Refusal::Unavailable) => is_complete = false,
                    Err(refusal) => ended.push((ch, reason_of(refusal))),
                }
            }
            (ended, is_complete)
        }
    }

    /// Ends a subscription that the page did not end itself (SUB-11). Nothing of the stream follows.
    pub(super) fn end_subscription(&mut self, ch: u32, reason: &'static str) {
        if let Some(at) = self.subscriptions.iter().position(|stream| stream.ch == ch) {
            let stream = self.subscriptions.remove(at);
            tracing::info!(session = self.name, stream = %stream.key, reason, "a subscription ends");
            let frame = ServerFrame::Unsubscribed { ch: Some(ch), name: &stream.name, reason };
            self.control.push_back(frame.encode());
        }
    }

    /// Ends the subscriptions that were withdrawn.
    pub(super) fn end_revoked(&mut self) {
        while let Some(revoked) = self.subscriptions.iter().find(|stream| stream.is_revoked()) {
            self.end_subscription(revoked.ch, "forbidden");
        }
    }
}

/// What a user may read, and when that was found out.
struct Right {
    key: Result<StreamKey, Refusal>,
    revocations: u64,
}

impl Right {
    async fn of(inner: &Inner, subject: &str, name: &str) -> Self {
        let revocations = inner.store.revocations();
        Self { key: inner.authorize(subject, name, Access::Read).await, revocations }
    }
}

/// The reason of an `unsubscribed` (SUB-11).
fn reason_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownStream => "unknown_stream",
        Refusal::Forbidden | Refusal::Unavailable => "forbidden",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume(
        (base, oldest, head): (u64, u64, u64),
        position: Option<(&str, u64)>,
        seen: Option<u64>,
        open: Open,
    ) -> (u64, Option<&'static str>) {
        let (epoch, open_runs) = ("e1".into(), Vec::new());
        let state = StreamState { epoch, epoch_number: 1, base, oldest, head, open_runs, begun_here: false };
        let position = position.map(|(epoch, offset)| (epoch.to_owned(), offset));
        let resume = Resume::of(&state, &StreamRequest { name: "s".to_owned(), position, seen, open });
        (resume.next, resume.reason)
    }

    // PROTOCOL: SUB-4, SUB-5, SUB-6, SUB-7, SUB-8
    #[test]
    fn positions_and_openings_follow_the_protocol() {
        use Open::{Last, Live, Start};
        for (oldest, head, position, open, expected) in [
            (1, 10, Some(("e1", 4)), Start, (5, None)),
            (1, 10, Some(("e1", 0)), Start, (1, None)),
            (1, 10, Some(("e1", 10)), Start, (11, None)),
            (5, 10, Some(("e1", 4)), Start, (5, None)),
            (5, 10, Some(("e1", 3)), Start, (5, Some("trimmed"))),
            (5, 10, Some(("e1", 0)), Live, (5, Some("trimmed"))),
            (1, 10, Some(("e1", 11)), Start, (1, Some("ahead"))),
            (1, 10, Some(("e0", 4)), Start, (1, Some("epoch"))),
            (5, 10, Some(("e0", 4)), Start, (5, Some("epoch"))),
            (1, 10, Some(("e0", 14)), Live, (1, Some("epoch"))),
            (5, 10, Some(("e0", 14)), Last(3), (5, Some("epoch"))),
            (1, 10, None, Start, (1, None)),
            (5, 10, None, Start, (5, Some("trimmed"))),
            (5, 10, None, Live, (11, None)),
            (5, 10, None, Last(3), (8, None)),
            (5, 10, None, Last(100), (5, None)),
            (1, 0, None, Start, (1, None)),
            (1, 0, None, Live, (1, None)),
            (1, 0, None, Last(5), (1, None)),
            (11, 10, None, Last(5), (11, None)),
            (11, 10, Some(("e1", 10)), Start, (11, None)),
        ] {
            assert_eq!(
                resume((0, oldest, head), position, None, open),
                expected,
                "{oldest}..{head} {position:?} {open:?}"
            );
        }
    }

    // PROTOCOL: SUB-7, SUB-8
    #[test]
    fn a_page_of_another_epoch_is_owed_what_was_written_in_this_one() {
        use Open::{Last, Live, Start};
        for (base, oldest, head, open, next) in [
            (10, 1, 14, Start, 1),
            (10, 1, 14, Live, 11),
            (10, 1, 14, Last(2), 11),
            (10, 1, 14, Last(100), 11),
            (10, 4, 14, Live, 11),
            (10, 13, 14, Start, 13),
            (10, 13, 14, Live, 13),
            (10, 15, 14, Last(1), 15),
            (10, 1, 10, Live, 11),
        ] {
            let epoch = resume((base, oldest, head), Some(("e0", 14)), None, open);
            assert_eq!(epoch, (next, Some("epoch")), "{base} {oldest}..{head} {open:?}");
        }
        // A page of this epoch, or of none, has nothing to do with where it began.
        assert_eq!(resume((10, 1, 14), Some(("e1", 4)), None, Live), (5, None));
        assert_eq!(resume((10, 1, 14), None, None, Live), (15, None));
        assert_eq!(resume((10, 1, 14), None, None, Last(2)), (13, None));
        assert_eq!(resume((10, 1, 14), None, None, Last(100)), (1, None));
    }

    // PROTOCOL: SUB-1, SUB-4, SUB-6
    #[test]
    fn what_a_part_of_the_page_has_seen_counts() {
        let seen = |epoch, seen| resume((0, 1, 10), Some((epoch, 4)), Some(seen), Open::Start);
        assert_eq!(seen("e1", 10), (5, None));
        assert_eq!(seen("e1", 11), (1, Some("ahead")));
        assert_eq!(seen("e0", 11), (1, Some("epoch")));
    }
}
