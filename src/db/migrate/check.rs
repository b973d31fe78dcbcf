//! What a tenant's migration may do while shops work: checked before a run, in the order of how much it would hurt.
//!
//! Some rules have no exception: a type of a shop's own breaks connections that serve many shops, a qualified name leaves
//! the schema. The others are about time and about the release that runs beside, and a statement may break one where a
//! comment before it says `-- allow: RULE: why`.

use std::fmt;

use super::Migration;
use super::notes::{index_change, is_transactional, validates};
use super::split::{Statement, statements};

/// The newest migration that was released before there were these rules. It and those before it are as they are.
pub const RELEASED: &str = "20261124000005";

/// A rule of migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// No types, domains, sequences or extensions: an OID is one schema's, and connections serve many.
    Type,
    /// No name leaves the schema.
    Qualified,
    /// No transaction, role or setting but the step's own.
    Session,
    /// Outside of a transaction there is `CREATE` and `DROP INDEX CONCURRENTLY`, and within one there is neither.
    Concurrently,
    /// Every `up` has a `down`.
    Down,
    /// A backfill is one statement that changes rows.
    Backfill,
    /// A comment that allows something names a rule and says why.
    Marker,
    /// No table is written anew.
    Rewrite,
    /// No table is closed for long.
    Lock,
    /// Nothing is taken away that the release before needs.
    Contract,
    /// No rows are changed in the step itself: that is a backfill.
    Data,
}

/// What a migration does that it must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as `2026-12-01-000001_name/up.sql`.
    pub file: String,
    /// The line, from 1 on.
    pub line: usize,
    /// The rule.
    pub rule: Rule,
    /// What it is about.
    pub what: String,
}

impl Rule {
    /// Its name in markers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Qualified => "qualified",
            Self::Session => "session",
            Self::Concurrently => "concurrently",
            Self::Down => "down",
            Self::Backfill => "backfill",
            Self::Marker => "marker",
            Self::Rewrite => "rewrite",
            Self::Lock => "lock",
            Self::Contract => "contract",
            Self::Data => "data",
        }
    }

    /// Whether a comment may allow breaking it.
    #[must_use]
    pub fn has_exceptions(self) -> bool {
        matches!(self, Self::Rewrite | Self::Lock | Self::Contract | Self::Data)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule.as_str(), self.what)
    }
}

/// What is wrong with migrations, but for those that are released.
#[must_use]
pub fn check(migrations: &[Migration]) -> Vec<Problem> {
    let is_ours = |migration: &&Migration| migration.version.as_str() > RELEASED;
    migrations.iter().filter(is_ours).flat_map(|migration| check_one(migration, migrations)).collect()
}

fn check_one(migration: &Migration, all: &[Migration]) -> Vec<Problem> {
    let mut file = File { name: format!("{}/up.sql", migration.name), problems: Vec::new() };
    let up = statements(&migration.up);
    file.check_all(&up, &migration.up);
    file.check_waits(migration, all);
    file.name = format!("{}/down.sql", migration.name);
    let down = statements(&migration.down);
    if down.is_empty() && !up.is_empty() {
        file.problem(1, Rule::Down, "there is no way back");
    }
    // What takes a change back takes away what it has added: the rules without exceptions are left.
    let before = file.problems.len();
    file.check_all(&down, &migration.down);
    let kept = file.problems.split_off(before).into_iter().filter(|problem| !problem.rule.has_exceptions());
    file.problems.extend(kept);
    if let Some(backfill) = &migration.backfill {
        file.name = format!("{}/backfill.sql", migration.name);
        let found = statements(backfill);
        let changes = found
            .first()
            .is_some_and(|s| s.words.iter().any(|word| ["UPDATE", "INSERT", "DELETE"].contains(&word.as_str())));
        if found.len() != 1 || !changes {
            file.problem(1, Rule::Backfill, "a backfill is one statement that changes rows");
        }
        if found.iter().any(|s| s.words.windows(2).any(|pair| pair == ["SKIP", "LOCKED"])) {
            file.problem(
                1,
                Rule::Backfill,
                "rows that are SKIP LOCKED are not filled in, and the backfill counts as done",
            );
        }
        found.iter().for_each(|statement| file.check_names(statement));
    }
    file.problems
}

