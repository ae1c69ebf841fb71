//! Answers as stanzas. The one place where a refusal becomes a stanza error.

use bytes::BytesMut;
use sha1::{Digest, Sha1};

use super::{adhoc, ns, register};
use crate::domain::ids::Node;
use crate::domain::refusal::Refusal;
use crate::domain::secret::Secret;
use crate::flows::data::{Answer, Ticket};

/// A stanza error (RFC 6120 §8.3), as far as we ever say one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// The error type: what the asker may do about it.
    pub kind: &'static str,
    /// The defined condition.
    pub condition: &'static str,
    /// The application's condition: its name and namespace.
    pub detail: Option<(&'static str, &'static str)>,
    /// What is wrong, in English words for people.
    pub text: Option<&'static str>,
}

impl StanzaError {
    /// The request cannot be understood.
    pub const BAD_REQUEST: Self = Self::new("modify", "bad-request");
    /// A publish cannot be understood. No server takes `wait` as a reason to forget a registration.
    pub const BAD_PUBLISH: Self = Self::new("wait", "bad-request");
    /// A command's form lacks something (XEP-0050 §4.6).
    pub const BAD_PAYLOAD: Self = Self::command("bad-payload");
    /// A command cannot do this action now (XEP-0050 §4.6).
    pub const BAD_ACTION: Self = Self::command("bad-action");
    /// A command's action is not one of XEP-0050's (§4.6).
    pub const MALFORMED_ACTION: Self = Self::command("malformed-action");
    /// A command's session is none (XEP-0050 §4.6).
    pub const BAD_SESSION: Self = Self::command("bad-sessionid");
    /// There is no such node, command or device.
    pub const ITEM_NOT_FOUND: Self = Self::new("cancel", "item-not-found");
    /// A node is to be made, and has no name (XEP-0060 §8.1).
    pub const NODE_REQUIRED: Self =
        Self { detail: Some(("nodeid-required", ns::PUBSUB_ERRORS)), ..Self::new("modify", "not-acceptable") };
    /// A pubsub request that we do not serve.
    pub const NOT_IMPLEMENTED: Self = Self::new("cancel", "feature-not-implemented");
    /// Anything else that we do not serve.
    pub const SERVICE_UNAVAILABLE: Self = Self::new("cancel", "service-unavailable");
    /// The stanza broke a limit.
    pub const TOO_BIG: Self = Self::new("modify", "policy-violation");
    /// We do not serve this yet, or not now.
    pub const NOT_ALLOWED: Self = Self::new("cancel", "not-allowed");
    /// Not now, but it may be later.
    pub const NOT_NOW: Self = Self::new("wait", "service-unavailable");
    /// The asker may not do this.
    pub const FORBIDDEN: Self = Self::new("auth", "forbidden");

    const fn new(kind: &'static str, condition: &'static str) -> Self {
        Self { kind, condition, detail: None, text: None }
    }

    const fn command(detail: &'static str) -> Self {
        Self { detail: Some((detail, ns::COMMANDS)), ..Self::BAD_REQUEST }
    }

    /// The same with words for people.
    #[must_use]
    pub const fn saying(self, text: &'static str) -> Self {
        Self { text: Some(text), ..self }
    }

    /// What a refusal is on the wire. Servers forget a registration on `cancel`, some on anything but `wait`: that
    /// is why `wait` stands wherever the publisher's registration may still be good.
    #[must_use]
    pub const fn of(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchDevice | Refusal::NotRegistered | Refusal::NoSuchApp => Self::ITEM_NOT_FOUND,
            Refusal::Forbidden => Self::FORBIDDEN,
            Refusal::HostNotLinked => Self::NOT_NOW,
            Refusal::BadService => Self::BAD_REQUEST.saying(
                "The jid is missing, or it is none of a push service, or what came with it is longer than is kept.",
            ),
            Refusal::BadToken | Refusal::BadPayload => Self::BAD_PAYLOAD,
            Refusal::BadAction => Self::BAD_ACTION,
            Refusal::BadSession => Self::BAD_SESSION,
            Refusal::SessionExpired => Self { detail: Some(("session-expired", ns::COMMANDS)), ..Self::NOT_ALLOWED },
            Refusal::NoSuchEncryption => {
                Self::new("modify", "feature-not-implemented").saying("The only encryption here is aes-128-gcm.")
            }
            Refusal::BadKey => Self::BAD_REQUEST.saying("The key is not 16 bytes in base64."),
            Refusal::TooManyRegistrations | Refusal::TooManySessions => Self::new("wait", "resource-constraint"),
            Refusal::TryLater(_) => Self::new("wait", "internal-server-error"),
        }
    }
}

