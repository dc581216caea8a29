//! One bad stream in a log of good ones.

use anyhow::{Result, ensure};
use rusqlite::Connection;

use super::attack::{Attack, Lift, Stage, send};
use super::second::{EVENTS, STREAM, USER, beside, said};

/// The records of the stream that is damaged, from the middle of it.
const MIDDLE: &str =
    "(SELECT id FROM records WHERE stream = (SELECT id FROM streams WHERE key LIKE '%/notes')
    AND count > 0 ORDER BY first LIMIT ? OFFSET 10)";

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new(
            "bad-row",
            "writes to a stream whose commands fail in the log, beside healthy ones",
            |stage| Box::pin(async move { bad_row(&stage).await }),
        )
        .held("a command that fails is taken out of its commit group", "{}", Lift::Option("groups")),
        Attack::new("hole", "reads a stream that lacks records in the middle", |stage| {
            Box::pin(async move {
                let delete = format!("DELETE FROM records WHERE id IN {MIDDLE}");
                let read = damaged(&stage, "hole", &delete, 3).await?;
                ensure!(
                    (90..EVENTS as usize).contains(&read),
                    "{read} of {EVENTS} offsets say what they should"
                );
                Ok(())
            })
        })
        .held("offsets are read and not counted; a hole is a declared gap", "{}", Lift::Option("offsets"))
        .quick(),
        Attack::new("flipped-byte", "reads a stream with a changed byte in a stored body", |stage| {
            Box::pin(async move {
                let update = "UPDATE records SET events = replace(events, 'note', 'n{te')";
                damaged(&stage, "flipped", &format!("{update} WHERE id IN {MIDDLE}"), 1).await.map(drop)
            })
        })
        .held(
            "a checksum per record; what is damaged is void or in a gap",
            "{}",
            Lift::Option("offsets"),
        ),
        Attack::new("broken-body", "reads a stream with a stored body that is no JSON any more", |stage| {
            Box::pin(async move {
                let update = "UPDATE records SET events = substr(events, 1, length(events) - 3) || '!!'";
                damaged(&stage, "broken", &format!("{update} WHERE id IN {MIDDLE}"), 1).await.map(drop)
            })
        })
        .held(
            "a checksum per record; what is damaged is void or in a gap",
            "{}",
            Lift::Option("offsets"),
        ),
        Attack::new("moved-record", "reads a stream in which a record stands at another place", |stage| {
            Box::pin(async move {
                let update = "UPDATE records SET first = first + 1";
                damaged(&stage, "moved", &format!("{update} WHERE id IN {MIDDLE}"), 1).await.map(drop)
            })
        })
        .held("a checksum per record, over its place", "{}", Lift::Option("offsets")),
    ]
}

/// Damages a log of the past, starts it again and reads it beside an honest user. Returns how many offsets of the damaged
/// stream say what they should.
async fn damaged(stage: &Stage, name: &str, statement: &str, records: usize) -> Result<usize> {
    let order = stage.past(name, false).await?;
    let changed = Connection::open(order.log())?.execute(statement, [records])?;
    ensure!(changed == records, "{changed} records were damaged instead of {records}");
    let stand = order.start()?;
    let second = stage.at(&stand);
    beside(stand.address, async {
        let read = second.says_no_wrong(STREAM).await?;
        let healthy = second.says_no_wrong("healthy").await?;
        ensure!(healthy == EVENTS as usize, "only {healthy} offsets of the healthy stream came");
        Ok(read)
    })
    .await
}

async fn bad_row(stage: &Stage) -> Result<()> {
    let order = stage.past("row", false).await?;
    // Every command of this stream fails inside its transaction, as with a row that breaks a constraint.
    Connection::open(order.log())?.execute_batch(
        "CREATE TRIGGER bad BEFORE INSERT ON records
         WHEN NEW.stream = (SELECT id FROM streams WHERE key LIKE '%/notes')
         BEGIN SELECT RAISE(ABORT, 'a row of this stream is inconsistent'); END",
    )?;
    let stand = order.start()?;
    let second = stage.at(&stand);
    beside(stand.address, async {
        // It may be refused, or ended; it must not concern anybody else.
        for round in 0..20 {
            let Ok(mut page) = second.page(USER).await else { continue };
            for n in 0..20 {
                let _ended = page.json(&send(&format!("row-{round}-{n}"), STREAM, &said(1))).await;
            }
            let _refused = page.until("receipt").await;
        }
        Ok(())
    })
    .await
}
