//! Who may import whom, how long things may get, and what may not stay behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file at most. Ask at 400, split here.
const FILE_LINES_MAX: usize = 600;

/// Lines of a function at most: a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Every Rust file of a folder: its path from the project's root and its text.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What was built of a package of its own, such as the load, is not ours.
                folders.extend(Some(path).filter(|path| !path.ends_with("target")));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((relative(&root, &path), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 3, "no files in {folder}");
    found
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

/// The code of a file without its unit tests and comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// One row of the table: which files, what they must not name, and but for which of it.
struct Rule {
    /// Whether the rule is about a file, by its path below `src/`.
    files: fn(&str) -> bool,
    /// What must not occur.
    never: &'static [&'static str],
    /// What is taken out before looking.
    except: &'static [&'static str],
}

const GRAPHQL_WORDS: &[&str] = &["async_graphql", "crate::graphql"];

/// The import table of the architecture.
const RULES: &[Rule] = &[
    Rule {
        files: |path| path.starts_with("kernel/"),
        never: &[
            "diesel",
            "axum",
            "async_graphql",
            "tokio",
            "crate::db",
            "crate::config",
            "crate::control",
            "crate::tenant::",
            "crate::graphql",
            "crate::http",
        ],
        except: &[],
    },
    Rule {
        files: |path| path.starts_with("db/"),
        never: &[
            "crate::control",
            "crate::tenant",
            "crate::graphql",
            "crate::http",
            "crate::cli",
            "axum",
            "async_graphql",
        ],
        except: &[],
    },
    Rule {
        files: |path| !path.starts_with("db/") && !path.starts_with("cli/dev/"),
        never: &["AsyncPgConnection", "bb8", "search_path", "tokio_postgres"],
        // Whose lines are held back.
        except: &["\"tokio_postgres\""],
    },
    Rule {
        files: |path| path.ends_with("/model.rs") || path.ends_with("/repo.rs"),
        never: &["axum", "crate::graphql", "crate::http"],
        except: &[],
    },
    Rule { files: |path| path.ends_with("/repo.rs"), never: &["Actor", "async_graphql", "service::"], except: &[] },
    Rule {
        files: |path| path.ends_with("/service.rs"),
        never: &["diesel", "async_graphql", "axum", "crate::graphql", "crate::http", "db::schema"],
        except: &[],
    },
    Rule {
        files: |path| path.ends_with("graphql.rs") && path.starts_with("tenant/") || path.contains("/graphql/"),
        never: &["diesel", "repo::", "bb8", "redis", "axum"],
        except: &[],
    },
    Rule { files: |path| path.ends_with("/loaders.rs"), never: &["service::", "axum", "async_graphql"], except: &[] },
    Rule {
        files: |path| path.starts_with("graphql/") || path == "graphql.rs",
        never: &["diesel", "repo::", "crate::http", "axum"],
        except: &[],
    },
    Rule {
        files: |path| path.starts_with("tenant/"),
        never: &["crate::control", "crate::http", "crate::cli", "control."],
        except: &[],
    },
    Rule {
        files: |path| path.starts_with("control/") && !path.ends_with("graphql.rs"),
        never: GRAPHQL_WORDS,
        // The codes of the API are an enum of it.
        except: &["async_graphql::Enum"],
    },
    Rule {
        files: |path| path.starts_with("control/"),
        never: &["crate::tenant::"],
        // A shop's first rows, the end of its trail, what operators do to its webhooks, and what a sandbox gets of it: they
        // run through the tenant's own door, as whoever calls them does.
        except: &[
            "crate::tenant::seed",
            "crate::tenant::audit::head",
            "crate::tenant::webhooks",
            "crate::tenant::sandbox",
            // What a shop has set, for operators who see all settings.
            "crate::tenant::settings",
            // What an archive has of a shop.
            "crate::tenant::opened",
            "crate::tenant::tables",
        ],
    },
    Rule {
        files: |path| path.starts_with("config/"),
        never: &["crate::db", "crate::control", "crate::tenant", "crate::http", "crate::app"],
        except: &[],
    },
    Rule {
        files: |path| path == "cache.rs" || path.starts_with("cache/"),
        never: &[
            "crate::control",
            "crate::tenant",
            "crate::graphql",
            "crate::http",
            "crate::cli",
            "diesel",
            "axum",
            "async_graphql",
        ],
        except: &[],
    },
    Rule {
        files: |path| path.starts_with("auth"),
        never: &[
            "crate::db",
            "crate::control",
            "crate::tenant",
            "crate::graphql",
            "crate::http",
            "async_graphql",
            "axum",
        ],
        except: &[],
    },
    Rule {
        files: |path| path == "vault.rs",
        never: &["crate::db", "crate::control", "crate::tenant", "crate::graphql", "crate::http", "diesel", "async"],
        except: &[],
    },
    Rule {
        files: |path| path.starts_with("jobs"),
        never: &[
            "crate::control",
            "crate::tenant",
            "crate::graphql",
            "crate::http",
            "crate::cli",
            "crate::app",
            "crate::config",
            "axum",
            "async_graphql",
        ],
        except: &[],
    },
    Rule {
        files: |path| path.starts_with("mail"),
        never: &[
            "crate::db",
            "crate::control",
            "crate::tenant",
            "crate::jobs",
            "crate::graphql",
            "crate::http",
            "crate::cli",
            "crate::app",
            "diesel",
        ],
        except: &[],
    },
    Rule {
        files: |path| path.starts_with("limits"),
        never: &[
            "crate::db",
            "crate::config",
            "crate::control",
            "crate::tenant",
            "crate::graphql",
            "crate::http",
            "axum",
            "async_graphql",
        ],
        except: &[],
    },
    Rule { files: |path| path.starts_with("outbound"), never: &["crate::", "axum"], except: &[] },
    // Who looks on is told that something has changed, and never what it is.
    Rule {
        files: |path| path.starts_with("live") || path.starts_with("news"),
        never: &["crate::control", "crate::tenant::", "crate::graphql", "crate::http", "axum", "async_graphql"],
        except: &[],
    },
    // Between domains: identity ← catalog ← orders.
    Rule {
        files: |path| path.starts_with("tenant/identity"),
        never: &["tenant::catalog", "super::super::catalog"],
        except: &[],
    },
];

