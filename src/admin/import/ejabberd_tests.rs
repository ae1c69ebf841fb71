use super::super::Kind;
use super::super::tests::taken;

fn expected(host: &str) -> [String; 3] {
    [
        format!("alice@{host} at push.example.net \"node-1\" of \"\", 1795384411385, Some(\"it\\\"s\\n<&\\\\x \")"),
        format!("bob@{host} at push@example.net/r \"n ~ é\" of \"\", 1795384412000, None"),
        format!("alice@{host} at push.example.net \"node-2\" of \"\", 1795384413000, Some(\"it's Üé\")"),
    ]
}

#[test]
fn records_of_a_real_mnesia() {
    let dump: &[u8] = include_bytes!("samples/ejabberd-mnesia.txt");
    let taken = taken(Kind::EjabberdMnesia, None, &[dump]).unwrap();
    let mut shown = taken.shown();
    shown.sort();
    let mut expected = expected("a.example");
    expected.sort();
    assert_eq!(shown, expected);
    assert_eq!(taken.skips(), ["7 carol@a.example: has a host of ours for its push service"]);
}

#[test]
fn rows_of_real_databases() {
    let dumps: [(&[u8], u64); 4] = [
        (include_bytes!("samples/ejabberd-sqlite.sql"), 13),
        (include_bytes!("samples/ejabberd-postgresql.sql"), 49),
        (include_bytes!("samples/ejabberd-postgresql-inserts.sql"), 49),
        (include_bytes!("samples/ejabberd-mariadb.sql"), 47),
    ];
    for (dump, line) in dumps {
        let taken = taken(Kind::EjabberdSql, Some("b.example"), &[dump]).unwrap();
        let (mut shown, mut expected) = (taken.shown(), expected("b.example"));
        shown.sort();
        expected.sort();
        assert_eq!(shown, expected);
        assert_eq!(taken.skips(), [format!("{line} carol@b.example: has a host of ours for its push service")]);
    }
}

#[test]
fn the_older_schema_needs_a_domain() {
    let dump: &[u8] = include_bytes!("samples/ejabberd-sqlite.sql");
    let refused = taken(Kind::EjabberdSql, None, &[dump]).expect_err("whose?");
    assert!(refused.contains("does not say of which domain its accounts are; say it with --domain"), "{refused}");
}

#[test]
fn rows_without_columns_are_told_by_their_number() {
    let dump = b"INSERT INTO push_session VALUES('a',1000000,'p.example.net','n','');\n\
                 INSERT INTO push_session VALUES('b','b.example','x','p.example.net','n','');\n\
                 INSERT INTO push_session VALUES('c','other.example','1','p.example.net','n','<x');\n\
                 INSERT INTO push_session VALUES('d','b.example','1','p.example.net','n','<x/></enable><enable>');\n\
                 INSERT INTO push_session VALUES('','b.example','1','p.example.net','n','');\n\
                 INSERT INTO push_session VALUES('e','b.example','1','','n','');\n\
                 INSERT INTO push_session VALUES('f','b.example','1',now(),'n','');\n";
    let taken = taken(Kind::EjabberdSql, Some("b.example"), &[dump]).unwrap();
    let expected = [
        "a@b.example at p.example.net \"n\" of \"\", 1000, None",
        "b@b.example at p.example.net \"n\" of \"\", 1800000000000, None",
    ];
    assert_eq!(taken.shown(), expected);
    let expected = [
        "3 c@other.example: is of another domain",
        "4 d@b.example: is no XML",
        "5 @b.example: names no account",
        "6 e@b.example: names no push service",
        "7 f@b.example: has a value that cannot be read",
    ];
    assert_eq!(taken.skips(), expected);
}

#[test]
fn records_that_make_no_sense_are_named() {
    let record = |us: &str, stamp: &str, service: &str, xml: &str| {
        format!("{{push_session,{us},{stamp},{service},<<\"n\">>,{xml}}}.\n")
    };
    let (us, stamp, service) = ("{<<\"a\">>,<<\"b.example\">>}", "{1,2,3}", "{<<>>,<<\"p.example.net\">>,<<>>}");
    let dump = [
        record(us, stamp, service, "undefined"),
        record(us, stamp, service, "{xmlel,<<\"x\">>,[],[{xmlcdata,1}]}"),
        record(us, "now", service, "undefined"),
        record(us, "{170000000000000000000000000000000000000,0,0}", service, "undefined"),
        record("a", stamp, service, "undefined"),
        record(us, stamp, "<<\"p.example.net\">>", "undefined"),
        record(us, stamp, service, "#Ref<0.1.2>"),
    ];
    let taken = taken(Kind::EjabberdMnesia, None, &[dump.concat().as_bytes()]).unwrap();
    assert_eq!(taken.shown(), ["a@b.example at p.example.net \"n\" of \"\", 1000002000, None"]);
    let what = "is no record of push_session";
    let whose = ["a@b.example", "a@b.example", "a@b.example", "", "a@b.example", ""];
    let expected: Vec<_> = (2..).zip(whose).map(|(line, whose)| format!("{line} {whose}: {what}")).collect();
    assert_eq!(taken.skips(), expected);
}
