//! The tools on real folders.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::limits::{MAX_FILE_BYTES, MAX_ITEMS, MAX_LINES};
use super::*;

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn folder(files: &[(&str, &str)]) -> (TempDir, Folder) {
    let dir = TempDir::new().unwrap();
    for (path, content) in files {
        write(dir.path(), path, content);
    }
    let folder = Folder::open(dir.path()).unwrap();
    (dir, folder)
}

fn list(folder: &Folder, glob: Option<&str>) -> FileList {
    ListFiles { glob: glob.map(str::to_owned), limit: MAX_ITEMS }.run(folder, &Cancel::default()).unwrap()
}

fn paths(folder: &Folder, glob: Option<&str>) -> Vec<String> {
    list(folder, glob).files.into_iter().map(|file| file.path).collect()
}

fn read(folder: &Folder, path: &str, from_line: usize, to_line: usize) -> Result<Lines, ToolError> {
    ReadFile { path: path.into(), from_line, to_line }.run(folder, &Cancel::default())
}

fn search(folder: &Folder, pattern: &str, limit: usize) -> Matches {
    SearchText { pattern: pattern.into(), regex: false, glob: None, limit }
        .run(folder, &Cancel::default())
        .unwrap()
}

fn count(folder: &Folder, pattern: &str, glob: Option<&str>) -> Result<Counts, ToolError> {
    Count { pattern: pattern.into(), regex: false, glob: glob.map(str::to_owned) }
        .run(folder, &Cancel::default())
}

#[test]
fn what_git_ignores_and_what_tools_make_is_not_there() {
    let (_dir, folder) = folder(&[
        (".gitignore", "*.log\n/secret/\n"),
        ("a.txt", "x"),
        ("b.log", "x"),
        ("secret/c.txt", "x"),
        ("sub/.gitignore", "d.txt\n"),
        ("sub/d.txt", "x"),
        ("sub/e.txt", "x"),
        ("target/debug/f.txt", "x"),
        ("node_modules/g/g.js", "x"),
        (".env", "x"),
    ]);
    assert_eq!(paths(&folder, None), ["a.txt", "sub/e.txt"]);
    assert_eq!(search(&folder, "x", 10).files_searched, 2);
    for hidden in ["b.log", "secret/c.txt", "sub/d.txt", "target/debug/f.txt", "node_modules/g/g.js", ".env"]
    {
        let error = read(&folder, hidden, 1, 1).unwrap_err();
        assert!(matches!(error, ToolError::NotFound(_)), "{hidden}: {error}");
    }
    assert_eq!(read(&folder, "sub/e.txt", 1, 1).unwrap().lines, ["x"]);
}

#[test]
fn paths_that_climb_or_are_absolute_are_refused() {
    let (dir, folder) = folder(&[("a.txt", "x"), ("sub/b.txt", "y")]);
    let absolute = dir.path().join("a.txt");
    for path in
        ["../a.txt", "sub/../a.txt", "sub/../../etc/passwd", "/etc/passwd", absolute.to_str().unwrap()]
    {
        let error = read(&folder, path, 1, 1).unwrap_err();
        assert!(matches!(error, ToolError::Outside(_)), "{path}: {error}");
    }
    for path in ["", "a\0b"] {
        assert!(matches!(read(&folder, path, 1, 1).unwrap_err(), ToolError::BadPath), "{path:?}");
    }
    assert!(matches!(read(&folder, ".", 1, 1).unwrap_err(), ToolError::NotAFile(_)));
    assert!(matches!(read(&folder, "sub", 1, 1).unwrap_err(), ToolError::NotAFile(_)));
    assert_eq!(read(&folder, "./sub/./b.txt", 1, 1).unwrap().lines, ["y"]);
}