#[test]
fn imports_follow_the_table() {
    let mut broken = Vec::new();
    for (path, text) in rust_files("src") {
        let path = path.strip_prefix("src/").unwrap();
        for rule in RULES.iter().filter(|rule| (rule.files)(path)) {
            let mut code = code(&text);
            for except in rule.except {
                code = code.replace(except, "");
            }
            broken.extend(
                rule.never.iter().filter(|word| code.contains(*word)).map(|word| format!("{path} names {word}")),
            );
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_row_of_the_table_is_about_a_file() {
    let files = rust_files("src");
    for (index, rule) in RULES.iter().enumerate() {
        assert!(files.iter().any(|(path, _)| (rule.files)(path.strip_prefix("src/").unwrap())), "row {index}");
    }
}

#[test]
fn sql_is_static() {
    // Text goes into SQL where it is made from a schema's name, within `db`, and nowhere else.
    let mut found = Vec::new();
    for (path, text) in rust_files("src") {
        let code = code(&text);
        let is_spliced = code.contains("sql_query(format!")
            || code.contains("batch_execute(&format!")
            || code.contains("sql_query(&");
        if is_spliced && !path.starts_with("src/db/") && path != "src/cli/dev/database.rs" {
            found.push(path);
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn files_and_functions_fit_a_reader() {
    let mut long = Vec::new();
    for (path, text) in rust_files("src").into_iter().chain(rust_files("tests")) {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            long.push(format!("{path}: {} lines", lines.len()));
        }
        for (start, line) in lines.iter().enumerate() {
            let trimmed = line.trim_start();
            let is_function =
                ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn ", "pub(super) async fn "]
                    .iter()
                    .any(|word| trimmed.starts_with(word));
            if !is_function || trimmed.ends_with(';') {
                continue;
            }
            let indent = &line[..line.len() - trimmed.len()];
            let end = lines[start..].iter().position(|line| *line == format!("{indent}}}")).unwrap_or(0);
            if end > FUNCTION_LINES_MAX {
                long.push(format!("{path}:{}: a function of {end} lines", start + 1));
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn nothing_is_left_behind() {
    let mut left = Vec::new();
    let words = [
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        "#[allow(",
        "#![allow(",
        "#[ignore",
        "thread::sleep",
        "TODO",
        "FIXME",
        "XXX",
    ];
    for (path, text) in rust_files("src").into_iter().chain(rust_files("tests")) {
        if path == "tests/tidy.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            left.extend(
                words.iter().filter(|word| line.contains(*word)).map(|word| format!("{path}:{}: {word}", number + 1)),
            );
        }
    }
    // A currency that does not exist is an example of one.
    left.retain(|line| !line.ends_with("XXX"));
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<String> = rust_files("src")
        .into_iter()
        .chain(rust_files("tests"))
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}
