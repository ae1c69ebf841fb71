use super::*;
use crate::domain::app::Credentials;
use crate::domain::class::Class;
use crate::domain::ids::{Domain, Node};
use crate::domain::push::Content;
use crate::domain::registration::tests::registration;
use crate::flows::data::{LaneKind, Load, Owed};
use crate::store::record::registrations_tests as registrations;
use crate::store::record::tests::full;
use crate::store::write_export;

const MADE: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Something of every kind that is exported.
fn all() -> Vec<Change> {
    let credentials = Credentials { fingerprint: u64::MAX, since: MADE };
    let asks = registrations::full();
    vec![
        Change::Credentials(AppName::new("chat-ios"), credentials),
        Change::Device(Box::new(full())),
        Change::Registration(Box::new(registration())),
        Change::Record(registration().key, Box::new(registrations::pushes())),
        Change::Registration(Box::new(asks)),
    ]
}

fn owed() -> Change {
    let load = Load {
        class: Class::Important,
        content: std::sync::Arc::new(Content::default()),
        published: MADE,
        from: Domain::new("example.org"),
        expires: MADE,
        until: None,
    };
    Change::Owe(Box::new(Owed { node: Node::new("nœud-2"), kind: LaneKind::Messages, load }))
}

fn loaded(store: &Store) -> Vec<Change> {
    store.load().unwrap().map(Result::unwrap).collect()
}

fn exported(changes: &[Change], kind: EngineKind) -> String {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), kind).unwrap();
    store.commit(changes).unwrap();
    let mut out = Vec::new();
    write_export(&store, &mut out, MADE).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn from_either_engine_into_either_all_comes_back_but_what_is_owed() {
    for from in EngineKind::ALL {
        let text = exported(&[all(), vec![owed()]].concat(), from);
        for to in EngineKind::ALL {
            let around = tempfile::tempdir().unwrap();
            let path = around.path().join("new");
            let import = read_import(text.as_bytes()).unwrap();
            assert_eq!((import.made, import.devices, import.registrations), (MADE, 1, 2));
            assert_eq!(import.apps, [AppName::new("chat-ios")].into());
            Import::would_fit(&path, to).unwrap();
            assert!(!path.exists(), "asking makes no store");
            import.fill(&path, to).unwrap();
            let store = Store::open(&path, to).unwrap();
            assert_eq!(loaded(&store), all(), "{from:?} to {to:?}");
            // And what is exported of it is the same, line by line.
            let mut again = Vec::new();
            write_export(&store, &mut again, MADE).unwrap();
            assert_eq!(String::from_utf8(again).unwrap(), text);
        }
    }
}

