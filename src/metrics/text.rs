//! How the lines of a page are written.

use std::fmt::{Display, Write as _};

use super::families::Family;
use super::histogram::Seen;

/// The values of a family's labels, in its order.
pub(super) type Values<'a> = &'a [&'a str];

/// A page that is being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family.
    pub(super) fn family(&mut self, family: &Family) {
        let Family { name, kind, help, .. } = family;
        let kind = kind.name();
        let _infallible = write!(self.0, "# HELP {name} ");
        self.escaped(help, false);
        let _infallible = writeln!(self.0, "\n# TYPE {name} {kind}");
    }

    /// One value of it.
    pub(super) fn value(&mut self, family: &Family, values: Values<'_>, value: impl Display) {
        self.0.push_str(family.name);
        self.labels(family, values, None);
        let _infallible = writeln!(self.0, " {value}");
    }

    /// One histogram of it.
    pub(super) fn histogram(&mut self, family: &Family, values: Values<'_>, seen: &Seen) {
        for (bound, count) in &seen.buckets {
            let _infallible = write!(self.0, "{}_bucket", family.name);
            self.labels(family, values, Some(bound));
            let _infallible = writeln!(self.0, " {count}");
        }
        let count = seen.buckets.last().map_or(0, |(_, count)| *count);
        for (suffix, value) in [("_sum", seen.sum.to_string()), ("_count", count.to_string())] {
            let _infallible = write!(self.0, "{}{suffix}", family.name);
            self.labels(family, values, None);
            let _infallible = writeln!(self.0, " {value}");
        }
    }

    /// The page.
    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn labels(&mut self, family: &Family, values: Values<'_>, le: Option<&str>) {
        let labels = family.labels.iter().copied().zip(values.iter().copied()).chain(le.map(|le| ("le", le)));
        let mut open = '{';
        for (name, value) in labels {
            self.0.push(open);
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.escaped(value, true);
            self.0.push('"');
            open = ',';
        }
        if open == ',' {
            self.0.push('}');
        }
    }

    fn escaped(&mut self, text: &str, quoted: bool) {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '"' if quoted => self.0.push_str("\\\""),
                c => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::families::Kind;

    #[test]
    fn what_would_break_a_line_is_escaped() {
        let family = Family {
            name: "pushkeeper_x",
            kind: Kind::Gauge,
            labels: &["app", "b"],
            help: "back\\slash \"and\"\nline",
        };
        let mut text = Text::default();
        text.family(&family);
        text.value(&family, &["a\"b\\c\nd", "é"], 1.5);
        let expected = "# HELP pushkeeper_x back\\\\slash \"and\"\\nline\n# TYPE pushkeeper_x gauge\n\
                        pushkeeper_x{app=\"a\\\"b\\\\c\\nd\",b=\"é\"} 1.5\n";
        assert_eq!(text.into_string(), expected);
    }
}
