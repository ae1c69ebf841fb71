//! Whether vendors take our credentials, how long certificates last, and whether our clock agrees with theirs.

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Finding, STEP};
use crate::clock::Clock;
use crate::domain::ids::AppName;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::gateway::{AppGateway, Dated, HostSeen, Probe, Probed};

/// Beyond this many seconds, our clock should be looked at.
const SKEW: u64 = 60;
/// Beyond this many, vendors begin to refuse what we sign.
const TOO_MUCH_SKEW: u64 = 300;

/// A certificate that ends sooner is to be renewed.
const RENEW_WITHIN: u64 = 30;
const DAY: i64 = 24 * 3600 * 1000;

/// Asks all vendors at once.
pub(super) async fn examine(apps: &[(AppName, AppGateway)], clock: &Clock) -> Vec<Finding> {
    let ask = async |(name, gateway): &(AppName, AppGateway)| {
        let what = format!("app {}", name.as_str());
        let probed = timeout(STEP, gateway.probe()).await;
        let mut dated = None;
        let mut found = match probed {
            Ok(Probed::Apns(probe)) => {
                dated = probe.dated;
                vec![apns(&what, &gateway.asks(), &probe)]
            }
            Ok(Probed::Fcm { signed_in, probe }) => {
                dated = probe.dated;
                vec![fcm(&what, &gateway.asks(), signed_in, &probe)]
            }
            Ok(Probed::WebPush(hosts)) => webpush(&what, gateway.public_key().unwrap_or_default(), &hosts),
            Ok(Probed::Stub) => vec![Finding::fine(&what, "the stub: no phone is woken, pushes go to the log")],
            Err(_) => {
                let who = match gateway {
                    AppGateway::Fcm(_) => format!("{}, or Google's token endpoint,", gateway.asks()),
                    AppGateway::WebPush(_) => "the DNS, asked for allow_hosts,".to_owned(),
                    AppGateway::Apns(_) | AppGateway::Stub(_) => gateway.asks(),
                };
                vec![Finding::wrong(&what, format!("{who} does not answer within {} s", STEP.as_secs()), NETWORK)]
            }
        };
        found.extend(gateway.expires().map(|ends| certificate(&what, ends, clock.wall())));
        (found, dated)
    };
    let asked = join_all(apps.iter().map(ask)).await;
    let worst = asked.iter().filter_map(|(_, dated)| *dated).max_by_key(|dated| dated.ahead().unsigned_abs());
    let mut found: Vec<Finding> = asked.into_iter().flat_map(|(found, _)| found).collect();
    found.extend(worst.map(clocks));
    found
}

const NETWORK: &str = "let this machine connect there (firewall, DNS, proxy), or mend endpoint";

fn apns(what: &str, asked: &str, probe: &Probe) -> Finding {
    let (said, mend) = match &probe.outcome {
        Outcome::Suspect(_) | Outcome::Gone { .. } => {
            return Finding::fine(
                what,
                format!("{asked} takes key, team and topic (it knows no such device, as it should not)"),
            );
        }
        Outcome::Accepted => {
            return Finding::fine(
                what,
                format!("{asked} takes key, team and topic; and a push to no device: a stand-in"),
            );
        }
        Outcome::OperatorFault(reason) => (format!("{asked} says {reason}"), apns_mend(reason)),
        outcome => return unavailable(what, asked, outcome),
    };
    Finding::wrong(what, said, mend)
}

/// What to do about a reason of APNs (Apple: "Handling notification responses from APNs").
fn apns_mend(reason: &str) -> &'static str {
    match reason {
        "InvalidProviderToken" => {
            "key_file, key_id and team_id must belong together: compare them with Keys at developer.apple.com; a key can \
             have been revoked"
        }
        "ExpiredProviderToken" => "set this machine's clock (NTP): what we sign looks too old to Apple",
        "UnrelatedKeyIdInToken" => {
            "key_id is not that of key_file, or of another team: compare with developer.apple.com"
        }
        "BadEnvironmentKeyInToken" | "BadEnvironmentKeyIdInToken" => {
            "the key is for the other environment: set environment = \"sandbox\" or \"production\", or make a key for both"
        }
        "TopicDisallowed" | "BadTopic" | "MissingTopic" | "TopicMismatch" => {
            "topic must be the app's bundle id, of the team, key or certificate that is configured"
        }
        "BadCertificate" => "certificate_file is no push certificate of this app, or was revoked: make a new one",
        "BadCertificateEnvironment" => {
            "the certificate is for the other environment: set environment = \"sandbox\" or \"production\""
        }
        "MissingProviderToken" => "Apple took no certificate: use key_file, key_id and team_id, or a push certificate",
        "FeatureNotEnabled" | "Forbidden" => "switch on Push Notifications for this app id at developer.apple.com",
        reason if reason.starts_with("TLS:") => {
            "check ca_file and endpoint; without them, this machine's certificates and clock"
        }
        reason if reason.contains("HTTP/2") => "endpoint must be Apple's, or a proxy that speaks HTTP/2",
        _ => "mend the section of this app in the configuration",
    }
}

