//! Making a payload no larger than its vendor takes.

/// What stands where a text was cut.
const ELLIPSIS: &str = "…";

/// The longest beginning of `text` whose JSON form is at most `budget` bytes, ended by an ellipsis if anything was
/// cut off; `None` if not even one character fits. Never cuts a character in two.
pub(super) fn shorten(text: &str, budget: usize) -> Option<String> {
    if escaped_len(text) <= budget {
        return Some(text.to_owned());
    }
    let budget = budget.checked_sub(ELLIPSIS.len())?;
    let mut used = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        used += escaped_char(c);
        if used > budget {
            break;
        }
        end = at + c.len_utf8();
    }
    let kept = text.get(..end).filter(|kept| !kept.is_empty())?;
    Some([kept, ELLIPSIS].concat())
}

/// The bytes of a text between the quotes of JSON, as serde_json writes it.
pub(super) fn escaped_len(text: &str) -> usize {
    text.chars().map(escaped_char).sum()
}

const fn escaped_char(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let rows: [(&str, usize, Option<&str>); 8] = [
            ("hello", 5, Some("hello")),
            ("hello", 4, Some("h…")),
            ("hello", 3, None),
            ("héllo", 5, Some("h…")),
            ("héllo", 6, Some("héllo")),
            ("\u{1}\u{1}", 11, Some("\u{1}…")),
            ("", 0, Some("")),
            ("😀😀", 7, Some("😀…")),
        ];
        for (text, budget, expected) in rows {
            assert_eq!(shorten(text, budget).as_deref(), expected, "{text:?} {budget}");
        }
    }

    proptest! {
        #[test]
        fn the_length_is_what_serde_json_writes(text in ".{0,64}|[\\x00-\\x7f]{0,64}") {
            let written = serde_json::to_string(&text).map(|json| json.len() - 2).ok();
            prop_assert_eq!(written, Some(escaped_len(&text)));
        }

        #[test]
        fn nothing_is_longer_than_its_budget(text in ".{0,200}", budget in 0_usize..300) {
            if let Some(kept) = shorten(&text, budget) {
                prop_assert!(escaped_len(&kept) <= budget);
            }
        }
    }
}
