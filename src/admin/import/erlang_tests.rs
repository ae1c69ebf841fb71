use proptest::prelude::*;

use super::*;

/// What can be compared and shown; a term of a store cannot.
fn shown(term: &Term) -> String {
    let all = |terms: &[Term]| terms.iter().map(shown).collect::<Vec<_>>().join(",");
    match term {
        Term::Atom(name) => name.escape_ascii().to_string(),
        Term::Number(number) => number.to_string(),
        Term::Text(text) => format!("\"{}\"", text.escape_ascii()),
        Term::Tuple(elements) => format!("{{{}}}", all(elements)),
        Term::List(elements) => format!("[{}]", all(elements)),
    }
}

#[test]
fn terms_of_every_kind() {
    let rows = [
        ("{a, 'B c', b@x}", "{a,B c,b@x}"),
        ("[ 1 , -2, 1.5e3,[] ]", "[1,-2,1,[]]"),
        ("\"a\\\"b\" \"c\"", r#""a\"bc""#),
        ("<<>>", "\"\""),
        ("<<\"a\\n\\\\\\x41\\x{42}\\101\\e\\s\\^a\">>", r#""a\n\\ABA\x1b \x01""#),
        ("<<\"a\"\n  \"b\">>", "\"ab\""),
        ("<<105,116,39,115,32,195,156>>", r#""it\'s \xc3\x9c""#),
        ("<<\"\\x{e9}\"/utf8>>", r#""\xc3\xa9""#),
        ("<<\"\u{e9}\"/utf8>>", r#""\xc3\xa9""#),
        ("<<\"\u{e9}\">>", r#""\xc3\xa9""#),
        ("{xmlel,<<\"x\">>,[{<<\"a\">>,<<\"b\">>}],[]}", r#"{xmlel,"x",[{"a","b"}],[]}"#),
    ];
    for (text, expected) in rows {
        assert_eq!(parse(text.as_bytes()).as_ref().map(shown).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_term_of_a_store_is_refused() {
    for text in
        ["", "{", "{a", "{a,", "{a b}", "<<\"a", "<<300>>", "<<\"\\x{100}\">>", "<0.1.0>", "#Fun<x>", "X", "\"a"]
    {
        assert!(parse(text.as_bytes()).is_none(), "{text}");
    }
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(100).as_bytes()).is_some());
    assert!(parse(nested(1_000_000).as_bytes()).is_none());
}

/// Whether the table is there, and the lines of its records with what they are.
type Forms = (bool, Vec<(u64, Option<String>)>);

fn forms(dump: &str) -> Result<Forms, String> {
    let mut forms = Vec::new();
    let found = read(dump.as_bytes(), "t", |form| forms.push((form.line, form.term.as_ref().map(shown))));
    found.map(|found| (found, forms)).map_err(|error| error.to_string())
}

#[test]
fn records_of_the_table_are_found_among_others() {
    let dump = "%% a comment.\n{tables,[{t,[{record_name,t}]}]}.\n{u,<0.1.0>,#Fun<a.b>,\"}. {t,1}.\"}.\n\
                {t, 1.5}.\n{t,\n  $\"}.\n{t,a.b}.\n{'t',2}. {tt,1}.\n";
    let expected = vec![(4, Some("{t,1}".to_owned())), (5, None), (7, None)];
    assert_eq!(forms(dump), Ok((true, expected)));
    assert_eq!(forms("{tables,[{u,[]},{t,[]}]}."), Ok((true, Vec::new())));
    let long = format!("{{t,\"{}\"}}.\n{{t,1}}.\n", "x".repeat(300 * 1024));
    assert_eq!(forms(&long), Ok((true, vec![(1, None), (2, Some("{t,1}".to_owned()))])));
}

#[test]
fn a_dump_of_something_else_or_not_whole_says_so() {
    for dump in ["", "Hello. World.", "{u,1}.", "{tables,[{u,[]}]}.", "it's", "{u,1"] {
        assert_eq!(forms(dump), Ok((false, Vec::new())), "{dump}");
    }
    for dump in ["{t,1}.\n{t,2", "{t,1}.\n{t,\"", "{t,1}.\n{t,2}", "{tables,[{t,[]}]}.\n'"] {
        let error = forms(dump).expect_err(dump);
        assert!(error.starts_with("is cut short: it ends within a term, which begins on line 2"), "{dump}: {error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _parsed = parse(&bytes);
        for head in ["", "{t,", "{t,<<", "{t,\""] {
            let _read = read([head.as_bytes(), &bytes].concat().as_slice(), "t", |_| {});
        }
    }

    #[test]
    fn any_binary_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let numbers = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
        let numbered = format!("<<{numbers}>>");
        prop_assert!(parse(numbered.as_bytes()) == Some(Term::Text(bytes.clone())));
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
        let quoted = format!("<<\"{escaped}\">>");
        prop_assert!(parse(quoted.as_bytes()) == Some(Term::Text(bytes)));
    }
}