/// A file under way.
struct File {
    name: String,
    problems: Vec<Problem>,
}

impl File {
    fn problem(&mut self, line: usize, rule: Rule, what: &str) {
        self.problems.push(Problem { file: self.name.clone(), line, rule, what: what.to_owned() });
    }

    fn check_all(&mut self, statements: &[Statement], sql: &str) {
        // What a statement before has made; what may have been there is not new.
        let mut made: Vec<String> = Vec::new();
        let is_mixed = !statements.iter().all(|statement| validates_alone(&words(statement)));
        for statement in statements {
            self.check_names(statement);
            let is_concurrent = statement.words.iter().any(|word| word == "CONCURRENTLY");
            if is_transactional(sql) && is_concurrent {
                self.problem(
                    statement.line,
                    Rule::Concurrently,
                    "put it into a file that begins with `-- no transaction`",
                );
            }
            if !is_transactional(sql) && index_change(statement).is_none() {
                self.problem(
                    statement.line,
                    Rule::Concurrently,
                    "outside of a transaction there is CREATE and DROP INDEX CONCURRENTLY of one index with a name",
                );
            }
            let allowed = self.allowed(statement);
            let words = words(statement);
            let mut found = broken(&words, &made);
            if is_mixed && validates(statement) && name_after(&words, "TABLE").is_none_or(|name| !made.contains(&name))
            {
                let what = "validate in a migration of its own: the locks of all else are held meanwhile";
                found.push((Rule::Lock, what.to_owned()));
            }
            for (rule, what) in found {
                if !allowed.contains(&rule) {
                    self.problem(statement.line, rule, &what);
                }
            }
            made.extend(created(&words));
        }
    }

    /// Whether the backfill that a migration waits for is one.
    fn check_waits(&mut self, migration: &Migration, all: &[Migration]) {
        let mut count = 0;
        for (at, line) in migration.up.lines().enumerate() {
            let comment = line.trim().strip_prefix("--").map(|text| text.trim().to_ascii_lowercase());
            if !comment.is_some_and(|text| text.starts_with("after backfill")) {
                continue;
            }
            count += 1;
            let version = line.trim().strip_prefix("-- after backfill:").map(str::trim);
            let is_one = |version| {
                all.iter().any(|m| m.version == version && m.version < migration.version && m.backfill.is_some())
            };
            if count > 1 || !version.is_some_and(is_one) {
                let what = "write `-- after backfill: VERSION` once, of an earlier migration that has a backfill";
                self.problem(at + 1, Rule::Backfill, what);
            }
        }
    }

    /// The rules that comments of a statement allow it to break.
    fn allowed(&mut self, statement: &Statement) -> Vec<Rule> {
        let mut allowed = Vec::new();
        for comment in &statement.comments {
            let Some(rest) = comment.strip_prefix("allow:") else { continue };
            let (name, why) = rest.split_once(':').unwrap_or((rest, ""));
            let rules = [Rule::Rewrite, Rule::Lock, Rule::Contract, Rule::Data];
            match rules.into_iter().find(|rule| rule.as_str() == name.trim()) {
                Some(rule) if !why.trim().is_empty() => allowed.push(rule),
                _ => self.problem(statement.line, Rule::Marker, "write `-- allow: rewrite|lock|contract|data: why`"),
            }
        }
        allowed
    }

