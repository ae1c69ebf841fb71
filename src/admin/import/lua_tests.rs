use proptest::prelude::*;

use super::*;

/// What can be compared and shown; a value of a store cannot.
fn shown(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("'{}'", text.escape_ascii()),
        Value::Table(table) => {
            let named = table.named.iter();
            let named = named.map(|it| format!("{}@{}={}", it.name.escape_ascii(), it.line, shown(&it.value)));
            format!("{{{}}}", table.list.iter().map(shown).chain(named).collect::<Vec<_>>().join(","))
        }
    }
}

fn reads(text: &str) -> Result<String, u64> {
    read(text.as_bytes()).map(|value| shown(&value)).map_err(|NotLua { line }| line)
}

#[test]
fn all_that_serialised_tables_have() {
    let rows = [
        ("return {};", "{}"),
        ("return nil", "nil"),
        ("  -- a comment\nreturn { 1; 2.5, -3, };\n", "{1,2.5,-3}"),
        ("return {\n\t[\"a b\"] = true;\n\tc = false;\n\t[\"d\"] = nil;\n};", "{a b@2=true,c@3=false,d@4=nil}"),
        ("return { [1] = \"x\"; [\"1\"] = 'y'; };", "{1@1='y'}"),
        ("return { { \"x\"; [\"n\"] = { }; }; };", "{{'x',n@1={}}}"),
        (r#"return { "\a\b\f\n\r\t\v\\\"\'\0\65\195\169\x41" };"#, r#"{'\x07\x08\x0c\n\r\t\x0b\\\"\'\x00A\xc3\xa9A'}"#),
        ("return { \"a\\\nb\", \"a\\z  \n b\" };", r"{'a\nb','ab'}"),
        ("return { (1/0), (-1/0), (0/0), 1e3 };", "{inf,-inf,NaN,1000}"),
    ];
    for (text, expected) in rows {
        assert_eq!(reads(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_table_or_not_whole_is_refused_with_its_line() {
    let rows = [
        ("", 1),
        ("{}", 1),
        ("returns {}", 1),
        ("return", 1),
        ("return {", 1),
        ("return {\n[\"a\"] = \"b", 2),
        ("return { \"a\nb\" }", 2),
        ("return { \"\\q\" }", 1),
        ("return { \"\\256\" }", 1),
        ("return { 1 2 }", 1),
        ("return { os.exit() }", 1),
        ("return {} return {}", 1),
        ("return { (2/0) }", 1),
        ("item({});", 1),
    ];
    for (text, line) in rows {
        assert_eq!(reads(text), Err(line), "{text}");
    }
}

#[test]
fn tables_in_tables_have_an_end() {
    let nested = |depth| format!("return {}{}", "{".repeat(depth), "}".repeat(depth));
    assert!(reads(&nested(128)).is_ok());
    assert_eq!(reads(&nested(129)), Err(1));
    assert_eq!(reads(&nested(1_000_000)), Err(1));
}

#[test]
fn json_is_the_same_table() {
    let json = r#"{"name":"x","attr":{"a":"1"},"__array":["t",{"name":"y","n":1.5,"f":true,"z":null}],"__hash":[1]}"#;
    let value = Value::from_json(serde_json::from_str(json).unwrap());
    let expected = "{'t',{name@1='y',n@1=1.5,f@1=true,z@1=nil},name@1='x',attr@1={a@1='1'}}";
    let mut parts: Vec<_> = shown(&value).chars().collect();
    let mut wanted: Vec<_> = expected.chars().collect();
    // Objects of JSON have no order.
    parts.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(parts, wanted);
    assert_eq!(shown(&Value::from_json(serde_json::json!([1, "a"]))), "{1,'a'}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _read = read(&bytes);
        let _table = read(&[b"return {".as_slice(), &bytes].concat());
    }

    #[test]
    fn any_text_comes_back_from_its_escapes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03}")).collect();
        let value = read(format!("return \"{escaped}\";").as_bytes()).unwrap();
        prop_assert!(value == Value::Text(bytes));
    }
}