/// Writes the answer to an iq.
pub fn write(out: &mut BytesMut, ticket: &Ticket, answer: &Answer) {
    match answer {
        Answer::Command(shown) => adhoc::write(out, ticket, shown),
        // How all of it stands is asked for over HTTP.
        Answer::Done | Answer::Status(_) => empty_result(out, ticket),
        Answer::Refused(refusal) => error(out, ticket, StanzaError::of(*refusal)),
        Answer::Registered { command, node, secret } => {
            open(out, ticket, "result");
            command_open(out, ticket, command, "completed");
            put(out, ">");
            if **command == *register::TIGASE_REGISTER {
                tigase_form(out, node);
            } else {
                enable_form(out, ticket, node, secret);
            }
            put(out, "</command></iq>");
        }
        Answer::Unregistered { command } => {
            open(out, ticket, "result");
            command_open(out, ticket, command, "completed");
            put(out, "/></iq>");
        }
    }
}

/// What most apps give to their server: where to publish, and what to show.
fn enable_form(out: &mut BytesMut, ticket: &Ticket, node: &Node, secret: &Secret) {
    put(out, "<x xmlns='jabber:x:data' type='form'>");
    // The service that the app enables is the one it asked: what it wrote as `to`.
    field(out, "jid", "jid-single", &ticket.from);
    field(out, "node", "text-single", node.as_str());
    field(out, "secret", "text-single", &secret.reveal());
    put(out, "</x>");
}

/// What apps of Tigase's family read: they know the service, and have no use for a secret. Without the feature they
/// never ask their server to encrypt; the size is what a payload may have then, in bytes.
fn tigase_form(out: &mut BytesMut, node: &Node) {
    put(out, "<x xmlns='jabber:x:data' type='result'>");
    field(out, "node", "text-single", node.as_str());
    field(out, "features", "text-multi", ns::TIGASE_ENCRYPT);
    field(out, "max-payload-size", "text-single", "3000");
    put(out, "</x>");
}

/// Writes a result without content.
pub fn empty_result(out: &mut BytesMut, ticket: &Ticket) {
    head(out, ticket, "result");
    put(out, "/>");
}

/// Writes a result with this content, which is XML already.
pub fn result(out: &mut BytesMut, ticket: &Ticket, payload: &str) {
    open(out, ticket, "result");
    put(out, payload);
    put(out, "</iq>");
}

/// Writes a command's result that carries this content, which is XML already.
pub fn command(out: &mut BytesMut, ticket: &Ticket, command: &str, status: &str, content: &str) {
    open(out, ticket, "result");
    command_open(out, ticket, command, status);
    put(out, ">");
    put(out, content);
    put(out, "</command></iq>");
}

/// Writes a command's result under the session's own id.
pub(super) fn command_result(
    out: &mut BytesMut,
    ticket: &Ticket,
    command: &str,
    session: &str,
    status: &str,
    content: impl FnOnce(&mut BytesMut),
) {
    open(out, ticket, "result");
    command_open_as(out, command, session, status);
    put(out, ">");
    content(out);
    put(out, "</command></iq>");
}

