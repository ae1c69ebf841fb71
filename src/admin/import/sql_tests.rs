use proptest::prelude::*;

use super::*;

const USUAL: [&[&str]; 1] = [&["a", "b"]];

/// The rows of table `t`: the line, and the columns `a` and `b`.
fn rows(dump: &str) -> Result<(bool, Vec<String>), String> {
    let mut rows = Vec::new();
    let found = read(dump.as_bytes(), "t", &USUAL, |row| {
        let shown = |column| match row.text(column) {
            Ok(Some(text)) => format!("<{text}>"),
            Ok(None) => "-".to_owned(),
            Err(what) => what.split(' ').next_back().unwrap().to_owned(),
        };
        rows.push(format!("{}{}{}", row.line, shown("a"), shown("b")));
    });
    found.map(|found| (found, rows)).map_err(|error| error.to_string())
}

fn right(dump: &str, expected: &[&str]) {
    let (found, rows) = rows(dump).unwrap_or_else(|error| panic!("{dump}: {error}"));
    assert!(found, "{dump}");
    assert_eq!(rows, expected, "{dump}");
}

#[test]
fn rows_of_every_shape() {
    let rows: [(&str, &[&str]); 21] = [
        ("INSERT INTO t VALUES('1','2');", &["1<1><2>"]),
        ("insert into T values (1,NULL),\n(-- x\n'2' , null);", &["1<1>-", "2<2>-"]),
        ("INSERT INTO \"t\" (\"b\", \"a\") VALUES ('b', 'a');", &["1<a><b>"]),
        ("INSERT IGNORE INTO `x`.`t` (`c`,`b`) VALUES ('c','b');", &["1-<b>"]),
        ("INSERT INTO public.t VALUES ('it''s;', '-- no');", &["1<it's;><-- no>"]),
        ("REPLACE INTO [t] VALUES ('a', X'6162');", &["1<a><ab>"]),
        ("CREATE TABLE t (b text NOT NULL, a text, PRIMARY KEY (a, b));INSERT INTO t VALUES('1','2');", &["1<2><1>"]),
        (
            "CREATE TABLE IF NOT EXISTS \"t\" (\"key\" TEXT,a decimal(1,2), b);INSERT INTO t VALUES('1','2','3');",
            &["1<2><3>"],
        ),
        ("CREATE TABLE public.t (key text, a text);\nCOPY public.t (key, a) FROM stdin;\nx\ty\n\\.\n", &["3<y>-"]),
        ("CREATE TABLE `t` (`a` int, `b` int, KEY `k` (`a`)) ENGINE=x;\nINSERT INTO `t` VALUES (1,2);", &["2<1><2>"]),
        ("INSERT INTO `t` VALUES ('it\\'s\\n\\\\ \\\"','');", &["1<it's\n\\ \"><>"]),
        ("INSERT INTO t VALUES('it\\',E'a\\nb');", &["1<it\\><a\nb>"]),
        ("INSERT INTO t VALUES(replace('x\\ny','\\n',char(10)),unistr('\\u0041\\000a\\\\'));", &["1<x\ny><A\n\\>"]),
        ("INSERT INTO t VALUES(replace(replace('x\\r\\n','\\r',char(13)),'\\n',char(10)), 0x6162);", &["1<x\r\n><ab>"]),
        ("INSERT INTO t VALUES(now(), 1+1);", &["1readread"]),
        ("INSERT INTO t VALUES('a'::text, _utf8mb4 'b');", &["1<a><b>"]),
        ("INSERT INTO t VALUES('a');INSERT INTO t VALUES('b',X'ff');", &["1--", "1<b>read"]),
        (
            "COPY t (a, b) FROM stdin WITH (FORMAT text);\n\\N\ta\\tb\\\\\\x41\\101\n\n\\.\n",
            &["2-<a\tb\\AA>", "3<>columns"],
        ),
        ("COPY u (a) FROM stdin;\nINSERT INTO t VALUES('x','y');\n\\.\nINSERT INTO t VALUES('1','2');", &["4<1><2>"]),
        (
            "/* '; */ -- '\nCREATE FUNCTION f() AS $a$ it's $$ INSERT INTO t VALUES('x','y'); $a$;\\restrict it's\n\
             INSERT INTO u VALUES('INSERT INTO t');\nBEGIN;INSERT INTO t VALUES('1','2');COMMIT;",
            &["4<1><2>"],
        ),
        ("CREATE TABLE t (a, b);", &[]),
    ];
    for (dump, expected) in rows {
        right(dump, expected);
    }
}

