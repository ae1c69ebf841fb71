//! The table: each row the medians of its runs, beside those of the ceiling in the same runs.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Fallible;
use crate::report::Report;

/// One run: what the world saw, and what it cost this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Per second.
    pub(crate) rate: f64,
    /// CPU seconds per 10,000.
    pub(crate) cpu: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// As above.
    pub(crate) p99: f64,
    /// As above.
    pub(crate) max: f64,
}

impl Run {
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    pub(crate) fn new(report: &Report, cpu: Duration) -> Self {
        let number = report.number as f64;
        let millis = |span: Duration| span.as_secs_f64() * 1000.0;
        Self {
            rate: number / report.took.as_secs_f64(),
            cpu: cpu.as_secs_f64() / number * 10_000.0,
            p50: millis(report.p50),
            p99: millis(report.p99),
            max: millis(report.max),
        }
    }
}

/// Prints lines, and keeps them.
#[derive(Default)]
pub(crate) struct Table {
    text: String,
}

impl Table {
    pub(crate) fn head(&mut self) -> Fallible<()> {
        let five = format!("{:>9} {:>8} {:>8} {:>8} {:>8}", "per s", "CPU/10k", "p50 ms", "p99 ms", "max ms");
        self.line(&format!("{:22} {five} | {:8}{five} | ratio of {:>5} {:>7}", "", "ceiling:", "rate", "CPU"))
    }

    /// A row that has a ceiling: the runs in pairs.
    pub(crate) fn beside(&mut self, name: &str, ours: &[Run], ceilings: &[Run]) -> Fallible<()> {
        let ratio = |of: fn(&Run) -> f64| median(ours.iter().zip(ceilings).map(|(our, ceiling)| of(our) / of(ceiling)));
        let (rate, cpu) = (ratio(|run| run.rate), ratio(|run| run.cpu));
        self.line(&format!("{name:22} {} | {:8}{} | {rate:>14.2} {cpu:>7.2}", five(ours), "", five(ceilings)))
    }

    /// A row that has none.
    pub(crate) fn alone(&mut self, name: &str, runs: &[Run]) -> Fallible<()> {
        self.line(&format!("{name:22} {}", five(runs)))
    }

    /// Any other line.
    #[expect(clippy::print_stdout, reason = "a bench prints its table")]
    pub(crate) fn line(&mut self, line: &str) -> Fallible<()> {
        println!("{line}");
        Ok(writeln!(self.text, "{line}")?)
    }

    /// All that was printed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

fn five(runs: &[Run]) -> String {
    let of = |part: fn(&Run) -> f64| median(runs.iter().map(part));
    let [p50, p99, max] = [of(|run| run.p50), of(|run| run.p99), of(|run| run.max)];
    format!("{:>9.0} {:>8.4} {p50:>8.3} {p99:>8.3} {max:>8.2}", of(|run| run.rate), of(|run| run.cpu))
}

/// The one in the middle; of an even number the upper of two.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
