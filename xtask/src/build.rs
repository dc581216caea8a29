//! Builds the npm package: the core to wasm, the glue, the inline entry, then the TypeScript facade.

mod glue;
mod names;

use std::fs;
use std::path::{Path, PathBuf};

pub use names::GLUE_MODULE;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;

use crate::context::Context;
use crate::fingerprint::{self, Fingerprint, Stamp};
use crate::lock::lock;
use crate::run::{capture, step};
use crate::setup::{self, Needs};

/// Flags for a std that is compiled with the core: no panic texts, no locations, nothing of `Debug`, and size before
/// speed inside std. Together they take about a third off the compressed module. They are unstable, hence
/// `RUSTC_BOOTSTRAP`; what the toolchain does not take falls back to the prebuilt std.
const REBUILT_RUSTFLAGS: &str =
    "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none";
/// The shadow stack: the toolchain's 1 MiB is most of the memory of an instance at rest. The core does not recurse; JavaScript that
/// is called from it and calls back only queues. Overflow traps, because the stack lies below everything else.
const STACK_FLAG: &str = "-Clink-arg=-zstack-size=65536";
const REBUILT_ARGS: [&str; 2] = ["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to build: the package, or a copy in target/trap-pkg whose core can be made to trap (for tests).
    #[arg(long, value_enum, default_value_t = Variant::Default)]
    variant: Variant,
    /// Which std goes into the module: compiled with it (small; needs rust-src), the toolchain's, or the first that works.
    #[arg(long, value_enum, default_value_t = Std::Auto)]
    std: Std,
}

/// Which package is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the option says what each is")]
pub enum Variant {
    Default,
    Trap,
}

/// Where the std inside the module comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the option says what each is")]
pub enum Std {
    Auto,
    Rebuilt,
    Prebuilt,
}

pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    setup::ensure(ctx, &Needs::build())?;
    let how = package(ctx, args.variant, args.std)?;
    let folder = match args.variant {
        Variant::Default => ctx.pkg(),
        Variant::Trap => ctx.trap_pkg(),
    };
    println!("build: {} is up to date ({how} std)", folder.display());
    Ok(())
}

/// Brings the package up to date and says which std is in it. The set-up is the caller's.
pub fn package(ctx: &Context, variant: Variant, std: Std) -> Result<String> {
    let _lock = lock(&ctx.state.join("build.lock"), "another `cargo xtask` is building; waiting for it")?;
    match variant {
        Variant::Default => {
            let how = wasm(ctx, variant, std, &ctx.pkg().join("wasm"))?;
            facade(ctx)?;
            Ok(how)
        }
        Variant::Trap => {
            // The facade is the same code, so it is compiled once, against the package's own module.
            wasm(ctx, Variant::Default, std, &ctx.pkg().join("wasm"))?;
            facade(ctx)?;
            let how = wasm(ctx, variant, std, &ctx.trap_pkg().join("wasm"))?;
            replace_folder(&ctx.pkg().join("dist"), &ctx.trap_pkg().join("dist"))?;
            copy(&ctx.pkg().join("package.json"), &ctx.trap_pkg().join("package.json"))?;
            Ok(how)
        }
    }
}

/// The module as cargo made it, with its names, before the tools went over it.
pub fn unstripped(ctx: &Context) -> PathBuf {
    work_folder(ctx, Variant::Default).join("cargo.wasm")
}

fn work_folder(ctx: &Context, variant: Variant) -> PathBuf {
    ctx.state.join(match variant {
        Variant::Default => "wasm",
        Variant::Trap => "wasm-trap",
    })
}

