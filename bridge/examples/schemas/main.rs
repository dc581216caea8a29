//! Measures what a commit of records costs in SQLite, by the schema of the tables. Linux only: the kernel says how long
//! the thread ran, and how many bytes it wrote.
//!
//! `cargo run --release -p agentwire-bridge --example schemas -- FOLDER [ROUNDS]`

use std::error::Error;
use std::fs::read_to_string;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use self::schema::{Schema, group};

mod schema;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

type Group = (usize, usize, usize);

const STREAMS: usize = 256;

/// The files take turns this often in a round: what disturbs one disturbs all.
const PARTS: usize = 25;

/// Records that are there before anything is measured.
const BEFORE: usize = 100_000;

/// Records of a commit, how many streams they are of, and commits per round.
const GROUPS: [Group; 4] = [(1, 1, 750), (8, 8, 800), (64, 64, 250), (64, 8, 250)];

/// The present one is measured twice. All ratios are to the first one.
const SCHEMAS: [(&str, Schema); 5] = [
    ("row per record, index (present)", Schema::Records),
    ("the same again (A/A)", Schema::Records),
    ("row per event, heads (former)", Schema::Events),
    ("row per commit, places", Schema::Commits),
    ("row per record, clustered", Schema::Clustered),
];

/// µs that this thread ran, in the kernel as well, µs that went by, and bytes that it wrote.
fn spent(start: Instant) -> Result<[f64; 3]> {
    // The kernel counts a thread when it stops to run.
    std::thread::sleep(Duration::from_micros(50));
    let (ran, io) = (read_to_string("/proc/thread-self/schedstat")?, read_to_string("/proc/thread-self/io")?);
    let ran: f64 = ran.split(' ').next().ok_or("no time")?.parse()?;
    let wrote = io.lines().find_map(|line| line.strip_prefix("wchar: ")).ok_or("no count of bytes")?;
    Ok([ran / 1_000.0, start.elapsed().as_secs_f64() * 1e6, wrote.parse()?])
}

/// A file of one schema, and what it has cost: per record written µs of CPU, µs and bytes; µs of CPU per record read;
/// bytes kept per record.
struct Run {
    schema: Schema,
    connection: Connection,
    seqs: Vec<u64>,
    cost: [f64; 5],
    folder: tempfile::TempDir,
}

impl Run {
    fn new(folder: &str, schema: Schema, (records, streams, _): Group) -> Result<Self> {
        let folder = tempfile::tempdir_in(folder)?;
        let mut connection = Connection::open(folder.path().join("log"))?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(&schema.tables())?;
        let mut seqs = vec![0; STREAMS];
        let transaction = connection.transaction()?;
        for number in 0..BEFORE / records {
            schema.write(&transaction, &group(&mut seqs, number, records, streams), streams)?;
        }
        transaction.commit()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(Self { schema, connection, seqs, cost: [0.0; 5], folder })
    }

    /// Makes a part of the commits.
    fn write(&mut self, part: usize, (records, streams, commits): Group, start: Instant) -> Result<()> {
        let numbers = part * commits / PARTS..(part + 1) * commits / PARTS;
        let groups: Vec<_> = numbers.map(|number| group(&mut self.seqs, number, records, streams)).collect();
        let before = spent(start)?;
        for group in &groups {
            let transaction = self.connection.transaction()?;
            self.schema.write(&transaction, group, streams)?;
            transaction.commit()?;
        }
        for (index, after) in spent(start)?.into_iter().enumerate() {
            self.cost[index] += (after - before[index]) / (records * commits) as f64;
        }
        Ok(())
    }

    /// Reads some streams, and looks how large the file is.
    fn end(mut self, start: Instant) -> Result<[f64; 5]> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        let before = spent(start)?;
        for stream in 0..STREAMS / 4 {
            std::hint::black_box(self.schema.read(&self.connection, stream)?);
        }
        let seen = self.seqs[..STREAMS / 4].iter().sum::<u64>() as f64;
        self.cost[3] = (spent(start)?[0] - before[0]) / seen;
        let size = std::fs::metadata(self.folder.path().join("log"))?.len();
        self.cost[4] = size as f64 / self.seqs.iter().sum::<u64>() as f64;
        Ok(self.cost)
    }
}

/// The one in the middle, the least and the most.
fn median(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[values.len() / 2], values[0], values[values.len() - 1]]
}

#[expect(clippy::print_stdout, reason = "the result is what the example is for")]
fn main() -> Result<()> {
    let (mut args, start) = (std::env::args().skip(1), Instant::now());
    let folder = args.next().ok_or("name a folder on the disk of a log")?;
    let rounds: usize = args.next().map_or(Ok(5), |rounds| rounds.parse())?;
    for of in GROUPS {
        let mut costs = vec![Vec::new(); SCHEMAS.len()];
        for _ in 0..rounds {
            let runs = SCHEMAS.iter().map(|(_, schema)| Run::new(&folder, *schema, of));
            let mut runs = runs.collect::<Result<Vec<_>>>()?;
            for (part, turn) in (0..PARTS).flat_map(|part| (0..SCHEMAS.len()).map(move |turn| (part, turn))) {
                runs[(part + turn) % SCHEMAS.len()].write(part, of, start)?;
            }
            for (run, costs) in runs.into_iter().zip(&mut costs) {
                costs.push(run.end(start)?);
            }
        }
        println!("\n{} records of {} streams per commit, {rounds} rounds\n", of.0, of.1);
        println!(
            "| schema | CPU, µs | × | µs | B written | CPU of a read, µs | B kept |\n|---|---|---|---|---|---|---|"
        );
        for ((name, _), own) in SCHEMAS.iter().zip(&costs) {
            let [cpu, wall, wrote, read, kept] =
                [0, 1, 2, 3, 4].map(|at| median(own.iter().map(|cost| cost[at]))[0]);
            let [ratio, least, most] = median(own.iter().zip(&costs[0]).map(|(own, base)| own[0] / base[0]));
            let ratio = format!("{ratio:.2} [{least:.2} to {most:.2}]");
            println!("| {name} | {cpu:.1} | {ratio} | {wall:.0} | {wrote:.0} | {read:.2} | {kept:.0} |");
        }
    }
    Ok(())
}
