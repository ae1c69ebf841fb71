//! A host of `[[hosts]]`: whether it is one of the server's, its bridge, and what stands in the bridge's way. What a
//! bridge answers says docs/signals.md.

use super::Finding;
use crate::domain::ids::Domain;
use crate::xmpp::visit::Heard;

/// Some push services by delegation (XEP-0355) show in the host's own features; the hosts' own push modules do not.
const PUSH: &str = "urn:xmpp:push:0";

/// What findings about a host are called.
pub(super) fn what(host: &str) -> String {
    format!("host {host}")
}

/// The software that answered, with its version.
pub(super) fn software(heard: &Heard) -> Option<String> {
    match heard {
        Heard::Software(name, _) if name.is_empty() => None,
        Heard::Software(name, version) => Some(format!("{name} {version}").trim_end().to_owned()),
        _ => None,
    }
}

/// What is to be said of a host by its answers to disco#info and to `check`.
pub(super) fn judge(host: &Domain, jid: &Domain, info: &Heard, check: &Heard) -> Vec<Finding> {
    let (what, host, jid) = (what(host.as_str()), host.as_str(), jid.as_str());
    let wrong = |said: String, mend: String| vec![Finding::wrong(&what, said, mend)];
    let install = format!(
        "load mod_pushkeeper there in place of the host's own push module (Prosody: \"pushkeeper\", not \"cloud_notify\", in \
         modules_enabled, and pushkeeper_component = {jid:?}; ejabberd: mod_pushkeeper with component: {jid:?}, not \
         mod_push and mod_push_keepalive; if it is there, the server's log says what it lacks), or take {host} out of \
         [[hosts]]"
    );
    match check {
        Heard::Linked(version) => {
            let said = format!("the bridge {}obeys {jid}, and is linked with another process", spaced(version));
            let mend = "nothing if a pushkeeper stopped just now; else another one runs, elsewhere or with another \
                        store.path: stop one of them";
            let mut found = vec![Finding::advice(&what, said, mend)];
            found.extend(other_version(&what, version));
            found
        }
        Heard::Refused { condition, text, bridge } => match condition.as_str() {
            "unexpected-request" => match rival(text) {
                Some(rival) => wrong(
                    format!("{rival} is loaded beside the bridge, which does nothing as long as it is"),
                    format!("take {} out of the modules of {host}", removal(rival)),
                ),
                None => {
                    let version = bridge.as_deref().unwrap_or_default();
                    let said = format!("the bridge {}is there, obeys {jid}, and waits for it", spaced(version));
                    let mut found = vec![Finding::fine(&what, said)];
                    found.extend(other_version(&what, version));
                    found
                }
            },
            // A server that lets us speak to no other server says that of all we ask there, a bridge of `check` only.
            "forbidden" if matches!(info, Heard::Refused { condition, .. } if condition == "forbidden") => {
                no_host(&what, host, condition)
            }
            "forbidden" => wrong(
                format!("the bridge is there, but for another component than {jid}"),
                format!("Prosody: pushkeeper_component = {jid:?}; ejabberd: component: {jid:?} of mod_pushkeeper"),
            ),
            "remote-server-not-found" | "remote-server-timeout" | "item-not-found" | "not-allowed" => {
                no_host(&what, host, condition)
            }
            "service-unavailable" | "feature-not-implemented" if pushes(info) => wrong(
                format!("there is no bridge, and something else on the host takes push registrations ({PUSH})"),
                install,
            ),
            "service-unavailable" | "feature-not-implemented" => wrong("there is no bridge".to_owned(), install),
            _ => wrong(
                format!("the bridge cannot be asked: {condition}{}{text}", if text.is_empty() { "" } else { ": " }),
                "look into the server's log".to_owned(),
            ),
        },
        Heard::Silence => wrong(
            "no answer in time".to_owned(),
            format!("look into the server's log; if {host} is not a host of this server, take it out of [[hosts]]"),
        ),
        _ => wrong("what answers is no bridge".to_owned(), install),
    }
}

fn no_host(what: &str, host: &str, condition: &str) -> Vec<Finding> {
    let mend = format!("mend [[hosts]] domain = {host:?}, or declare the host at the server");
    vec![Finding::wrong(what, format!("the server has no host {host} ({condition})"), mend)]
}

/// A module that stands in the bridge's way, by what the bridge says.
fn rival(text: &str) -> Option<&'static str> {
    ["mod_cloud_notify", "mod_push"].into_iter().find(|&name| text.split(' ').next() == Some(name))
}

fn removal(rival: &str) -> &'static str {
    if rival == "mod_push" { "mod_push and mod_push_keepalive" } else { "\"cloud_notify\"" }
}