/// Makes `out` hold the module, its glue and the inline text.
fn wasm(ctx: &Context, variant: Variant, std: Std, out: &Path) -> Result<String> {
    let work = work_folder(ctx, variant);
    let stamp = work.with_extension("stamp");
    let inputs = wasm_inputs(ctx, variant, std)?;
    if let Some(stamp) = Stamp::current(&stamp, &inputs, out).filter(|_| work.join("cargo.wasm").is_file()) {
        return Ok(stamp.how);
    }
    fs::create_dir_all(&work).with_context(|| format!("{} can't be made", work.display()))?;
    let how = compile(ctx, variant, std, &work)?;
    let made = work.join("out");
    clear(&made)?;
    step("making the glue (wasm-bindgen)", || {
        ctx.tool(setup::bindgen_tool(ctx, setup::GLUE_MAKER)?, "build-bindgen")
            .arg(work.join("cargo.wasm"))
            .arg(&made)
            .check("wasm-bindgen failed")?;
        let file = made.join("agentwire.js");
        let text = fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?;
        fs::write(&file, glue::made_lazy(&text)?)
            .with_context(|| format!("{} can't be written", file.display()))
    })?;
    let module = made.join("agentwire_bg.wasm");
    step("shrinking the module (wasm-opt)", || {
        let small = work.join("small.wasm");
        ctx.npm_bin("wasm-opt", "build-wasm-opt")
            // Address 0 is the end of the stack, which grows down to it: nothing else is there. Of the rest, `-O3` compresses as well as `-Oz` here, and leaves fewer calls.
            .args(["-O3", "--low-memory-unused", "--flatten", "--rereloop", "-O3", "-O3"])
            .arg("--reorder-functions-by-name")
            .arg(&module)
            .arg("-o")
            .arg(&small)
            .check("wasm-opt failed")?;
        let glue = made.join("agentwire.js");
        let read = |file: &Path| fs::read(file).with_context(|| format!("{} can't be read", file.display()));
        let (bytes, text) = names::shortened(&read(&small)?, &String::from_utf8(read(&glue)?)?)?;
        for (file, content) in [(&module, bytes), (&glue, text.into_bytes())] {
            fs::write(file, content).with_context(|| format!("{} can't be replaced", file.display()))?;
        }
        // It lists the names that are gone.
        let types = made.join("agentwire_bg.wasm.d.ts");
        fs::remove_file(&types).with_context(|| format!("{} can't be removed", types.display()))
    })?;
    write_inline(&module, &made)?;
    replace_folder(&made, out)?;
    let outputs = Fingerprint::new().tree(out)?.finish();
    Stamp { inputs, outputs, how: how.to_owned() }.write(&stamp)?;
    Ok(how.to_owned())
}

fn wasm_inputs(ctx: &Context, variant: Variant, std: Std) -> Result<String> {
    let mut hash = Fingerprint::new()
        .text(&format!("{variant:?} {std:?} {REBUILT_RUSTFLAGS} {STACK_FLAG} {}", REBUILT_ARGS.join(" ")))
        .text(&capture("rustc", &["-vV"])?)
        .text(&setup::bindgen_version(ctx)?);
    for path in [
        "src",
        "Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
        "pkg/package-lock.json",
        "xtask/bindgen/src",
        "xtask/src/build.rs",
        "xtask/src/build",
    ] {
        hash = hash.tree(&ctx.root.join(path))?;
    }
    Ok(hash.finish())
}

