//! The host's port for components, the stream (XEP-0114), and the secret; then what is asked over that stream.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::{Finding, Patient, STEP, hosts};
use crate::domain::ids::Domain;
use crate::xmpp::link::{Settings, Timing};
use crate::xmpp::trouble::Trouble;
use crate::xmpp::visit::{Heard, Question, Visit};

const WHAT: &str = "component";

/// How long the leave-taking may take.
const LEAVE: Duration = Duration::from_secs(1);

/// How many of the things that belong to a host are asked whether they are there.
const MAX_ITEMS: usize = 64;

/// Opens a stream, asks the hosts over it, and closes it.
pub(super) async fn examine(patient: &Patient) -> Vec<Finding> {
    let settings = Settings {
        connect: patient.connect.clone(),
        secret: patient.secret.clone(),
        timing: Timing { connect: STEP, handshake: STEP, ..Timing::default() },
        counters: Arc::default(),
    };
    let mut visit = match Visit::open(&settings, patient.jid.clone()).await {
        Ok(visit) => visit,
        Err(trouble) => {
            let mut found = vec![refused(&trouble, &patient.jid, &patient.connect)];
            let unseen = |host: &Domain| {
                Finding::advice(&hosts::what(host.as_str()), "not asked: there is no stream to ask over", "")
            };
            found.extend(patient.hosts.iter().map(unseen));
            return found;
        }
    };
    let mut questions = Vec::new();
    for host in asked(patient) {
        for question in [Question::Version, Question::Info, Question::Check, Question::Items] {
            // Whoever is no host of ours has no bridge.
            if question != Question::Check || !patient.hosts.is_empty() {
                questions.push((host.clone(), question));
            }
        }
    }
    let heard = visit.ask(&questions, STEP).await;
    let answers: Vec<(String, Question, Heard)> =
        questions.into_iter().zip(heard).map(|((host, question), heard)| (host, question, heard)).collect();
    let foreign = others(&mut visit, patient, &answers).await;
    visit.close(LEAVE).await;

    let server = answers.iter().find_map(|(_, _, heard)| hosts::software(heard)).or_else(|| {
        let names = answers.iter().filter_map(|(_, _, heard)| match heard {
            Heard::Info { server, .. } => server.clone(),
            _ => None,
        });
        names.into_iter().next()
    });
    let server = server.unwrap_or_else(|| "the server".to_owned());
    let mut found = vec![Finding::fine(
        WHAT,
        format!("{server} at {} takes the secret of {}", patient.connect, patient.jid.as_str()),
    )];
    found.extend(foreign);
    for host in &patient.hosts {
        let of = |question| {
            let of_it = answers.iter().find(|(asked, kind, _)| asked == host.as_str() && *kind == question);
            of_it.map_or(&Heard::Silence, |(_, _, heard)| heard)
        };
        found.extend(hosts::judge(host, &patient.jid, of(Question::Info), of(Question::Check)));
    }
    if patient.hosts.is_empty() {
        found.push(Finding::fine(
            WHAT,
            "there is no [[hosts]]: pushes come from the servers' own push modules, and no bridge is needed",
        ));
    }
    found
}

/// Whom to ask: the hosts, or what our name lies below, which is most often the server.
fn asked(patient: &Patient) -> Vec<String> {
    if !patient.hosts.is_empty() {
        return patient.hosts.iter().map(|host| host.as_str().to_owned()).collect();
    }
    let parent = patient.jid.as_str().split_once('.').map(|(_, parent)| parent.to_owned());
    parent.into_iter().collect()
}

