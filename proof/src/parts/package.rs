//! The tarball as npm would publish it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use xtask::context::Context;
use xtask::test::counts::Counts;
use xtask::test::report::Report;

/// What must be in the tarball; npm leaves a folder out when an ignore file in it says so.
const NEEDED: [&str; 15] = [
    "package.json",
    "README.md",
    "dist/index.js",
    "dist/index.d.ts",
    "dist/inline.js",
    "dist/inline.d.ts",
    "dist/conversation.js",
    "dist/conversation/derived.js",
    "dist/conversation/stalls.js",
    "dist/typing.js",
    "dist/persist.js",
    "dist/persist.d.ts",
    "wasm/agentwire.js",
    "wasm/agentwire_bg.wasm",
    "wasm/inline.js",
];

/// What has no place in it.
const UNWANTED: [&str; 4] = ["src/", "test/", "node_modules/", ".test/"];

/// A tarball that `npm pack --json` made.
#[derive(Debug, Deserialize)]
struct Packed {
    filename: String,
    version: String,
    size: u64,
    files: Vec<PackedFile>,
}

#[derive(Debug, Deserialize)]
struct PackedFile {
    path: String,
}

/// Packs the package and holds the tarball to what its users' tools expect.
pub(crate) fn check(ctx: &Context) -> Result<Report> {
    let pkg = ctx.pkg();
    let folder = ctx.state.join("pack");
    if folder.is_dir() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} can't be emptied", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let outcome = ctx
        .npm(&pkg, "test-pack")
        .args(["pack", "--json", "--ignore-scripts", "--loglevel", "error", "--pack-destination"])
        .arg(&folder)
        .check("the package can't be packed")?;
    let packed = parse(&outcome.output)?;
    let mut failures = wrong_files(&packed);
    let crate_version = workspace_version(&ctx.root)?;
    if packed.version != crate_version {
        failures.push(format!(
            "pkg/package.json has version {}, Cargo.toml has {crate_version}; set both to the same",
            packed.version
        ));
    }
    let tarball = folder.join(&packed.filename);
    let publint = ctx.npm_bin("publint", "test-publint").dir(&pkg).arg("--strict").arg(&tarball).run()?;
    if !publint.success {
        failures.push(publint.error("publint found something").to_string());
    }
    let attw = ctx
        .npm_bin("attw", "test-attw")
        .arg(&tarball)
        .args(["--profile", "esm-only", "--exclude-entrypoints", "./wasm"])
        .run()?;
    if !attw.success {
        failures.push(attw.error("the types do not resolve for every user (attw)").to_string());
    }
    Ok(Report {
        // The files, the version, publint and attw.
        counts: Counts {
            passed: 4_u64.saturating_sub(failures.len() as u64),
            failed: failures.len() as u64,
            ignored: 0,
        },
        note: format!("{} files, {} B packed", packed.files.len(), packed.size),
        failures,
    })
}

/// Reads what `npm pack --json` printed: a list with one entry.
fn parse(output: &str) -> Result<Packed> {
    let from = output.find('[').context("`npm pack --json` printed no list")?;
    let mut all: Vec<Packed> =
        serde_json::from_str(&output[from..]).context("the list of `npm pack --json` can't be understood")?;
    match (all.pop(), all.is_empty()) {
        (Some(packed), true) => Ok(packed),
        _ => bail!("`npm pack` was to make one tarball"),
    }
}

fn wrong_files(packed: &Packed) -> Vec<String> {
    let has = |name: &str| packed.files.iter().any(|file| file.path == name);
    let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !has(name)).collect();
    let extra: Vec<&str> = packed
        .files
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| UNWANTED.iter().any(|folder| path.starts_with(folder)))
        .collect();
    let mut wrong = Vec::new();
    if !missing.is_empty() || !extra.is_empty() {
        let list = |names: &[&str]| {
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        wrong.push(format!(
            "the tarball lacks {} and has {} too much; see `files` in pkg/package.json",
            list(&missing),
            list(&extra)
        ));
    }
    wrong
}

/// The version that all crates of the workspace share.
fn workspace_version(root: &Path) -> Result<String> {
    let file = root.join("Cargo.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?;
    let manifest: toml::Table =
        toml::from_str(&text).with_context(|| format!("{} can't be understood", file.display()))?;
    let version = manifest.get("workspace").and_then(|it| it.get("package")).and_then(|it| it.get("version"));
    Ok(version
        .and_then(toml::Value::as_str)
        .context("Cargo.toml has no workspace.package.version")?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(paths: &[&str]) -> Packed {
        let files = paths.iter().map(|path| PackedFile { path: (*path).to_owned() }).collect();
        Packed { filename: "agentwire-0.1.0.tgz".to_owned(), version: "0.1.0".to_owned(), size: 1, files }
    }

    #[test]
    fn the_answer_of_npm_is_read() {
        let text = r#"[{"id":"agentwire@0.1.0","version":"0.1.0","filename":"agentwire-0.1.0.tgz","size":5,"files":[{"path":"a","size":1}]}]"#;
        assert_eq!(parse(text).unwrap().filename, "agentwire-0.1.0.tgz");
        assert!(parse("[]").is_err());
        assert!(parse("npm error").is_err());
    }

    #[test]
    fn a_full_tarball_has_no_fault() {
        assert!(wrong_files(&packed(&NEEDED)).is_empty());
    }

    #[test]
    fn missing_and_unwanted_files_are_named() {
        let mut paths = NEEDED.to_vec();
        paths.retain(|path| *path != "wasm/agentwire_bg.wasm");
        paths.push("test/dispatch.test.ts");
        let wrong = wrong_files(&packed(&paths));
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].contains("lacks wasm/agentwire_bg.wasm and has test/dispatch.test.ts too much"),
            "{wrong:?}"
        );
    }
}
