use std::fs;

use tempfile::TempDir;

use super::super::tests::{NOW, policy, taken};
use super::super::{Kind, Wanted};
use super::*;
use crate::domain::extensions;
use crate::domain::ids::Domain;

/// What alice of the samples enabled.
const SAMPLE: [&str; 2] = [
    "alice@localhost at third.localhost \"node \\\"1\\\" é\" of \"phone\", 1795385656000, Some(\"it's \\\"1\\\" \\\\n é&<\")",
    "alice@localhost at third.localhost \"node-2\" of \"tablet\", 1795385656000, None",
];

#[test]
fn rows_of_real_databases() {
    let dumps: [&[u8]; 2] =
        [include_bytes!("samples/prosody-sqlite.sql"), include_bytes!("samples/prosody-postgresql.sql")];
    for dump in dumps {
        let taken = taken(Kind::CloudNotifySql, None, &[dump]).unwrap();
        assert_eq!(taken.shown(), SAMPLE);
        assert_eq!(taken.skips(), [""; 0]);
        let form = &taken.registrations[0].1.options.as_ref().unwrap().xml;
        let expected = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                        <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                        <field var='secret'><value>it&apos;s \"1\" \\n é&amp;&lt;</value></field></x>";
        assert_eq!(&**form, expected);
    }
}

/// A data folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn taken_of(path: &Path, domain: Option<&str>) -> Result<super::super::Taken, ForeignError> {
    let wanted = Wanted { domain: domain.map(Domain::new), app: None, policy: &policy(), now: NOW };
    super::super::read(Kind::CloudNotify, &[path.to_owned()], wanted)
}

const REAL: &[u8] = include_bytes!("samples/prosody-internal.dat");
const SMALL: &[u8] = b"return { [\"p.example.net<n\"] = { [\"jid\"] = \"p.example.net\"; [\"node\"] = \"n\"; }; };\n";

#[test]
fn a_data_folder_a_folder_of_a_host_and_a_file() {
    let folder = folder(&[
        ("b%2eexample/cloud_notify/alice.dat", REAL),
        ("b%2eexample/cloud_notify/zo%c3%ab%2e.dat", SMALL),
        ("b%2eexample/cloud_notify/ignored.txt", b"x"),
        ("b%2eexample/roster/alice.dat", b"x"),
        ("c%2dd%2eexample/cloud_notify/bob.dat", SMALL),
        ("c%2dd%2eexample/cloud_notify/nobody.dat", b"return nil;"),
        ("README", b"x"),
    ]);
    let rows: [(&str, Option<&str>, &[&str]); 7] = [
        ("", None, &["alice@b.example", "alice@b.example", "zoë.@b.example", "bob@c-d.example"]),
        ("", Some("c-d.example"), &["bob@c-d.example"]),
        ("b%2eexample", None, &["alice@b.example", "alice@b.example", "zoë.@b.example"]),
        ("c%2dd%2eexample/cloud_notify", None, &["bob@c-d.example"]),
        ("c%2dd%2eexample/cloud_notify/bob.dat", None, &["bob@c-d.example"]),
        ("c%2dd%2eexample/cloud_notify/bob.dat", Some("b.example"), &[]),
        ("c%2dd%2eexample/cloud_notify/nobody.dat", None, &[]),
    ];
    for (path, domain, expected) in rows {
        let taken = taken_of(&folder.path().join(path), domain).unwrap();
        let accounts: Vec<_> = taken.registrations.iter().map(|(_, of)| of.key.account.as_str()).collect();
        assert_eq!(accounts, expected, "{path} {domain:?}");
        let elsewhere = |why: &String| why.ends_with(": is of another domain");
        assert!(taken.skips().iter().all(elsewhere), "{path}: {:?}", taken.skips());
    }
    let of_alice = taken_of(&folder.path().join("b%2eexample"), None).unwrap();
    let lines: Vec<_> = of_alice.registrations.iter().map(|(place, _)| place.line).collect();
    assert_eq!(lines, [2, 9, 1]);
}

