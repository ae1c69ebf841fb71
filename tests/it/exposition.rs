//! Reads a page in Prometheus' text format 0.0.4, and lets nothing pass that the format does not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) families: Vec<Family>,
}

/// Metrics of one name.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: String,
}

impl Sample {
    pub(crate) fn number(&self) -> f64 {
        self.value.parse().unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

impl Page {
    /// Panics if it is no page.
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has an end");
        let mut families: Vec<Family> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(head) = line.strip_prefix("# HELP ") {
                let (name, help) = head.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
                let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect("a type");
                assert!(is_name(name, true) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(families.iter().all(|family| family.name != name), "{name} comes twice");
                let (name, kind) = (name.to_owned(), kind.to_owned());
                families.push(Family { name, kind, help: unescape(help, false), samples: Vec::new() });
            } else {
                let family = families.last_mut().unwrap_or_else(|| panic!("of no family: {line}"));
                family.samples.push(sample(line));
            }
        }
        families.iter().for_each(check);
        Self { families }
    }

    /// The page again.
    pub(crate) fn write(&self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples } in &self.families {
            writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", escape(help, false)).unwrap();
            for Sample { name, labels, value } in samples {
                let labels: Vec<String> =
                    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value, true))).collect();
                let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                writeln!(text, "{name}{labels} {value}").unwrap();
            }
        }
        text
    }

    pub(crate) fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    /// The one value under this name with these labels.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.families.iter().flat_map(|family| &family.samples);
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(label, value)| sample.label(label) == Some(value))
        };
        let found: Vec<&Sample> = all.filter(fits).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        found[0].number()
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.family(name).unwrap_or_else(|| panic!("{name}")).samples.iter().map(Sample::number).sum()
    }
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name, true), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(label, false), "{line}");
            let end = end_of_quote(after).unwrap_or_else(|| panic!("no end: {line}"));
            labels.push((label.to_owned(), unescape(&after[..end], true)));
            rest = &after[end + 1..];
            match rest.as_bytes().first() {
                Some(b',') => rest = &rest[1..],
                Some(b'}') => break,
                _ => panic!("{line}"),
            }
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let number: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    assert!(number.is_finite(), "{line}");
    let names: BTreeSet<&String> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), labels.len(), "a label twice: {line}");
    Sample { name: name.to_owned(), labels, value: value.to_owned() }
}

fn end_of_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end.then_some(at)
    })
}

fn is_name(name: &str, colons: bool) -> bool {
    let mut chars = name.chars();
    let fits = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    chars.next().is_some_and(fits) && chars.all(|c| fits(c) || c.is_ascii_digit())
}

fn unescape(text: &str, quoted: bool) -> String {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quoted => '"',
                other => panic!("\\{other:?} in {text}"),
            },
            c => c,
        });
    }
    plain
}

fn escape(text: &str, quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quoted { text.replace('"', "\\\"") } else { text }
}

fn check(family: &Family) {
    let Family { name, kind, samples, .. } = family;
    let mut seen = BTreeSet::new();
    for sample in samples {
        assert!(seen.insert((&sample.name, &sample.labels)), "twice: {sample:?}");
        let suffix = sample.name.strip_prefix(name.as_str()).unwrap_or_else(|| panic!("not of {name}: {sample:?}"));
        let fits =
            if kind == "histogram" { ["_bucket", "_sum", "_count"].contains(&suffix) } else { suffix.is_empty() };
        assert!(fits, "{sample:?}");
        assert_eq!(suffix == "_bucket", sample.label("le").is_some(), "{sample:?}");
        assert!(kind == "gauge" || sample.number() >= 0.0, "{sample:?}");
    }
    if kind == "histogram" {
        check_histogram(family);
    }
}

/// Buckets grow, and the last one has all.
fn check_histogram(family: &Family) {
    let mut series: BTreeMap<Vec<(String, String)>, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let labels = sample.labels.iter().filter(|(name, _)| name != "le").cloned().collect();
        series.entry(labels).or_default().push(sample);
    }
    for samples in series.values() {
        let (buckets, rest): (Vec<&Sample>, Vec<&Sample>) =
            samples.iter().partition(|sample| sample.name.ends_with("_bucket"));
        let bound = |sample: &Sample| match sample.label("le") {
            Some("+Inf") => f64::INFINITY,
            le => le.and_then(|le| le.parse().ok()).expect("a bound"),
        };
        assert!(buckets.is_sorted_by(|one, next| bound(one) < bound(next)), "{buckets:?}");
        assert!(buckets.is_sorted_by(|one, next| one.number() <= next.number()), "{buckets:?}");
        let [sum, count] = rest[..] else { panic!("a sum and a count, not {rest:?}") };
        assert!(sum.name.ends_with("_sum") && count.name.ends_with("_count"), "{rest:?}");
        let last = buckets.last().expect("a bucket");
        assert_eq!((bound(last), last.number()), (f64::INFINITY, count.number()), "{last:?}");
    }
}

#[test]
fn what_the_format_does_not_allow_is_no_page() {
    let ok = "# HELP a A \\\\ \\n b.\n# TYPE a gauge\na{b=\"\\\"x\\\\\\n,}é\",c=\"\"} -1.5\na 2\n";
    let page = Page::read(ok);
    assert_eq!(page.write(), ok);
    assert_eq!(page.families[0].samples[0].label("b"), Some("\"x\\\n,}é"));
    let gauge = |sample: &str| format!("# HELP a A.\n# TYPE a gauge\n{sample}\n");
    let histogram = |samples: &str| format!("# HELP a A.\n# TYPE a histogram\n{samples}\n");
    let wrong = [
        gauge("a 1").trim_end().to_owned(),
        gauge(""),
        gauge("b 1"),
        gauge("a_sum 1"),
        gauge("a one"),
        gauge("a NaN"),
        gauge("a  1"),
        gauge("a{} 1"),
        gauge("a{b=\"1\" 1"),
        gauge("a{b=1} 1"),
        gauge("a{1b=\"1\"} 1"),
        gauge("a{b=\"\\x\"} 1"),
        gauge("a{b=\"1\",b=\"2\"} 1"),
        gauge("a 1\na 2"),
        "a 1\n".to_owned(),
        "# TYPE a gauge\na 1\n".to_owned(),
        "# HELP a A.\na 1\n".to_owned(),
        gauge("a 1") + &gauge("a 1"),
        "# HELP a A.\n# TYPE a counter\na -1\n".to_owned(),
        histogram("a 1"),
        histogram("a_bucket{le=\"+Inf\"} 1\na_sum 1"),
        histogram("a_bucket{le=\"1\"} 1\na_sum 1\na_count 1"),
        histogram("a_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1"),
        histogram("a_bucket{le=\"2\"} 0\na_bucket{le=\"1\"} 0\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1"),
        histogram("a_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2"),
    ];
    for text in wrong {
        let read = std::panic::catch_unwind(|| Page::read(&text));
        assert!(read.is_err(), "{text}");
    }
}