    /// The rules about what a statement names, which have no exceptions.
    fn check_names(&mut self, statement: &Statement) {
        let words = words(statement);
        let kind = created_kind(&words);
        let makes_type = matches!(
            kind,
            Some("TYPE" | "DOMAIN" | "EXTENSION" | "SEQUENCE" | "SCHEMA" | "ROLE" | "CAST" | "COLLATION")
        );
        let numbers = words.iter().any(|word| matches!(*word, "SERIAL" | "BIGSERIAL" | "SMALLSERIAL"))
            || words.windows(2).any(|pair| pair == ["AS", "IDENTITY"]);
        if makes_type || numbers {
            self.problem(
                statement.line,
                Rule::Type,
                "a schema has no types, domains, sequences or extensions of its own",
            );
        }
        if is_qualified(&words) {
            self.problem(statement.line, Rule::Qualified, "name no schema: the search path is the tenant's alone");
        }
        let first = words.first().copied().unwrap_or_default();
        if matches!(
            first,
            "BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "SET" | "RESET" | "START" | "ABORT" | "DISCARD"
        ) {
            self.problem(statement.line, Rule::Session, "the transaction and its settings are the step's");
        }
    }
}

fn words(statement: &Statement) -> Vec<&str> {
    statement.words.iter().map(String::as_str).collect()
}

/// Words that may stand between `CREATE` and what is made.
const BETWEEN: [&str; 9] =
    ["OR", "REPLACE", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "GLOBAL", "LOCAL", "CONSTRAINT"];

fn created_kind<'a>(words: &[&'a str]) -> Option<&'a str> {
    let (&"CREATE", rest) = words.split_first()? else { return None };
    rest.iter().copied().find(|word| !BETWEEN.contains(word))
}

/// The table that a statement makes, where it cannot have been there before.
fn created(words: &[&str]) -> Option<String> {
    let may_be_there = words.windows(3).any(|three| three == ["IF", "NOT", "EXISTS"]);
    (created_kind(words)? == "TABLE" && !may_be_there).then(|| name_after(words, "TABLE")).flatten()
}

/// The tables that a `DROP TABLE` names.
fn dropped<'a>(words: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let between = ["IF", "EXISTS", ",", "CASCADE", "RESTRICT"];
    words.iter().skip(2).copied().filter(move |word| !between.contains(word))
}

/// Whether a statement validates constraints and does nothing else.
fn validates_alone(words: &[&str]) -> bool {
    let is_one = |action: &Vec<&str>| matches!(action.as_slice(), ["VALIDATE", "CONSTRAINT", ..]);
    matches!(words, ["ALTER", "TABLE", ..]) && actions(words).iter().all(is_one)
}

/// The name that follows a word, without what may stand between.
fn name_after(words: &[&str], word: &str) -> Option<String> {
    let at = words.iter().position(|found| *found == word)? + 1;
    let between = ["IF", "NOT", "EXISTS", "ONLY", "CONCURRENTLY"];
    words[at..].iter().find(|word| !between.contains(*word)).map(|word| (*word).to_owned())
}

/// Words after which a relation or function is named.
const BEFORE_NAMES: [&str; 14] = [
    "TABLE",
    "INTO",
    "FROM",
    "JOIN",
    "UPDATE",
    "REFERENCES",
    "FUNCTION",
    "PROCEDURE",
    "VIEW",
    "INDEX",
    "EXISTS",
    "ONLY",
    "TRIGGER",
    "USING",
];

/// Whether a statement names a schema, but for `pg_catalog`.
fn is_qualified(words: &[&str]) -> bool {
    // In the condition of a join, what stands before a point is a table.
    let is_on = matches!(created_kind(words), Some("INDEX" | "TRIGGER" | "POLICY" | "RULE"))
        || words.first().is_some_and(|first| ["GRANT", "REVOKE", "COMMENT", "DROP"].contains(first));
    words.windows(3).any(|three| {
        let [before, schema, "."] = three else { return false };
        let names = BEFORE_NAMES.contains(before) || is_on && *before == "ON";
        names && *schema != "PG_CATALOG"
    }) || words.windows(2).any(|pair| matches!(pair, ["CONTROL" | "PUBLIC" | "\"control\"" | "\"public\"", "."]))
}