#[test]
fn a_file_elsewhere_needs_a_domain_and_a_folder_without_files_is_none() {
    let folder = folder(&[("copies/alice.dat", SMALL), ("b.example/roster/alice.dat", SMALL)]);
    let file = folder.path().join("copies/alice.dat");
    let refused = taken_of(&file, None).expect_err("whose?").to_string();
    assert!(
        refused.contains("alice.dat does not say of which domain its accounts are; say it with --domain"),
        "{refused}"
    );
    let taken = taken_of(&file, Some("b.example")).unwrap();
    assert_eq!(taken.shown(), ["alice@b.example at p.example.net \"n\" of \"\", 1800000000000, None"]);
    let refused = taken_of(folder.path(), None).expect_err("nothing there").to_string();
    assert!(refused.contains("is no data folder of Prosody"), "{refused}");
}

#[test]
fn one_damaged_file_of_many_is_one_account_and_alone_it_stops_the_import() {
    let folder = folder(&[
        ("b.example/cloud_notify/alice.dat", b"return {\n[\"x\"] = \""),
        ("b.example/cloud_notify/bob.dat", SMALL),
        ("b.example/cloud_notify/carol.dat", &[b' '; 5 * 1024 * 1024]),
    ]);
    let taken = taken_of(folder.path(), None).unwrap();
    assert_eq!(taken.registrations.len(), 1);
    let expected = ["2 alice@b.example: is no Lua table, or not whole", "1 carol@b.example: is too large"];
    assert_eq!(taken.skips(), expected);
    let alone = taken_of(&folder.path().join("b.example/cloud_notify/alice.dat"), None);
    assert!(alone.is_err());
}

fn entry_of(fields: &str) -> (Vec<String>, Vec<String>) {
    let text = format!("return {{ [\"x\"] = {{ [\"jid\"] = \"p.example.net\"; {fields} }}; }};");
    let folder = folder(&[("b.example/cloud_notify/alice.dat", text.as_bytes())]);
    let taken = taken_of(folder.path(), None).unwrap();
    (taken.shown(), taken.skips())
}

#[test]
fn entries_of_every_shape() {
    let alice = |rest: &str| vec![format!("alice@b.example at {rest}")];
    let p = "p.example.net";
    let rows = [
        ("", alice(&format!("{p} \"\" of \"\", 1800000000000, None"))),
        ("client_id = \"c\", resource = \"r\", timestamp = 5", alice(&format!("{p} \"\" of \"c\", 5000, None"))),
        // Of the future, before 1970, or none.
        ("timestamp = 9999999999", alice(&format!("{p} \"\" of \"\", 1800000000000, None"))),
        ("timestamp = -5", alice(&format!("{p} \"\" of \"\", 1800000000000, None"))),
        ("timestamp = (1/0)", alice(&format!("{p} \"\" of \"\", 1800000000000, None"))),
        (
            "include_payload = \"x\", language = \"de\", unknown = {}",
            alice(&format!("{p} \"\" of \"\", 1800000000000, None")),
        ),
        (
            "options = { name = \"x\", attr = { xmlns = \"jabber:x:data\" } }",
            alice(&format!("{p} \"\" of \"\", 1800000000000, Some(\"no secret\")")),
        ),
    ];
    for (fields, expected) in rows {
        assert_eq!(entry_of(fields), (expected, Vec::new()), "{fields}");
    }
    let rows = [
        ("options = { attr = {} }", "has a form that is none"),
        ("options = { name = \"x y\", attr = {} }", "has a form that is none"),
        ("options = { name = \"x\", attr = { a = 1 } }", "has a form that is none"),
        ("options = { name = \"x\", 1 }", "has a form that is none"),
        ("options = { name = \"1x\", attr = {} }", "is no XML"),
        ("options = { name = \"x\", \"\\001\" }", "is no XML"),
        (
            "encryption = { algorithm = \"rot13\", key_base64 = \"MDEyMzQ1Njc4OWFiY2RlZg==\" }",
            "holds more than is kept, or a key that is none",
        ),
        ("jid = 5", ""),
    ];
    for (fields, why) in rows {
        let (taken, skipped) = entry_of(fields);
        match why {
            // The first one counts.
            "" => assert_eq!(taken.len(), 1),
            why => assert_eq!((taken, skipped), (Vec::new(), vec![format!("1 alice@b.example: {why}")]), "{fields}"),
        }
    }
}

