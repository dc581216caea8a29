//! The package as a newcomer gets it: the tarball in bundlers, test runners, Node.js and a page without a bundler, and
//! the snippets of the READMEs.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::build::{self, Std, Variant};
use crate::context::Context;
use crate::test::Report;
use crate::test::counts;
use crate::test::page::chromium;
use crate::test::parts::counted;
use crate::test::server::Server;

/// How long the tests may take, with the packages that they install: a minute and a half on two idle cores.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Packs the package and runs `tests/packaging` with the tarball and a chat server.
pub(crate) fn run(ctx: &Context) -> Result<Report> {
    build::package(ctx, Variant::Default, Std::Auto)?;
    let tarball = pack(ctx, "packaging")?;
    let server = Server::start(ctx)?;
    let tests = ctx
        .tool("node", "test-packaging")
        .arg("--test")
        // Relative: Node takes these for patterns, in which the names of folders above may mean something else.
        .args(["tests/packaging/packaging.test.js", "tests/packaging/importers.test.js"])
        .env("AGENTWIRE_TARBALL", tarball)
        .env("AGENTWIRE_TEST_WS", server.websocket())
        .env("AGENTWIRE_CHROMIUM", chromium()?)
        .time_limit(LIMIT);
    let report = counted(tests, counts::node)?;
    server.stop()?;
    Ok(report)
}

/// Makes the tarball that npm would publish, alone in the folder `name` of what xtask keeps.
pub(crate) fn pack(ctx: &Context, name: &str) -> Result<PathBuf> {
    let folder = ctx.state.join(name);
    if folder.is_dir() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} can't be emptied", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    ctx.npm(&ctx.pkg(), &format!("{}-pack", name.replace('/', "-")))
        .args(["pack", "--ignore-scripts", "--pack-destination"])
        .arg(&folder)
        .check("the package can't be packed")?;
    let made = fs::read_dir(&folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let made: Vec<PathBuf> = made.filter_map(|entry| Some(entry.ok()?.path())).collect();
    match made.as_slice() {
        [tarball] => Ok(tarball.clone()),
        _ => bail!("`npm pack` was to make one tarball in {}, and made {}", folder.display(), made.len()),
    }
}
