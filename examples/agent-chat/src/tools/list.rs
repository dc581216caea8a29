//! `list_files`: what is in the folder.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cancel::Cancel;
use super::error::ToolError;
use super::folder::Folder;
use super::limits::Room;

/// Most groups (folders, kinds) in a result.
const MAX_GROUPS: usize = 40;

/// The arguments of `list_files`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ListFiles {
    /// Only files whose path matches; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) glob: Option<String>,
    /// Most files to list, 1 to 200. The sums cover all of them nevertheless.
    pub(crate) limit: usize,
}

/// The result of `list_files`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileList {
    /// The files in the order of their paths.
    pub(crate) files: Vec<ListedFile>,
    /// How many files there are, listed or not.
    pub(crate) total_files: usize,
    /// Their size in bytes.
    pub(crate) total_bytes: u64,
    /// The files by folder at the top; files that are in none have the name `.`.
    pub(crate) folders: Vec<Group>,
    /// The files by extension, most files first.
    pub(crate) kinds: Vec<Group>,
    /// Whether something was left out.
    pub(crate) truncated: bool,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ListedFile {
    /// Path relative to the folder.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) bytes: u64,
}

/// Files that have something in common.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Group {
    /// What they have in common.
    pub(crate) name: String,
    /// How many they are.
    pub(crate) files: usize,
    /// Their size in bytes.
    pub(crate) bytes: u64,
}

impl ListFiles {
    /// Lists the files.
    pub(super) fn run(&self, folder: &Folder, cancel: &Cancel) -> Result<FileList, ToolError> {
        let walked = folder.walk(self.glob.as_deref(), cancel)?;
        let mut room = Room::new(self.limit);
        let mut list = FileList {
            files: Vec::new(),
            total_files: 0,
            total_bytes: 0,
            folders: Vec::new(),
            kinds: Vec::new(),
            truncated: walked.truncated,
        };
        let mut folders = Groups::default();
        let mut kinds = Groups::default();
        for file in walked.files {
            cancel.check()?;
            if !folder.is_text(&file.path) {
                continue;
            }
            list.total_files += 1;
            list.total_bytes += file.bytes;
            folders.add(file.path.split_once('/').map_or(".", |(top, _)| top), file.bytes);
            kinds.add(extension(&file.path), file.bytes);
            if room.take(file.path.len()) {
                list.files.push(ListedFile { path: file.path, bytes: file.bytes });
            }
        }
        list.truncated |= list.files.len() < list.total_files;
        list.folders = folders.into_list(|a, b| a.name.cmp(&b.name));
        list.kinds = kinds.into_list(|a, b| b.files.cmp(&a.files).then_with(|| a.name.cmp(&b.name)));
        Ok(list)
    }
}

/// The extension of a path, or the whole name when it has none.
pub(crate) fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(_, extension)| extension)
}

#[derive(Default)]
struct Groups(BTreeMap<String, (usize, u64)>);

impl Groups {
    fn add(&mut self, name: &str, bytes: u64) {
        let sum = self.0.entry(name.to_owned()).or_default();
        sum.0 += 1;
        sum.1 += bytes;
    }

    fn into_list(self, order: impl FnMut(&Group, &Group) -> std::cmp::Ordering) -> Vec<Group> {
        let mut list: Vec<Group> =
            self.0.into_iter().map(|(name, (files, bytes))| Group { name, files, bytes }).collect();
        // When there are too many, the small ones are left out, wherever they stand in the order.
        list.sort_by_key(|group| std::cmp::Reverse(group.bytes));
        list.truncate(MAX_GROUPS);
        list.sort_by(order);
        list
    }
}
