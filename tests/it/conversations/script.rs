//! Scripts: how they are read, and how what happens is held against them.

use std::collections::BTreeMap;

use serde_json::Value;

/// A script, read.
#[derive(Debug)]
pub(super) struct Script {
    /// Added to the configuration.
    pub(super) config: String,
    /// Each with its line.
    pub(super) steps: Vec<(usize, Step)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Sends(String),
    Answer(String),
    /// The same, if what was sent last is sent again and again.
    AnswerSoon(String),
    Receives {
        vendor: Vendor,
        token: String,
        headers: Vec<(String, String)>,
        json: String,
    },
    Answers {
        vendor: Vendor,
        token: String,
        status: u16,
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    Apns,
    Fcm,
}

impl Vendor {
    fn read(word: &str) -> Option<Self> {
        match word {
            "apns" => Some(Self::Apns),
            "fcm" => Some(Self::Fcm),
            _ => None,
        }
    }
}

impl Script {
    pub(super) fn read(text: &str) -> Self {
        let mut script = Self { config: String::new(), steps: Vec::new() };
        let mut lines = (1..).zip(text.lines()).peekable();
        while let Some((number, line)) = lines.next() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            assert!(!line.starts_with(' '), "line {number} belongs to no step: {line}");
            let mut body = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with(' ')) {
                body.push(line.trim());
            }
            if line == "config" {
                script.config = body.join("\n");
                continue;
            }
            let step = step(line, &body).unwrap_or_else(|| panic!("line {number} is no step: {line}"));
            script.steps.push((number, step));
        }
        script
    }
}

fn step(line: &str, body: &[&str]) -> Option<Step> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["answer"] => Some(Step::Answer(joined(body))),
        ["answer", "soon"] => Some(Step::AnswerSoon(joined(body))),
        [.., "sends"] => Some(Step::Sends(joined(body))),
        [vendor, "receives", token] => {
            let json = body.iter().position(|line| line.starts_with('{'))?;
            let (headers, json) = body.split_at(json);
            let header = |line: &&str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
            Some(Step::Receives {
                vendor: Vendor::read(vendor)?,
                token: token.to_owned(),
                headers: headers.iter().map(header).collect::<Option<_>>()?,
                json: json.join("\n"),
            })
        }
        [vendor, "answers", token, status, reason] => Some(Step::Answers {
            vendor: Vendor::read(vendor)?,
            token: token.to_owned(),
            status: status.parse().ok()?,
            reason: reason.to_owned(),
        }),
        _ => None,
    }
}

/// The lines of a stanza as one: a tag begins where the line before ended, anything else goes on after a space.
fn joined(lines: &[&str]) -> String {
    let mut out = String::new();
    for line in lines {
        if !out.is_empty() && !line.starts_with('<') {
            out.push(' ');
        }
        out.push_str(line);
    }
    out
}

/// What the names of a script stand for by now.
#[derive(Debug)]
pub(super) struct Bindings(BTreeMap<String, String>);

impl Default for Bindings {
    fn default() -> Self {
        Self(BTreeMap::from([("many".to_owned(), "a".repeat(10_240))]))
    }
}

impl Bindings {
    /// A text with what its names stand for.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            let (name, after) = name(after);
            out.push_str(before);
            out.push_str(self.0.get(name).unwrap_or_else(|| panic!("nothing is known of ${name}")));
            rest = after;
        }
        out + rest
    }

    /// Holds a text against a pattern, and remembers what new names in it stand for.
    pub(super) fn unify(&mut self, pattern: &str, text: &str) -> Result<(), String> {
        let (mut pattern, mut text) = (pattern, text);
        loop {
            let (literal, next) =
                pattern.split_once('$').map_or((pattern, None), |(literal, next)| (literal, Some(next)));
            let differs = || format!("{literal:.80?} was expected, not {text:.80?}");
            text = text.strip_prefix(literal).ok_or_else(differs)?;
            let Some(next) = next else {
                return if text.is_empty() { Ok(()) } else { Err(format!("{text:.80?} is too much")) };
            };
            let (name, after) = name(next);
            pattern = after;
            if let Some(known) = self.0.get(name) {
                text = text.strip_prefix(&**known).ok_or_else(|| format!("${name} is {known:?}, not {text:.80?}"))?;
                continue;
            }
            let literal = after.split('$').next().unwrap_or_default();
            let end = if literal.is_empty() { Some(text.len()) } else { text.find(literal) };
            let value = &text[..end.ok_or_else(|| format!("{literal:.80?} does not come after ${name}"))?];
            if value.is_empty() {
                return Err(format!("${name} is empty"));
            }
            if name != "_" {
                self.0.insert(name.to_owned(), value.to_owned());
            }
            text = &text[value.len()..];
        }
    }
}