#[cfg(unix)]
#[test]
fn symlinks_do_not_lead_out() {
    use std::os::unix::fs::symlink;

    let outside = TempDir::new().unwrap();
    write(outside.path(), "secret.txt", "needle");
    let (dir, folder) = folder(&[("a.txt", "needle")]);
    symlink(outside.path().join("secret.txt"), dir.path().join("link.txt")).unwrap();
    symlink(outside.path(), dir.path().join("linked")).unwrap();
    // Leads nowhere else, but would count the file twice.
    symlink(dir.path().join("a.txt"), dir.path().join("again.txt")).unwrap();
    symlink("a.txt", dir.path().join("relative.txt")).unwrap();

    assert_eq!(paths(&folder, None), ["a.txt"]);
    assert_eq!(count(&folder, "needle", None).unwrap().total, 1);
    for path in ["link.txt", "linked/secret.txt"] {
        let error = read(&folder, path, 1, 1).unwrap_err();
        assert!(matches!(error, ToolError::Outside(_)), "{path}: {error}");
        // Also when the walk was deceived: the handle itself refuses.
        assert!(folder.read_found(path).is_err(), "{path}");
    }
}

#[test]
fn the_servers_own_files_are_hidden() {
    let (dir, folder) = folder(&[
        ("chat.sqlite", "x"),
        ("chat.sqlite.secret", "x"),
        ("chat.sqlite-wal", "x"),
        ("chat.md", "x"),
        ("sub/chat.sqlite.md", "x"),
    ]);
    let folder = folder.without(&dir.path().join("chat.sqlite"));
    assert_eq!(paths(&folder, None), ["chat.md", "sub/chat.sqlite.md"]);
    assert!(matches!(read(&folder, "chat.sqlite.secret", 1, 1).unwrap_err(), ToolError::NotFound(_)));
}

#[test]
fn binary_and_large_files_are_left_out() {
    let (dir, folder) = folder(&[("a.txt", "needle")]);
    write(dir.path(), "b.bin", b"needle\0needle");
    write(dir.path(), "c.txt", "needle\n".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() / 7 + 1));
    assert_eq!(paths(&folder, None), ["a.txt", "c.txt"]);
    let counts = count(&folder, "needle", None).unwrap();
    assert_eq!((counts.total, counts.files_searched), (1, 1));
    assert!(matches!(read(&folder, "b.bin", 1, 1).unwrap_err(), ToolError::Binary(_)));
    assert!(matches!(read(&folder, "c.txt", 1, 1).unwrap_err(), ToolError::TooLarge { .. }));
}

#[test]
fn results_are_truncated_and_say_so() {
    let (dir, folder) = folder(&[("a.txt", &"needle\n".repeat(300))]);
    for index in 0..250 {
        write(dir.path(), &format!("many/{index:03}.txt"), "thread");
    }

    let found = search(&folder, "needle", 1000);
    assert_eq!((found.matches.len(), found.truncated), (MAX_ITEMS, true));
    let found = search(&folder, "needle", 3);
    assert_eq!((found.matches.len(), found.truncated), (3, true));

    let counts = count(&folder, "thread", None).unwrap();
    assert_eq!((counts.files.len(), counts.files_with_matches, counts.total), (MAX_ITEMS, 250, 250));
    assert!(counts.truncated);

    let listed = list(&folder, Some("many/*"));
    assert_eq!((listed.files.len(), listed.total_files, listed.truncated), (MAX_ITEMS, 250, true));
    assert_eq!(listed.folders.iter().map(|group| group.files).sum::<usize>(), 250);
}

#[test]
fn a_result_that_is_complete_does_not_say_truncated() {
    let (_dir, folder) = folder(&[("a.txt", "needle\nneedle\n")]);
    assert!(!search(&folder, "needle", 2).truncated);
    assert!(!count(&folder, "needle", None).unwrap().truncated);
    assert!(!list(&folder, None).truncated);
    assert!(!read(&folder, "a.txt", 1, 9).unwrap().truncated);
}

