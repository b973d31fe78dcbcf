//! Metrics that pages name, beside what the processes tell.

use std::collections::BTreeSet;

use super::house::House;
use super::text::{Page, pages};

/// Words that begin like metrics and are none.
const NO_METRICS: &[&str] = &["shelfwise_owner", "shelfwise_news", "shelfwise_echo", "shelfwise_backup"];

/// The names that a page has of metrics: with their endings, and with what the patterns of `grep -E` stand for.
fn names(page: &Page) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '(' || c == '|' || c == ')';
    let mut names = BTreeSet::new();
    for (at, _) in page.text.match_indices("shelfwise_") {
        let rest = &page.text[at..];
        let mut depth = 0;
        let end = rest.find(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            !is_word(c) || depth < 0 || (c == '|' && depth == 0)
        });
        names.extend(expand(&rest[..end.unwrap_or(rest.len())]));
    }
    names.retain(|name| name != "shelfwise_" && !NO_METRICS.contains(&name.as_str()));
    names
}

/// The words that a pattern of alternatives in parentheses stands for.
fn expand(pattern: &str) -> Vec<String> {
    let Some(open) = pattern.find('(') else { return vec![pattern.to_owned()] };
    let (mut depth, mut parts, mut from, mut close) = (0, Vec::new(), open + 1, pattern.len());
    for (at, c) in pattern.char_indices().skip(open) {
        match c {
            '(' => depth += 1,
            '|' if depth == 1 => {
                parts.push(&pattern[from..at]);
                from = at + 1;
            }
            ')' => {
                depth -= 1;
                if depth == 0 {
                    close = at;
                    break;
                }
            }
            _ => {}
        }
    }
    parts.push(&pattern[from..close]);
    let rest = pattern.get(close + 1..).unwrap_or_default();
    parts.iter().flat_map(|part| expand(&format!("{}{part}{rest}", &pattern[..open]))).collect()
}

#[test]
fn patterns_stand_for_what_grep_finds() {
    let expanded = expand("a_(b|c_(d|e))_(f|g)");
    assert_eq!(expanded, ["a_b_f", "a_b_g", "a_c_d_f", "a_c_d_g", "a_c_e_f", "a_c_e_g"]);
}

#[tokio::test]
async fn every_metric_that_a_page_names_is_told() {
    let house = House::closed(&[]).await;
    house.shop("acme").await;
    house.up("api");
    house.up("worker");
    let token = house.shop_token("acme").await;
    house.book(&token, "Emma", 3).await;
    house.send("/graphql", &token, "{ nonsense }").await;
    let told = [house.metrics("api").await, house.metrics("worker").await].join("\n");
    // A family that has no value yet is told of by its kind.
    let lines = told.lines().map(|line| line.trim_start_matches("# TYPE "));
    let told: BTreeSet<&str> = lines.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let mut wrong = Vec::new();
    for page in pages() {
        for name in names(&page) {
            // A pattern may be the beginning of several names, and a histogram is told by its parts.
            if !told.iter().any(|known| known.starts_with(&name)) {
                wrong.push(format!("{}.md names {name}, and no process tells it", page.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
