//! The folder the tools may look at, and nothing outside it.
//!
//! A file belongs to the folder when a walk of it shows the file: not hidden, not ignored by a `.gitignore`, not below
//! a `target` or `node_modules` folder, not a symlink, and not one of the server's own files (its log and its secret). `read_file` asks the
//! same walk, so a path that is not listed cannot be read either. Files are opened through a directory handle that
//! refuses to leave the folder, whatever happens to the paths between the check and the opening.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use globset::{GlobBuilder, GlobMatcher};
use ignore::{DirEntry, WalkBuilder};

use super::cancel::Cancel;
use super::error::ToolError;
use super::limits::{MAX_FILE_BYTES, MAX_PATH_BYTES, MAX_PATTERN_BYTES, MAX_WALKED_FILES};

/// Folders that hold what tools made, not what people wrote.
const SKIPPED_FOLDERS: [&str; 2] = ["target", "node_modules"];

/// How many bytes at the beginning of a file decide whether it is text.
const SNIFFED_BYTES: usize = 8 * 1024;

/// A folder of text files.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    dir: Dir,
    private: Option<Private>,
}

/// Files of the server itself: those in one folder whose names begin in one way.
#[derive(Clone, Debug)]
struct Private {
    folder: PathBuf,
    prefix: OsString,
}

/// A file that a walk found.
#[derive(Clone, Debug)]
pub(crate) struct FoundFile {
    /// Path relative to the folder, with `/` between its parts.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) bytes: u64,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// The files, in the order of their paths.
    pub(crate) files: Vec<FoundFile>,
    /// Whether the walk ended at its limit.
    pub(crate) truncated: bool,
}

impl Folder {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// Whatever the operating system says when `path` is no readable folder.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let root = path.canonicalize()?;
        let dir = Dir::open_ambient_dir(&root, ambient_authority())?;
        Ok(Self { root, dir, private: None })
    }

    /// Hides the file at `path` and those beside it whose names begin with its name.
    #[must_use]
    pub(crate) fn without(mut self, path: &Path) -> Self {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        self.private = path
            .file_name()
            .and_then(|name| Some(Private { folder: parent.canonicalize().ok()?, prefix: name.to_owned() }));
        self
    }

    /// The name of the folder, for people.
    pub(crate) fn name(&self) -> String {
        self.root.file_name().map_or_else(|| "folder".into(), |name| name.to_string_lossy().into_owned())
    }

    /// Lists the files whose paths match `glob`, or all of them.
    pub(crate) fn walk(&self, glob: Option<&str>, cancel: &Cancel) -> Result<Walked, ToolError> {
        let glob = glob.map(compile_glob).transpose()?;
        let mut walked = Walked::default();
        for entry in self.walker(None).build() {
            cancel.check()?;
            // An unreadable sub-folder is left out; the rest still counts.
            let Ok(entry) = entry else { continue };
            let Some(file) = self.found(&entry) else { continue };
            if glob.as_ref().is_some_and(|glob| !glob.is_match(&file.path)) {
                continue;
            }
            if walked.files.len() == MAX_WALKED_FILES {
                walked.truncated = true;
                break;
            }
            walked.files.push(file);
        }
        walked.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walked)
    }

    /// Reads the text of the file at `path`, which came from a call and is not trusted.
    pub(crate) fn read(&self, path: &str, cancel: &Cancel) -> Result<String, ToolError> {
        let relative = relative(path)?;
        let io = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => ToolError::NotFound(path.to_owned()),
            // How the directory handle answers a symlink that leads out.
            std::io::ErrorKind::PermissionDenied if leads_out(&self.root, &relative) => {
                ToolError::Outside(path.to_owned())
            }
            _ => ToolError::Io { path: path.to_owned(), source },
        };
        let metadata = self.dir.metadata(&relative).map_err(io)?;
        if !metadata.is_file() {
            return Err(ToolError::NotAFile(path.to_owned()));
        }
        if !self.shows(&relative, cancel)? {
            return Err(ToolError::NotFound(path.to_owned()));
        }
        self.read_found(path)
    }

    /// Reads the text of a file that a walk found.
    pub(crate) fn read_found(&self, path: &str) -> Result<String, ToolError> {
        let io = |source| ToolError::Io { path: path.to_owned(), source };
        let file = self.dir.open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(ToolError::TooLarge { path: path.to_owned(), bytes });
        }
        let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        // The size was that of a moment ago: the limit holds for what is really read.
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(io)?;
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(ToolError::TooLarge { path: path.to_owned(), bytes: content.len() as u64 });
        }
        if content[..content.len().min(SNIFFED_BYTES)].contains(&0) {
            return Err(ToolError::Binary(path.to_owned()));
        }
        Ok(match String::from_utf8(content) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// Says whether a file that a walk found holds text, by its first bytes.
    pub(crate) fn is_text(&self, path: &str) -> bool {
        let mut start = Vec::with_capacity(SNIFFED_BYTES);
        self.dir
            .open(path)
            .and_then(|file| file.take(SNIFFED_BYTES as u64).read_to_end(&mut start))
            .is_ok_and(|_| !start.contains(&0))
    }

    /// Says whether the walk shows the file at `path`. Only the folders on the way to it are visited.
    fn shows(&self, path: &Path, cancel: &Cancel) -> Result<bool, ToolError> {
        let wanted = self.root.join(path);
        for entry in self.walker(Some(wanted.clone())).build() {
            cancel.check()?;
            if let Ok(entry) = entry
                && entry.path() == wanted
            {
                return Ok(self.found(&entry).is_some());
            }
        }
        Ok(false)
    }

    fn walker(&self, only: Option<PathBuf>) -> WalkBuilder {
        let mut builder = WalkBuilder::new(&self.root);
        let private = self.private.clone();
        builder
            .follow_links(false)
            .hidden(true)
            .parents(false)
            .git_global(false)
            .git_exclude(false)
            .require_git(false)
            .sort_by_file_name(std::ffi::OsStr::cmp)
            .filter_entry(move |entry| {
                let skipped = entry.depth() > 0
                    && entry.file_type().is_some_and(|kind| kind.is_dir())
                    && SKIPPED_FOLDERS.iter().any(|name| entry.file_name() == *name);
                let elsewhere = only.as_ref().is_some_and(|wanted| !wanted.starts_with(entry.path()));
                !skipped && !elsewhere && !private.as_ref().is_some_and(|private| private.covers(entry))
            });
        builder
    }

    fn found(&self, entry: &DirEntry) -> Option<FoundFile> {
        if !entry.file_type()?.is_file() {
            return None;
        }
        let relative = entry.path().strip_prefix(&self.root).ok()?;
        let mut path = String::new();
        for part in relative.components() {
            if !path.is_empty() {
                path.push('/');
            }
            // A name that is not Unicode cannot be said in a call.
            path.push_str(part.as_os_str().to_str()?);
        }
        Some(FoundFile { path, bytes: entry.metadata().ok()?.len() })
    }
}

