//! Whether a request wants answers from the database alone, by the header that HTTP has for it.

use axum::http::{HeaderMap, header};

/// Whether the client refuses what is kept (RFC 9111, 5.2.1). Who has just written, and may be answered by another replica, does.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = values.flat_map(|value| value.split(',')).map(str::trim);
    directives
        .any(|directive| ["no-cache", "no-store", "max-age=0"].iter().any(|it| directive.eq_ignore_ascii_case(it)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn who_says_so_is_answered_from_the_database() {
        let check = |values: &[&'static str], expected: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CACHE_CONTROL, HeaderValue::from_static(value));
            }
            assert_eq!(is_wanted(&headers), expected, "{values:?}");
        };
        check(&[], false);
        check(&["no-cache"], true);
        check(&["No-Store"], true);
        check(&["max-age=0"], true);
        check(&["only-if-cached, no-cache"], true);
        check(&["max-age=60", "no-store"], true);
        check(&["max-age=60"], false);
        check(&["no-cache-please"], false);
    }
}