/// Whether we are handed what is for others. Pings to what else the server has tell: with `global_routes`, ejabberd
/// hands a component those for the other components of its listener, and so ours come back to us.
async fn others(visit: &mut Visit, patient: &Patient, answers: &[(String, Question, Heard)]) -> Option<Finding> {
    let mut items: Vec<String> = Vec::new();
    for (host, _, heard) in answers {
        let Heard::Items(jids) = heard else { continue };
        let is_below = |jid: &str| jid.strip_suffix(host.as_str()).is_some_and(|left| left.ends_with('.'));
        let wanted = |jid: &str| is_below(jid) && !jid.contains(['@', '/']) && jid != patient.jid.as_str();
        let new = jids.iter().filter(|jid| wanted(jid));
        for jid in new {
            if items.len() < MAX_ITEMS && !items.contains(jid) {
                items.push(jid.clone());
            }
        }
    }
    if visit.foreign().is_empty() && !items.is_empty() {
        // Several of the same: ejabberd takes turns with those who have the same route.
        let pings: Vec<_> =
            items.iter().flat_map(|jid| std::iter::repeat_n((jid.clone(), Question::Ping), 4)).collect();
        visit.ask(&pings, Duration::from_secs(2)).await;
    }
    let domains: Vec<&str> = visit.foreign().iter().map(String::as_str).take(3).collect();
    if domains.is_empty() {
        return None;
    }
    let said = format!("the server hands us stanzas for other domains ({}), which nobody answers", domains.join(", "));
    Some(Finding::wrong(WHAT, said, "ejabberd: set global_routes: false on the listener of this component"))
}

/// What is to be said of a stream that there is not.
fn refused(trouble: &Trouble, jid: &Domain, connect: &str) -> Finding {
    let jid = jid.as_str();
    let declare = format!(
        "Prosody: Component \"{jid}\" with component_secret; ejabberd: \"{jid}\" among the hosts of the listener"
    );
    let (said, mend) = match trouble {
        Trouble::Connect { source, .. } if source.kind() == ErrorKind::ConnectionRefused => (
            format!("nobody listens at {connect}"),
            "start the server, let it listen for components (Prosody: component_ports; ejabberd: a listener with \
             module ejabberd_service), or mend component.connect"
                .to_owned(),
        ),
        Trouble::Connect { source, .. } => {
            (format!("cannot connect to {connect}: {source}"), "mend component.connect, or the network".to_owned())
        }
        Trouble::HandshakeTimeout => (
            format!("{connect} accepts, but speaks no XMPP to components"),
            "set component.connect to the server's port for components".to_owned(),
        ),
        Trouble::WrongSecret | Trouble::ClosedAtHandshake => (
            format!("the server at {connect} refuses the secret of {jid}"),
            format!(
                "write the server's secret for it into component.secret; if it is the same, declare it ({declare})"
            ),
        ),
        Trouble::UnknownToHost { .. } => (
            format!("the server at {connect} does not know the component {jid}"),
            format!("declare it ({declare}), or mend component.jid; component.connect must be its port for components"),
        ),
        Trouble::Host(error) if &*error.condition == "conflict" => (
            format!("the server at {connect} has a component {jid} already"),
            "stop the other one: a pushkeeper elsewhere, or with another store.path".to_owned(),
        ),
        Trouble::Fault(fault) => (
            format!("what {connect} says is no stream for components: {fault}"),
            "set component.connect to the server's port for components".to_owned(),
        ),
        trouble => (
            format!("no stream with {connect}: {trouble}"),
            "look into the server's log, and check component.connect".to_owned(),
        ),
    };
    Finding::wrong(WHAT, said, mend)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::xmpp::inbound::StreamError;

    #[test]
    fn each_refusal_says_what_to_do() {
        let connect = |kind: ErrorKind| Trouble::Connect { host: "h".into(), source: io::Error::from(kind) };
        let host = |condition: &str| Trouble::Host(StreamError { condition: condition.into(), text: "".into() });
        let rows = [
            (connect(ErrorKind::ConnectionRefused), "nobody listens at h:1", "component_ports"),
            (connect(ErrorKind::TimedOut), "cannot connect to h:1: timed out", "component.connect"),
            (Trouble::HandshakeTimeout, "speaks no XMPP to components", "port for components"),
            (Trouble::WrongSecret, "refuses the secret of push.example.org", "component.secret"),
            (Trouble::ClosedAtHandshake, "refuses the secret of push.example.org", "component.secret"),
            (
                Trouble::UnknownToHost { jid: "j".into() },
                "does not know the component",
                "Component \"push.example.org\"",
            ),
            (host("conflict"), "has a component push.example.org already", "stop the other one"),
            (host("system-shutdown"), "the host ended the stream: system-shutdown", "server's log"),
        ];
        for (trouble, said, mend) in rows {
            let finding = refused(&trouble, &Domain::new("push.example.org"), "h:1");
            assert_eq!(finding.verdict, crate::admin::doctor::Verdict::Wrong);
            assert!(finding.said.contains(said) && finding.mend.contains(mend), "{finding}");
        }
    }
}
