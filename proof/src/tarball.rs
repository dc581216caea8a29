//! The tarball of the package, as npm would publish it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use xtask::context::Context;

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
