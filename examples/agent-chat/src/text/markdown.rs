//! Pieces of the Markdown of an answer. What comes from files is fenced, so that it cannot become markup.

/// Returns `text` as inline code, with a fence longer than any run of backticks in it.
pub(crate) fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Returns `lines` as a block of code that names its place.
pub(crate) fn block<S: AsRef<str>>(path: &str, from_line: usize, lines: &[S]) -> String {
    let longest = lines.iter().map(|line| longest_run(line.as_ref())).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let to_line = from_line + lines.len().max(1) - 1;
    let place = if to_line > from_line {
        format!("lines {from_line} to {to_line}")
    } else {
        format!("line {from_line}")
    };
    let mut block = format!("{}, {place}:\n\n{fence}{}\n", code(path), crate::tools::extension(path));
    for line in lines {
        block.push_str(line.as_ref());
        block.push('\n');
    }
    block.push_str(&fence);
    block.push_str("\n\n");
    block
}

/// Returns `text`, which comes from a file, as a quotation.
pub(crate) fn quote(text: &str) -> String {
    let plain = text.replace(['\n', '\r'], " ").replace('<', "&lt;");
    format!("> {}\n\n", plain.trim())
}

/// Returns a row of a table; the cells are Markdown without line breaks.
pub(crate) fn row<S: AsRef<str>>(cells: &[S]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.as_ref().replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Returns `1 file`, `2 files`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Returns `1 time`, `2 times`.
pub(crate) fn times(count: usize) -> String {
    plural(count, "time")
}

/// Returns a size for people.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let tenths = bytes.saturating_mul(10) / 1024;
    if tenths < 10 * 1024 {
        return format!("{}.{} KiB", tenths / 10, tenths % 10);
    }
    let tenths = tenths / 1024;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Returns `a`, `a and b`, `a, b and c`.
pub(crate) fn listing<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

fn longest_run(text: &str) -> usize {
    text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_cannot_end_early() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert!(block("a.md", 3, &["```", "x"]).contains("````md\n```\nx\n````"));
    }

    #[test]
    fn places_numbers_and_lists_read_well() {
        assert!(block("a.rs", 3, &["x"]).starts_with("`a.rs`, line 3:"));
        assert!(block("a.rs", 3, &["x", "y"]).starts_with("`a.rs`, lines 3 to 4:"));
        assert_eq!((plural(1, "file"), plural(0, "file")), ("1 file".into(), "0 files".into()));
        assert_eq!(
            (size(10), size(1536), size(3 << 20)),
            ("10 bytes".into(), "1.5 KiB".into(), "3.0 MiB".into())
        );
        assert_eq!(listing(&["a", "b", "c"]), "a, b and c");
        assert_eq!(row(&["a|b", "c"]), "| a\\|b | c |\n");
    }
}
