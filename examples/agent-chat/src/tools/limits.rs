//! What bounds a tool, so that no folder and no question can make it run or answer without end.

/// Largest file a tool opens, in bytes. Larger ones are left out of searches and refused by `read_file`.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Most items (matches, files) in one result.
pub(crate) const MAX_ITEMS: usize = 200;

/// Most bytes of text in one result, so that an event stays far below the frame limit of the protocol.
pub(crate) const MAX_RESULT_BYTES: usize = 128 * 1024;

/// Most files one walk visits.
pub(crate) const MAX_WALKED_FILES: usize = 20_000;

/// Most lines `read_file` returns.
pub(crate) const MAX_LINES: usize = 400;

/// Most characters of one line in a result; what follows is cut and marked by `…`.
pub(crate) const MAX_LINE_CHARS: usize = 240;

/// Most bytes of a pattern or a glob.
pub(crate) const MAX_PATTERN_BYTES: usize = 1024;

/// Most bytes of a path in a call.
pub(crate) const MAX_PATH_BYTES: usize = 1024;

/// Most bytes a compiled pattern may take.
pub(crate) const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// Counts down what a result may still hold.
#[derive(Debug)]
pub(crate) struct Room {
    items: usize,
    bytes: usize,
}

impl Room {
    /// Makes room for `items`, at most [`MAX_ITEMS`].
    pub(crate) fn new(items: usize) -> Self {
        Self { items: items.min(MAX_ITEMS), bytes: MAX_RESULT_BYTES }
    }

    /// Makes room for [`MAX_LINES`] lines.
    pub(crate) fn for_lines() -> Self {
        Self { items: MAX_LINES, bytes: MAX_RESULT_BYTES }
    }

    /// Takes room for one more item of `bytes` and says whether there was enough.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        if self.items == 0 || self.bytes < bytes {
            // What does not fit ends the result: a later, smaller item must not slip in behind a hole.
            self.items = 0;
            return false;
        }
        self.items -= 1;
        self.bytes -= bytes;
        true
    }
}

/// Cuts `line` to [`MAX_LINE_CHARS`] characters.
pub(crate) fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_LINE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_closes_at_the_first_item_that_does_not_fit() {
        let mut room = Room::new(10);
        assert!(room.take(MAX_RESULT_BYTES - 10));
        assert!(!room.take(11));
        assert!(!room.take(1));
    }

    #[test]
    fn room_never_exceeds_the_limit_of_items() {
        let mut room = Room::new(usize::MAX);
        assert_eq!((0..1000).filter(|_| room.take(1)).count(), MAX_ITEMS);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = "ü".repeat(MAX_LINE_CHARS + 1);
        assert_eq!(cut(&line), format!("{}…", "ü".repeat(MAX_LINE_CHARS)));
        assert_eq!(cut("short"), "short");
    }
}
