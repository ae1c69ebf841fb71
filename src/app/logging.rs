//! What log lines look like: text or JSON, one line for each event, and what the journal of systemd wants to know.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, MakeWriter, format, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Begins to log to the standard error, for the journal if the environment says that it reads there. Returns what has
/// another level hold.
pub fn start(log: &Log, env: impl IntoIterator<Item = (OsString, OsString)>) -> Box<dyn Fn(&Log) + Send + Sync> {
    let journal = is_journal(env);
    let (filter, handle) = reload::Layer::new(log.filter());
    tracing_subscriber::registry().with(filter).with(lines(log.format, journal, io::stderr)).init();
    Box::new(move |log| {
        // It is gone only when the process ends.
        let _gone = handle.reload(log.filter());
    })
}

/// Whether the journal reads our standard error: it then takes the priority from the beginning of each line.
pub fn is_journal(env: impl IntoIterator<Item = (OsString, OsString)>) -> bool {
    let stream = env.into_iter().find(|(name, _)| name == "JOURNAL_STREAM");
    stream.is_some_and(|(_, stream)| is_stderr(&stream))
}

/// A layer that writes lines. With `journal`, each begins with its priority (`<6>`, `sd-daemon(3)`), which the journal
/// takes off again, and text has no time, which the journal knows.
pub fn lines<S, W>(format: LogFormat, journal: bool, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    layer().with_ansi(false).with_writer(writer).event_format(Lines { format, journal })
}

struct Lines {
    format: LogFormat,
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.journal {
            write!(writer, "<{}>", priority(*event.metadata().level()))?;
        }
        if self.format == LogFormat::Json {
            return writeln!(writer, "{}", json(event)?);
        }
        let mut line = String::new();
        let whole = Writer::new(&mut line);
        match self.journal {
            true => format().with_ansi(false).without_time().format_event(context, whole, event)?,
            false => format().with_ansi(false).format_event(context, whole, event)?,
        }
        // A host's words may be in it: they must not look like lines of ours.
        let line = line.trim_end_matches('\n');
        let line = if self.journal { line.trim_start() } else { line };
        for c in line.chars() {
            match c.is_control() {
                true => write!(writer, "{}", c.escape_default())?,
                false => writer.write_char(c)?,
            }
        }
        writer.write_char('\n')
    }
}

/// A level as `syslog(3)` counts.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Whether this `JOURNAL_STREAM` (`systemd.exec(5)`: device and inode) is our standard error, and not one that a parent
/// had.
fn is_stderr(stream: &OsStr) -> bool {
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let Ok(about) = stderr.and_then(|stderr| stderr.metadata()) else { return false };
    stream.to_str() == Some(format!("{}:{}", about.dev(), about.ino()).as_str())
}

/// A line of JSON: these keys and no others, always.
#[derive(Serialize)]
struct Line<'a> {
    /// RFC 3339, UTC.
    timestamp: &'a str,
    level: &'a str,
    target: &'a str,
    message: &'a str,
    fields: Map<String, Value>,
}

fn json(event: &Event<'_>) -> Result<String, fmt::Error> {
    let mut timestamp = String::new();
    SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
    let mut fields = Fields::default();
    event.record(&mut fields);
    let line = Line {
        timestamp: &timestamp,
        level: event.metadata().level().as_str(),
        // What comes by way of the crate `log` has its target in a field.
        target: fields.target.as_deref().unwrap_or(event.metadata().target()),
        message: &fields.message,
        fields: fields.others,
    };
    serde_json::to_string(&line).map_err(|_| fmt::Error)
}

