//! `title`, `body`, `sound`, `category` and `extra` of an `[apps.NAME]`.

use toml::Value;

use super::reader::{Findings, Section};
use crate::domain::app::Provider;
use crate::domain::look::{Extra, Look, MOST, is_reserved};

/// Reads what the operator changes about an app's payloads.
pub(super) fn look(section: &mut Section<'_>, provider: Provider, found: &mut Findings) -> Look {
    let look = match provider {
        Provider::Apns => Look {
            title: boxed(section.text("title", found)),
            body: boxed(section.text("body", found)),
            sound: boxed(section.text_or_empty("sound", found)),
            category: boxed(section.text("category", found)),
            extra: extra(section, provider, found),
        },
        Provider::Fcm => {
            for key in ["title", "body", "sound", "category"] {
                section.unused(key, "belongs to apps on APNs; on Android, the app itself says what it shows", found);
            }
            Look { extra: extra(section, provider, found), ..Look::PLAIN }
        }
        Provider::WebPush | Provider::Stub => Look::PLAIN,
    };
    if look.size() > MOST {
        let key = if look.extra.is_empty() { "body" } else { "extra" };
        let text = format!(
            "title, body, sound, category and extra are {} bytes together; leave room for messages, {MOST} is the most",
            look.size()
        );
        found.error(section.key(key), text);
    }
    look
}

fn boxed(text: Option<String>) -> Option<Box<str>> {
    text.map(String::into_boxed_str)
}

fn extra(section: &mut Section<'_>, provider: Provider, found: &mut Findings) -> Vec<(Box<str>, Extra)> {
    let mut extra = Vec::new();
    for (key, value) in section.table("extra", found).unwrap_or_default() {
        let at = section.key(&format!("extra.{key}"));
        if is_reserved(provider, &key) {
            let text = format!("is a key that pushkeeper or {} gives a meaning to; take another", provider.name());
            found.error(at, text);
            continue;
        }
        let value = match value {
            Value::String(text) => Some(Extra::Text(text.into())),
            Value::Integer(number) => Some(Extra::Number(number)),
            Value::Boolean(flag) => Some(Extra::Flag(flag)),
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
        };
        match value {
            Some(value) => extra.push((key.into(), value)),
            None => found.error(at, "must be a text in quotes, a whole number, or true or false"),
        }
    }
    extra
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;
    use crate::config::tests::{MINIMAL, complaints};
    use crate::config::{Complaint, parse};

    /// An app on that vendor whose credentials are there.
    fn app(provider: &str, more: &str) -> String {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/look.rs");
        let credentials = match provider {
            "apns" => format!("topic = \"t\"\ncertificate_file = {file:?}\n"),
            "fcm" => format!("service_account_file = {file:?}\n"),
            _ => String::new(),
        };
        format!("{MINIMAL}[apps.a]\nprovider = {provider:?}\n{credentials}{more}")
    }

    fn read(provider: &str, more: &str) -> Look {
        let (mut config, _) = parse(&app(provider, more), Path::new("."), []).unwrap();
        config.apps.remove(0).look
    }

    #[test]
    fn an_app_looks_as_its_operator_says() {
        let all = "title = \"Chat\"\nbody = \"Neue Nachricht\"\nsound = \"bell.caf\"\ncategory = \"REPLY\"\n\
                   extra = { theme = \"dark\", firstGoodBuildNumber = 1000, beta = true }\n";
        let expected = Look {
            title: Some("Chat".into()),
            body: Some("Neue Nachricht".into()),
            sound: Some("bell.caf".into()),
            category: Some("REPLY".into()),
            extra: vec![
                ("beta".into(), Extra::Flag(true)),
                ("firstGoodBuildNumber".into(), Extra::Number(1000)),
                ("theme".into(), Extra::Text("dark".into())),
            ],
        };
        let mut found = read("apns", all);
        found.extra.sort_by(|(a, _), (b, _)| a.cmp(b));
        assert_eq!(found, expected);
        assert_eq!(read("apns", ""), Look::PLAIN);
        assert_eq!(read("apns", "sound = \"\"\n"), Look { sound: Some("".into()), ..Look::PLAIN });
        let theme = vec![("theme".into(), Extra::Text("dark".into()))];
        assert_eq!(read("fcm", "extra = { theme = \"dark\" }\n"), Look { extra: theme, ..Look::PLAIN });
        assert_eq!(read("stub", ""), Look::PLAIN);
    }

    #[test]
    fn a_look_that_can_not_be_is_complained_of() {
        let long = format!("title = \"{}\"\nextra = {{ a = \"{}\" }}\n", "x".repeat(500), "y".repeat(524));
        let rows = [
            ("apns", "title = \"\"\n", "apps.a.title: is empty; write a value or leave the key out"),
            ("apns", "sound = 1\n", "apps.a.sound: must be a text in quotes, not such a number"),
            (
                "apns",
                "extra = \"a\"\n",
                "apps.a.extra: must be keys with values, such as { key = \"value\" }, not a text",
            ),
            (
                "apns",
                "extra = { aps = \"x\" }\n",
                "apps.a.extra.aps: is a key that pushkeeper or apns gives a meaning to; take another",
            ),
            (
                "fcm",
                "extra = { message_type = \"x\" }\n",
                "apps.a.extra.message_type: is a key that pushkeeper or fcm gives a meaning to; take another",
            ),
            (
                "apns",
                "extra = { ratio = 0.5 }\n",
                "apps.a.extra.ratio: must be a text in quotes, a whole number, or true or false",
            ),
            (
                "fcm",
                "sound = \"x\"\n",
                "apps.a.sound: belongs to apps on APNs; on Android, the app itself says what it shows",
            ),
            (
                "apns",
                &long,
                "apps.a.extra: title, body, sound, category and extra are 1025 bytes together; leave room for messages, 1024 \
                 is the most",
            ),
        ];
        for (provider, more, expected) in rows {
            assert_eq!(complaints(&app(provider, more)), [expected], "{more}");
        }
    }

    #[test]
    fn the_environment_changes_words_but_gives_no_extra_keys() {
        let parsed = |name: &str, value: &str| {
            let env = [(OsString::from(name), OsString::from(value))];
            parse(&app("apns", ""), Path::new("."), env)
        };
        let (config, _) = parsed("PUSHKEEPER_APPS__A__BODY", "Hallo").unwrap();
        assert_eq!(config.apps[0].look, Look { body: Some("Hallo".into()), ..Look::PLAIN });
        let errors = parsed("PUSHKEEPER_APPS__A__EXTRA__THEME", "dark").unwrap_err();
        let errors: Vec<String> = errors.iter().map(Complaint::to_string).collect();
        let expected = "apps.a.extra: cannot come from the environment, where names have no case; write it in the file";
        assert_eq!(errors, [expected]);
    }
}
