//! A file of SQL as its statements: as much of the lexer of PostgreSQL as it takes to find where each ends and what it
//! names. Bodies of functions are strings here, as they are there.

/// A statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The line of its first word, from 1 on.
    pub line: usize,
    /// Its text without the semicolon.
    pub text: String,
    /// Its words in upper case, its quoted names as they are with their quotes, and its signs. A string is `'`.
    pub words: Vec<String>,
    /// The line comments before its first word and within it, without their dashes.
    pub comments: Vec<String>,
}

/// The statements of a file in their order. What follows the last semicolon counts where there are words in it.
#[must_use]
pub fn statements(sql: &str) -> Vec<Statement> {
    let mut lexer = Lexer { rest: sql, line: 1 };
    let (mut found, mut statement) = (Vec::new(), Statement::empty());
    while let Some((piece, text, line)) = lexer.next() {
        match piece {
            Piece::Space => {}
            Piece::Comment => {
                if let Some(comment) = text.strip_prefix("--") {
                    statement.comments.push(comment.trim().to_owned());
                }
            }
            Piece::End => {
                statement.close(&mut found);
                continue;
            }
            Piece::Word | Piece::Quoted | Piece::Text | Piece::Sign => {
                if statement.words.is_empty() {
                    (statement.line, statement.text) = (line, String::new());
                }
                statement.words.push(match piece {
                    Piece::Word => text.to_ascii_uppercase(),
                    Piece::Text => "'".to_owned(),
                    _ => text.to_owned(),
                });
            }
        }
        statement.text.push_str(text);
    }
    statement.close(&mut found);
    found
}

/// A file without the first word of this kind in each of its statements. All else is as it was.
#[must_use]
pub fn without_first(sql: &str, unwanted: &str) -> String {
    let mut lexer = Lexer { rest: sql, line: 1 };
    let (mut left, mut is_found) = (String::with_capacity(sql.len()), false);
    while let Some((piece, text, _)) = lexer.next() {
        match piece {
            Piece::Word if !is_found && text.eq_ignore_ascii_case(unwanted) => {
                is_found = true;
                continue;
            }
            Piece::End => is_found = false,
            _ => {}
        }
        left.push_str(text);
    }
    left
}

impl Statement {
    fn empty() -> Self {
        Self { line: 1, text: String::new(), words: Vec::new(), comments: Vec::new() }
    }

    /// Ends it, and begins the next.
    fn close(&mut self, found: &mut Vec<Self>) {
        let mut done = std::mem::replace(self, Self::empty());
        if !done.words.is_empty() {
            done.text.truncate(done.text.trim_end().len());
            found.push(done);
        }
    }
}

#[derive(Clone, Copy)]
enum Piece {
    Space,
    Comment,
    Word,
    Quoted,
    Text,
    Sign,
    End,
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    /// The next piece with its text and the line that it begins in.
    fn next(&mut self) -> Option<(Piece, &'a str, usize)> {
        let (piece, len) = piece(self.rest)?;
        let (text, rest) = self.rest.split_at(len);
        let line = self.line;
        self.line += text.matches('\n').count();
        self.rest = rest;
        Some((piece, text, line))
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What a text begins with, and how many bytes of it that is.
fn piece(rest: &str) -> Option<(Piece, usize)> {
    let first = rest.chars().next()?;
    let run = |is_in: fn(char) -> bool| rest.find(|c| !is_in(c)).unwrap_or(rest.len());
    Some(match first {
        c if c.is_whitespace() => (Piece::Space, run(char::is_whitespace)),
        '-' if rest.starts_with("--") => (Piece::Comment, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => (Piece::Comment, block_comment(rest)),
        '\'' => (Piece::Text, quoted(rest, '\'', false)),
        'e' | 'E' if rest[1..].starts_with('\'') => (Piece::Text, 1 + quoted(&rest[1..], '\'', true)),
        '"' => (Piece::Quoted, quoted(rest, '"', false)),
        '$' => dollar(rest).map_or((Piece::Sign, 1), |len| (Piece::Text, len)),
        ';' => (Piece::End, 1),
        c if is_name(c) => (Piece::Word, rest.find(|c| !(is_name(c) || c == '$')).unwrap_or(rest.len())),
        c => (Piece::Sign, c.len_utf8()),
    })
}

/// The length of a comment between `/*` and `*/`; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of what stands between quotes, in which a doubled quote is one of it.
fn quoted(text: &str, quote: char, has_escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if has_escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The length of a string between dollars; `None` where the dollar begins none.
fn dollar(text: &str) -> Option<usize> {
    let tag_end = 1 + text[1..].find(|c| !is_name(c))?;
    if !text[tag_end..].starts_with('$') || text[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let tag = &text[..=tag_end];
    Some(text[tag.len()..].find(tag).map_or(text.len(), |end| tag.len() + end + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_postgresql_ends_them() {
        let check = |sql: &str, expected: &[(usize, &str)]| {
            let found = statements(sql);
            let found: Vec<(usize, String)> = found.iter().map(|s| (s.line, s.words.join(" "))).collect();
            let expected: Vec<(usize, String)> = expected.iter().map(|(line, s)| (*line, (*s).to_owned())).collect();
            assert_eq!(found, expected, "{sql}");
        };
        check("", &[]);
        check(" ;; -- nothing;\n/* ; /* ; */ ; */ ;", &[]);
        check("select 1;\n\nselect 2", &[(1, "SELECT 1"), (3, "SELECT 2")]);
        check("a ';--' b; c", &[(1, "A ' B"), (1, "C")]);
        check("a 'it''s; ' b", &[(1, "A ' B")]);
        check(r"a E'\';' b; c", &[(1, "A ' B"), (1, "C")]);
        check(r"a '\'; b", &[(1, "A '"), (1, "B")]);
        check("a \"x;\"\"Y\" b", &[(1, "A \"x;\"\"Y\" B")]);
        check("a $$ ; $ $x$ ; $$ b; c $1;d $ę$;$ę$", &[(1, "A ' B"), (1, "C $ 1"), (1, "D '")]);
        check("a $x$ ; $$ \n $x$; b", &[(1, "A '"), (2, "B")]);
        check("price::numeric(9,2)", &[(1, "PRICE : : NUMERIC ( 9 , 2 )")]);
        check("a 'open; b", &[(1, "A '")]);
        check("a $$open; b", &[(1, "A '")]);
    }

    #[test]
    fn a_comment_belongs_to_the_statement_that_follows_or_has_it() {
        let found = statements("-- one\n/* not this */ -- two\na -- three\n b;\n-- four\nc; -- five\n");
        assert_eq!(found[0].comments, ["one", "two", "three"]);
        assert_eq!((found[0].line, found[0].text.as_str()), (3, "a -- three\n b"));
        assert_eq!((found[1].comments.join(" "), found[1].line), ("four".to_owned(), 6));
        assert_eq!(found.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(sql in "[-a;'\"$/*\\\\E \n1é_]{0,40}") {
            let lines = sql.matches('\n').count() + 1;
            for statement in statements(&sql) {
                proptest::prop_assert!(statement.line <= lines && !statement.words.is_empty());
            }
        }
    }
}