impl Private {
    fn covers(&self, entry: &DirEntry) -> bool {
        entry.path().parent() == Some(&self.folder)
            && entry.file_name().as_encoded_bytes().starts_with(self.prefix.as_encoded_bytes())
    }
}

/// Says whether the real place of `relative` is outside of `root`.
fn leads_out(root: &Path, relative: &Path) -> bool {
    root.join(relative).canonicalize().is_ok_and(|real| !real.starts_with(root))
}

/// Turns a path of a call into a relative one, without looking at the disk.
fn relative(path: &str) -> Result<PathBuf, ToolError> {
    if path.is_empty() || path.len() > MAX_PATH_BYTES || path.contains('\0') {
        return Err(ToolError::BadPath);
    }
    let mut relative = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => relative.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(ToolError::Outside(path.to_owned()));
            }
        }
    }
    if relative.as_os_str().is_empty() {
        return Err(ToolError::NotAFile(path.to_owned()));
    }
    Ok(relative)
}

fn compile_glob(glob: &str) -> Result<GlobMatcher, ToolError> {
    let bad = |why: String| ToolError::BadGlob { glob: glob.to_owned(), why };
    if glob.is_empty() || glob.len() > MAX_PATTERN_BYTES {
        return Err(bad(format!("it must have 1 to {MAX_PATTERN_BYTES} bytes")));
    }
    // As in a .gitignore: without a slash the glob is about the name, wherever the file is; one that begins with a
    // slash begins at the top.
    let anywhere = if glob.contains('/') { glob.to_owned() } else { format!("**/{glob}") };
    GlobBuilder::new(anywhere.trim_start_matches("./").trim_start_matches('/'))
        .literal_separator(true)
        .case_insensitive(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| bad(error.kind().to_string()))
}
