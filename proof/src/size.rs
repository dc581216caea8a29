//! What a page loads: printed beside other clients, held to a budget, and checked for code that must not be in it.

mod module;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use xtask::build::{self, Std, Variant};
use xtask::context::Context;
use xtask::run::step;
use xtask::setup::{self, Needs};

/// kB of gzip -9 that a page loads for the smallest useful import of other clients, bundled and minified.
///
/// Measured once when the design was made and kept as constants, as nothing here depends on those packages. They tell the
/// order of size, not a race: none of them does the same job.
const PEERS: [(&str, f64); 12] = [
    ("partysocket", 2.8),
    ("graphql-ws", 3.4),
    ("phoenix", 7.7),
    ("socket.io-client", 13.1),
    ("SignalR", 14.3),
    ("supabase realtime", 16.9),
    ("centrifuge", 19.6),
    ("convex", 21.2),
    ("ably, modular", 37.0),
    ("nats-core", 42.9),
    ("ably", 57.9),
    ("AG-UI client", 97.8),
];

/// kB of gzip that every byte may have which a page fetches that connects, receives, sends, is cut once and resumes: the default
/// entry and its module, because such a page meets no error and loads nothing else.
const MUST_KB: f64 = 44.0;
/// The same, as it should be.
const AIM_KB: f64 = 36.0;

/// How much more than what was measured a new budget allows, in percent.
const SLACK_PERCENT: u64 = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Sets the budget to 5 % above what is measured now.
    #[arg(long)]
    set_budget: bool,
    /// Which std goes into the module; each has a budget of its own.
    #[arg(long, value_enum, default_value_t = Std::Auto)]
    std: Std,
}

/// The size of one thing, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Weight {
    raw: u64,
    gzip: u64,
    brotli: u64,
    #[serde(default, skip_serializing)]
    files: u64,
}

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self {
            raw: self.raw + other.raw,
            gzip: self.gzip + other.gzip,
            brotli: self.brotli + other.brotli,
            files: self.files + other.files,
        }
    }
}

/// What `weigh.mjs` answers.
#[derive(Debug, Deserialize)]
struct Weights {
    wasm: Weight,
    js: Weight,
    modules: Weight,
    inline: Weight,
    /// What `agentwire/persist` adds to the default entry.
    persist: Weight,
    /// What `agentwire/conversation` adds to the default entry.
    conversation: Weight,
    /// What `agentwire/react` adds to both, without React.
    react: Weight,
    /// The same of `agentwire/vue`.
    vue: Weight,
    /// The same of `agentwire/svelte`.
    svelte: Weight,
    /// Minified bytes of each module in the default entry, the largest first.
    parts: Vec<(String, u64)>,
}

/// Bytes of gzip -9 that each entry may have, by the std inside the module.
type Budget = BTreeMap<String, Entries>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entries {
    wasm_gzip: u64,
    default_gzip: u64,
    inline_gzip: u64,
    persist_gzip: u64,
    conversation_gzip: u64,
    react_gzip: u64,
    vue_gzip: u64,
    svelte_gzip: u64,
}

/// What the check came to, for the summary of a test run.
pub(crate) struct SizeReport {
    pub(crate) summary: String,
    pub(crate) failures: Vec<String>,
}

pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    setup::ensure(ctx, &Needs { size: true, ..Needs::build() })?;
    let report = check(ctx, args.std, args.set_budget)?;
    if !report.failures.is_empty() {
        bail!("{}", report.failures.join("\n       "));
    }
    println!("size: {}, within the budget, and nothing in it that must not be", report.summary);
    Ok(())
}

