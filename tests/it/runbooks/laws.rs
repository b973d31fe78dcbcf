//! What pages say without having it run: links, names of metrics, variables, codes, commands and log lines.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;
use shelfwise::cli::Cli;
use shelfwise::config::VARIABLES;

use super::text::{Page, anchor, pages, root};
use super::{ALERTS, UNPLAYED};

/// Languages of blocks that are run, and of files that are written.
const LANGUAGES: &[&str] = &["bash", "sh", "sql", "graphql", "csv", "ini", "cron"];

/// Variables that are no setting of the program: the machine's, those of `docker-compose.yml`, and of its allocator.
const OTHER_VARIABLES: &[&str] = &["SHELFWISE_IMAGE", "POSTGRES_PASSWORD", "_RJEM_MALLOC_CONF"];

/// What PostgreSQL, Redis, browsers and the like say, and what no file of ours has as it is told.
const SAID_BY_OTHERS: &[&str] = &[
    // PostgreSQL.
    "canceling statement due to lock timeout",
    "cannot be dropped because some objects depend on it",
    "database system is ready to accept connections",
    "does not exist",
    "idle in transaction",
    "must be owner of",
    "out of shared memory",
    "password authentication failed",
    "recovery ended before configured recovery target was reached",
    "recovery stopping before commit of transaction",
    "remaining connection slots are reserved",
    "requested recovery stop point is before consistent recovery point",
    "too many clients already",
    // PgBouncer.
    "max_prepared_statements = 0",
    "server login has been failing",
    // Other programs, and what is sent by hand.
    "pprof -http=",
    "cargo build --release",
    "traceparent: 00-",
    // Files that are copied by hand, where there are any.
    "cp -n OLD/pg_wal/",
    // The tests of this project, and how it is built.
    "cargo test --test",
    "overdue, take it out of the code",
    // Where a rule's line is told, beside its name.
    "FILE:LINE: RULE: …",
    // The README's own words for a command.
    "sed -n 's/^DATABASE_OWNER_URL=",
];

/// Fails with all that is wrong at once.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with inline code of any page.
fn wrong_inline(is_wrong: impl Fn(&Page, &str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, code) in &page.inline {
            wrong.extend(is_wrong(&page, code).map(|why| format!("{}.md:{line}: `{code}`: {why}", page.name)));
        }
    }
    wrong
}

/// The text of all files below a folder that end so.
fn all_text(folder: &str, endings: &[&str]) -> String {
    fn walk(folder: &Path, endings: &[&str], text: &mut String) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, endings, text);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                text.push_str(&fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    let mut text = String::new();
    walk(&root().join(folder), endings, &mut text);
    text
}