#[test]
fn accounts_and_services_that_cannot_be_are_named() {
    let files: [(&str, &[u8]); 5] = [
        ("b.example/cloud_notify/a%40b.dat", SMALL),
        ("b.example/cloud_notify/c.dat", b"return { x = { node = \"n\" } }"),
        ("b.example/cloud_notify/d.dat", b"return { x = { jid = \"B.Example/x\" } }"),
        ("b.example/cloud_notify/e.dat", b"return { x = { jid = \"a@b@c\" } }"),
        ("b.example/cloud_notify/f.dat", b"return { x = 5, \"y\" }"),
    ];
    let folder = folder(&files);
    let taken = taken_of(folder.path(), None).unwrap();
    assert_eq!(taken.shown(), [""; 0]);
    let expected = [
        "1 a@b@b.example: has an account that is none",
        "1 c@b.example: names no push service",
        "1 d@b.example: has a host of ours for its push service",
        "1 e@b.example: has a push service that is no JID",
        "1 f@b.example: is no registration",
        "1 f@b.example: is no registration",
    ];
    assert_eq!(taken.skips(), expected);
}

/// As `mod_cloud_notify_encrypted` and `mod_cloud_notify_filters` keep them; priority and calls they do not.
#[test]
fn extensions_are_what_the_client_asked_for() {
    let text = b"return { x = { jid = \"p.example.net\", node = \"n\", filter_unknown = true,
        muted_jids = { [\"bot@example.org\"] = true },
        encryption = { algorithm = \"aes-128-gcm\", key_base64 = \"MDEyMzQ1Njc4OWFiY2RlZg==\" },
        groupchat_rules = { [\"coven@chat.example\"] = { when = \"always\" },
            [\"forres@chat.example\"] = { when = \"mentioned\", nick = \"Juliet\" },
            [\"heath@chat.example\"] = { when = \"never\" }, [\"castle@chat.example\"] = { when = \"mentioned\" } } } }";
    let folder = folder(&[("b.example/cloud_notify/alice.dat", text)]);
    let taken = taken_of(folder.path(), None).unwrap();
    let expected = extensions::Extensions { priority: false, jingle: false, ..extensions::tests::full() };
    assert_eq!(taken.registrations[0].1.extensions.as_deref(), Some(&expected));
}

#[test]
fn rows_that_make_no_sense_are_named() {
    let row = |user: &str, kind: &str, value: &str| {
        format!("INSERT INTO prosody VALUES('b.example','{user}','cloud_notify','k','{kind}','{value}');\n")
    };
    let dump = [
        row("a", "json", "{\"jid\":\"p.example.net\",\"node\":\"n\"}"),
        row("b", "string", "x"),
        row("c", "json", "{"),
        row("d", "json", "5"),
        row("e", "json", &"[".repeat(1000)),
        "INSERT INTO prosody VALUES('b.example','f','roster','k','json','{');\n".to_owned(),
        "INSERT INTO prosody VALUES('b.example','g','cloud_notify','','json','{\"x\":{\"jid\":\"p.example.net\"}}');\n"
            .to_owned(),
        "INSERT INTO prosody VALUES('b.example','h','cloud_notify','k','json',now());\n".to_owned(),
    ];
    let taken = taken(Kind::CloudNotifySql, None, &[dump.concat().as_bytes()]).unwrap();
    let accounts: Vec<_> = taken.registrations.iter().map(|(_, of)| of.key.account.as_str()).collect();
    assert_eq!(accounts, ["a@b.example", "g@b.example"]);
    let expected = [
        "2 b@b.example: is no table",
        "3 c@b.example: is no JSON",
        "4 d@b.example: is no registration",
        "5 e@b.example: is no JSON",
        "8 h@b.example: has a value that cannot be read",
    ];
    assert_eq!(taken.skips(), expected);
}
