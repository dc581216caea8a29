//! The other side of `pkg/test/fuzz/reader.ts`: reads each message by the core's own reader of JSON, and compares what it is with what
//! the package's reader told the core.
//!
//! A line is `{"text":…,"said":…}`. An empty line is answered with what was counted since the last one. The first difference ends it.

use std::{
    error::Error,
    io::{BufRead as _, Write as _},
    process::ExitCode,
};

use agentwire::proto::{
    Text,
    wire::{self, Malformed, NONE, ServerFrame},
};
use serde_json::{Value, json};

/// What the package's reader says of events that are not as EVT-1 or DLT-1 has them; here each field has a reason of its own.
const BAD_EVENTS: &str = "events is not what count says, or an event has no type";

/// What a message came to on both sides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused,
    /// This side's JSON can't hold it.
    Skipped,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut counted = [0_u64; 3];
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.is_empty() {
            let [accepted, refused, skipped] = std::mem::take(&mut counted);
            let mut out = std::io::stdout().lock();
            writeln!(out, "{}", json!({ "accepted": accepted, "refused": refused, "skipped": skipped }))?;
            out.flush()?;
            continue;
        }
        let case: Value = serde_json::from_str(&line)?;
        let text = case["text"].as_str().ok_or("a case without a text")?;
        match compare(text, &case["said"]) {
            Ok(outcome) => counted[outcome as usize] += 1,
            Err(difference) => {
                eprintln!("different: {difference}\n  message: {text}\n  the package: {}", case["said"]);
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The order of the heads has no meaning, and JavaScript has one of its own for them.
fn sorted(mut frame: ServerFrame) -> ServerFrame {
    if let ServerFrame::Heartbeat { heads, seals } = &mut frame {
        heads.sort_unstable();
        seals.sort_unstable();
    }
    frame
}

fn compare(text: &str, said: &Value) -> Result<Outcome, String> {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Ok(if said["bad"].is_string() { Outcome::Refused } else { Outcome::Skipped });
    };
    // Both sides number texts in the order in which they meet them: here, those of the package first.
    Text::forget_all();
    for text in said["texts"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _number = Text::from(text);
    }
    let own = wire::decode(&value).map(sorted);
    if let Some(why) = said["bad"].as_str() {
        return match own {
            Err(Malformed::Field(error)) => {
                let own = Malformed::Field(error).to_string();
                // That it is no object has a reason of its own there.
                // And of several wrong heads, each side meets another one first.
                let of = |name: &str| own.starts_with(name) && why.starts_with(name);
                let are_heads = of("heads ") || of("seals ");
                let is_same = own == why || why == BAD_EVENTS || are_heads || !value.is_object();
                if is_same { Ok(Outcome::Refused) } else { Err(format!("refused, but because {own}")) }
            }
            Err(Malformed::Contradiction(_)) if why == BAD_EVENTS => Ok(Outcome::Refused),
            other => Err(format!("not refused: {other:?}")),
        };
    }
    let theirs = if let Some(events) = said["events"].as_array() {
        let number = |place: usize| events.get(place).and_then(Value::as_f64).unwrap_or(NONE);
        Ok(ServerFrame::Events { ch: number(0) as u32, first: number(1) as u64, count: number(2) as u32 })
    } else {
        let kind = said["kind"].as_u64().ok_or("no kind")? as u32;
        let mut numbers = said["numbers"].as_array().ok_or("no numbers")?.iter().filter_map(Value::as_f64);
        // The core takes the numbers that it needs; others may follow.
        wire::from_numbers(kind, || numbers.next().unwrap_or(NONE))
            .map(sorted)
            .map_err(Malformed::Contradiction)
    };
    if own == theirs {
        Ok(if own.is_ok() { Outcome::Accepted } else { Outcome::Refused })
    } else {
        Err(format!("{own:?} here, {theirs:?} there"))
    }
}
