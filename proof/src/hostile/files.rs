//! Files of a log that are damaged before the server starts, or that belong to somebody else.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use rusqlite::Connection;

use super::attack::{Attack, Lift, Stage};
use super::second::{EVENTS, STREAM};
use super::stand::Order;

/// Starts with a flipped byte, spread over the file.
const FLIPS: u64 = 20;

const OPENING: &str = "what is checked when a log is opened";

pub(super) fn attacks() -> Vec<Attack> {
    let refusing = |attack: Attack| attack.held(OPENING, "{}", Lift::Option("open"));
    vec![
        refusing(
            Attack::new("file-header", "overwrites the header of the log's file", |stage| {
                Box::pin(async move {
                    let order = stage.past("header", false).await?;
                    write_at(&order.log(), 0, &[0x5a; 100])?;
                    says(&order, &["database", "log.sqlite"])
                })
            })
            .quick(),
        ),
        refusing(Attack::new("file-of-text", "puts a text in the place of the log", |stage| {
            Box::pin(async move {
                let order = empty(&stage, "text")?;
                fs::write(order.log(), "This is no database, but a text of some length.\n".repeat(100))?;
                says(&order, &["not an SQLite database"])
            })
        })),
        refusing(Attack::new(
            "file-of-another",
            "puts the database of another program in the place of the log",
            |stage| {
                Box::pin(async move {
                    let order = empty(&stage, "another")?;
                    Connection::open(order.log())?
                        .execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (1);")?;
                    says(&order, &["another program"])
                })
            },
        )),
        refusing(Attack::new("file-newer", "gives the log the schema of a newer version", |stage| {
            Box::pin(async move {
                let order = stage.past("newer", false).await?;
                Connection::open(order.log())?.execute_batch("PRAGMA user_version = 99")?;
                says(&order, &["newer version"])
            })
        })),
        Attack::new(
            "file-flips",
            "flips a byte of the file, at 20 places, and starts the server each time",
            |stage| Box::pin(async move { flips(&stage).await }),
        )
        .held(
            "checksums; an error at the start, a gap, or nothing at all",
            "{}",
            Lift::Option("offsets"),
        ),
        Attack::new(
            "file-truncated",
            "cuts the file in the middle, at its last page and inside a page",
            |stage| {
                Box::pin(async move {
                    let past = stage.past("whole", false).await?;
                    let length = fs::metadata(past.log())?.len();
                    for (number, length) in
                        [length / 2, length - 4_096, length - 1_000, 4_096, 1_000].into_iter().enumerate()
                    {
                        let order = copy(&stage, &past, &format!("cut-{number}"))?;
                        fs::File::options().write(true).open(order.log())?.set_len(length)?;
                        start_and_read(&stage, &order)
                            .await
                            .with_context(|| format!("cut to {length} bytes"))?;
                    }
                    Ok(())
                })
            },
        )
        .held(
            "an error at the start, a gap, or an answer that the log cannot be read",
            "{}",
            Lift::Option("open"),
        ),
        Attack::new(
            "wal-damaged",
            "cuts and garbles the write-ahead log of a server that was killed",
            |stage| Box::pin(async move { wal(&stage).await }),
        )
        .held("checksums of the write-ahead log", "{}", Lift::Option("offsets")),
        Attack::new(
            "second-server",
            "starts a second server on the log: by its path, a symbolic and a hard link",
            |stage| Box::pin(async move { second_server(&stage) }),
        )
        .held("a lock on the file itself", "{}", Lift::Option("open"))
        .quick(),
        Attack::new("file-modes", "looks whether others may read the log", |stage| {
            Box::pin(async move { modes(&stage) })
        })
        .held("private modes of files and folder", "{}", Lift::Option("modes"))
        .quick(),
    ]
}

/// A second server with an empty folder.
fn empty(stage: &Stage, name: &str) -> Result<Order> {
    let order = stage.second(name)?;
    fs::create_dir_all(folder(&order)).context("a folder can't be made")?;
    Ok(order)
}