/// The name at the beginning of a text, and what comes after it.
fn name(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len()))
}

/// What of this JSON is not in that one, or is there although it must not be, by its path.
pub(super) fn missing(expected: &Value, got: &Value) -> Vec<String> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let inside = |(key, expected): (&String, &Value)| {
                let got = got.get(key).unwrap_or(&Value::Null);
                missing(expected, got).into_iter().map(|path| format!("/{key}{path}")).collect::<Vec<_>>()
            };
            expected.iter().flat_map(inside).collect()
        }
        _ if expected == got => Vec::new(),
        _ => vec![format!(": {expected}")],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_script_is_a_list_of_steps() {
        let text = "# what it is about\nconfig\n  [a]\n  b = 1\n\nclient romeo sends\n  <iq\n   id='1'>\n  <a/></iq>\nanswer\n  <b/>\n\
                    apns answers AB 410 Unregistered\nfcm receives CD\n  priority: 5\n  {\"a\":\n  1}\n";
        let script = Script::read(text);
        assert_eq!(script.config, "[a]\nb = 1");
        let expected = [
            (6, Step::Sends("<iq id='1'><a/></iq>".to_owned())),
            (10, Step::Answer("<b/>".to_owned())),
            (
                12,
                Step::Answers {
                    vendor: Vendor::Apns,
                    token: "AB".to_owned(),
                    status: 410,
                    reason: "Unregistered".to_owned(),
                },
            ),
            (
                13,
                Step::Receives {
                    vendor: Vendor::Fcm,
                    token: "CD".to_owned(),
                    headers: vec![("priority".to_owned(), "5".to_owned())],
                    json: "{\"a\":\n1}".to_owned(),
                },
            ),
        ];
        assert_eq!(script.steps, expected);
    }

    #[test]
    fn a_name_stands_for_one_text() {
        let mut bindings = Bindings::default();
        assert_eq!(bindings.unify("<a b='$node'>$_</a>", "<a b='n+/='>x</a>"), Ok(()));
        assert_eq!(bindings.fill("$node-$node."), "n+/=-n+/=.");
        let rows = [
            ("<$node/>", "<n+/=/>", true),
            ("<$node/>", "<other/>", false),
            ("<$_/>$_", "<y/>z", true),
            ("<$_/>", "</>", false),
            ("<$_/>", "<y/>z", false),
            ("<a/>", "<b/>", false),
            ("<a/>", "<a/><b/>", false),
            ("<$new", "<", false),
            ("$new>", "no end", false),
        ];
        for (pattern, text, same) in rows {
            assert_eq!(bindings.unify(pattern, text).is_ok(), same, "{pattern} {text}");
        }
    }

    #[test]
    fn json_may_hold_more_than_is_asked_for_but_not_what_must_not_be() {
        let got = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
        let rows = [
            (json!({}), vec![]),
            (json!({"a": {"c": [1, 2]}, "e": null}), vec![]),
            (json!({"a": {"b": 2}}), vec!["/a/b: 2"]),
            (json!({"a": {"b": null}, "d": "y"}), vec!["/a/b: null", "/d: \"y\""]),
            (json!({"a": {"c": [1]}}), vec!["/a/c: [1]"]),
            (json!({"d": {"e": 1}}), vec!["/d: {\"e\":1}"]),
        ];
        for (expected, paths) in rows {
            assert_eq!(missing(&expected, &got), paths, "{expected}");
        }
    }
}
