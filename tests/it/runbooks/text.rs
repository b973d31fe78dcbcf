//! The text of a page, taken apart: what is to be run, where it leads, and which names it uses.

use std::fs;
use std::path::PathBuf;

/// Words in capitals that a reader fills in.
const TO_FILL: &[&str] = &[
    "ADDRESS",
    "ADMIN_ID",
    "ARCHIVE_ID",
    "BOOK_ID",
    "CREDENTIAL",
    "DELIVERY_ID",
    "EMAIL",
    "ENDPOINT_ID",
    "FLAG",
    "ID",
    "JOB_ID",
    "KIND",
    "LOGIN",
    "N",
    "NAME",
    "NEW-SLUG",
    "NEWEST",
    "NEW_EMAIL",
    "NEW_PASSWORD",
    "OLD",
    "PID",
    "PLAN",
    "REASON",
    "REQUEST_ID",
    "ROLE_ID",
    "SCHEMA",
    "SHOP",
    "SLUG",
    "SPARE",
    "TOKEN",
    "USER_ID",
];

/// How inline code begins that is to be run like a block.
const RUN_INLINE: &[(&str, &str)] = &[
    ("SELECT ", "sql"),
    ("SHOW ", "sql"),
    ("ALTER ", "sql"),
    ("DROP ", "sql"),
    ("VACUUM", "sql"),
    ("curl ", "bash"),
    ("docker compose ", "bash"),
    ("redis-cli ", "bash"),
    ("{ ", "graphql"),
];

/// Something of a page that is to be run.
#[derive(Debug, Clone)]
pub struct Block {
    /// The line of the page that it begins in.
    pub line: usize,
    /// What runs it: `bash`, `sql`, `graphql`, or a file's kind.
    pub language: String,
    pub text: String,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// The file's name without its ending.
    pub name: String,
    pub text: String,
    /// In the order of the page.
    pub blocks: Vec<Block>,
    /// Code within sentences that is not to be run as it is.
    pub inline: Vec<(usize, String)>,
}

/// The folder of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All pages, by name, the table of contents among them.
pub fn pages() -> Vec<Page> {
    let mut names: Vec<String> = fs::read_dir(root().join("runbooks"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".md")?.to_owned()))
        .collect();
    names.sort();
    names.iter().map(|name| Page::read(name)).collect()
}

impl Page {
    /// Reads a page.
    pub fn read(name: &str) -> Self {
        let path = root().join("runbooks").join(format!("{name}.md"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut blocks, prose) = fenced(name, &text);
        let mut inline = Vec::new();
        for (line, code) in spans(&prose) {
            match RUN_INLINE.iter().find(|(start, _)| code.starts_with(start) && !code.starts_with("{ \"")) {
                Some((_, language)) => blocks.push(Block { line, language: (*language).to_owned(), text: code }),
                None => inline.push((line, code)),
            }
        }
        blocks.sort_by_key(|block| block.line);
        Self { name: name.to_owned(), text, blocks, inline }
    }

    /// The text without its blocks, the lines where they were.
    pub fn prose(&self) -> String {
        fenced(&self.name, &self.text).1
    }

    /// Where links lead: the line and the target.
    pub fn links(&self) -> Vec<(usize, String)> {
        let prose = self.prose();
        let mut links = Vec::new();
        for (at, _) in prose.match_indices("](") {
            let target = prose[at + 2..].split(')').next().unwrap();
            links.push((line_of(&prose, at), target.to_owned()));
        }
        links
    }
}

/// The anchor of a heading.
pub fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_';
    heading.trim().to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Fills in words in capitals, and fails where one is left.
pub fn fill(text: &str, values: &[(String, String)], place: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    let mut before = String::new();
    while !rest.is_empty() {
        let known = values.iter().map(|(name, _)| name.as_str()).chain(TO_FILL.iter().copied());
        let here = known.filter(|name| stands(&before, rest, name)).max_by_key(|name| name.len());
        if let Some(name) = here {
            let value = values.iter().find(|(known, _)| known == name);
            let value = value.unwrap_or_else(|| panic!("{place}: {name} is not filled in: {text}"));
            filled.push_str(&value.1);
            before.push_str(name);
            rest = &rest[name.len()..];
        } else {
            let next = rest.chars().next().unwrap();
            filled.push(next);
            before.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    filled
}

/// Whether a name stands at the start of the rest as a word of its own: no part of another, and no variable of the shell.
fn stands(before: &str, rest: &str, name: &str) -> bool {
    let Some(after) = rest.strip_prefix(name) else { return false };
    // SQL has a word that is called so.
    if name == "SCHEMA" && !before.ends_with(['"', '\'']) {
        return false;
    }
    let mut back = before.chars().rev();
    let is_free_before = match back.next() {
        Some('-') => !back.next().is_some_and(|c| c.is_ascii_uppercase()),
        Some(c) => !c.is_alphanumeric() && c != '_' && c != '$',
        None => true,
    };
    let is_free_after = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '=');
    is_free_before && is_free_after
}

/// The fenced blocks, and the text with empty lines in their place.
fn fenced(name: &str, text: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<(usize, Block)> = None;
    for (index, line) in text.lines().enumerate() {
        let stripped = line.trim_start();
        let indent = line.len() - stripped.len();
        match (&mut open, stripped.strip_prefix("```")) {
            (None, Some(language)) => {
                let block = Block { line: index + 1, language: language.trim().to_owned(), text: String::new() };
                open = Some((indent, block));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => prose.push_str(line),
        }
        prose.push('\n');
    }
    assert!(open.is_none(), "{name}: a block does not end");
    (blocks, prose)
}

/// Inline code with the line that it begins in.
fn spans(prose: &str) -> Vec<(usize, String)> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(start) = prose[at..].find('`').map(|found| found + at) {
        let ticks: String = prose[start..].chars().take_while(|c| *c == '`').collect();
        let from = start + ticks.len();
        let Some(end) = prose[from..].find(&ticks).map(|found| found + from) else { break };
        let code = prose[from..end].split_whitespace().collect::<Vec<_>>().join(" ");
        spans.push((line_of(prose, start), code));
        at = end + ticks.len();
    }
    spans
}

/// The number of the line that a position is in.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Whether a word is one that a reader fills in.
pub fn is_to_fill(word: &str) -> bool {
    TO_FILL.contains(&word)
}