/// Measures, prints and checks. The set-up is the caller's.
pub(crate) fn check(ctx: &Context, std: Std, set_budget: bool) -> Result<SizeReport> {
    let std = build::package(ctx, Variant::Default, std)?;
    let weights =
        step("weighing what a page loads (bundled and minified by esbuild, a tool of xtask's own)", || {
            let outcome = ctx
                .tool("node", "size-weigh")
                .arg(ctx.root.join("proof/size/weigh.mjs"))
                .arg(ctx.pkg())
                .check("the package can't be weighed")?;
            serde_json::from_str::<Weights>(&outcome.output)
                .context("weigh.mjs answered something else than weights")
        })?;
    let both = weights.wasm.plus(weights.js);
    let now = Entries {
        wasm_gzip: weights.wasm.gzip,
        default_gzip: both.gzip,
        inline_gzip: weights.inline.gzip,
        persist_gzip: weights.persist.gzip,
        conversation_gzip: weights.conversation.gzip,
        react_gzip: weights.react.gzip,
        vue_gzip: weights.vue.gzip,
        svelte_gzip: weights.svelte.gzip,
    };
    print_table(&weights, both, &std);
    let shipped = ctx.pkg().join("wasm/agentwire_bg.wasm");
    let bytes = fs::read(&shipped).with_context(|| format!("{} can't be read", shipped.display()))?;
    print_parts(&weights, &module::sections(&bytes)?);
    let verdict = judge(kb(both.gzip));
    println!(
        "  every byte of a page that connects, receives, sends, is cut and resumes: {:.1} kB gzip, must {MUST_KB}, aim {AIM_KB}: {verdict}",
        kb(both.gzip)
    );
    println!("  size: {} of 1 targets met\n", u8::from(verdict != "missed"));

    let mut failures = Vec::new();
    for (file, is_shipped) in
        [(build::unstripped(ctx), false), (ctx.pkg().join("wasm/agentwire_bg.wasm"), true)]
    {
        let bytes = fs::read(&file).with_context(|| format!("{} can't be read", file.display()))?;
        let found = module::inspect(&bytes).with_context(|| format!("{} is no module", file.display()))?;
        failures.extend(
            found.forbidden(is_shipped).into_iter().map(|found| format!("{}: {found}", file.display())),
        );
    }

    let file = budget_file(ctx);
    let mut budget = read_budget(ctx)?;
    if set_budget {
        budget.insert(std.clone(), now.with_slack());
        let text = serde_json::to_string_pretty(&budget)?.replace("  ", "\t") + "\n";
        fs::write(&file, text).with_context(|| format!("{} can't be written", file.display()))?;
        println!("  {} allows {SLACK_PERCENT} % more than this now", file.display());
    }
    match budget.get(&std) {
        Some(allowed) => failures.extend(now.over(allowed)),
        None => failures.push(format!(
            "{} has no budget for a module with {std} std; set one with `cargo xtask size --std {std} --set-budget`",
            file.display()
        )),
    }
    let summary = format!("{:.1} kB gzip with {std} std", kb(both.gzip));
    Ok(SizeReport { summary, failures })
}

impl Entries {
    fn list(self) -> [(&'static str, u64); 8] {
        [
            ("the module", self.wasm_gzip),
            ("the default entry", self.default_gzip),
            ("the inline entry", self.inline_gzip),
            ("what agentwire/persist adds", self.persist_gzip),
            ("what agentwire/conversation adds", self.conversation_gzip),
            ("what agentwire/react adds to that", self.react_gzip),
            ("what agentwire/vue adds to that", self.vue_gzip),
            ("what agentwire/svelte adds to that", self.svelte_gzip),
        ]
    }

    fn with_slack(self) -> Self {
        let more = |bytes: u64| bytes + (bytes * SLACK_PERCENT).div_ceil(100);
        Self {
            wasm_gzip: more(self.wasm_gzip),
            default_gzip: more(self.default_gzip),
            inline_gzip: more(self.inline_gzip),
            persist_gzip: more(self.persist_gzip),
            conversation_gzip: more(self.conversation_gzip),
            react_gzip: more(self.react_gzip),
            vue_gzip: more(self.vue_gzip),
            svelte_gzip: more(self.svelte_gzip),
        }
    }

    /// What is larger than `allowed`, in words.
    fn over(self, allowed: &Self) -> Vec<String> {
        let pairs = self.list().into_iter().zip(allowed.list());
        pairs
            .filter(|((_, now), (_, allowed))| now > allowed)
            .map(|((what, now), (_, allowed))| {
                format!(
                    "{what} is {now} B of gzip, {} B over its budget of {allowed}; make it smaller, or justify it and run \
                     `cargo xtask size --set-budget` with the same `--std`",
                    now - allowed
                )
            })
            .collect()
    }
}

fn budget_file(ctx: &Context) -> PathBuf {
    ctx.root.join("proof/size/budget.json")
}

fn read_budget(ctx: &Context) -> Result<Budget> {
    let file = budget_file(ctx);
    match fs::read(&file) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("{} can't be understood", file.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Budget::new()),
        Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
    }
}