fn fcm(what: &str, asked: &str, signed_in: bool, probe: &Probe) -> Finding {
    let at = if signed_in { asked } else { "Google's token endpoint" };
    let (said, mend) = match &probe.outcome {
        Outcome::Gone { .. } | Outcome::Accepted => {
            return Finding::fine(what, format!("{at} takes the service account, and has the project"));
        }
        // The message has nothing that can be wrong but its token, which is.
        Outcome::Suspect(reason) | Outcome::OperatorFault(reason) if signed_in && reason == "INVALID_ARGUMENT" => {
            return Finding::fine(what, format!("{at} takes the service account, and has the project"));
        }
        Outcome::Suspect(reason) | Outcome::OperatorFault(reason) => {
            (format!("{at} says {reason}"), if signed_in { fcm_mend(reason) } else { token_mend(reason) })
        }
        outcome => return unavailable(what, at, outcome),
    };
    Finding::wrong(what, said, mend)
}

/// What to do about a code of FCM (Firebase: REST reference, `ErrorCode`; Google: `google.rpc.Code`).
fn fcm_mend(reason: &str) -> &'static str {
    match reason {
        "SENDER_ID_MISMATCH" => {
            "service_account_file is of another Firebase project than the app: download that project's"
        }
        "PERMISSION_DENIED" => {
            "enable the Firebase Cloud Messaging API in the project, and give the service account a role with \
             cloudmessaging.messages.create"
        }
        "NOT_FOUND" => "the project of service_account_file is not there: download the file again",
        "UNAUTHENTICATED" => {
            "the access token is not taken: check token_endpoint, and download service_account_file again"
        }
        "THIRD_PARTY_AUTH_ERROR" => {
            "give Firebase the app's APNs key or its web push key (Project settings, Cloud Messaging)"
        }
        reason if reason.starts_with("TLS:") => {
            "check ca_file and endpoint; without them, this machine's certificates and clock"
        }
        _ => "mend the section of this app in the configuration",
    }
}

/// What to do about an error of the token endpoint (RFC 6749 §5.2).
fn token_mend(reason: &str) -> &'static str {
    match reason {
        reason if reason.starts_with("invalid_grant") => {
            "the key was deleted, or this machine's clock is off: set the clock (NTP), else make a new key for the service \
             account and put it into service_account_file"
        }
        reason if reason.contains("TLS") => {
            "check ca_file and token_endpoint; without them, this machine's certificates and clock"
        }
        _ => "download service_account_file again, and check token_endpoint",
    }
}

/// The vendor said nothing of our credentials. Its own trouble passes; that there is no way to it does not.
fn unavailable(what: &str, asked: &str, outcome: &Outcome) -> Finding {
    let reason = outcome.reason().unwrap_or("nothing");
    let own =
        ["HTTP ", "token endpoint: HTTP ", "InternalServerError", "ServiceUnavailable", "Shutdown", "IdleTimeout"];
    let own_word = reason.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    if matches!(outcome, Outcome::Throttled { .. }) || own_word || own.iter().any(|word| reason.starts_with(word)) {
        return Finding::advice(
            what,
            format!("{asked} says {reason}: whether it takes us could not be seen"),
            "try again later",
        );
    }
    Finding::wrong(what, format!("{asked}: {reason}"), NETWORK)
}

fn webpush(what: &str, key: &str, hosts: &[HostSeen]) -> Vec<Finding> {
    let mut found = vec![Finding::fine(what, format!("pages subscribe with the key {key}"))];
    found.extend(hosts.iter().filter_map(|host| {
        let trouble = host.trouble.as_ref()?;
        Some(Finding::advice(
            what,
            trouble.clone(),
            format!("mend allow_hosts, or this machine's DNS; nothing is posted to {}", host.host),
        ))
    }));
    found
}

