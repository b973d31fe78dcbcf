//! What the code must not say.

use std::fs;
use std::path::{Path, PathBuf};

/// What a shop's transaction may call: its own jobs, told by its role.
const BRIDGE: &[&str] = &["control.job_enqueue", "control.job_hold", "control.job_advance"];

/// Files of a folder by their ends, with their text less comments and unit tests.
fn files(folder: &str, ends: &[&str]) -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| ends.iter().any(|wanted| end == *wanted)) {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                let is_comment =
                    |line: &&str| line.trim_start().starts_with("//") || line.trim_start().starts_with("--");
                let lines: Vec<&str> = code.lines().filter(|line| !is_comment(line)).collect();
                found.push((path, lines.join("\n")));
            }
        }
    }
    assert!(!found.is_empty(), "no files in {folder}");
    found
}

#[test]
fn schemas_are_made_plainly_and_stay_what_they_are() {
    let mut made = 0;
    for (path, text) in
        ["src", "migrations", "tenant_migrations"].into_iter().flat_map(|folder| files(folder, &["rs", "sql"]))
    {
        let upper = text.to_uppercase();
        // What is told to somebody of an extension is no statement of ours.
        let upper = upper.replace("ALTER EXTENSION … SET SCHEMA", "");
        for never in ["ALTER SCHEMA", "SET SCHEMA ", "INHERITS (", "CREATE UNLOGGED"] {
            assert!(!upper.contains(never), "{} says {never}", path.display());
        }
        // `control` is no shard, and may be there already.
        let shops = upper.replace("CREATE SCHEMA IF NOT EXISTS CONTROL", "");
        for (at, _) in shops.match_indices("CREATE SCHEMA") {
            let rest = &shops[at + "CREATE SCHEMA".len()..];
            assert!(rest.starts_with(" \"{SCHEMA}\";"), "{} makes a schema otherwise", path.display());
            made += 1;
        }
    }
    assert_eq!(made, 1, "schemas of shops are made in one place");
}

#[test]
fn shops_name_nothing_of_control_but_what_is_about_their_jobs() {
    let tenant = files("src/tenant", &["rs"]).into_iter().chain(files("tenant_migrations", &["sql"]));
    let mut bridges = 0;
    for (path, text) in
        tenant.chain(files("src/db", &["rs"]).into_iter().filter(|(path, _)| path.ends_with("tenant.rs")))
    {
        bridges += text.matches("control.job_").count();
        let rest = BRIDGE.iter().fold(text, |text, function| text.replace(function, ""));
        for never in ["control.", "\"control\"", "schema::control"] {
            let line = rest.lines().find(|line| line.contains(never));
            assert_eq!(line, None, "{}", path.display());
        }
    }
    assert!(bridges >= 2, "the look finds no bridge");
}