#[test]
fn lines_are_numbered_from_one_and_bounded() {
    let text: String = (1..=MAX_LINES + 5).map(|number| format!("line {number}\n")).collect();
    let (_dir, folder) = folder(&[("a.txt", &text), ("empty.txt", "")]);

    let lines = read(&folder, "a.txt", 2, 4).unwrap();
    assert_eq!(lines.lines, ["line 2", "line 3", "line 4"]);
    assert_eq!((lines.from_line, lines.to_line, lines.total_lines), (2, 4, MAX_LINES + 5));
    assert!(!lines.truncated);

    let lines = read(&folder, "a.txt", 3, usize::MAX).unwrap();
    assert_eq!((lines.lines.len(), lines.to_line, lines.truncated), (MAX_LINES, MAX_LINES + 2, true));

    let lines = read(&folder, "empty.txt", 1, 10).unwrap();
    assert_eq!((lines.from_line, lines.to_line, lines.total_lines), (1, 0, 0));
    assert!(!lines.truncated);

    for (from, to) in [(0, 3), (4, 3), (MAX_LINES + 6, MAX_LINES + 9)] {
        let error = read(&folder, "a.txt", from, to).unwrap_err();
        assert!(matches!(error, ToolError::NoSuchLines { .. }), "{from}-{to}: {error}");
    }
}

#[test]
fn text_of_every_script_is_found_and_counted() {
    let (dir, folder) = folder(&[("größe.md", "Größe 🚀\nGRÖßE größe\n日本語 日本語\n")]);
    assert_eq!(count(&folder, "größe", None).unwrap().total, 3);
    assert_eq!(count(&folder, "日本語", Some("größe.*")).unwrap().total, 2);
    let found = search(&folder, "🚀", 5);
    assert_eq!((found.matches[0].line, &*found.matches[0].text), (1, "Größe 🚀"));

    write(dir.path(), "latin1.txt", b"caf\xe9 needle");
    assert_eq!(count(&folder, "needle", None).unwrap().total, 1);
}

#[test]
fn a_glob_without_a_slash_is_about_the_name() {
    let (_dir, folder) = folder(&[("a.rs", ""), ("src/b.RS", ""), ("src/deep/c.rs", ""), ("d.md", "")]);
    assert_eq!(paths(&folder, Some("*.rs")), ["a.rs", "src/b.RS", "src/deep/c.rs"]);
    assert_eq!(paths(&folder, Some("/*.rs")), ["a.rs"]);
    assert_eq!(paths(&folder, Some("src/*.rs")), ["src/b.RS"]);
    assert_eq!(paths(&folder, Some("src/**")), ["src/b.RS", "src/deep/c.rs"]);
    for glob in ["", "a{b", "[z-a]"] {
        assert!(matches!(count(&folder, "x", Some(glob)).unwrap_err(), ToolError::BadGlob { .. }), "{glob}");
    }
}

#[test]
fn a_cancelled_call_stops_before_the_next_file() {
    let (_dir, folder) = folder(&[("a.txt", "x")]);
    let cancel = Cancel::default();
    cancel.cancel();
    let counting = Count { pattern: "x".into(), regex: false, glob: None };
    assert!(matches!(counting.run(&folder, &cancel), Err(ToolError::Cancelled)));
    let reading = ReadFile { path: "a.txt".into(), from_line: 1, to_line: 1 };
    assert!(matches!(reading.run(&folder, &cancel), Err(ToolError::Cancelled)));
}

#[tokio::test]
async fn a_call_that_is_dropped_gives_its_place_back() {
    let (_dir, folder) = folder(&[("a.txt", "x")]);
    let toolbox = Toolbox::new(folder);
    for _ in 0..MAX_PARALLEL_CALLS * 3 {
        let call = toolbox.call(ListFiles { glob: None, limit: 1 });
        drop(futures_util::FutureExt::now_or_never(call));
    }
    let all = u32::try_from(MAX_PARALLEL_CALLS).unwrap();
    let free = tokio::time::timeout(CALL_TIMEOUT, toolbox.turns.acquire_many(all));
    assert!(free.await.is_ok_and(|permits| permits.is_ok()), "a dropped call keeps its place");
}
