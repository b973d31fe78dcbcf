//! What each rule refuses, and what it lets pass.

use super::*;

fn migration(up: &str, down: &str) -> Migration {
    Migration {
        version: "20991231000001".to_owned(),
        name: "2099-12-31-000001_x".to_owned(),
        up: up.to_owned(),
        down: down.to_owned(),
        backfill: None,
    }
}

/// The rules that an `up` breaks.
fn rules(up: &str) -> Vec<&'static str> {
    check(&[migration(up, "SELECT 1")]).into_iter().map(|problem| problem.rule.as_str()).collect()
}

#[test]
fn each_rule_refuses_what_it_is_about() {
    let check = |up: &str, expected: &[&str]| assert_eq!(rules(up), expected, "{up}");
    check("CREATE TYPE mood AS ENUM ('a')", &["type"]);
    check("create domain d as text", &["type"]);
    check("CREATE EXTENSION pg_trgm", &["type"]);
    check("CREATE SEQUENCE s", &["type"]);
    check("CREATE TABLE t (id bigserial)", &["type"]);
    check("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)", &["type"]);
    check("CREATE TABLE control.t ()", &["qualified"]);
    check("CREATE TRIGGER x AFTER UPDATE ON shop.books FOR EACH ROW EXECUTE FUNCTION f()", &["qualified"]);
    check("CREATE VIEW v AS SELECT * FROM public.books", &["qualified"]);
    check("BEGIN; CREATE TABLE t (); COMMIT", &["session", "session"]);
    check("SET search_path = x", &["session"]);
    check("ALTER TABLE books ALTER COLUMN title TYPE varchar(9)", &["rewrite"]);
    check("ALTER TABLE books ALTER title SET DATA TYPE text", &["rewrite"]);
    check("ALTER TABLE books ADD COLUMN x uuid DEFAULT gen_random_uuid()", &["rewrite"]);
    check("ALTER TABLE books ADD x int GENERATED ALWAYS AS (1 + 1) STORED", &["rewrite"]);
    check("ALTER TABLE books SET UNLOGGED", &["rewrite"]);
    check("ALTER TABLE IF EXISTS ONLY books ALTER title SET NOT NULL", &["lock"]);
    check("ALTER TABLE books ADD CONSTRAINT c CHECK (x > 0)", &["lock"]);
    check("ALTER TABLE books ADD FOREIGN KEY (a) REFERENCES authors", &["lock"]);
    check("ALTER TABLE books ADD UNIQUE (title)", &["lock"]);
    check("ALTER TABLE books ADD CONSTRAINT c PRIMARY KEY (id)", &["lock"]);
    check("ALTER TABLE books ADD x int REFERENCES authors", &["lock"]);
    check("ALTER TABLE books ADD x int DEFAULT 1 CHECK (x > 0)", &["lock"]);
    check("CREATE INDEX i ON books (title)", &["lock"]);
    check("CREATE UNIQUE INDEX i ON books (title)", &["lock"]);
    check("LOCK TABLE books", &["lock"]);
    check("CLUSTER books", &["lock"]);
    check("VACUUM FULL books", &["lock"]);
    check("REINDEX TABLE books", &["lock"]);
    check("ALTER TABLE books DROP COLUMN x", &["contract"]);
    check("ALTER TABLE books DROP x, ADD y int", &["contract"]);
    check("ALTER TABLE books RENAME TO tomes", &["contract"]);
    check("ALTER TABLE books RENAME COLUMN a TO b", &["contract"]);
    check("DROP TABLE books", &["contract"]);
    check("UPDATE books SET x = 1", &["data"]);
    check("DELETE FROM books", &["data"]);
    check("INSERT INTO books VALUES (1)", &["data"]);
    check("WITH gone AS (DELETE FROM books RETURNING id) SELECT 1", &["data"]);
    check("TRUNCATE books", &["data"]);
    check("DO $$ BEGIN DELETE FROM books; END $$", &["data"]);
    check("CREATE INDEX CONCURRENTLY i ON books (title)", &["concurrently"]);
    check("-- no transaction\nCREATE TABLE t ()", &["concurrently"]);
    check("-- no transaction\nCREATE INDEX CONCURRENTLY ON books (title)", &["concurrently"]);
    check("ALTER TABLE books ADD x int CHECK (x > 0), ALTER y TYPE text, DROP z", &["lock", "rewrite", "contract"]);
    check("ALTER TABLE books ADD COLUMN x text NOT NULL", &["contract"]);
    check("ALTER TABLE books ALTER x DROP DEFAULT", &["contract"]);
    check("ALTER TABLE books DROP CONSTRAINT c", &["contract"]);
    check("DROP INDEX i", &["contract"]);
    check("-- no transaction\nDROP INDEX CONCURRENTLY i", &["contract"]);
}