/// The rules with exceptions that a statement breaks.
fn broken(words: &[&str], created: &[String]) -> Vec<(Rule, String)> {
    let is_new = |table: Option<String>| table.is_some_and(|table| created.contains(&table));
    let one = |rule, what: &str| vec![(rule, what.to_owned())];
    match words {
        ["ALTER", "TABLE", ..] if !is_new(name_after(words, "TABLE")) => {
            actions(words).into_iter().flat_map(|action| broken_by_action(&action)).collect()
        }
        ["CREATE", "INDEX" | "UNIQUE", ..] if !words.contains(&"CONCURRENTLY") && !is_new(name_after(words, "ON")) => {
            one(Rule::Lock, "an index of a table that is in use is built CONCURRENTLY")
        }
        ["LOCK" | "CLUSTER" | "REINDEX", ..] | ["VACUUM", ..] | ["REFRESH", ..] => {
            one(Rule::Lock, "this closes a table for as long as it takes")
        }
        ["DROP", "TABLE", ..] if dropped(words).any(|table| !is_new(Some(table.to_owned()))) => {
            one(Rule::Contract, "the release before this one may use the table")
        }
        ["DROP", "INDEX", ..] => one(Rule::Contract, "the release before this one may count on the index"),
        ["DROP", "VIEW" | "FUNCTION" | "PROCEDURE" | "MATERIALIZED", ..] => {
            one(Rule::Contract, "the release before this one may use it")
        }
        ["UPDATE", ..] if is_new(name_after(words, "UPDATE")) => Vec::new(),
        ["DELETE", ..] if is_new(name_after(words, "FROM")) => Vec::new(),
        ["INSERT", ..] if is_new(name_after(words, "INTO")) => Vec::new(),
        ["UPDATE" | "DELETE" | "INSERT" | "MERGE" | "TRUNCATE" | "COPY", ..] => {
            one(Rule::Data, "rows are changed by a backfill, in batches")
        }
        ["WITH", rest @ ..] if rest.iter().any(|word| matches!(*word, "UPDATE" | "DELETE" | "INSERT" | "MERGE")) => {
            one(Rule::Data, "rows are changed by a backfill, in batches")
        }
        ["DO" | "CALL" | "EXECUTE", ..] => one(Rule::Data, "what this does cannot be looked into"),
        _ => Vec::new(),
    }
}

