//! As much of PromQL as it takes to say which metrics and labels a query is about. What it does not know, it refuses.

use std::collections::BTreeSet;

/// What a query is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) selectors: Vec<Selector>,
    /// Labels after `by`, `on` and the like.
    pub(crate) grouped: BTreeSet<String>,
    /// Variables of a dashboard, without their `$`.
    pub(crate) variables: BTreeSet<String>,
}

/// A metric, with what its labels must be: name, operator, value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) matchers: Vec<(String, String, String)>,
}

const FUNCTIONS: [&str; 12] = [
    "rate",
    "increase",
    "deriv",
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "histogram_quantile",
    "vector",
    "absent",
    "time",
];
const OPERATORS: [&str; 4] = ["and", "or", "unless", "bool"];
const LISTS: [&str; 5] = ["by", "without", "on", "ignoring", "group_left"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Number(String),
    Text(String),
    Mark(String),
}

/// Reads a query; panics if it is none that is understood.
pub(crate) fn read(query: &str) -> Query {
    let tokens = tokens(query);
    let mut found = Query { variables: variables(query), ..Query::default() };
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Mark(mark) if mark == "(" || mark == "[" => open.push(mark.clone()),
            Token::Mark(mark) if mark == ")" || mark == "]" => {
                let wanted = if mark == ")" { "(" } else { "[" };
                assert_eq!(open.pop().as_deref(), Some(wanted), "{query}");
            }
            Token::Word(word) if LISTS.contains(&word.as_str()) => {
                let end = close(&tokens, at, ")", query);
                found.grouped.extend(tokens[at..end].iter().filter_map(|token| match token {
                    Token::Word(word) => Some(word.clone()),
                    _ => None,
                }));
                at = end + 1;
            }
            Token::Word(word) if OPERATORS.contains(&word.as_str()) => {}
            Token::Word(word) if FUNCTIONS.contains(&word.as_str()) => {
                let next = tokens.get(at);
                let is_called = next == Some(&mark("("))
                    || matches!(next, Some(Token::Word(word)) if LISTS.contains(&word.as_str()));
                assert!(is_called, "{word} is not called: {query}");
            }
            Token::Word(name) => {
                assert_ne!(tokens.get(at), Some(&mark("(")), "{name} is no function: {query}");
                let mut matchers = Vec::new();
                if tokens.get(at) == Some(&mark("{")) {
                    let end = close(&tokens, at, "}", query);
                    for matcher in tokens[at + 1..end].split(|token| *token == mark(",")) {
                        let [Token::Word(label), Token::Mark(operator), Token::Text(value)] = matcher else {
                            panic!("{matcher:?} in {query}");
                        };
                        matchers.push((label.clone(), operator.clone(), value.clone()));
                    }
                    at = end + 1;
                }
                found.selectors.push(Selector { name: name.clone(), matchers });
            }
            Token::Mark(mark) => assert!(!["{", "}"].contains(&mark.as_str()), "{mark} in {query}"),
            Token::Number(_) | Token::Text(_) => {}
        }
    }
    assert_eq!(open, Vec::<String>::new(), "{query}");
    found
}

fn mark(text: &str) -> Token {
    Token::Mark(text.to_owned())
}

/// Where what opens at `at` ends.
fn close(tokens: &[Token], at: usize, end: &str, query: &str) -> usize {
    let found = tokens.iter().skip(at).position(|token| *token == mark(end));
    at + found.unwrap_or_else(|| panic!("no {end} in {query}"))
}

fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |fits: fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let (token, used) = match first {
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let used = length(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
                (Token::Word(rest[..used].to_owned()), used)
            }
            '0'..='9' | '$' => {
                let used = length(|c| c.is_ascii_alphanumeric() || "._$".contains(c));
                (Token::Number(rest[..used].to_owned()), used)
            }
            '"' => {
                let end = rest[1..].find('"').unwrap_or_else(|| panic!("no end of a text: {query}"));
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            _ => {
                let known = [
                    "==", "!=", ">=", "<=", "=~", "!~", "(", ")", "[", "]", "{", "}", ",", "=", ">", "<", "+", "-",
                    "*", "/",
                ];
                let found = known.iter().find(|known| rest.starts_with(**known));
                let found = found.unwrap_or_else(|| panic!("{first:?} in {query}"));
                (mark(found), found.len())
            }
        };
        tokens.push(token);
        rest = rest[used..].trim_start();
    }
    tokens
}

fn variables(query: &str) -> BTreeSet<String> {
    let parts = query.split('$').skip(1);
    let name = |part: &str| part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    parts.map(name).collect()
}

#[test]
fn a_query_is_taken_apart() {
    let query = "histogram_quantile(0.95, sum by (app, le) (rate(a_bucket{x=~\"$x|y\",z=\"1\"}[$__rate_interval]))) > 2 and \
                 on (job) b:c == 14 * 86400 or vector(0)";
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<BTreeSet<_>>();
    let matcher = |label: &str, operator: &str, value: &str| (label.to_owned(), operator.to_owned(), value.to_owned());
    let expected = Query {
        selectors: vec![
            Selector { name: "a_bucket".into(), matchers: vec![matcher("x", "=~", "$x|y"), matcher("z", "=", "1")] },
            Selector { name: "b:c".into(), matchers: vec![] },
        ],
        grouped: texts(&["app", "job", "le"]),
        variables: texts(&["__rate_interval", "x"]),
    };
    assert_eq!(read(query), expected);
    for wrong in
        ["sum(a", "sum a)", "rate(a[5m)]", "a{b}", "a{b=1}", "a{b=\"1\"", "median(a)", "rate", "a & b", "a{b=\"1}"]
    {
        assert!(std::panic::catch_unwind(|| read(wrong)).is_err(), "{wrong}");
    }
}
