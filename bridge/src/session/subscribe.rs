//! Where a subscription begins (SUB-3 to SUB-9).

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::subscription::{Start, Subscription};
use super::{End, Session};
use crate::auth::{Access, Refusal};
use crate::context::Context;
use crate::hub::{Watch, Watching};
use crate::journal::StreamState;
use crate::log::{Head, LogError};
use crate::measures;
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
}

impl Resume {
    fn of(head: &Head, request: &StreamRequest) -> Self {
        let opened = match request.open {
            Open::Start => head.oldest,
            Open::Live => head.offset + 1,
            Open::Last(n) => head.oldest.max((head.offset + 1).saturating_sub(n)),
        };
        // For a page that knows another epoch: what was written in this one is new to it in any case.
        let owed = match request.open {
            Open::Start => head.oldest,
            Open::Live | Open::Last(_) => head.oldest.max(head.base + 1),
        };
        let (next, reason) = match &request.position {
            None if request.open == Open::Start && head.oldest > 1 => (opened, Some("trimmed")),
            None => (opened, None),
            Some((epoch, _)) if *epoch != *head.epoch => (owed, Some("epoch")),
            // Nothing proves that the log ever had it: this page starts over, and no other notices.
            Some((_, offset)) if request.seen.unwrap_or(*offset) > head.offset => {
                (head.oldest, Some("ahead"))
            }
            Some((_, offset)) if offset + 1 < head.oldest => (head.oldest, Some("trimmed")),
            Some((_, offset)) => (offset + 1, None),
        };
        Self { next, reason }
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
        let (context, subject) = (Arc::clone(&self.context), Arc::clone(&self.subject));
        let check = |request: StreamRequest| {
            let (context, subject) = (Arc::clone(&context), Arc::clone(&subject));
            async move {
                let right = Right::of(&context, &subject, &request.name).await;
                (request, right)
            }
        };
        let mut requests = requests.into_iter();
        let (max, mut refused) = (self.context.limits.max_streams, 0);
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
                    self.refuse(&request, reason)?;
                }
            }
        }
        for request in requests {
            self.refuse(&request, "too_many_streams")?;
        }
        Ok(())
    }

    /// Says that a request is answered with no subscription. A frame can name tens of thousands of streams.
    fn refuse(&mut self, request: &StreamRequest, reason: &'static str) -> Result<(), End> {
        let frame = ServerFrame::Unsubscribed { ch: None, name: &request.name, reason };
        self.control.push_back(frame.encode());
        if self.control.bytes() > self.context.limits.max_buffered_bytes {
            let message = "more answers wait for this socket than it may have".to_owned();
            return Err(End::overloaded(message, "Reconnect, and ask for fewer streams at once."));
        }
        Ok(())
    }

    /// Subscribes to one stream, or says why not.
    async fn subscribe_one(
        &mut self,
        request: &StreamRequest,
        mut right: Right,
    ) -> Result<Option<&'static str>, End> {
        let hub = &self.context.hub;
        let mut watched: Option<(StreamKey, Watch)> = None;
        let (key, watch) = loop {
            let key = match right.key {
                Ok(key) => key,
                Err(refusal) => return Ok(Some(reason_of(refusal))),
            };
            if let Some((_, watch)) = watched.take_if(|(of, _)| *of == key) {
                // Withdrawn before the second check, it was refused there; after it, the watch was notified.
                if let Some(reason) = watch.ended() {
                    return Ok(Some(reason));
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
            let watch = match hub.watch(&key, watching).await {
                Ok(watch) => watch,
                Err(error) => return Ok(Some(unavailable(&error))),
            };
            if right.revocations == hub.revocations() {
                break (key, watch);
            }
            // It may have been withdrawn since it was checked, with no watch yet that could have been notified. Others
            // are withdrawn all the time: with the watch in place, a second check is enough.
            watched = Some((key, watch));
            right = Right::of(&self.context, &self.subject, &request.name).await;
        };
        let state = match current_state(&self.context, &key, request).await {
            Ok(state) => state,
            Err(error) => return Ok(Some(unavailable(&error))),
        };
        let (head, resume) = (&state.head, Resume::of(&state.head, request));
        if resume.reason == Some("ahead") {
            tracing::info!(session = self.name, stream = %key, head = head.offset,
                "a page claims more than the log has, without a seal: it starts over");
        }
        let ch = self.next_ch;
        self.next_ch += 1;
        let subscribed = ServerFrame::Subscribed {
            ch,
            name: &request.name,
            epoch: &head.epoch,
            base: (head.base > 0).then_some(head.base),
            oldest: head.oldest,
            head: head.offset,
            next: resume.next,
            recovered: resume.reason.is_none(),
            reason: resume.reason,
        };
        self.control.push_back(subscribed.encode());
        measures::subscribed((head.offset + 1).saturating_sub(resume.next), resume.reason.is_none());
        self.subscriptions.push(Subscription::new(Start {
            ch,
            name: request.name.clone(),
            key,
            watch,
            epoch_number: head.epoch_number,
            head: head.offset,
            next: resume.next,
            open_runs: (state.open_runs.len() <= MAX_OPEN_RUNS).then_some(state.open_runs),
            reads_deltas: self.reads_deltas,
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
            let (context, subject, name) =
                (Arc::clone(&self.context), Arc::clone(&self.subject), one.name.clone());
            async move { (ch, key, context.gate.open(&subject, &name, Access::Read).await) }
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

    /// Ends the subscriptions whose rights were withdrawn, or whose streams were deleted.
    pub(super) fn end_revoked(&mut self) {
        let ended = |stream: &Subscription| stream.ended().map(|reason| (stream.ch, reason));
        while let Some((ch, reason)) = self.subscriptions.iter().find_map(ended) {
            self.end_subscription(ch, reason);
        }
    }
}

/// Where the stream stands. A seal above its head proves that the log went back: the epoch ends, once the log itself
/// was asked again (SUB-6).
async fn current_state(
    context: &Context,
    key: &StreamKey,
    request: &StreamRequest,
) -> Result<StreamState, LogError> {
    let journal = &context.journal;
    let state = journal.state(key).await?;
    let is_ahead = |head: &Head| {
        let seal = request.seal.as_deref();
        let of_epoch = request.position.as_ref().is_some_and(|(epoch, _)| *epoch == *head.epoch);
        let proven =
            seal.filter(|_| of_epoch).and_then(|seal| context.seals.proven_head(key, &head.epoch, seal));
        proven.is_some_and(|proven| proven > head.offset)
    };
    if !is_ahead(&state.head) {
        return Ok(state);
    }
    let state = journal.read_state_again(key).await?;
    if !is_ahead(&state.head) {
        return Ok(state);
    }
    tracing::warn!(stream = %key, head = state.head.offset,
        "a seal is above the head: the log went back, so the stream gets a new epoch");
    journal.new_epoch(key, &state.head.epoch).await?;
    journal.read_state_again(key).await
}

/// What a user may read, and when that was found out.
struct Right {
    key: Result<StreamKey, Refusal>,
    revocations: u64,
}

impl Right {
    async fn of(context: &Context, subject: &str, name: &str) -> Self {
        let revocations = context.hub.revocations();
        Self { key: context.gate.open(subject, name, Access::Read).await, revocations }
    }
}

/// The reason of an `unsubscribed` (SUB-11).
fn reason_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownStream => "unknown_stream",
        Refusal::Forbidden => "forbidden",
        Refusal::Unavailable => UNAVAILABLE,
    }
}

/// The reason of an `unsubscribed` after which the page asks again.
const UNAVAILABLE: &str = "unavailable";

fn unavailable(error: &LogError) -> &'static str {
    tracing::warn!(%error, "a subscription is refused for now: the log does not answer");
    UNAVAILABLE
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
        let head = Head { epoch: "e1".into(), epoch_number: 1, base, oldest, offset: head, seq: 1 };
        let position = position.map(|(epoch, offset)| (epoch.to_owned(), offset));
        let resume =
            Resume::of(&head, &StreamRequest { name: "s".to_owned(), position, seen, seal: None, open });
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