/// Writes an error. One for a client, which a bridge only hands on, says so: to any other, a bridge links anew
/// (docs/signals.md §1).
pub fn error(out: &mut BytesMut, ticket: &Ticket, error: StanzaError) {
    open(out, ticket, "error");
    for part in ["<error type='", error.kind, "'><", error.condition, " xmlns='", ns::STANZA_ERROR, "'/>"] {
        put(out, part);
    }
    if let Some(text) = error.text {
        for part in ["<text xmlns='", ns::STANZA_ERROR, "' xml:lang='en'>"] {
            put(out, part);
        }
        escape(out, text);
        put(out, "</text>");
    }
    let refused = ticket.for_client.then_some(("refused", ns::HOST));
    for (name, namespace) in error.detail.into_iter().chain(refused) {
        for part in ["<", name, " xmlns='", namespace, "'/>"] {
            put(out, part);
        }
    }
    put(out, "</error></iq>");
}

/// Writes text so that it comes out of a parser as it went in, between tags or in an attribute in single quotes:
/// white space that a parser would normalise goes as references.
pub fn escape(out: &mut BytesMut, text: &str) {
    let mut rest = text;
    let special = |byte| matches!(byte, b'&' | b'<' | b'>' | b'\'' | b'\t' | b'\n' | b'\r');
    while let Some(at) = rest.bytes().position(special) {
        let (plain, special) = rest.split_at_checked(at).unwrap_or_default();
        let (one, after) = special.split_at_checked(1).unwrap_or_default();
        let reference = match one {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "'" => "&apos;",
            "\t" => "&#9;",
            "\n" => "&#10;",
            _ => "&#13;",
        };
        put(out, plain);
        put(out, reference);
        rest = after;
    }
    put(out, rest);
}

fn open(out: &mut BytesMut, ticket: &Ticket, kind: &str) {
    head(out, ticket, kind);
    put(out, ">");
}

/// The start tag, still open. `id`, `from` and `to` are the request's, verbatim: hosts compare them.
fn head(out: &mut BytesMut, ticket: &Ticket, kind: &str) {
    put(out, "<iq type='");
    put(out, kind);
    put(out, "' id='");
    escape(out, &ticket.id);
    put(out, "' from='");
    escape(out, &ticket.from);
    put(out, "' to='");
    escape(out, &ticket.to);
    put(out, "'");
}

/// A command's start tag, still open. The session id is made of who asks for what, so that it is the same in every
/// answer to one asker, and nothing has to be remembered between them (XEP-0050 §3.3 wants one in every answer).
fn command_open(out: &mut BytesMut, ticket: &Ticket, command: &str, status: &str) {
    command_open_as(out, command, &session_id(&ticket.to, command), status);
}

fn command_open_as(out: &mut BytesMut, command: &str, session: &str, status: &str) {
    put(out, "<command xmlns='http://jabber.org/protocol/commands' node='");
    escape(out, command);
    put(out, "' sessionid='");
    escape(out, session);
    put(out, "' status='");
    put(out, status);
    put(out, "'");
}

