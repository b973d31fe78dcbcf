//! `shelfwise schema`: what has changed, and what may not.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The committed files of a folder of a test's own.
const FILES: [&str; 5] = [
    "schema.graphql",
    "schema.admin.graphql",
    "schema.released.graphql",
    "schema.admin.released.graphql",
    "CHANGELOG.api.md",
];

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in FILES {
        fs::copy(root.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn run(folder: &tempfile::TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
    command.arg("schema").args(arguments).env_clear().current_dir(folder.path()).output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

fn edit(folder: &tempfile::TempDir, file: &str, from: &str, to: &str) {
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn what_breaks_a_release_is_refused_and_what_was_announced_is_not() {
    let folder = folder();
    assert!(run(&folder, &["check"]).status.success(), "the committed files are in step");

    // As if the release had had two fields more; the end of one was announced, and its day has come.
    let more = "type Query {\n  promised: Int\n  announced: Int @deprecated(reason: \"Use `viewer`. \
                Deprecated 2025-01-01. Removal on 2025-07-01 UTC.\")\n";
    edit(&folder, "schema.released.graphql", "type Query {\n", more);
    let stale = run(&folder, &["check"]);
    assert!(!stale.status.success());
    assert!(text(&stale.stderr).contains("CHANGELOG.api.md is out of step"), "{}", text(&stale.stderr));

    assert!(run(&folder, &["changelog"]).status.success());
    let changelog = fs::read_to_string(folder.path().join("CHANGELOG.api.md")).unwrap();
    assert!(
        changelog.contains("- `Query.announced` is gone. As announced.\n- `Query.promised` is gone.\n"),
        "{changelog}"
    );
    let broken = run(&folder, &["check"]);
    assert!(!broken.status.success());
    let told = text(&broken.stderr);
    assert!(told.contains("breaking   `Query.promised` is gone."), "{told}");
    assert!(!told.contains("Query.announced"), "{told}");

    // Released all the same, it is what counts from now on.
    assert!(run(&folder, &["release", "2026-12-24"]).status.success());
    let checked = run(&folder, &["check", "--json"]);
    assert_eq!((checked.status.success(), text(&checked.stdout).trim()), (true, "[]"));
    let released = fs::read_to_string(folder.path().join("schema.released.graphql")).unwrap();
    assert_eq!(released, fs::read_to_string(folder.path().join("schema.graphql")).unwrap());
    let changelog = fs::read_to_string(folder.path().join("CHANGELOG.api.md")).unwrap();
    assert!(changelog.contains("## Unreleased\n\nNothing.\n\n## 2026-12-24\n"), "{changelog}");
}

#[test]
fn a_difference_tells_what_each_change_means() {
    let folder = folder();
    fs::write(folder.path().join("old.graphql"), "type Query { a: Int b: Int c: Color } enum Color { RED }").unwrap();
    fs::write(folder.path().join("new.graphql"), "type Query { a: Int! c: Color } enum Color { RED BLUE }").unwrap();
    let listed = run(&folder, &["diff", "old.graphql", "new.graphql"]);
    assert_eq!(
        text(&listed.stdout),
        "breaking   `Query.b` is gone.\ndangerous  `Color.BLUE` is new.\n\
         safe       `Query.a` was of type `Int` and is of type `Int!`.\n"
    );
    let listed = run(&folder, &["diff", "old.graphql", "new.graphql", "--json"]);
    let changes: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(
        changes[0],
        serde_json::json!({
            "class": "breaking", "coordinate": "Query.b", "rule": "field-removed", "message": "is gone."
        })
    );
    let missing = run(&folder, &["diff", "nothing.graphql"]);
    assert_eq!(
        text(&missing.stderr).lines().next().unwrap(),
        "shelfwise: cannot read nothing.graphql: No such file or directory (os error 2)"
    );
    fs::write(folder.path().join("bad.graphql"), "type {").unwrap();
    assert!(text(&run(&folder, &["diff", "bad.graphql"]).stderr).contains("this is no schema"));
}
