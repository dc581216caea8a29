//! Whether something must be made again: a hash over what it is made of, and one over what was made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is remembered about something that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Hash of everything it was made of.
    pub(crate) inputs: String,
    /// Hash of what was made, so that a file changed or deleted by hand is noticed.
    pub(crate) outputs: String,
    /// How it was made, for those who report about it.
    pub(crate) how: String,
}

impl Stamp {
    /// The stamp in `file`; `None` when there is none that can be read.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// Keeps this stamp in `file`.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string(self)?;
        fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))
    }

    /// The stamp in `file`, if what is there now is what was made then from the same `inputs`.
    pub(crate) fn current(file: &Path, inputs: &str, outputs: &Path) -> Option<Self> {
        let stamp = Self::read(file)?;
        let same = stamp.inputs == inputs && Fingerprint::new().tree(outputs).ok()?.finish() == stamp.outputs;
        same.then_some(stamp)
    }
}

/// A hash under way.
#[derive(Debug, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// A hash of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text, such as a version or a list of flags.
    pub fn text(mut self, text: &str) -> Self {
        self.add(b"text", text.as_bytes());
        self
    }

    /// Adds a file, or all files below a folder in the order of their names. What does not exist counts as that.
    pub fn tree(mut self, path: &Path) -> Result<Self> {
        if path.is_dir() {
            for file in files_below(path)? {
                let name = file.strip_prefix(path).unwrap_or(&file).to_string_lossy().into_owned();
                self.add(name.as_bytes(), &read(&file)?);
            }
        } else if path.is_file() {
            self.add(b"file", &read(path)?);
        } else {
            self.add(b"absent", b"");
        }
        Ok(self)
    }

    /// The hash as text.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Lengths go in as well, so that no two lists of parts look alike.
    fn add(&mut self, name: &[u8], content: &[u8]) {
        for part in [name, content] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }
}

/// All files below `folder`, sorted.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("{} can't be read", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("{} can't be read", folder.display()))?;
            if entry
                .file_type()
                .with_context(|| format!("{} can't be read", entry.path().display()))?
                .is_dir()
            {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} can't be read", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("xtask-fingerprint-{}-{name}", std::process::id()));
            fs::create_dir_all(folder.join("in")).unwrap();
            fs::create_dir_all(folder.join("out")).unwrap();
            fs::write(folder.join("in/a"), "one").unwrap();
            fs::write(folder.join("out/b"), "made").unwrap();
            Self(folder)
        }

        fn inputs(&self) -> String {
            Fingerprint::new().text("v1").tree(&self.0.join("in")).unwrap().finish()
        }

        fn stamped(self) -> Self {
            let outputs = Fingerprint::new().tree(&self.0.join("out")).unwrap().finish();
            Stamp { inputs: self.inputs(), outputs, how: "by hand".to_owned() }
                .write(&self.0.join("stamp"))
                .unwrap();
            self
        }

        fn is_current(&self) -> bool {
            Stamp::current(&self.0.join("stamp"), &self.inputs(), &self.0.join("out")).is_some()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nothing_changed_is_up_to_date() {
        assert!(Folder::new("same").stamped().is_current());
    }

    #[test]
    fn no_stamp_is_not_up_to_date() {
        assert!(!Folder::new("none").is_current());
    }

    #[test]
    fn a_changed_a_new_and_a_renamed_input_are_noticed() {
        let folder = Folder::new("inputs").stamped();
        fs::write(folder.0.join("in/a"), "two").unwrap();
        assert!(!folder.is_current());
        fs::write(folder.0.join("in/a"), "one").unwrap();
        assert!(folder.is_current());
        fs::write(folder.0.join("in/c"), "").unwrap();
        assert!(!folder.is_current());
        fs::remove_file(folder.0.join("in/c")).unwrap();
        fs::rename(folder.0.join("in/a"), folder.0.join("in/z")).unwrap();
        assert!(!folder.is_current());
    }

    #[test]
    fn a_deleted_and_a_changed_output_are_noticed() {
        let folder = Folder::new("outputs").stamped();
        fs::write(folder.0.join("out/b"), "changed by hand").unwrap();
        assert!(!folder.is_current());
        fs::remove_file(folder.0.join("out/b")).unwrap();
        assert!(!folder.is_current());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let one = Fingerprint::new().text("ab").text("c").finish();
        assert_ne!(one, Fingerprint::new().text("a").text("bc").finish());
    }
}