/// What is to be said of a certificate's end.
pub(super) fn certificate(what: &str, ends: Timestamp, now: Timestamp) -> Finding {
    let left = ends.millis().saturating_sub(now.millis());
    let days = left.unsigned_abs() / DAY.unsigned_abs();
    let renew = "renew it, and put it in its place";
    match left {
        left if left <= 0 => Finding::wrong(what, format!("its certificate ended {days} days ago"), renew),
        _ if days < RENEW_WITHIN => Finding::advice(what, format!("its certificate ends in {days} days"), renew),
        _ => Finding::fine(what, format!("its certificate is good for {days} more days")),
    }
}

fn clocks(dated: Dated) -> Finding {
    let (off, ahead) = (dated.ahead().unsigned_abs(), dated.ahead() > 0);
    let side = if ahead { "ahead of" } else { "behind" };
    let mend = "set this machine's clock and keep it right (NTP): vendors refuse what is signed too early or too late";
    let said = format!("{off} s {side} the vendors'");
    match off {
        off if off > TOO_MUCH_SKEW => Finding::wrong("clock", said, mend),
        off if off > SKEW => Finding::advice("clock", said, mend),
        _ => Finding::fine("clock", format!("within {} s of the vendors'", off.max(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doctor::Verdict;

    fn probe(outcome: Outcome) -> Probe {
        Probe { outcome, dated: None }
    }

    fn operator(reason: &'static str) -> Outcome {
        Outcome::OperatorFault(reason.into())
    }

    fn down(reason: &'static str) -> Outcome {
        Outcome::Unavailable { retry_after: None, reason: reason.into() }
    }

    fn throttled(reason: &'static str) -> Outcome {
        Outcome::Throttled { retry_after: None, reason: reason.into() }
    }

    #[test]
    fn each_word_of_apple_becomes_a_finding() {
        let rows = [
            (Outcome::Suspect("BadDeviceToken".into()), Verdict::Fine, ""),
            (Outcome::Gone { since: None }, Verdict::Fine, ""),
            (Outcome::Accepted, Verdict::Fine, ""),
            (operator("InvalidProviderToken"), Verdict::Wrong, "team_id"),
            (operator("ExpiredProviderToken"), Verdict::Wrong, "clock"),
            (operator("UnrelatedKeyIdInToken"), Verdict::Wrong, "key_id"),
            (operator("BadEnvironmentKeyInToken"), Verdict::Wrong, "environment"),
            (operator("BadEnvironmentKeyIdInToken"), Verdict::Wrong, "environment"),
            (operator("TopicDisallowed"), Verdict::Wrong, "bundle id"),
            (operator("BadTopic"), Verdict::Wrong, "bundle id"),
            (operator("MissingTopic"), Verdict::Wrong, "bundle id"),
            (operator("TopicMismatch"), Verdict::Wrong, "bundle id"),
            (operator("BadCertificate"), Verdict::Wrong, "certificate_file"),
            (operator("BadCertificateEnvironment"), Verdict::Wrong, "environment"),
            (operator("MissingProviderToken"), Verdict::Wrong, "key_file"),
            (operator("Forbidden"), Verdict::Wrong, "developer.apple.com"),
            (operator("TLS: certificate not trusted: x"), Verdict::Wrong, "ca_file"),
            (operator("x does not speak HTTP/2; check endpoint"), Verdict::Wrong, "HTTP/2"),
            (operator("NewReason"), Verdict::Wrong, "configuration"),
            (throttled("TooManyProviderTokenUpdates"), Verdict::Advice, "later"),
            (down("ServiceUnavailable"), Verdict::Advice, "later"),
            (down("HTTP 502"), Verdict::Advice, "later"),
            (down("cannot reach api.push.apple.com:443: refused"), Verdict::Wrong, "firewall"),
            (down("timeout: no answer in time"), Verdict::Wrong, "firewall"),
        ];
        for (outcome, verdict, mend) in rows {
            let finding = apns("app ios", "https://a", &probe(outcome.clone()));
            assert_eq!(finding.verdict, verdict, "{finding}");
            assert!(finding.mend.contains(mend), "{finding}");
            assert!(finding.said.contains("https://a"), "{finding}");
            assert!(
                outcome.reason().is_none_or(|word| verdict == Verdict::Fine || finding.said.contains(word)),
                "{finding}"
            );
        }
    }

    #[test]
    fn each_word_of_google_becomes_a_finding() {
        let rows = [
            (true, Outcome::Gone { since: None }, Verdict::Fine, ""),
            (true, Outcome::Accepted, Verdict::Fine, ""),
            (true, Outcome::Suspect("INVALID_ARGUMENT".into()), Verdict::Fine, ""),
            (true, operator("INVALID_ARGUMENT"), Verdict::Fine, ""),
            (true, Outcome::Suspect("SENDER_ID_MISMATCH".into()), Verdict::Wrong, "another Firebase project"),
            (true, operator("PERMISSION_DENIED"), Verdict::Wrong, "Cloud Messaging API"),
            (true, operator("NOT_FOUND"), Verdict::Wrong, "project"),
            (true, operator("UNAUTHENTICATED"), Verdict::Wrong, "service_account_file"),
            (true, throttled("QUOTA_EXCEEDED"), Verdict::Advice, "later"),
            (true, down("UNAVAILABLE"), Verdict::Advice, "later"),
            (true, down("cannot reach x: refused"), Verdict::Wrong, "firewall"),
            (false, operator("invalid_grant: Invalid JWT Signature."), Verdict::Wrong, "service_account_file"),
            (false, operator("INVALID_ARGUMENT"), Verdict::Wrong, "service_account_file"),
            (false, operator("token endpoint: TLS: x"), Verdict::Wrong, "ca_file"),
            (false, down("token endpoint: HTTP 503"), Verdict::Advice, "later"),
            (false, down("token endpoint: Connection refused"), Verdict::Wrong, "firewall"),
        ];
        for (signed_in, outcome, verdict, mend) in rows {
            let finding = fcm("app android", "https://f", signed_in, &probe(outcome));
            assert_eq!(finding.verdict, verdict, "{finding}");
            assert!(finding.mend.contains(mend), "{finding}");
            assert_eq!(finding.said.contains("https://f"), signed_in, "{finding}");
        }
    }

    #[test]
    fn a_clock_is_judged_either_way() {
        let rows = [
            (0, Verdict::Fine, "within 1 s of the vendors'"),
            (-60, Verdict::Fine, "within 60 s of the vendors'"),
            (61, Verdict::Advice, "61 s ahead of the vendors'"),
            (-300, Verdict::Advice, "300 s behind the vendors'"),
            (301, Verdict::Wrong, "301 s ahead of the vendors'"),
            (-3600, Verdict::Wrong, "3600 s behind the vendors'"),
        ];
        for (ahead, verdict, said) in rows {
            let theirs = Timestamp::from_secs(1_000_000);
            let finding = clocks(Dated { theirs, ours: Timestamp::from_secs(1_000_000 + ahead) });
            assert_eq!((finding.verdict, finding.said.as_str()), (verdict, said));
        }
    }

    #[test]
    fn a_certificate_is_renewed_before_it_ends() {
        let now = Timestamp::from_secs(1_000_000_000);
        let rows = [
            (-1, Verdict::Wrong, "its certificate ended 0 days ago"),
            (-3 * 86_400, Verdict::Wrong, "its certificate ended 3 days ago"),
            (29 * 86_400, Verdict::Advice, "its certificate ends in 29 days"),
            (30 * 86_400, Verdict::Fine, "its certificate is good for 30 more days"),
        ];
        for (left, verdict, said) in rows {
            let finding = certificate("app ios", Timestamp::from_secs(1_000_000_000 + left), now);
            assert_eq!((finding.verdict, finding.said.as_str()), (verdict, said));
        }
    }

    #[test]
    fn push_services_that_cannot_be_found_are_named() {
        let host =
            |host: &str, trouble: Option<&str>| HostSeen { host: host.into(), trouble: trouble.map(str::to_owned) };
        let hosts = [host("a.example", None), host("b.example", Some("b.example has no address"))];
        let lines: Vec<String> = webpush("app web", "KEY", &hosts).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "ok   app web: pages subscribe with the key KEY",
                "warn app web: b.example has no address — mend allow_hosts, or this machine's DNS; nothing is posted to \
                 b.example"
            ]
        );
    }
}