fn session_id(asker: &str, command: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(asker.as_bytes());
    sha1.update([0]);
    sha1.update(command.as_bytes());
    sha1.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The app's parser goes by the field types.
fn field(out: &mut BytesMut, name: &str, kind: &str, value: &str) {
    for part in ["<field var='", name, "' type='", kind, "'><value>"] {
        put(out, part);
    }
    escape(out, value);
    put(out, "</value></field>");
}

fn put(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xmpp_parsers::data_forms::DataForm;
    use xmpp_parsers::iq::Iq;
    use xmpp_parsers::minidom::Element;
    use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType};

    use super::*;
    use crate::domain::refusal::Later;
    use crate::domain::time::Moment;
    use crate::flows::data::Door;

    fn ticket() -> Ticket {
        Ticket {
            door: Door::Link,
            id: "a1".into(),
            to: "romeo@example.org/x'\"<&>\n".into(),
            from: "push.example.net".into(),
            taken: Moment::default(),
            for_client: false,
        }
    }

    fn written(answer: &Answer) -> String {
        let mut out = BytesMut::new();
        write(&mut out, &ticket(), answer);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let element: Element = with_namespace(&written(&Answer::Done)).parse().unwrap();
        let attributes = ["type", "id", "from", "to"].map(|name| element.attr(name).unwrap_or_default());
        assert_eq!(attributes, ["result", "a1", "push.example.net", "romeo@example.org/x'\"<&>\n"]);
        assert_eq!(element.children().count(), 0);
    }

    fn with_namespace(stanza: &str) -> String {
        stanza.replacen("<iq ", "<iq xmlns='jabber:component:accept' ", 1)
    }

    #[test]
    fn every_refusal_has_its_stanza_error() {
        use DefinedCondition as C;
        let rows = [
            (Refusal::NoSuchDevice, ErrorType::Cancel, C::ItemNotFound),
            (Refusal::NotRegistered, ErrorType::Cancel, C::ItemNotFound),
            (Refusal::NoSuchApp, ErrorType::Cancel, C::ItemNotFound),
            (Refusal::Forbidden, ErrorType::Auth, C::Forbidden),
            (Refusal::BadService, ErrorType::Modify, C::BadRequest),
            (Refusal::BadToken, ErrorType::Modify, C::BadRequest),
            (Refusal::NoSuchEncryption, ErrorType::Modify, C::FeatureNotImplemented),
            (Refusal::BadKey, ErrorType::Modify, C::BadRequest),
            (Refusal::TooManyRegistrations, ErrorType::Wait, C::ResourceConstraint),
            (Refusal::TryLater(Later::Vendor), ErrorType::Wait, C::InternalServerError),
            (Refusal::TryLater(Later::Operator), ErrorType::Wait, C::InternalServerError),
            (Refusal::TryLater(Later::DomainRate), ErrorType::Wait, C::InternalServerError),
            (Refusal::TryLater(Later::Full), ErrorType::Wait, C::InternalServerError),
            (Refusal::TryLater(Later::Store), ErrorType::Wait, C::InternalServerError),
        ];
        for (refusal, kind, condition) in rows {
            let mut out = BytesMut::new();
            let ticket = Ticket { to: "romeo@example.org/x'\"<&>".into(), ..ticket() };
            write(&mut out, &ticket, &Answer::Refused(refusal));
            let text = with_namespace(std::str::from_utf8(&out).unwrap());
            let iq = Iq::try_from(text.parse::<Element>().unwrap()).unwrap();
            let Iq::Error { id, error, .. } = iq else { panic!("{refusal:?}: {text}") };
            assert_eq!((&*id, error.type_, error.defined_condition), ("a1", kind, condition), "{refusal:?}");
            let other = error.other.map(|other| other.name().to_owned());
            assert_eq!(other.as_deref(), (refusal == Refusal::BadToken).then_some("bad-payload"), "{refusal:?}");
        }
    }

    #[test]
    fn an_error_that_a_bridge_hands_on_says_that_it_is_for_a_client() {
        let ticket = Ticket { for_client: true, ..ticket() };
        let refusals = [
            Refusal::BadService,
            Refusal::NoSuchEncryption,
            Refusal::BadKey,
            Refusal::Forbidden,
            Refusal::TooManyRegistrations,
            Refusal::TryLater(Later::Store),
            Refusal::TryLater(Later::Full),
        ];
        for refusal in refusals {
            let mut out = BytesMut::new();
            write(&mut out, &ticket, &Answer::Refused(refusal));
            let text = std::str::from_utf8(&out).unwrap();
            let end = "<refused xmlns='urn:pushkeeper:host:0'/></error></iq>";
            assert!(text.ends_with(end) && text.matches("<refused").count() == 1, "{text}");
        }
        let mut out = BytesMut::new();
        write(&mut out, &ticket, &Answer::Done);
        assert!(!String::from_utf8_lossy(&out).contains("refused"));
    }

    #[test]
    fn an_error_says_in_words_what_is_wrong_with_an_enable() {
        let ticket = Ticket { to: "example.org".into(), ..ticket() };
        let mut out = BytesMut::new();
        write(&mut out, &ticket, &Answer::Refused(Refusal::BadService));
        let text = with_namespace(std::str::from_utf8(&out).unwrap());
        let element: Element = text.parse().unwrap();
        let Iq::Error { error, .. } = Iq::try_from(element).unwrap() else { panic!("{text}") };
        assert!(error.texts.get("en").is_some_and(|text| text.contains("The jid is missing")), "{text}");
    }

    #[test]
    fn a_registration_is_answered_with_what_the_app_must_enable() {
        let ticket = Ticket { to: "romeo@example.org/x".into(), ..ticket() };
        let mut out = BytesMut::new();
        let command = "register-push-fcm".into();
        write(&mut out, &ticket, &Answer::Registered { command, node: Node::new("n+/="), secret: Secret::new("s") });
        let expected = "<iq type='result' id='a1' from='push.example.net' to='romeo@example.org/x'>\
            <command xmlns='http://jabber.org/protocol/commands' node='register-push-fcm' \
            sessionid='e57d35f984ec2e54' status='completed'><x xmlns='jabber:x:data' type='form'>\
            <field var='jid' type='jid-single'><value>push.example.net</value></field>\
            <field var='node' type='text-single'><value>n+/=</value></field>\
            <field var='secret' type='text-single'><value>s</value></field></x></command></iq>";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        let iq = Iq::try_from(with_namespace(expected).parse::<Element>().unwrap()).unwrap();
        let Iq::Result { payload: Some(command), .. } = iq else { panic!("{expected}") };
        let form = DataForm::try_from(command.get_child("x", ns::DATA_FORM).unwrap().clone()).unwrap();
        let values: Vec<_> = form.fields.iter().map(|field| field.values.concat()).collect();
        assert_eq!(values, ["push.example.net", "n+/=", "s"]);
    }

    #[test]
    fn an_app_of_tigases_family_gets_no_secret_and_the_field_types_that_its_parser_wants() {
        let ticket = Ticket { to: "romeo@example.org/siskin".into(), ..ticket() };
        let mut out = BytesMut::new();
        let command = "register-device".into();
        let answer = Answer::Registered { command, node: Node::new("01#6e1f"), secret: Secret::new("hunter2") };
        write(&mut out, &ticket, &answer);
        let expected = "<iq type='result' id='a1' from='push.example.net' to='romeo@example.org/siskin'>\
            <command xmlns='http://jabber.org/protocol/commands' node='register-device' \
            sessionid='SESSION' status='completed'><x xmlns='jabber:x:data' type='result'>\
            <field var='node' type='text-single'><value>01#6e1f</value></field>\
            <field var='features' type='text-multi'><value>tigase:push:encrypt:0</value></field>\
            <field var='max-payload-size' type='text-single'><value>3000</value></field></x></command></iq>";
        let expected = expected.replace("SESSION", &session_id("romeo@example.org/siskin", "register-device"));
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn an_unregistration_is_answered_with_an_empty_command() {
        let text = written(&Answer::Unregistered { command: "unregister-push-fcm".into() });
        let element: Element = with_namespace(&text).parse().unwrap();
        let command = element.get_child("command", ns::COMMANDS).unwrap();
        assert_eq!(command.attr("status"), Some("completed"));
        assert_eq!(command.attr("sessionid").map(str::len), Some(16));
        assert_eq!(command.children().count(), 0);
    }

    proptest! {
        #[test]
        fn escaped_text_is_read_back_as_it_was(text in "[ -~\\t\\r\\n\u{85}-\u{2ff}😀]{0,40}") {
            let mut out = BytesMut::from("<a b='");
            escape(&mut out, &text);
            out.extend_from_slice(b"'>");
            escape(&mut out, &text);
            out.extend_from_slice(b"</a>");
            let written = std::str::from_utf8(&out).unwrap();
            let document = crate::xmpp::xml::Document::parse(written).unwrap();
            let root = document.root_element();
            prop_assert_eq!(root.attribute("b").unwrap_or_default(), &text);
            prop_assert_eq!(root.text().unwrap_or_default(), &text);
        }
    }
}