#[test]
fn a_backslash_means_something_where_mysql_wrote_it() {
    for head in ["-- MySQL dump 10.13\n", "-- MariaDB dump 10.19\n", "/*!40101 SET x */;\n", "-- phpMyAdmin SQL Dump\n"]
    {
        right(&format!("{head}INSERT INTO t VALUES ('a\\'b','c\\\\');"), &["2<a'b><c\\>"]);
    }
    right("-- SQLite\nINSERT INTO t VALUES ('a\\','c');", &["2<a\\><c>"]);
}

#[test]
fn a_dump_without_the_table_is_none_of_it() {
    for dump in ["", "Hello, world", "it's", "INSERT INTO u VALUES('t');", "CREATE TABLE tt (t);", "\u{0}\u{1}\u{2}"] {
        assert_eq!(rows(dump), Ok((false, Vec::new())), "{dump}");
    }
}

#[test]
fn a_dump_that_ends_in_the_middle_says_so() {
    let rows_ = [
        ("INSERT INTO t VALUES('a','b'),\n('c", "a text, which begins on line 2"),
        ("INSERT INTO t VALUES('a','b'),\n('c',", "a row, which begins on line 2"),
        ("INSERT INTO t VALUES('a','b')", "INSERT, which begins on line 1"),
        ("\nCREATE TABLE t (a, b", "CREATE TABLE, which begins on line 2"),
        ("COPY t (a, b) FROM stdin;\na\tb\n", "COPY, which begins on line 1"),
        ("COPY t (a, b) FROM stdin;\na\tb\nc", "COPY, which begins on line 1"),
        ("BEGIN TRANSACTION;\nINSERT INTO t VALUES('a','b');", "a transaction, which begins on line 1"),
        ("CREATE TABLE t (a);\nCREATE TABLE u (a", "a statement, which begins on line 2"),
        ("CREATE TABLE t (a);/* x", "a comment, which begins on line 1"),
    ];
    for (dump, within) in rows_ {
        let error = rows(dump).expect_err(dump);
        assert!(error.contains(&format!("it ends within {within};")), "{dump}: {error}");
    }
}

#[test]
fn what_is_too_long_is_not_kept_and_its_row_is_unreadable() {
    let long = "x".repeat(300 * 1024);
    right(&format!("INSERT INTO t VALUES('{long}','b'),('a','b');"), &["1read<b>", "1<a><b>"]);
    right(&format!("COPY t (a, b) FROM stdin;\n{long}\tb\n\\.\n"), &["2read<b>"]);
    let deep = format!("INSERT INTO t VALUES({}'a'{},'b');", "(".repeat(100_000), ")".repeat(100_000));
    right(&deep, &["1read<b>"]);
    let wide = format!("INSERT INTO t VALUES('a'{},'b');", ",'b'".repeat(100_000));
    right(&wide, &["1--"]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for head in ["", "INSERT INTO t VALUES(", "COPY t FROM stdin;\n", "CREATE TABLE t (", "-- MySQL dump\n"] {
            let _read = read([head.as_bytes(), &bytes].concat().as_slice(), "t", &USUAL, |_| {});
        }
    }

    #[test]
    fn any_text_comes_back_as_each_database_quotes_it(a in "[^\u{0}]{0,40}", b in "[ -~é\t\n\r\\\\']{0,40}") {
        let standard = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let mysql = |text: &str| {
            let text = text.replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\"");
            format!("'{}'", text.replace('\n', "\\n").replace('\r', "\\r"))
        };
        let copy = |text: &str| {
            text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
        };
        let dumps = [
            format!("INSERT INTO t VALUES({},{});", standard(&a), standard(&b)),
            format!("INSERT INTO `t` VALUES ({},{});", mysql(&a), mysql(&b)),
            format!("COPY t (a, b) FROM stdin;\n{}\t{}\n\\.\n", copy(&a), copy(&b)),
        ];
        for dump in dumps {
            let mut rows = Vec::new();
            let found = read(dump.as_bytes(), "t", &USUAL, |row| {
                rows.push(["a", "b"].map(|column| row.text(column).unwrap().unwrap().to_owned()));
            });
            prop_assert!(found.unwrap());
            prop_assert_eq!(rows, [[a.clone(), b.clone()]]);
        }
    }
}
