//! What is found, and how it is told.

use std::fmt;

use serde::Serialize;

/// How much of anything is told, in characters.
const MOST: usize = 1000;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `store`, `component`, `host example.org`, `app ios`.
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub said: String,
    /// What to do about it; empty if there is nothing to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend: String,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// It works, or may be meant; but should be known.
    Advice,
    /// Something does not work, or is not safe.
    Wrong,
}

impl Finding {
    /// What is about the configuration itself: the program ends with another code then.
    pub const CONFIGURATION: &str = "configuration";

    /// As it should be.
    #[must_use]
    pub fn fine(what: &str, said: impl Into<String>) -> Self {
        Self::new(what, Verdict::Fine, &said.into(), "")
    }

    /// It should be known.
    #[must_use]
    pub fn advice(what: &str, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(what, Verdict::Advice, &said.into(), &mend.into())
    }

    /// It must be mended.
    #[must_use]
    pub fn wrong(what: &str, said: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(what, Verdict::Wrong, &said.into(), &mend.into())
    }

    fn new(what: &str, verdict: Verdict, said: &str, mend: &str) -> Self {
        Self { what: plain(what), verdict, said: plain(said), mend: plain(mend) }
    }

    /// As a line of JSON, without its end.
    #[must_use]
    pub fn json(&self) -> String {
        // Texts and a name always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Fine => "ok  ",
            Verdict::Advice => "warn",
            Verdict::Wrong => "FAIL",
        };
        write!(f, "{verdict} {}: {}", self.what, self.said)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, " — {}", self.mend) }
    }
}

/// The program's exit code: 0 if nothing is wrong, 2 if it is the configuration, else 1.
#[must_use]
pub fn exit_code(findings: &[Finding]) -> u8 {
    let wrong = || findings.iter().filter(|finding| finding.verdict == Verdict::Wrong);
    match (wrong().next(), wrong().any(|finding| finding.what == Finding::CONFIGURATION)) {
        (None, _) => 0,
        (Some(_), true) => 2,
        (Some(_), false) => 1,
    }
}

/// One line, without what a terminal would obey: servers and vendors have a say in it.
fn plain(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if c == '\n' { ' ' } else { c }).filter(|&c| !hidden(c)).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_wrong_and_what_to_do() {
        let rows = [
            (
                Finding::fine("store", "opens"),
                "ok   store: opens",
                r#"{"what":"store","verdict":"fine","said":"opens"}"#,
            ),
            (
                Finding::advice("names", "no address", "add one"),
                "warn names: no address — add one",
                r#"{"what":"names","verdict":"advice","said":"no address","mend":"add one"}"#,
            ),
            (
                Finding::wrong("component", "\u{1b}[31mno\n\u{202e}stream", "start it"),
                "FAIL component: [31mno stream — start it",
                r#"{"what":"component","verdict":"wrong","said":"[31mno stream","mend":"start it"}"#,
            ),
        ];
        for (finding, line, json) in rows {
            assert_eq!((finding.to_string().as_str(), finding.json().as_str()), (line, json));
        }
        assert_eq!(Finding::fine("x", "y".repeat(5000)).said.len(), 1000);
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst() {
        let fine = Finding::fine("store", "");
        let advice = Finding::advice(Finding::CONFIGURATION, "", "");
        let wrong = Finding::wrong("store", "", "");
        let configuration = Finding::wrong(Finding::CONFIGURATION, "", "");
        let rows: [(&[&Finding], u8); 5] = [
            (&[], 0),
            (&[&fine, &advice], 0),
            (&[&fine, &wrong, &advice], 1),
            (&[&configuration], 2),
            (&[&wrong, &configuration], 2),
        ];
        for (findings, code) in rows {
            let findings: Vec<Finding> = findings.iter().map(|&finding| finding.clone()).collect();
            assert_eq!(exit_code(&findings), code, "{findings:?}");
        }
    }
}
