//! What an expression of Prometheus names: a scanner, and no more of a parser than that takes.

/// A family that an expression asks for, with the labels that it compares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub name: String,
    pub labels: Vec<String>,
}

/// Words of the language that are no families. Functions are known by what follows them.
const WORDS: &[&str] =
    &["and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "inf", "nan"];

/// Words that a list of labels follows.
const LISTS: &[&str] = &["by", "without", "on", "ignoring", "group_left"];

/// The families that an expression asks for.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let (mut found, mut rest) = (Vec::new(), expression);
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || first == '_' || first == ':' {
            let (word, after) = split(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            rest = after.trim_start();
            if LISTS.contains(&word) {
                rest = skip(rest, '(', ')').1;
            } else if rest.starts_with('{') {
                let (inside, after) = skip(rest, '{', '}');
                found.push(Selector { name: word.to_owned(), labels: labels(inside) });
                rest = after;
            } else if !is_called(rest) && !WORDS.contains(&word) {
                found.push(Selector { name: word.to_owned(), labels: Vec::new() });
            }
        } else if first == '[' {
            rest = skip(rest, '[', ']').1;
        } else if first.is_ascii_digit() {
            // A number, or a time such as 1h.
            rest = split(rest, |c| c.is_ascii_alphanumeric() || c == '.').1;
        } else {
            rest = rest.strip_prefix(first).unwrap();
        }
    }
    found
}

/// Whether what comes before a text is a function: of values in brackets, or of groups whose labels are named first.
fn is_called(rest: &str) -> bool {
    let next = split(rest, |c| c.is_ascii_alphabetic()).0;
    rest.starts_with('(') || ["by", "without"].contains(&next)
}

/// The names in `a="b",c=~"d"`.
fn labels(inside: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), inside);
    while let Some((name, after)) = rest.split_once('=') {
        found.push(name.trim_matches([' ', ',', '!', '~']).to_owned());
        let value = after.trim_start_matches(['~', ' ']).strip_prefix('"').unwrap();
        rest = &value[value.find('"').unwrap() + 1..];
    }
    found
}

/// The longest start of a text whose letters are of a kind, and the rest.
fn split(text: &str, is_of: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_of(c)).unwrap_or(text.len()))
}

/// What stands within a text's first brackets, and what comes after them. Quoted ones are none.
fn skip(text: &str, open: char, close: char) -> (&str, &str) {
    let (mut depth, mut is_quoted) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            c if c == open => depth += 1,
            c if c == close => {
                depth -= 1;
                if depth == 0 {
                    return (&text[open.len_utf8()..at], &text[at + close.len_utf8()..]);
                }
            }
            _ => {}
        }
    }
    panic!("unbalanced: {text}");
}

#[test]
fn families_are_told_from_functions_labels_and_times() {
    let check = |expression: &str, expected: &[(&str, &[&str])]| {
        let expected: Vec<Selector> = expected
            .iter()
            .map(|(name, labels)| Selector {
                name: (*name).to_owned(),
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            })
            .collect();
        assert_eq!(selectors(expression), expected, "{expression}");
    };
    check("up", &[("up", &[])]);
    check("sum by (a, b) (rate(x_total{c=\"d\",e=~\"f{2}|g\"}[5m])) > 0.5", &[("x_total", &["c", "e"])]);
    check("a:b:c > 2 * avg_over_time(d[6h] offset 1h) and on (p) e", &[("a:b:c", &[]), ("d", &[]), ("e", &[])]);
    check(
        "histogram_quantile(0.99, sum by (le) (rate(x_bucket{i!=\"$i\"}[$__rate_interval])))",
        &[("x_bucket", &["i"])],
    );
    check(
        "time() - process_start_time_seconds{job=\"a, b\"} or vector(0)",
        &[("process_start_time_seconds", &["job"])],
    );
}