/// A file of the project.
fn file(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn every_page_is_in_the_table_and_every_row_has_a_page() {
    let all = pages();
    let readme = Page::read("README");
    let rows: Vec<String> = readme.text.lines().filter(|line| line.starts_with("| [")).map(str::to_owned).collect();
    let mut wrong = Vec::new();
    for page in all.iter().filter(|page| page.name != "README") {
        let row = format!("| [{0}]({0}.md) |", page.name);
        if rows.iter().filter(|line| line.starts_with(&row)).count() != 1 {
            wrong.push(format!("README.md has no row `{row}`"));
        }
    }
    assert_eq!(rows.len(), all.len() - 1, "rows of pages that are not there");
    assert_none(&wrong);
}

#[test]
fn every_page_has_the_headings_of_its_form() {
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| page.name != "README" && !page.blocks.is_empty()) {
        let headings: Vec<&str> = page.text.lines().filter(|line| line.starts_with("## ")).collect();
        for heading in ["## Symptom", "## Confirm", "## Act", "## Verify"] {
            let has = |found: &&&str| **found == heading || found.starts_with(&format!("{heading}:"));
            if !headings.iter().any(|found| has(&found)) {
                wrong.push(format!("{}.md has no `{heading}`", page.name));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (line, target) in page.links() {
            if target.starts_with("https://") {
                continue;
            }
            let (path, to) = target.split_once('#').unwrap_or((&target, ""));
            let file = if path.is_empty() { format!("{}.md", page.name) } else { path.to_owned() };
            let place = root().join("runbooks").join(&file);
            if !place.exists() {
                wrong.push(format!("{}.md:{line}: {target} is not there", page.name));
            } else if !to.is_empty() {
                let text = fs::read_to_string(&place).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                if !headings.map(|line| anchor(line.trim_start_matches('#'))).any(|found| found == to) {
                    wrong.push(format!("{}.md:{line}: {target}: no such heading", page.name));
                }
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_block_is_of_a_kind_that_is_run_and_every_page_that_has_one_is_played() {
    let sources = all_text("tests/it/runbooks", &[".rs"]);
    let mut wrong = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            if !LANGUAGES.contains(&block.language.as_str()) {
                wrong.push(format!("{}.md:{}: nobody runs `{}`", page.name, block.line, block.language));
            }
        }
        let excused = |text: &str| super::unplayed(&page.name, text);
        let has_any = page.blocks.iter().any(|block| !excused(&block.text));
        if has_any && !sources.contains(&format!("page(\"{}\")", page.name)) {
            wrong.push(format!("{}.md has blocks, and no test of tests/it/runbooks plays it", page.name));
        }
        for (index, line) in page.prose().lines().enumerate() {
            let is_indented = line.starts_with("    ") && !line.trim_start().starts_with(['-', '*', '|']);
            let words = ["shelfwise ", "psql ", "curl ", "docker ", "SELECT ", "UPDATE "];
            if is_indented && words.iter().any(|word| line.trim_start().starts_with(word)) {
                wrong.push(format!("{}.md:{}: a command outside of a fenced block", page.name, index + 1));
            }
        }
    }
    for (name, text, _) in UNPLAYED {
        let has = pages().iter().any(|page| page.name == *name && page.blocks.iter().any(|b| b.text.contains(text)));
        if !has {
            wrong.push(format!("UNPLAYED: {name}.md has no block with: {text}"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_command_that_a_sentence_names_exists() {
    assert_none(&wrong_inline(|_, code| {
        let command = code.strip_prefix("shelfwise ")?;
        let command = command.split(['|', '>', '…']).next().unwrap().trim();
        if command.is_empty() {
            return None;
        }
        let words = std::iter::once("shelfwise".to_owned()).chain(words(command));
        let error = Cli::try_parse_from(words).err()?;
        // A sentence may leave out what is clear.
        let is_short = matches!(
            error.kind(),
            ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        (!is_short).then(|| error.to_string())
    }));
}

/// The words of a command, with an example where the reader fills in what is checked.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ' ') => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    let example = |word: String| match word.as_str() {
        "ID" | "JOB_ID" => "job_01kb5f2j4mf0pr9v5h7d3c1x2e".to_owned(),
        "ARCHIVE_ID" => "archive_01kb5f2j4mf0pr9v5h7d3c1x2e".to_owned(),
        _ => word,
    };
    words.into_iter().map(example).collect()
}

#[test]
fn every_variable_and_code_that_a_page_names_exists() {
    let known = ["schema.graphql", "schema.admin.graphql", "README.md", "docker-compose.yml"].map(file).join("\n");
    let known: HashSet<&str> = known.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let is_capital = |word: &str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    assert_none(&wrong_inline(|_, code| {
        let unknown = code.split(|c: char| !c.is_alphanumeric() && c != '_').find(|word| {
            is_capital(word)
                && !word.ends_with('_')
                && !VARIABLES.contains(word)
                && !OTHER_VARIABLES.contains(word)
                && !known.contains(word)
                && !super::text::is_to_fill(word)
        })?;
        Some(format!("nobody knows {unknown}"))
    }));
}

/// What is set before `docker compose` reaches processes where the file passes it on, and nowhere else.
#[test]
fn every_variable_that_is_set_for_docker_compose_is_passed_on() {
    let compose = file("docker-compose.yml");
    let mut wrong = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            for line in block.text.lines().filter(|line| line.contains(" docker compose ")) {
                let set = line.split_whitespace().map_while(|word| word.split_once('=').map(|(name, _)| name));
                for name in set.filter(|name| !compose.contains(&format!("${{{name}"))) {
                    wrong.push(format!("{}.md:{}: docker-compose.yml does not pass on {name}", page.name, block.line));
                }
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_field_kind_and_label_that_a_page_names_exists() {
    let schemas = ["schema.graphql", "schema.admin.graphql"].map(file).join("\n");
    let fields: HashSet<&str> = schemas.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let sources = [all_text("src", &[".rs", ".sql", ".txt"]), all_text("migrations", &[".sql"])].join("\n")
        + &all_text("tenant_migrations", &[".sql"]);
    assert_none(&wrong_inline(|_, code| {
        let is_camel = code.starts_with(|c: char| c.is_ascii_lowercase())
            && code.chars().any(|c| c.is_ascii_uppercase())
            && code.chars().take_while(|c| *c != '(').all(char::is_alphanumeric);
        let name = code.split('(').next().unwrap();
        if is_camel {
            return (!fields.contains(name) && !sources.contains(code)).then(|| "no such field".to_owned());
        }
        let (front, back) = code.trim_start_matches("extensions.").split_once('.')?;
        let is_dotted = [front, back]
            .iter()
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        let is_file = ["md", "sql", "yml", "rs", "toml", "conf", "zip", "example", "env"].contains(&back);
        (is_dotted && !is_file && !sources.contains(code)).then(|| "no file of ours has it".to_owned())
    }));
}

/// What a page quotes of an answer or a log line is what the program says, letter by letter, around what it fills in.
#[test]
fn every_sentence_that_a_page_quotes_is_said() {
    let sources = all_text("src", &[".rs"]) + &all_text("deploy/backup", &[""]);
    // A text that goes on in the next line of the source.
    let said: String = sources.split("\\\n").enumerate().fold(String::new(), |mut said, (index, part)| {
        said.push_str(if index == 0 { part } else { part.trim_start() });
        said
    });
    let said = said.replace("\\\"", "\"");
    let is_filled = |word: &str| super::text::is_to_fill(word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_'));
    assert_none(&wrong_inline(|_, code| {
        let is_sentence = code.split(' ').count() > 2
            && code.starts_with(char::is_alphabetic)
            && !code.starts_with("shelfwise ")
            && !SAID_BY_OTHERS.iter().any(|other| code.contains(other));
        if !is_sentence {
            return None;
        }
        let words = code.split(' ').map(|word| if is_filled(word) { "…" } else { word });
        let pattern = words.collect::<Vec<_>>().join(" ");
        let pattern = pattern.replace(": ", "…");
        let mut parts = pattern.split(|c: char| c == '…' || c == '`' || c.is_ascii_digit()).map(str::trim);
        let missing = parts.find(|part| part.len() > 3 && !said.contains(part))?;
        Some(format!("nobody says: {missing}"))
    }));
}

#[test]
fn every_alert_has_a_page_that_names_it_first() {
    let mut wrong = Vec::new();
    for (alert, name) in ALERTS {
        let page = Page::read(name);
        let head: String = page.text.lines().take(6).collect::<Vec<_>>().join("\n");
        if !head.contains(&format!("`{alert}`")) {
            wrong.push(format!("{name}.md does not name `{alert}` in its first lines"));
        }
        let others = pages().into_iter().filter(|page| page.name != *name && page.name != "README");
        for other in others {
            if other.text.lines().take(6).any(|line| line.contains(&format!("`{alert}`"))) {
                wrong.push(format!("{}.md names `{alert}`, whose page is {name}.md", other.name));
            }
        }
    }
    assert_none(&wrong);
}

/// The rules that are deployed lead to the pages that know their alerts.
#[test]
fn every_rule_that_is_deployed_leads_to_the_page_of_its_alert() {
    let rules = all_text("deploy/prometheus/rules", &[".yml"]);
    let value = |line: &str, key: &str| {
        let text = line.trim().trim_start_matches("- ").strip_prefix(key)?.trim();
        Some(text.trim_matches(['"', '\'']).to_owned())
    };
    let (mut alert, mut found, mut wrong) = (None, Vec::new(), Vec::new());
    for line in rules.lines() {
        alert = value(line, "alert:").or(alert);
        let Some(url) = value(line, "runbook_url:") else { continue };
        let Some(name) = alert.take() else { continue };
        let page = url.rsplit('/').next().unwrap().trim_end_matches(".md").to_owned();
        if !ALERTS.contains(&(name.as_str(), page.as_str())) {
            wrong.push(format!("the alert {name} leads to {page}.md, and ALERTS says otherwise"));
        }
        found.push(name);
    }
    assert_none(&wrong);
    let missing: Vec<_> = ALERTS.iter().filter(|(name, _)| !found.iter().any(|known| known == name)).collect();
    assert!(missing.is_empty(), "ALERTS has what no rule has: {missing:?}");
}
