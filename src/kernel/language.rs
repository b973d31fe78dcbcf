//! Language tags (BCP 47), repaired from the codes that shops' exports hold.

use std::fmt;
use std::str::FromStr;

/// A language, perhaps with a region: `en`, `en-GB`, `mul`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LanguageTag(String);

/// The text is neither a language code nor one with a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a language tag such as `en` or `en-GB`")]
pub struct LanguageError;

/// ISO 639-2 codes, bibliographic ones too, with the two-letter code that BCP 47 wants instead.
const TWO_LETTERS: &[(&str, &str)] = &[
    ("ara", "ar"),
    ("ben", "bn"),
    ("bul", "bg"),
    ("cat", "ca"),
    ("ces", "cs"),
    ("chi", "zh"),
    ("cze", "cs"),
    ("dan", "da"),
    ("deu", "de"),
    ("dut", "nl"),
    ("ell", "el"),
    ("eng", "en"),
    ("est", "et"),
    ("eus", "eu"),
    ("fas", "fa"),
    ("fin", "fi"),
    ("fra", "fr"),
    ("fre", "fr"),
    ("ger", "de"),
    ("gle", "ga"),
    ("gre", "el"),
    ("heb", "he"),
    ("hin", "hi"),
    ("hrv", "hr"),
    ("hun", "hu"),
    ("ice", "is"),
    ("ind", "id"),
    ("isl", "is"),
    ("ita", "it"),
    ("jpn", "ja"),
    ("kor", "ko"),
    ("lat", "la"),
    ("lav", "lv"),
    ("lit", "lt"),
    ("may", "ms"),
    ("msa", "ms"),
    ("nld", "nl"),
    ("nor", "no"),
    ("per", "fa"),
    ("pol", "pl"),
    ("por", "pt"),
    ("ron", "ro"),
    ("rum", "ro"),
    ("rus", "ru"),
    ("slk", "sk"),
    ("slo", "sk"),
    ("slv", "sl"),
    ("spa", "es"),
    ("srp", "sr"),
    ("swe", "sv"),
    ("tam", "ta"),
    ("tha", "th"),
    ("tur", "tr"),
    ("ukr", "uk"),
    ("urd", "ur"),
    ("vie", "vi"),
    ("wel", "cy"),
    ("zho", "zh"),
];

impl LanguageTag {
    /// The tag in its canonical case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LanguageTag {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, LanguageError> {
        let (language, region) = match text.split_once(['-', '_']) {
            Some((language, region)) => (language, Some(region)),
            None => (text, None),
        };
        let is_letters = |text: &str| text.bytes().all(|b| b.is_ascii_alphabetic());
        if !matches!(language.len(), 2 | 3) || !is_letters(language) {
            return Err(LanguageError);
        }
        let language = language.to_ascii_lowercase();
        let language =
            TWO_LETTERS.iter().find(|(long, _)| *long == language).map_or(language.as_str(), |(_, short)| short);
        match region {
            None => Ok(Self(language.to_owned())),
            Some(region) if region.len() == 2 && is_letters(region) => {
                Ok(Self(format!("{language}-{}", region.to_ascii_uppercase())))
            }
            Some(_) => Err(LanguageError),
        }
    }
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_exports_become_tags() {
        let check = |text: &str, tag: Option<&str>| {
            assert_eq!(text.parse::<LanguageTag>().ok().as_ref().map(LanguageTag::as_str), tag, "{text}");
        };
        check("eng", Some("en"));
        check("en-US", Some("en-US"));
        check("EN_gb", Some("en-GB"));
        check("fre", Some("fr"));
        check("mul", Some("mul"));
        check("english", None);
        check("e1", None);
        check("en-latn", None);
        check("", None);
    }
}
