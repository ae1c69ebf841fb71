use xmpp_parsers::data_forms::{DataForm, DataFormType};
use xmpp_parsers::minidom::Element as Tree;

use super::*;
use crate::domain::time::Moment;
use crate::flows::data::Door;

fn asked(xml: &str) -> Result<Asked, StanzaError> {
    let document = crate::xmpp::xml::Document::parse(xml).unwrap();
    read(Name::Status, document.root_element())
}

fn command(attributes: &str, content: &str) -> String {
    format!("<command xmlns='http://jabber.org/protocol/commands' {attributes}>{content}</command>")
}

#[test]
fn nodes_name_commands() {
    assert_eq!(node(Name::ShowAccount), "urn:pushkeeper:command:0#show-account");
    for known in Name::ALL {
        assert_eq!(name(&node(known)), Some(known));
    }
    for other in ["status", "urn:pushkeeper:command:0", "urn:pushkeeper:command:0#", "urn:pushkeeper:command:0#x"] {
        assert_eq!(name(other), None, "{other}");
    }
}

#[test]
fn actions_and_forms() {
    let form = |kind: &str| {
        format!(
            "<x xmlns='jabber:x:data' type='{kind}'><field var='FORM_TYPE'><value>x</value></field>\
             <field var='a'><value>1</value><value/><value>2</value></field><field var='b'/></x>"
        )
    };
    let filled = Answers(vec![("a".into(), vec!["1".into(), "2".into()]), ("b".into(), vec![])]);
    let rows = [
        ("", String::new(), Action::Execute, None),
        ("action='next' sessionid='1-x'", form("submit"), Action::Next, Some(&filled)),
        ("action='complete'", form("submit"), Action::Complete, Some(&filled)),
        ("action='prev'", form("submit"), Action::Prev, None),
        ("action='next'", form("cancel"), Action::Cancel, None),
    ];
    for (attributes, content, action, fields) in rows {
        let asked = asked(&command(attributes, &content)).unwrap();
        assert_eq!((asked.action, asked.fields.as_ref()), (action, fields), "{attributes}");
        assert_eq!(asked.session.as_deref(), attributes.contains("1-x").then_some("1-x"));
    }
}

