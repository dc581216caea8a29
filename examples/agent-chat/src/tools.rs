//! The tools of the agent: real work on a folder of text files, bounded and confined to it.

mod cancel;
mod count;
mod error;
mod folder;
mod limits;
mod list;
mod pattern;
mod read;
mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;

pub(crate) use self::cancel::Cancel;
pub(crate) use self::count::{Count, Counts};
pub(crate) use self::error::ToolError;
pub(crate) use self::folder::Folder;
pub(crate) use self::list::{FileList, Group, ListFiles, ListedFile, extension};
pub(crate) use self::read::{Lines, ReadFile};
pub(crate) use self::search::{Match, Matches, SearchText};

use self::cancel::CancelOnDrop;

/// How many calls work at the same time, of all runs together. More wait.
const MAX_PARALLEL_CALLS: usize = 4;

/// How long a call may take, waiting for its turn included.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// A tool with its arguments, as they are shown in `tool_executing`.
pub(crate) trait Tool: Clone + Serialize + Send + 'static {
    /// What the tool answers.
    type Output: Serialize + Send + 'static;
    /// The name shown to people and models.
    const NAME: &'static str;
    /// What kind of work it is.
    const CATEGORY: &'static str;

    /// Does the work. It blocks and looks at `cancel` before each file.
    fn run(&self, folder: &Folder, cancel: &Cancel) -> Result<Self::Output, ToolError>;
}

macro_rules! tool {
    ($tool:ty, $name:literal, $category:literal, $output:ty) => {
        impl Tool for $tool {
            type Output = $output;
            const NAME: &'static str = $name;
            const CATEGORY: &'static str = $category;

            fn run(&self, folder: &Folder, cancel: &Cancel) -> Result<Self::Output, ToolError> {
                Self::run(self, folder, cancel)
            }
        }
    };
}

tool!(ListFiles, "list_files", "files", FileList);
tool!(SearchText, "search_text", "search", Matches);
tool!(ReadFile, "read_file", "files", Lines);
tool!(Count, "count", "search", Counts);

/// Runs tools away from the threads that serve sockets.
#[derive(Clone, Debug)]
pub(crate) struct Toolbox {
    folder: Arc<Folder>,
    turns: Arc<Semaphore>,
}

impl Toolbox {
    /// Makes the tools for `folder`.
    pub(crate) fn new(folder: Folder) -> Self {
        Self { folder: Arc::new(folder), turns: Arc::new(Semaphore::new(MAX_PARALLEL_CALLS)) }
    }

    /// The name of the folder, for people.
    pub(crate) fn folder_name(&self) -> String {
        self.folder.name()
    }

    /// Runs `tool`. When the returned future is dropped, the work stops before its next file.
    pub(crate) async fn call<T: Tool>(&self, tool: T) -> Result<T::Output, ToolError> {
        let cancel = Cancel::default();
        let _stop = CancelOnDrop(cancel.clone());
        let work = async {
            // The permit goes with the work: work that was given up holds its place until it has stopped.
            let permit =
                Arc::clone(&self.turns).acquire_owned().await.map_err(|_closed| ToolError::Internal)?;
            let folder = Arc::clone(&self.folder);
            let blocking = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                tool.run(&folder, &cancel)
            });
            blocking.await.unwrap_or(Err(ToolError::Internal))
        };
        tokio::time::timeout(CALL_TIMEOUT, work)
            .await
            .unwrap_or(Err(ToolError::TimedOut(CALL_TIMEOUT.as_secs())))
    }
}