fn pushes(info: &Heard) -> bool {
    matches!(info, Heard::Info { features, .. } if features.contains(PUSH))
}

/// Bridge and component come from the same release.
fn other_version(what: &str, version: &str) -> Option<Finding> {
    let ours = env!("CARGO_PKG_VERSION");
    let differs = !version.is_empty() && version != ours;
    differs.then(|| {
        let said = format!("the bridge is of {version}, and this pushkeeper of {ours}");
        Finding::advice(what, said, "install both from the same release")
    })
}

fn spaced(version: &str) -> String {
    if version.is_empty() { String::new() } else { format!("{version} ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doctor::Verdict;

    #[test]
    fn every_answer_of_a_host_says_what_to_do() {
        let refused = |condition: &str, text: &str, bridge: Option<&str>| Heard::Refused {
            condition: condition.into(),
            text: text.into(),
            bridge: bridge.map(str::to_owned),
        };
        let info = |features: &[&str]| Heard::Info {
            server: None,
            features: features.iter().map(|&feature| feature.to_owned()).collect(),
        };
        let ours = env!("CARGO_PKG_VERSION");
        let (bare, no_host) = (info(&[]), refused("forbidden", "", None));
        let waits = format!("the bridge {ours} is there, obeys push.example.org, and waits for it");
        let rows = [
            (&bare, refused("unexpected-request", "Not linked", Some(ours)), Verdict::Fine, waits.as_str(), ""),
            (&bare, refused("unexpected-request", "Not linked", None), Verdict::Fine, "the bridge is there, obeys", ""),
            (
                &bare,
                Heard::Linked(ours.into()),
                Verdict::Advice,
                "obeys push.example.org, and is linked with another process",
                "stop one of them",
            ),
            (
                &bare,
                refused("unexpected-request", "mod_cloud_notify is loaded on this host", Some(ours)),
                Verdict::Wrong,
                "mod_cloud_notify is loaded beside the bridge",
                "\"cloud_notify\"",
            ),
            (
                &bare,
                refused("unexpected-request", "mod_push is loaded on this host", Some(ours)),
                Verdict::Wrong,
                "mod_push is loaded beside the bridge",
                "mod_push and mod_push_keepalive",
            ),
            (
                &bare,
                refused("forbidden", "", None),
                Verdict::Wrong,
                "for another component than push.example.org",
                "pushkeeper_component = \"push.example.org\"",
            ),
            (
                &no_host,
                refused("forbidden", "", None),
                Verdict::Wrong,
                "the server has no host example.org (forbidden)",
                "[[hosts]]",
            ),
            (&bare, refused("service-unavailable", "", None), Verdict::Wrong, "there is no bridge", "modules_enabled"),
            (
                &info(&[PUSH]),
                refused("service-unavailable", "", None),
                Verdict::Wrong,
                "there is no bridge, and something else on the host takes push registrations",
                "mod_pushkeeper",
            ),
            (
                &bare,
                refused("remote-server-not-found", "", None),
                Verdict::Wrong,
                "the server has no host example.org",
                "[[hosts]]",
            ),
            (&bare, refused("internal-server-error", "x", None), Verdict::Wrong, "internal-server-error: x", "log"),
            (&bare, Heard::Silence, Verdict::Wrong, "no answer in time", "[[hosts]]"),
            (&bare, Heard::Done, Verdict::Wrong, "what answers is no bridge", "mod_pushkeeper"),
        ];
        for (info, check, verdict, said, mend) in rows {
            let found = judge(&Domain::new("example.org"), &Domain::new("push.example.org"), info, &check);
            assert_eq!(found.len(), 1, "{found:?}");
            let finding = &found[0];
            assert_eq!((finding.verdict, finding.what.as_str()), (verdict, "host example.org"), "{finding}");
            assert!(finding.said.contains(said) && finding.mend.contains(mend), "{finding}");
        }
    }

    #[test]
    fn a_bridge_of_another_release_is_named() {
        let linked = Heard::Linked("9.9.9".into());
        let found = judge(&Domain::new("example.org"), &Domain::new("push.example.org"), &Heard::Silence, &linked);
        let verdicts: Vec<Verdict> = found.iter().map(|finding| finding.verdict).collect();
        assert_eq!(verdicts, [Verdict::Advice, Verdict::Advice]);
        assert!(found[1].said.starts_with("the bridge is of 9.9.9"), "{}", found[1]);
    }

    #[test]
    fn software_is_named_with_its_version() {
        let software = |name: &str, version: &str| software(&Heard::Software(name.into(), version.into()));
        assert_eq!(software("Prosody", "0.12.3").as_deref(), Some("Prosody 0.12.3"));
        assert_eq!(software("Prosody", "").as_deref(), Some("Prosody"));
        assert_eq!(software("", "1"), None);
    }
}