#[derive(Default)]
struct Fields {
    message: String,
    target: Option<String>,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let text = |value: Value| if let Value::String(text) = value { text } else { value.to_string() };
        match field.name() {
            "message" => self.message = text(value),
            "log.target" => self.target = Some(text(value)),
            name if name.starts_with("log.") => {}
            name => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, error, info, trace, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of what `log` logs.
    fn written(format: LogFormat, journal: bool, log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let filter = Log { level: "trace".into(), format }.filter();
        let subscriber =
            tracing_subscriber::registry().with(filter).with(lines(format, journal, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn all_levels() {
        error!(target: "it", "one");
        warn!(target: "it", device = "0a1b2c3d", count = 2, "two");
        info!(target: "it", "three");
        debug!(target: "it", "four");
        trace!(target: "it", "five");
    }

    /// A time as RFC 3339 in UTC with microseconds, as a pattern: digits for digits.
    fn is_time(text: &str) -> bool {
        let pattern = "0000-00-00T00:00:00.000000Z";
        text.len() == pattern.len()
            && text.chars().zip(pattern.chars()).all(|(c, p)| if p == '0' { c.is_ascii_digit() } else { c == p })
    }

    #[test]
    fn in_the_journal_text_has_a_priority_and_no_time() {
        let expected = [
            "<3>ERROR it: one",
            "<4>WARN it: two device=\"0a1b2c3d\" count=2",
            "<6>INFO it: three",
            "<7>DEBUG it: four",
            "<7>TRACE it: five",
        ];
        assert_eq!(written(LogFormat::Text, true, all_levels), expected);
    }

    #[test]
    fn elsewhere_text_has_a_time_and_no_priority() {
        let lines = written(LogFormat::Text, false, all_levels);
        let split: Vec<(&str, &str)> = lines.iter().map(|line| line.split_once(' ').unwrap()).collect();
        assert!(split.iter().all(|(time, _)| is_time(time)), "{lines:?}");
        let rest: Vec<&str> = split.iter().map(|(_, rest)| rest.trim_start()).collect();
        let two = "WARN it: two device=\"0a1b2c3d\" count=2";
        assert_eq!(rest, ["ERROR it: one", two, "INFO it: three", "DEBUG it: four", "TRACE it: five"]);
    }

    #[test]
    fn json_has_the_same_five_keys_in_every_line() {
        let lines = written(LogFormat::Json, false, all_levels);
        let expected = [
            ("ERROR", "one", serde_json::json!({})),
            ("WARN", "two", serde_json::json!({ "device": "0a1b2c3d", "count": 2 })),
            ("INFO", "three", serde_json::json!({})),
            ("DEBUG", "four", serde_json::json!({})),
            ("TRACE", "five", serde_json::json!({})),
        ];
        assert_eq!(lines.len(), expected.len());
        for (line, (level, message, fields)) in lines.iter().zip(expected) {
            let mut read: Map<String, Value> = serde_json::from_str(line).unwrap();
            let time = read.remove("timestamp").unwrap();
            assert!(is_time(time.as_str().unwrap()), "{time}");
            let rest = serde_json::json!({ "level": level, "target": "it", "message": message, "fields": fields });
            assert_eq!(Value::Object(read), rest);
        }
    }

    #[test]
    fn in_the_journal_json_follows_its_priority() {
        let lines = written(LogFormat::Json, true, || warn!(target: "it", "two"));
        let json: Value = serde_json::from_str(lines[0].strip_prefix("<4>").unwrap()).unwrap();
        assert_eq!(json["message"], "two");
    }

    #[test]
    fn what_the_crate_log_says_names_who_said_it() {
        // As the bridge from that crate makes its events.
        let line = || info!(target: "log", { "log.target" = "rustls::client", "log.line" = 7 }, "hello");
        let json: Value = serde_json::from_str(&written(LogFormat::Json, false, line)[0]).unwrap();
        assert_eq!((&json["target"], &json["fields"]), (&"rustls::client".into(), &serde_json::json!({})));
    }

    #[test]
    fn nobodys_words_make_a_line_of_their_own() {
        let words = "gone\n<0>PANIC pushkeeper: forged\r\u{85}";
        let log = || warn!(target: "it", "the host says: {words}");
        let text = written(LogFormat::Text, true, log);
        assert_eq!(text, [r"<4>WARN it: the host says: gone\n<0>PANIC pushkeeper: forged\r\u{85}"]);
        assert_eq!(written(LogFormat::Json, true, log).len(), 1);
    }

    #[test]
    fn only_the_stream_that_is_our_stderr_counts() {
        for stream in ["", "8:1", "8", "nonsense:8", "0:0"] {
            assert!(!is_stderr(OsStr::new(stream)), "{stream:?}");
        }
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
        assert!(is_stderr(OsStr::new(&format!("{}:{}", stderr.dev(), stderr.ino()))));
        assert!(!is_stderr(OsStr::new(&format!("{}:{}", stderr.dev(), stderr.ino() + 1))));
    }
}