/// The actions of an `ALTER TABLE`, which commas part.
fn actions<'a>(words: &[&'a str]) -> Vec<Vec<&'a str>> {
    let between = ["IF", "EXISTS", "ONLY"];
    // After `ALTER TABLE` and the table's name.
    let table = words.iter().skip(2).position(|word| !between.contains(word)).map_or(words.len(), |at| at + 3);
    let (mut actions, mut depth) = (vec![Vec::new()], 0_i32);
    for word in words.iter().skip(table) {
        match *word {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "," if depth == 0 => {
                actions.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if let Some(action) = actions.last_mut() {
            action.push(*word);
        }
    }
    actions
}

fn broken_by_action(action: &[&str]) -> Vec<(Rule, String)> {
    let one = |rule, what: &str| vec![(rule, what.to_owned())];
    let has = |word: &str| action.contains(&word);
    match action {
        ["ALTER", rest @ ..] if rest.contains(&"TYPE") => {
            one(Rule::Rewrite, "a column's type is not changed in place: add a column, fill it in, switch")
        }
        ["SET", "LOGGED" | "UNLOGGED" | "TABLESPACE" | "ACCESS", ..] => {
            one(Rule::Rewrite, "this writes the table anew")
        }
        ["ALTER", rest @ ..] if rest.windows(3).any(|three| three == ["SET", "NOT", "NULL"]) => {
            one(Rule::Lock, "SET NOT NULL reads the whole table under its lock, unless a validated CHECK says the same")
        }
        ["ALTER", .., "DROP", "DEFAULT"] => {
            one(Rule::Contract, "the release before this one may leave the column to its default")
        }
        ["ADD", "CONSTRAINT" | "CHECK" | "FOREIGN" | "UNIQUE" | "PRIMARY" | "EXCLUDE", ..] => {
            if has("UNIQUE") || has("PRIMARY") || has("EXCLUDE") {
                let is_by_index = action.windows(2).any(|pair| pair == ["USING", "INDEX"]);
                let what = "build the index CONCURRENTLY, then add the constraint USING INDEX";
                if is_by_index { Vec::new() } else { one(Rule::Lock, what) }
            } else if action.ends_with(&["NOT", "VALID"]) {
                Vec::new()
            } else {
                one(Rule::Lock, "add the constraint NOT VALID, and VALIDATE it in a migration of its own")
            }
        }
        ["ADD", ..] => broken_by_column(action),
        ["DROP", "CONSTRAINT", ..] => one(Rule::Contract, "the release before this one may count on the constraint"),
        ["DROP", ..] => one(Rule::Contract, "the release before this one may use the column"),
        ["RENAME", "CONSTRAINT", ..] => Vec::new(),
        ["RENAME", ..] => one(Rule::Contract, "the release before this one knows the old name"),
        _ => Vec::new(),
    }
}

/// Calls in a default that are made once for all rows.
const STABLE: [&str; 4] = ["NOW", "TRANSACTION_TIMESTAMP", "STATEMENT_TIMESTAMP", "CURRENT_SETTING"];

/// Words before a parenthesis that is no call.
const NO_CALL: [&str; 9] =
    ["CHECK", "NUMERIC", "VARCHAR", "CHAR", "DECIMAL", "TIMESTAMP", "TIMESTAMPTZ", "IN", "INTERVAL"];

/// Whether a column is declared so, and nobody computes it: what stands in parentheses is of a constraint.
fn is_not_null(action: &[&str]) -> bool {
    let mut depth = 0_i32;
    let mut outside = Vec::new();
    for word in action {
        match *word {
            "(" => depth += 1,
            ")" => depth -= 1,
            word if depth == 0 => outside.push(word),
            _ => {}
        }
    }
    outside.windows(2).any(|pair| pair == ["NOT", "NULL"]) && !outside.contains(&"GENERATED")
}

fn broken_by_column(action: &[&str]) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    let default = action.iter().position(|word| *word == "DEFAULT");
    // What follows the default's expression ends it.
    let expression = default.map_or(&[][..], |at| &action[at + 1..]);
    let end = expression
        .iter()
        .position(|word| matches!(*word, "CHECK" | "REFERENCES" | "CONSTRAINT" | "UNIQUE" | "PRIMARY"));
    let expression = &expression[..end.unwrap_or(expression.len())];
    let is_volatile = expression.windows(2).any(|pair| {
        let [call, "("] = pair else { return false };
        call.starts_with(|c: char| c.is_alphabetic() || c == '"') && !STABLE.contains(call) && !NO_CALL.contains(call)
    });
    if is_volatile || action.contains(&"STORED") {
        found.push((Rule::Rewrite, "a value that is computed for each row writes the table anew".to_owned()));
    }
    if action.iter().any(|word| matches!(*word, "CHECK" | "REFERENCES" | "UNIQUE" | "PRIMARY")) {
        found.push((Rule::Lock, "add the column alone, and its constraint NOT VALID or USING INDEX".to_owned()));
    }
    if default.is_none() && is_not_null(action) {
        let what = "rows that are there, and those of the release before, have no value for a column that is NOT NULL";
        found.push((Rule::Contract, what.to_owned()));
    }
    found
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