/// Compiles the core into `work/cargo.wasm` and says with which std.
fn compile(ctx: &Context, variant: Variant, std: Std, work: &Path) -> Result<&'static str> {
    let build = |rebuilt: bool| {
        let how = if rebuilt { "rebuilt" } else { "prebuilt" };
        step(format!("compiling the core for wasm ({how} std)"), || {
            let mut cargo = ctx
                .cargo(&format!("build-cargo-{how}"))
                .args(["rustc", "--locked", "--package", "agentwire", "--lib", "--profile", "wasm"])
                // Only here: the file of a cdylib has no hash in its name, so that two builds with other features overwrite it.
                .args(["--crate-type", "cdylib", "--target", setup::rust::TARGET]);
            cargo = cargo.args([
                "--features",
                match variant {
                    Variant::Default => "allocator",
                    Variant::Trap => "allocator,__trap",
                },
            ]);
            // Set in both cases, so that flags meant for the host never end up in the module.
            cargo = cargo.env("CARGO_ENCODED_RUSTFLAGS", STACK_FLAG);
            if rebuilt {
                cargo = cargo
                    .args(REBUILT_ARGS)
                    .env(
                        "CARGO_ENCODED_RUSTFLAGS",
                        format!("{REBUILT_RUSTFLAGS} {STACK_FLAG}").replace(' ', "\u{1f}"),
                    )
                    .env("RUSTC_BOOTSTRAP", "1");
            }
            cargo.check("the core can't be compiled for wasm")?;
            let built = ctx.target.join(setup::rust::TARGET).join("wasm/agentwire.wasm");
            copy(&built, &work.join("cargo.wasm"))
        })
        .map(|()| how)
    };
    match std {
        Std::Prebuilt => build(false),
        Std::Rebuilt => {
            if !setup::rust::std_source(ctx)? {
                bail!(
                    "the source of std is missing: run `rustup component add rust-src`, or build with `--std auto`"
                );
            }
            build(true)
        }
        Std::Auto if setup::rust::std_source(ctx)? => build(true).or_else(|error| {
            // A mistake in the core fails here too, and then says what it is; only what is special to the flags goes unsaid.
            let how = build(false)?;
            let reason = error.to_string();
            println!(
                "  this toolchain can't rebuild std, so the module is larger: {}",
                reason.lines().next().unwrap_or_default()
            );
            println!("  details in {}", ctx.log("build-cargo-rebuilt").display());
            Ok(how)
        }),
        Std::Auto => build(false),
    }
}

/// Writes the module as text, for the entry that needs no second request.
fn write_inline(module: &Path, folder: &Path) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("{} can't be read", module.display()))?;
    let text = format!("export const wasmBase64 = \"{}\";\n", STANDARD.encode(bytes));
    let types = "/** The WebAssembly module, as base64. */\nexport declare const wasmBase64: string;\n";
    for (name, content) in [("inline.js", text.as_str()), ("inline.d.ts", types)] {
        let file = folder.join(name);
        fs::write(&file, content).with_context(|| format!("{} can't be written", file.display()))?;
    }
    Ok(())
}

/// Compiles the TypeScript facade into `pkg/dist`.
fn facade(ctx: &Context) -> Result<()> {
    let pkg = ctx.pkg();
    let dist = pkg.join("dist");
    let stamp = ctx.state.join("dist.stamp");
    let mut hash = Fingerprint::new();
    for path in [
        "src",
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "wasm/agentwire.d.ts",
        "wasm/inline.d.ts",
    ] {
        hash = hash.tree(&pkg.join(path))?;
    }
    let inputs = hash.finish();
    if Stamp::current(&stamp, &inputs, &dist).is_some() {
        return Ok(());
    }
    // What a former build left would be packed with the rest.
    clear(&dist)?;
    step("compiling the facade (tsc)", || {
        ctx.npm_bin("tsc", "build-tsc")
            .dir(&pkg)
            .args(["--project", "tsconfig.json"])
            .check("the facade can't be compiled")?;
        Ok(())
    })?;
    let outputs = Fingerprint::new().tree(&dist)?.finish();
    Stamp { inputs, outputs, how: "tsc".to_owned() }.write(&stamp)
}

/// Makes `to` a copy of `from`, without what it held before.
fn replace_folder(from: &Path, to: &Path) -> Result<()> {
    clear(to)?;
    for file in fingerprint::files_below(from)? {
        let name = file.strip_prefix(from).unwrap_or(&file);
        copy(&file, &to.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("{} can't be copied to {}", from.display(), to.display()))?;
    Ok(())
}

fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", folder.display()))
        }
        _ => Ok(()),
    }
}