fn folder(order: &Order) -> PathBuf {
    order.log().parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The log of a past, copied with all its files.
fn copy(stage: &Stage, past: &Order, name: &str) -> Result<Order> {
    let order = empty(stage, name)?;
    for file in fs::read_dir(folder(past))? {
        let file = file?;
        fs::copy(file.path(), folder(&order).join(file.file_name()))?;
    }
    Ok(order)
}

fn write_at(path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    let file = fs::File::options()
        .write(true)
        .open(path)
        .with_context(|| format!("{} is not there", path.display()))?;
    Ok(file.write_all_at(bytes, offset)?)
}

/// Requires that the server does not start, and says why with these words.
fn says(order: &Order, words: &[&str]) -> Result<()> {
    let Err(error) = order.start() else { bail!("the server starts") };
    let text = format!("{error:#}");
    ensure!(!text.contains("did not listen within"), "the server hangs: {text}");
    let missing = words.iter().find(|word| !text.contains(*word));
    ensure!(missing.is_none(), "its message lacks {missing:?}: {text}");
    Ok(())
}

/// Requires that the server says why it does not start, or that it says nothing wrong.
async fn start_and_read(stage: &Stage, order: &Order) -> Result<()> {
    let stand = match order.start() {
        Ok(stand) => stand,
        Err(error) => {
            let text = format!("{error:#}");
            ensure!(text.contains("log.sqlite"), "it does not start, and does not say why: {text}");
            return Ok(());
        }
    };
    let second = stage.at(&stand);
    for stream in [STREAM, "healthy"] {
        let read = second.says_no_wrong(stream).await?;
        // Less than everything is allowed only if it is said: by a gap, or by an error.
        let contents = second.contents(stream).await?;
        let head = contents.keys().last().copied().unwrap_or(0);
        ensure!(
            read > 0
                || head > 0
                || second.get("/healthz", "nobody").await?.status == 503
                || second.is_refused(stream).await?,
            "the server serves an empty stream in place of {stream}"
        );
    }
    let slips = stand.slips();
    ensure!(slips.is_empty(), "{}", slips.join(", "));
    Ok(())
}

impl Stage {
    /// Whether reading a stream is answered with an error and not with nothing.
    async fn is_refused(&self, stream: &str) -> Result<bool> {
        Ok(self.get(&format!("/v1/threads/{stream}/events"), super::second::USER).await?.status == 503)
    }
}

async fn flips(stage: &Stage) -> Result<()> {
    let past = stage.past("flips", false).await?;
    let length = fs::metadata(past.log())?.len();
    for flip in 0..FLIPS {
        let order = copy(stage, &past, &format!("flip-{flip}"))?;
        // Not the same place of each page.
        let offset = (length * flip / FLIPS + flip * 131) % length;
        let byte = fs::read(order.log())?.get(offset as usize).copied().unwrap_or(0);
        write_at(&order.log(), offset, &[byte ^ 0x20])?;
        start_and_read(stage, &order).await.with_context(|| format!("byte {offset} of {length}"))?;
        fs::remove_dir_all(&order.folder)?;
    }
    Ok(())
}

async fn wal(stage: &Stage) -> Result<()> {
    let past = stage.past("killed", true).await?;
    let name = |order: &Order| {
        let mut path = order.log().into_os_string();
        path.push("-wal");
        PathBuf::from(path)
    };
    let length = fs::metadata(name(&past)).context("there is no write-ahead log")?.len();
    for (number, keep) in [length, length / 2, length - 100, 40, 0].into_iter().enumerate() {
        let order = copy(stage, &past, &format!("wal-{number}"))?;
        fs::File::options().write(true).open(name(&order))?.set_len(keep)?;
        if number == 1 && keep > 8_192 {
            write_at(&name(&order), keep - 8_192, &[0x5a; 64])?;
        }
        let stand = match order.start() {
            Ok(stand) => stand,
            Err(error) => {
                let text = format!("{error:#}");
                ensure!(text.contains("log.sqlite"), "it does not start, and does not say why: {text}");
                continue;
            }
        };
        let read = stage.at(&stand).says_no_wrong(STREAM).await?;
        ensure!(keep < length || read == EVENTS as usize, "only {read} events survive a kill");
    }
    Ok(())
}

fn second_server(stage: &Stage) -> Result<()> {
    let log = stage.order.log();
    for (name, link) in [("symbolic", true), ("hard", false)] {
        let order = empty(stage, name)?;
        if link {
            symlink(&log, order.log())?
        } else {
            fs::hard_link(&log, order.log())?
        }
        says(&order, &["in use"]).with_context(|| format!("by a {name} link"))?;
    }
    // The folder of the running server itself.
    says(&stage.order, &["in use"]).context("by its path")
}

fn modes(stage: &Stage) -> Result<()> {
    let folder = folder(&stage.order);
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        ensure!(mode & 0o077 == 0, "{} has the mode {mode:o}", path.display());
    }
    Ok(())
}