#[test]
fn more_than_we_ask_for_is_refused() {
    let field = |name: &str, values: usize, value: &str| {
        format!("<field var='{name}'>{}</field>", format!("<value>{value}</value>").repeat(values))
    };
    let rows = [
        ((0..64).map(|n| field(&n.to_string(), 1, "x")).collect::<String>(), None),
        ((0..65).map(|n| field(&n.to_string(), 1, "x")).collect(), Some(StanzaError::BAD_PAYLOAD)),
        (field("a", 256, "x"), None),
        (field("a", 257, "x"), Some(StanzaError::BAD_PAYLOAD)),
        (field("a", 1, &"x".repeat(4096)), None),
        (field("a", 1, &"x".repeat(4097)), Some(StanzaError::BAD_PAYLOAD)),
        (field(&"x".repeat(4097), 1, "x"), Some(StanzaError::BAD_PAYLOAD)),
    ];
    for (fields, error) in rows {
        let xml = command("action='next'", &format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>"));
        assert_eq!(asked(&xml).err(), error, "{:.60}", fields);
    }
    assert_eq!(asked(&command("action='dance'", "")), Err(StanzaError::MALFORMED_ACTION));
    let long = format!("sessionid='{}'", "1".repeat(129));
    assert_eq!(asked(&command(&long, "")), Err(StanzaError::BAD_SESSION));
}

#[test]
fn what_is_shown_is_read_as_it_was_meant() {
    let shown = Shown {
        name: Name::ShowAccount,
        session: "7-x".into(),
        progress: Progress::Executing { prev: true, next: true, default_next: true },
        notes: vec![(Tone::Warn, "1 < 2".into())],
        form: Some(Form {
            result: true,
            title: "A 'title'".into(),
            instructions: String::new(),
            fields: vec![
                Field::lines("why", "Why", vec!["a & b".into(), "bad \u{1} byte".into()]),
                Field::new("show", "Show", FieldKind::One(vec![("All of it".into(), "all".into())]))
                    .required()
                    .holding("all"),
            ],
            table: Some(Table {
                columns: vec![("node", "Node")],
                rows: vec![vec!["ab<c>".into()], vec![String::new()]],
            }),
        }),
    };
    let ticket = Ticket {
        door: Door::Link,
        id: "a1".into(),
        to: "admin@example.org/x".into(),
        from: "push.example.net".into(),
        taken: Moment::default(),
        for_client: false,
    };
    let mut out = BytesMut::new();
    write(&mut out, &ticket, &shown);
    let text = String::from_utf8(out.to_vec()).unwrap().replacen("<iq ", "<iq xmlns='jabber:component:accept' ", 1);
    let iq: Tree = text.parse().unwrap();
    let command = iq.get_child("command", ns::COMMANDS).unwrap();
    let attributes = ["node", "sessionid", "status"].map(|name| command.attr(name).unwrap());
    assert_eq!(attributes, ["urn:pushkeeper:command:0#show-account", "7-x", "executing"]);
    let actions = command.get_child("actions", ns::COMMANDS).unwrap();
    assert_eq!(actions.attr("execute"), Some("next"));
    assert_eq!(actions.children().map(Tree::name).collect::<Vec<_>>(), ["prev", "next", "complete"]);
    let note = command.get_child("note", ns::COMMANDS).unwrap();
    assert_eq!((note.attr("type"), note.text()), (Some("warn"), "1 < 2".to_owned()));

    let x = command.get_child("x", ns::DATA_FORM).unwrap();
    let cell = |item: &Tree| Some(item.children().next()?.children().next()?.text());
    let rows: Vec<String> = x.children().filter(|child| child.name() == "item").filter_map(cell).collect();
    assert_eq!(rows, ["ab<c>", ""]);
    let reported = x.get_child("reported", ns::DATA_FORM).unwrap();
    assert_eq!(reported.children().map(|field| field.attr("label")).collect::<Vec<_>>(), [Some("Node")]);
    let mut plain = x.clone();
    while plain.remove_child("reported", ns::DATA_FORM).or_else(|| plain.remove_child("item", ns::DATA_FORM)).is_some()
    {
    }
    let form = DataForm::try_from(plain).unwrap();
    assert_eq!((form.type_, form.title.as_deref()), (DataFormType::Result_, Some("A 'title'")));
    let why = form.fields.iter().find(|field| field.var.as_deref() == Some("why")).unwrap();
    assert_eq!(why.values, ["a & b", "bad ? byte"]);
    let show = form.fields.iter().find(|field| field.var.as_deref() == Some("show")).unwrap();
    assert_eq!((show.required, show.options.len(), &*show.values), (true, 1, &["all".to_owned()][..]));
}

fn written(form: Form) -> (usize, Tree) {
    let progress = Progress::Completed;
    let notes = vec![(Tone::Warn, hostile()); form.fields.len() * 1000];
    let shown = Shown { name: Name::ShowAccount, session: "7-x".into(), progress, notes, form: Some(form) };
    let ticket = Ticket {
        door: Door::Link,
        id: "a1".into(),
        to: "admin@example.org/x".into(),
        from: "push.example.net".into(),
        taken: Moment::default(),
        for_client: false,
    };
    let mut out = BytesMut::new();
    write(&mut out, &ticket, &shown);
    let text = std::str::from_utf8(&out).unwrap().replacen("<iq ", "<iq xmlns='jabber:component:accept' ", 1);
    (out.len(), text.parse().unwrap())
}

/// The longest that a resource can be, and the longest that it gets in XML.
fn hostile() -> String {
    "'".repeat(1023)
}

#[test]
fn no_answer_is_too_long_for_a_host_whatever_people_call_their_sessions() {
    let lines = |name| Field::lines(name, "Lines", vec![hostile(); 1002]);
    let options = vec![(hostile(), "x".repeat(60)); 2000];
    let forms = [
        Form {
            title: hostile(),
            instructions: hostile(),
            fields: vec![lines("why"), lines("sessions"), lines("decisions")],
            table: Some(Table { columns: vec![("a", "A"), ("b", "B")], rows: vec![vec![hostile(); 2]; 1000] }),
            ..Form::default()
        },
        Form { fields: vec![Field::new("chosen", "Which", FieldKind::Some(options))], ..Form::default() },
    ];
    for form in forms {
        let (bytes, iq) = written(form);
        assert!((100_000..300_000).contains(&bytes), "{bytes}");
        let command = iq.get_child("command", ns::COMMANDS).unwrap();
        let notes = command.children().filter(|child| child.name() == "note");
        let notes: Vec<String> = notes.map(Tree::text).collect();
        assert_eq!(notes.len(), 33);
        let note = &notes[0];
        assert!(note.ends_with(" more do not fit into one answer, and are left out."), "{note}");
        let x = command.get_child("x", ns::DATA_FORM).unwrap();
        for field in x.children().filter(|child| child.attr("type") == Some("text-multi")) {
            let last = field.children().last().unwrap().text();
            let kept = field.children().count() - 1;
            assert_eq!(last, format!("… and {} more", 1002 - kept));
            assert_eq!(field.children().next().unwrap().text(), format!("{}…", "'".repeat(133)));
        }
    }
}

#[test]
fn a_page_of_a_list_and_an_accounts_decisions_fit_whole() {
    let columns = vec![("c", "C"); 13];
    // Account, service, client and error are other people's words; the rest are ours.
    let row: Vec<String> = (0..13).map(|n| if n < 4 { hostile() } else { "2026-11-22T12:00:00.000Z".into() }).collect();
    let page = Form { table: Some(Table { columns, rows: vec![row; 50] }), ..Form::default() };
    let decisions = Form { fields: vec![Field::lines("d", "D", vec![hostile(); 50])], ..Form::default() };
    for (form, rows) in [(page, 50), (decisions, 0)] {
        let (_, iq) = written(form);
        let command = iq.get_child("command", ns::COMMANDS).unwrap();
        assert!(!command.children().any(|child| child.text().contains(" more do not fit")));
        let x = command.get_child("x", ns::DATA_FORM).unwrap();
        assert_eq!(x.children().filter(|child| child.name() == "item").count(), rows);
        let lines = x.children().find(|child| child.attr("var") == Some("d"));
        assert_eq!(lines.map_or(50, |field| field.children().count()), 50);
    }
}
