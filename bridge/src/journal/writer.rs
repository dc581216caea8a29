//! The writer of one stream: one record after the other, until nothing is queued.

use std::sync::Arc;

use tokio::time::Instant;

use super::queued::Queued;
use super::store::Store;
use super::stream::{State, Stream};

use crate::clock::now_ms;
use crate::ledger::Ledger;
use crate::ledger::draft::{Draft, Outcome};
use crate::log::{Append, LogError, Record};
use crate::measures;

/// Records that are read at once when a stream is loaded.
const LOAD_RECORDS: usize = 512;

/// How often a stream is loaded again because others wrote meanwhile. What is missed after that is noticed when
/// something is written.
const MAX_LOADS: usize = 8;

/// How often in a row others may be first to write, until the writers get an error and have to try again.
const MAX_STALE: usize = 64;

/// Writes what is queued for a stream.
pub(super) async fn run(store: Arc<Store>, stream: Arc<Stream>) {
    loop {
        let batch = stream.next_batch();
        if batch.is_empty() {
            return;
        }
        let written = write(&store, &stream, &batch).await;
        match written {
            Ok(outcomes) => {
                for (queued, outcome) in batch.into_iter().zip(outcomes) {
                    queued.answer(Ok(outcome));
                }
            }
            Err(error) => {
                tracing::warn!(stream = %stream.key, %error, "a record was not written");
                for queued in batch {
                    queued.answer(Err(error.clone()));
                }
            }
        }
        keep_snapshot(&store, &stream).await;
    }
}

/// Puts a batch into one record and waits until it is durable.
async fn write(store: &Store, stream: &Stream, batch: &[Queued]) -> Result<Vec<Outcome>, LogError> {
    let _change = stream.changes.lock().await;
    let mut stale = 0;
    while stale < MAX_STALE {
        let decide = |state: &State| {
            let mut draft = Draft::new(&state.ledger, &state.head, now_ms()).after_refused(stream.refused());
            let outcomes: Vec<_> = batch.iter().map(|queued| draft.add(&queued.append)).collect();
            let refused = draft.take_refused();
            (outcomes, refused, draft.finish())
        };
        let Some((outcomes, refused, record)) = stream.look(decide) else {
            load(store, stream).await?;
            continue;
        };
        let Some(record) = record.map(Arc::new) else {
            stream.note_refused(refused);
            return Ok(outcomes);
        };
        stream.give(&record);
        let begun = Instant::now();
        let appended = store.within(store.log.append(&stream.key, record.seq - 1, Arc::clone(&record))).await;
        match appended {
            Ok(Append::Appended) => {
                measures::committed(record.events.len(), begun.elapsed());
                stream.note_refused(refused);
                settle(store, stream, record);
                return Ok(outcomes);
            }
            Ok(Append::Stale { seq }) => {
                tracing::debug!(stream = %stream.key, seq, "another record came first");
                stale += 1;
                stream.forget();
            }
            Err(error) => {
                measures::commit_failed();
                // It may be there, or come later.
                stream.forget();
                return Err(error);
            }
        }
    }
    Err(LogError::Unavailable("other processes were always first to write".to_owned()))
}

/// Folds a durable record, unless the observer did, and calls the follower.
fn settle(store: &Store, stream: &Stream, record: Arc<Record>) {
    stream.on_commit(&crate::log::Change::Appended(Arc::clone(&record)), store.horizon);
    store.follow_given(stream, &record);
}

async fn keep_snapshot(store: &Store, stream: &Stream) {
    let Some(snapshot) = stream.look(State::due_snapshot).flatten() else { return };
    let seq = snapshot.seq;
    match store.within(store.log.put_snapshot(&stream.key, snapshot)).await {
        Ok(()) => stream.snapshot_kept(seq),
        Err(error) => tracing::warn!(stream = %stream.key, %error, "a snapshot was not kept"),
    }
}

/// Reads from the log what its records have come to.
pub(super) async fn load(store: &Store, stream: &Stream) -> Result<(), LogError> {
    for _ in 0..MAX_LOADS {
        let missed = stream.missed();
        let state = read(store, stream).await?;
        if stream.install(state, missed) {
            return Ok(());
        }
    }
    let missed = stream.missed();
    let state = read(store, stream).await?;
    stream.install(state, missed);
    Ok(())
}

async fn read(store: &Store, stream: &Stream) -> Result<State, LogError> {
    let (log, key) = (&store.log, &stream.key);
    let mut head = store.within(log.head(key)).await?;
    let snapshot = match head.seq {
        0 => None,
        _ => store.within(log.snapshot(key)).await?,
    };
    let (mut ledger, mut seq, mut offset) = match &snapshot {
        None => (Ledger::default(), 0, 0),
        Some(snapshot) => {
            let ledger = serde_json::from_str(&snapshot.ledger).map_err(|error| {
                LogError::Unavailable(format!("the snapshot of {key} cannot be read: {error}"))
            })?;
            (ledger, snapshot.seq, snapshot.offset)
        }
    };
    let snapshot_seq = seq;
    while seq < head.seq {
        let records = store.within(log.records(key, seq, LOAD_RECORDS)).await?;
        if records.first().is_none_or(|record| record.seq != seq + 1) {
            return Err(LogError::Unavailable(format!("record {} of {key} is missing", seq + 1)));
        }
        for record in records {
            ledger.apply(&record, store.horizon);
            (seq, offset) = (record.seq, record.head());
        }
    }
    (head.seq, head.offset) = (seq, offset);
    Ok(State { head, ledger, snapshot_seq })
}
