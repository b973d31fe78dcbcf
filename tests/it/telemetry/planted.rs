//! What searches the logs of all tests, after them: it finds what was planted, and nothing else.

use std::path::Path;
use std::process::Command;

use crate::harness::logs;

/// Searches a folder, and answers whether nothing was found, with what was said.
fn searched(folder: &Path) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("script/check-logs");
    let output = Command::new(script).arg(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn whatever_is_planted_is_found_in_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let check = |line: &str, is_clean: bool| {
        std::fs::write(folder.path().join("it-1.jsonl"), format!("{{\"message\":\"{line}\"}}\n")).unwrap();
        let (is_found_clean, said) = searched(folder.path());
        assert_eq!(is_found_clean, is_clean, "{line}: {said}");
    };
    let secret = "x".repeat(32);
    for planted in [
        "the password is correct horse battery".to_owned(),
        "Authorization: Bearer abc".to_owned(),
        format!("eyJhbGciOiJFZERTQSJ9.{secret}"),
        format!("sw_acme_{}_{secret}", "0".repeat(26)),
        format!("whsec_{secret}"),
        format!("test-1:{secret}="),
        "postgres://shelfwise:s3cret@localhost/shelfwise".to_owned(),
        "no mail for ann@acme.example".to_owned(),
        format!("WHERE title = '{}'", super::SECRET),
    ] {
        check(&planted, false);
    }
    for line in ["Answered a request", "postgres://localhost/shelfwise", "user_01h455vb4pex5vsknk084sn02q", "a @ b"] {
        check(line, true);
    }
}

#[test]
fn a_search_without_logs_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (is_clean, said) = searched(folder.path());
    assert!(!is_clean && said.contains("run the tests first"), "{said}");
}

#[tokio::test]
async fn what_tests_log_is_kept_where_it_is_searched() {
    crate::harness::world(async |world| {
        world.owner().data("query Kept { viewer { user { id } } }", serde_json::json!({})).await;
        let mut lines = String::new();
        for file in std::fs::read_dir(logs::FOLDER).unwrap() {
            lines.push_str(&std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
        let of_shop = lines.lines().filter(|line| line.contains(world.a.slug.as_str()));
        assert!(of_shop.clone().any(|line| line.contains(r#""operation.name":"Kept""#)), "{}", of_shop.count());
    })
    .await;
}