#[test]
fn nothing_owed_is_in_an_export() {
    let text = exported(&[all(), vec![owed()]].concat(), EngineKind::Redb);
    assert_eq!(text, exported(&all(), EngineKind::Sled));
    let lines: Vec<&str> = text.lines().collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(lines[0], format!(r#"{{"kind":"export","format":1,"made":1700000000000,"version":"{version}"}}"#));
    assert_eq!(lines[6..], [r#"{"kind":"end","records":5}"#]);
}

#[test]
fn a_file_that_is_not_what_was_exported_is_refused_and_its_secrets_are_not_shown() {
    let whole = exported(&all(), EngineKind::Sled);
    let lines: Vec<&str> = whole.lines().collect();
    let cut = |count: usize| lines[..count].join("\n");
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    let rows = [
        ("nothing", String::new(), "is no export of pushkeeper"),
        ("something else", "{\"a\":1}\n".to_owned(), "is no export of pushkeeper"),
        ("no first line", lines[1..].join("\n"), "is no export of pushkeeper"),
        (
            "a later format",
            with("\"format\":1,", "\"format\":2,\"more\":1,"),
            "has format 2, and this pushkeeper knows only up to 1",
        ),
        ("without its end", cut(6), "is not whole: it ends after line 6"),
        ("one line only", cut(1), "is not whole: it ends after line 1"),
        ("half a line", whole[..whole.len() * 2 / 3].to_owned(), "cannot be read (at character "),
        ("a line too few", [&lines[..2], &lines[3..]].concat().join("\n"), "line 6 counts other lines than there are"),
        ("a line behind the last", whole.clone() + lines[2], "line 8 stands behind the last"),
        ("two files", cut(3) + "\n" + &whole, "line 4 is a second first line"),
        ("a hash that is none", with("\"account\":\"abab", "\"account\":\"xyab"), "line 3 has a wrong \"account\""),
        ("a number that is none", with("ffffffffffffffff", "+fffffffffffffff"), "line 2 has a wrong \"fingerprint\""),
        ("a reason that is none", with("\"why\":\"errors\"", "\"why\":\"mood\""), "line 3 has a wrong \"why\""),
        (
            "a field that we do not know",
            with("\"kind\":\"device\",", "\"kind\":\"device\",\"mood\":1,"),
            "line 3 cannot be read",
        ),
        (
            "a text for a number",
            with("\"generation\":4294967295", "\"generation\":\"secret-2\""),
            "line 3 cannot be read",
        ),
        ("a NUL", with("push.third.example", "push\\u0000third"), "line 4 has a wrong \"service\""),
    ];
    for (what, text, expected) in rows {
        let error = read_import(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
        assert!(!error.contains("secret-2") && !error.contains("nœud"), "{what}: {error}");
    }
}

#[test]
fn only_an_empty_store_is_filled() {
    for kind in EngineKind::ALL {
        let import = read_import(exported(&all(), kind).as_bytes()).unwrap();
        for (held, counts) in [(all().remove(1), (1, 0, 0)), (all().remove(2), (0, 1, 0)), (owed(), (0, 0, 1))] {
            let folder = tempfile::tempdir().unwrap();
            Store::open(folder.path(), kind).unwrap().commit(std::slice::from_ref(&held)).unwrap();
            for refused in [import.fill(folder.path(), kind), Import::would_fit(folder.path(), kind)] {
                let Err(StoreError::NotEmpty { devices, registrations, owed, .. }) = refused else {
                    panic!("{held:?}")
                };
                assert_eq!((devices, registrations, owed), counts);
            }
            assert_eq!(loaded(&Store::open(folder.path(), kind).unwrap()), [held]);
        }
        // What every start writes does not count.
        let folder = tempfile::tempdir().unwrap();
        let credentials = Change::Credentials(AppName::new("other"), Credentials { fingerprint: 1, since: MADE });
        Store::open(folder.path(), kind).unwrap().commit(std::slice::from_ref(&credentials)).unwrap();
        import.fill(folder.path(), kind).unwrap();
        let mut expected = all();
        expected.insert(1, credentials);
        assert_eq!(loaded(&Store::open(folder.path(), kind).unwrap()), expected);
    }
}

#[test]
fn an_import_that_was_cut_short_keeps_the_store_shut_until_one_is_whole() {
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), kind).unwrap();
        // As if it had died between two of its commits.
        store.write(|engine| engine.disk.set_meta(MARK, Some(frame::seal(MARK, &())?))).unwrap();
        store.commit(&[Change::Device(Box::new(crate::domain::device::tests::device()))]).unwrap();
        drop(store);
        let refused = Store::open(folder.path(), kind).unwrap_err().to_string();
        assert!(refused.contains("was cut short") && refused.contains("run pushkeeper import once more"), "{refused}");

        let import = read_import(exported(&all(), kind).as_bytes()).unwrap();
        Import::would_fit(folder.path(), kind).unwrap();
        import.fill(folder.path(), kind).unwrap();
        assert_eq!(loaded(&Store::open(folder.path(), kind).unwrap()), all(), "{kind:?}: nothing of the first is left");
    }
}

#[test]
fn what_is_added_is_one_commit_beside_what_is_there() {
    for kind in EngineKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), kind).unwrap();
        store.commit(&[Change::Registration(Box::new(registration()))]).unwrap();
        let before = store.commits();
        let import = Import::of(vec![Change::Device(Box::new(full()))], MADE);
        assert_eq!((import.devices, import.registrations, import.apps.len()), (1, 0, 1));
        import.add_to(&store).unwrap();
        assert_eq!(store.commits(), before + 1);
        let of = |change: &Change| matches!(change, Change::Device(_) | Change::Registration(_));
        assert_eq!(loaded(&store).iter().filter(|change| of(change)).count(), 2);
    }
}
