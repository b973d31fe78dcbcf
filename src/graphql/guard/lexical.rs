//! The first look at a document: its letters, one after the other.

use super::Excess;

/// Bytes of a document at most. Data travels in variables, whose bound is the body's.
pub const DOCUMENT_BYTES_MAX: usize = 128 * 1024;

/// Tokens of a document at most.
pub const TOKENS_MAX: usize = 15_000;

/// Bytes of a name or number at most. A name that the schema does not have is compared with all that it has.
pub const WORD_BYTES_MAX: usize = 256;

/// Levels of braces, brackets and parentheses at most: what the parser's recursion is bounded by.
pub const NESTING_MAX: usize = 64;

/// Counts tokens and levels as the specification's lexical grammar has them (October 2021, section 2.1). A text that the
/// grammar does not know is counted somehow; the parser will refuse it.
///
/// # Errors
/// The bound that the text breaks.
pub fn check(text: &str) -> Result<(), Excess> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(Excess::Bytes);
    }
    let bytes = text.as_bytes();
    let (mut position, mut tokens, mut level) = (0, 0_usize, 0_usize);
    while let Some(&byte) = bytes.get(position) {
        position = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => position + 1,
            b'#' => end_of(bytes, position, |byte| !matches!(byte, b'\n' | b'\r')),
            b'"' => end_of_string(bytes, position).ok_or(Excess::Unclosed)?,
            b'{' | b'[' | b'(' => {
                level += 1;
                position + 1
            }
            b'}' | b']' | b')' => {
                level = level.saturating_sub(1);
                position + 1
            }
            byte if is_word(byte) => {
                let end = end_of(bytes, position, is_word);
                if end - position > WORD_BYTES_MAX {
                    return Err(Excess::Word);
                }
                end
            }
            _ => position + 1,
        };
        tokens += usize::from(!matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b'#'));
        if tokens > TOKENS_MAX {
            return Err(Excess::Tokens);
        }
        if level > NESTING_MAX {
            return Err(Excess::Nesting);
        }
    }
    Ok(())
}

/// Letters of names and numbers, and every byte beyond ASCII: one token, whatever it means.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The first position from `start` on, itself passed over, whose byte is not one of the wanted.
fn end_of(bytes: &[u8], start: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes[start + 1..].iter().position(|&byte| !wanted(byte)).map_or(bytes.len(), |length| start + 1 + length)
}

/// The position behind a string or block string. `None`: a block that nothing closes. The parser would take its quotes
/// for empty strings and read on behind them, where nobody has counted; and do so anew for every such quote.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let is_block = bytes[start..].starts_with(b"\"\"\"");
    let mut position = start + if is_block { 3 } else { 1 };
    while position < bytes.len() {
        match bytes[position] {
            b'\\' if is_block && bytes[position..].starts_with(b"\\\"\"\"") => position += 4,
            b'\\' if !is_block => position += 2,
            b'"' if !is_block => return Some(position + 1),
            b'"' if bytes[position..].starts_with(b"\"\"\"") => return Some(position + 3),
            b'\n' | b'\r' if !is_block => return Some(position),
            _ => position += 1,
        }
    }
    if is_block { None } else { Some(bytes.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_one_token_or_none() {
        let many = |text: &str| text.repeat(TOKENS_MAX + 1);
        assert_eq!(check(&many("{ ")), Err(Excess::Nesting));
        assert_eq!(check(&many("a ")), Err(Excess::Tokens));
        assert_eq!(check(&format!("\"{}\"", many("{ "))), Ok(()));
        assert_eq!(check(&format!("\"\"\"{}\\\"\"\" {{ \"\"\"", many("{ "))), Ok(()));
        assert_eq!(check(&format!("# {}\n{{ a }}", many("{ "))), Ok(()));
        assert_eq!(check(&format!("\"broken\n{}", many("{ "))), Err(Excess::Nesting), "a string ends with its line");
        assert_eq!(check(&format!("\"\\\"{}\"", many("{ "))), Ok(()), "an escaped quote ends nothing");
        assert_eq!(check(&"é".repeat(128)), Ok(()));
        assert_eq!(check(&"a".repeat(257)), Err(Excess::Word));
        assert_eq!(check(&format!("\"{}\"", "a".repeat(257))), Ok(()));
        assert_eq!(check(&" ".repeat(DOCUMENT_BYTES_MAX + 1)), Err(Excess::Bytes));
        assert_eq!(check("\""), Ok(()));
        assert_eq!(check("\"\\"), Ok(()));
        assert_eq!(check("\"\"\"\"\"\""), Ok(()), "an empty block");
        assert_eq!(check("[\"\"\"\" [[[["), Err(Excess::Unclosed), "the parser sees brackets here");
        assert_eq!(check("[\"\\\\\"\"\"\"\" "), Err(Excess::Unclosed), "the parser reads on here");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text: String) {
            let _ = check(&text);
        }

        #[test]
        fn text_of_signs_is_read_to_its_end(text in "[\"\\\\#{}\\[\\]()\n a]*") {
            let _ = check(&text);
        }
    }
}