#[test]
fn only_what_a_statement_before_has_made_is_new() {
    let check = |up: &str, expected: &[&str]| assert_eq!(rules(up), expected, "{up}");
    check("DROP TABLE books; CREATE TABLE books ()", &["contract"]);
    check("CREATE TABLE IF NOT EXISTS books (); ALTER TABLE books DROP COLUMN x", &["contract"]);
    check("CREATE TABLE t (); DROP TABLE t, books", &["contract"]);
    check("CREATE TABLE t (); DROP TABLE IF EXISTS books, t CASCADE", &["contract"]);
    check("CREATE TABLE t (); CREATE TABLE u (); DROP TABLE t, u", &[]);
}

#[test]
fn a_table_is_read_under_no_lock_but_its_own() {
    let check = |up: &str, expected: &[&str]| assert_eq!(rules(up), expected, "{up}");
    check("ALTER TABLE books VALIDATE CONSTRAINT c; ALTER TABLE books ADD x int", &["lock"]);
    check(
        "ALTER TABLE books ADD CONSTRAINT c CHECK (x > 0) NOT VALID; ALTER TABLE books VALIDATE CONSTRAINT c",
        &["lock"],
    );
    check("ALTER TABLE books VALIDATE CONSTRAINT c, ADD x int", &["lock"]);
    check(
        "ALTER TABLE books VALIDATE CONSTRAINT c, VALIDATE CONSTRAINT d; ALTER TABLE authors VALIDATE CONSTRAINT e",
        &[],
    );
    check("-- allow: lock: few rows\nALTER TABLE books VALIDATE CONSTRAINT c, ADD x int", &[]);
}

#[test]
fn a_migration_waits_for_a_backfill_that_there_is() {
    let filled = Migration { backfill: Some("UPDATE books SET x = 1".to_owned()), ..migration("SELECT 1", "SELECT 1") };
    let check = |comment: &str, expected: &[&str]| {
        let up = format!("{comment}\nSELECT 1");
        let later = Migration { version: "20991231000002".to_owned(), ..migration(&up, "SELECT 1") };
        let found: Vec<&str> = check(&[filled.clone(), later]).iter().map(|problem| problem.rule.as_str()).collect();
        assert_eq!(found, expected, "{comment}");
    };
    check("-- after backfill: 20991231000001", &[]);
    check("-- after backfill: 20991231000003", &["backfill"]);
    check("-- after backfill: 20991231000002", &["backfill"]);
    check("-- after backfill: 20261124000005", &["backfill"]);
    check("--after backfill: 20991231000001", &["backfill"]);
    check("-- After backfill 20991231000001", &["backfill"]);
    check("-- after backfill: 20991231000001\n-- after backfill: 20991231000001", &["backfill"]);
}

