//! A person at a stock client: slixmpp's own plugins for ad-hoc commands and forms (`adhoc.py`), a line of JSON in and a
//! line out.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::process::PATIENCE;
use super::server::{HOST, PASSWORD, SERVICE, Server};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/adhoc.py");

/// Debian's: its packages are for this one.
const PYTHON: &str = "/usr/bin/python3";

/// Somebody who is online. The client ends with it.
pub(crate) struct Person {
    _client: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// By full JID.
    pub(crate) jid: String,
}

impl Person {
    /// A user of the host comes online.
    pub(crate) async fn online(host: &Server, user: &str, resource: &str) -> Self {
        let jid = format!("{user}@{HOST}/{resource}");
        let mut client = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", PYTHON, "-B", CLIENT, &host.c2s_port().to_string(), &jid, PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("setpriv of util-linux");
        let stdin = client.stdin.take().expect("its input");
        let stdout = BufReader::new(client.stdout.take().expect("its output")).lines();
        let mut person = Self { _client: client, stdin, stdout, jid };
        let said = person.hear("online").await;
        assert_eq!(said, json!({"online": person.jid}), "python3-slixmpp: scripts/install-deps.sh client");
        person
    }

    /// The nodes of the commands that they are offered, in order, without what all have in common.
    pub(crate) async fn discover(&mut self) -> Vec<String> {
        let said = self.ask(json!({"op": "discover", "to": SERVICE})).await;
        let items = said["items"].as_array().unwrap_or_else(|| panic!("{said}"));
        let name = |item: &Value| {
            assert_eq!(item["jid"], SERVICE, "{item}");
            assert!(item["name"].as_str().is_some_and(|name| !name.is_empty()), "{item}");
            let node = item["node"].as_str().expect("a node");
            node.strip_prefix("urn:pushkeeper:command:0#").unwrap_or_else(|| panic!("{node}")).to_owned()
        };
        items.iter().map(name).collect()
    }

    /// What a command is, by service discovery.
    pub(crate) async fn info(&mut self, name: &str) -> Value {
        self.ask(json!({"op": "info", "to": SERVICE, "node": node(name)})).await
    }

    /// Begins a command, and sees its first form.
    pub(crate) async fn start(&mut self, name: &str) -> Value {
        self.ask(json!({"op": "start", "to": SERVICE, "node": node(name)})).await
    }

    /// Begins a command with its form filled in beforehand.
    pub(crate) async fn start_with(&mut self, name: &str, fields: Value) -> Value {
        self.ask(json!({"op": "start", "to": SERVICE, "node": node(name), "fields": fields})).await
    }

    /// Goes on with a command as it was shown; fills in its form.
    pub(crate) async fn fill(&mut self, shown: &Value, action: &str, fields: Value) -> Value {
        self.ask(json!({"op": "go", "session": shown["session"], "action": action, "fields": fields})).await
    }

    /// Goes on with a command without a form.
    pub(crate) async fn go(&mut self, shown: &Value, action: &str) -> Value {
        self.ask(json!({"op": "go", "session": shown["session"], "action": action})).await
    }

    /// Sends a command as it is, past slixmpp's workflow, which waits for ever when it goes on with a command and is
    /// answered by an error: it looks for the session in the error.
    pub(crate) async fn send(
        &mut self,
        name: &str,
        session: Option<&Value>,
        action: &str,
        form: Option<&str>,
    ) -> Value {
        let node = node(name);
        let asked =
            json!({"op": "send", "to": SERVICE, "node": node, "action": action, "session": session, "form": form});
        self.ask(asked).await
    }

    async fn ask(&mut self, asked: Value) -> Value {
        let line = format!("{asked}\n");
        self.stdin.write_all(line.as_bytes()).await.expect("the client reads");
        self.hear(&line).await
    }

    async fn hear(&mut self, asked: &str) -> Value {
        let line = timeout(PATIENCE, self.stdout.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{}: no answer within {PATIENCE:?} to {asked}", self.jid));
        let line = line.expect("text").unwrap_or_else(|| panic!("{}: the client ended: {asked}", self.jid));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

/// The node of a command.
pub(crate) fn node(name: &str) -> String {
    format!("urn:pushkeeper:command:0#{name}")
}

/// Type, condition and application's condition of an error: `cancel/not-allowed/session-expired`.
pub(crate) fn error(said: &Value) -> String {
    let error = &said["error"];
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no error: {said}")).to_owned();
    let app = error["app"].as_array().into_iter().flatten().map(text);
    [text(&error["type"]), text(&error["condition"])].into_iter().chain(app).collect::<Vec<_>>().join("/")
}

/// The cells of a column of a table that was shown.
pub(crate) fn column<'a>(said: &'a Value, name: &str) -> Vec<&'a str> {
    let items = said["form"]["items"].as_array().unwrap_or_else(|| panic!("no table: {said}"));
    items.iter().map(|item| item[name].as_str().unwrap_or_else(|| panic!("no {name}: {item}"))).collect()
}

/// What a field that was shown holds, by lines.
pub(crate) fn field<'a>(said: &'a Value, name: &str) -> Vec<&'a str> {
    let value = said["form"]["fields"][name]["value"].as_str();
    value.unwrap_or_else(|| panic!("no {name}: {said}")).lines().collect()
}

/// What can be chosen in a field.
pub(crate) fn options<'a>(said: &'a Value, name: &str) -> Vec<&'a str> {
    let options = said["form"]["fields"][name]["options"].as_array().unwrap_or_else(|| panic!("no {name}: {said}"));
    options.iter().map(|option| option.as_str().expect("a value")).collect()
}

/// The notes beside a form: tone and text.
pub(crate) fn notes(said: &Value) -> Vec<(&str, &str)> {
    let notes = said["notes"].as_array().unwrap_or_else(|| panic!("no notes: {said}"));
    notes.iter().map(|note| (note[0].as_str().expect("a tone"), note[1].as_str().expect("a text"))).collect()
}