fn print_table(weights: &Weights, both: Weight, std: &str) {
    let modules = format!("glue and facade, {} modules as published", weights.modules.files);
    let rows = [
        (format!("module ({std} std)"), weights.wasm),
        ("glue and facade, bundled".to_owned(), weights.js),
        ("agentwire, bundled".to_owned(), both),
        ("agentwire/inline, bundled".to_owned(), weights.inline),
        ("+ persist, bundled".to_owned(), weights.persist),
        ("+ conversation, bundled".to_owned(), weights.conversation),
        ("+ conversation + react, what that adds".to_owned(), weights.react),
        ("+ conversation + vue, what that adds".to_owned(), weights.vue),
        ("+ conversation + svelte, what that adds".to_owned(), weights.svelte),
        (modules, weights.modules),
    ];
    println!("\n  {:<44} {:>10} {:>10} {:>10}", "bytes", "raw", "gzip -9", "brotli 11");
    for (label, weight) in rows {
        println!("  {label:<44} {:>10} {:>10} {:>10}", weight.raw, weight.gzip, weight.brotli);
    }
    println!("\n  {:<44} {:>10}", "beside other clients (smallest import)", "kB gzip");
    let mut all: Vec<(String, f64)> = PEERS.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
    all.push(("agentwire  <".to_owned(), kb(both.gzip)));
    all.push(("agentwire/inline  <".to_owned(), kb(weights.inline.gzip)));
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    for (name, size) in all {
        println!("  {name:<44} {size:>10.1}");
    }
    println!();
}

/// What the default entry consists of: JavaScript by module, the wasm by section.
fn print_parts(weights: &Weights, sections: &[(String, u64)]) {
    const SHOWN: usize = 12;
    println!("  {:<44} {:>10}", "the largest parts of the default entry", "bytes");
    for (name, bytes) in weights.parts.iter().take(SHOWN) {
        println!("  {name:<44} {bytes:>10}");
    }
    let rest: u64 = weights.parts.iter().skip(SHOWN).map(|(_, bytes)| bytes).sum();
    let count = weights.parts.len().saturating_sub(SHOWN);
    println!("  {:<44} {rest:>10}", format!("{count} more modules"));
    for (name, bytes) in sections {
        println!("  {:<44} {bytes:>10}", format!("module, {name}"));
    }
    println!();
}

/// Says what the size is worth.
fn judge(kilobytes: f64) -> &'static str {
    if kilobytes <= AIM_KB {
        "aim"
    } else if kilobytes <= MUST_KB {
        "must"
    } else {
        "missed"
    }
}

/// Bytes as thousands, for a table that people read.
#[allow(clippy::cast_precision_loss, reason = "sizes of files are far below 2^53")]
fn kb(bytes: u64) -> f64 {
    bytes as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: Entries = Entries {
        wasm_gzip: 1000,
        default_gzip: 2001,
        inline_gzip: 3000,
        persist_gzip: 500,
        conversation_gzip: 800,
        react_gzip: 260,
        vue_gzip: 220,
        svelte_gzip: 180,
    };

    #[test]
    fn a_new_budget_allows_five_percent_more() {
        let budget = ENTRIES.with_slack();
        assert_eq!(
            budget,
            Entries {
                wasm_gzip: 1050,
                default_gzip: 2102,
                inline_gzip: 3150,
                persist_gzip: 525,
                conversation_gzip: 840,
                react_gzip: 273,
                vue_gzip: 231,
                svelte_gzip: 189,
            }
        );
        assert!(ENTRIES.over(&budget).is_empty());
    }

    #[test]
    fn each_entry_over_its_budget_is_named() {
        let now = Entries { wasm_gzip: 1001, inline_gzip: 9000, ..ENTRIES };
        let over = now.over(&ENTRIES);
        assert_eq!(over.len(), 2);
        assert!(
            over[0].starts_with("the module is 1001 B of gzip, 1 B over its budget of 1000;"),
            "{}",
            over[0]
        );
        assert!(over[1].starts_with("the inline entry is 9000 B"), "{}", over[1]);
    }

    #[test]
    fn the_answer_of_the_scale_is_read() {
        let weights: Weights = serde_json::from_str(
            r#"{"wasm":{"raw":3,"gzip":2,"brotli":1,"files":1},"js":{"raw":30,"gzip":20,"brotli":10,"files":1},
                "modules":{"raw":60,"gzip":50,"brotli":40,"files":9},"inline":{"raw":90,"gzip":80,"brotli":70,"files":1},
                "persist":{"raw":9,"gzip":8,"brotli":7,"files":0},
                "conversation":{"raw":9,"gzip":8,"brotli":7,"files":0},
                "react":{"raw":9,"gzip":8,"brotli":7,"files":0},"vue":{"raw":9,"gzip":8,"brotli":7,"files":0},
                "svelte":{"raw":9,"gzip":8,"brotli":7,"files":0},"parts":[["a.js",30]]}"#,
        )
        .unwrap();
        assert_eq!(weights.wasm.plus(weights.js), Weight { raw: 33, gzip: 22, brotli: 11, files: 2 });
    }

    #[test]
    fn a_size_is_worth_what_the_targets_say() {
        assert_eq!([36.0, 36.1, 44.0, 44.1].map(judge), ["aim", "must", "must", "missed"]);
    }
}