#[test]
fn what_hurts_nobody_passes() {
    let check = |up: &str| assert_eq!(rules(up), Vec::<&str>::new(), "{up}");
    check("ALTER TABLE books ADD COLUMN x int");
    check("ALTER TABLE books ADD COLUMN x text NOT NULL DEFAULT 'a, b'");
    check("ALTER TABLE books ADD COLUMN x timestamptz NOT NULL DEFAULT now()");
    check("ALTER TABLE books ADD COLUMN x numeric(9, 2) DEFAULT 1::numeric(9, 2), ADD y text[] DEFAULT '{}'");
    check("ALTER TABLE books ADD CONSTRAINT c CHECK (x > 0) NOT VALID");
    check("ALTER TABLE books ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES authors (id) NOT VALID");
    check("ALTER TABLE books VALIDATE CONSTRAINT c");
    check("ALTER TABLE books ADD CONSTRAINT c UNIQUE USING INDEX i");
    check("ALTER TABLE books RENAME CONSTRAINT a TO b");
    check("ALTER TABLE books ADD COLUMN x int NULL, ADD y int NOT NULL DEFAULT 1");
    check("ALTER TABLE books ALTER x DROP NOT NULL, ALTER y SET DEFAULT gen_random_uuid(), SET (fillfactor = 90)");
    check(
        "-- no transaction\nCREATE INDEX CONCURRENTLY i ON books (title);\n-- allow: contract: j is unused\nDROP INDEX CONCURRENTLY j;",
    );
    check(
        "CREATE TABLE t (id uuid PRIMARY KEY, a uuid REFERENCES authors (id), b int CHECK (b > 0));
         CREATE INDEX i ON t (a); ALTER TABLE t ADD c int CHECK (c > 0); INSERT INTO t SELECT 1; UPDATE t SET b = 1;",
    );
    check("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM books; RETURN NEW; END $$");
    check("CREATE TRIGGER x BEFORE UPDATE ON books FOR EACH ROW WHEN (OLD.a <> NEW.a) EXECUTE FUNCTION f()");
    check("CREATE VIEW v AS SELECT b.id FROM books b JOIN authors a ON a.id = b.author_id");
    check("COMMENT ON COLUMN books.title IS 'DROP TABLE books; CREATE TYPE x'; -- CREATE TYPE y");
    check("CREATE TABLE t (at timestamptz DEFAULT pg_catalog.now()); REVOKE UPDATE ON t FROM PUBLIC");
}

#[test]
fn a_marker_allows_one_rule_in_one_statement_and_says_why() {
    assert!(rules("-- allow: lock: the table is empty\nCREATE INDEX i ON books (title)").is_empty());
    assert_eq!(rules("-- allow: lock\nCREATE INDEX i ON books (title)"), ["marker", "lock"]);
    assert_eq!(rules("-- allow: lock: \nCREATE INDEX i ON books (title)"), ["marker", "lock"]);
    assert_eq!(rules("-- allow: speed: why not\nCREATE TABLE t ()"), ["marker"]);
    assert_eq!(rules("-- allow: type: we want it\nCREATE TYPE t AS ()"), ["type", "marker"]);
    assert_eq!(rules("-- allow: data: few rows\nCREATE INDEX i ON books (title)"), ["lock"]);
    assert_eq!(rules("-- allow: contract: unused\nDROP TABLE a; DROP TABLE b"), ["contract"], "the second has none");
}

#[test]
fn a_problem_names_file_line_and_rule() {
    let up = "CREATE TABLE t ();\n\n-- A comment.\nDROP TABLE books;";
    let problems = check(&[migration(up, "")]);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "2099-12-31-000001_x/up.sql:4: contract: the release before this one may use the table",
            "2099-12-31-000001_x/down.sql:1: down: there is no way back"
        ]
    );
}

#[test]
fn the_way_back_takes_away_and_makes_no_types() {
    assert!(check(&[migration("CREATE TABLE t ()", "DROP TABLE t")]).is_empty());
    let problems = check(&[migration("CREATE TABLE t ()", "CREATE TYPE t AS ()")]);
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].rule, problems[0].file.as_str()), (Rule::Type, "2099-12-31-000001_x/down.sql"));
}

#[test]
fn a_backfill_is_one_statement_that_changes_rows() {
    let check = |backfill: &str, count: usize| {
        let migration = Migration { backfill: Some(backfill.to_owned()), ..migration("SELECT 1", "SELECT 1") };
        assert_eq!(super::check(&[migration]).len(), count, "{backfill}");
    };
    check("UPDATE books SET x = 1 WHERE id IN (SELECT id FROM books WHERE x IS NULL LIMIT 500)", 0);
    check("UPDATE books SET x = 1; UPDATE books SET y = 1", 1);
    check("SELECT 1", 1);
    check("UPDATE control.jobs SET x = 1", 1);
    check(
        "UPDATE books SET x = 1 WHERE id IN (SELECT id FROM books WHERE x IS NULL LIMIT 5 FOR UPDATE SKIP LOCKED)",
        1,
    );
}

#[test]
fn released_migrations_are_as_they_are_and_ours_keep_the_rules() {
    let released = Migration { version: RELEASED.to_owned(), ..migration("CREATE TYPE t AS ()", "") };
    assert!(check(&[released]).is_empty());
    assert_eq!(check(&super::super::migrations(super::super::Plane::Tenant)), Vec::new());
}
