//! A Web Push subscription: what a browser gives a page (W3C Push API, `PushSubscription`).

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::ids::Domain;
use super::pattern::DomainPattern;
use super::secret::DeviceToken;

/// The longest endpoint, in bytes. Real ones have 150 to 600.
const MAX_ENDPOINT: usize = 2048;

/// Where a browser's push service takes messages, and the keys that they are sealed to. It is the token of a device;
/// whoever has it can push, so it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscription {
    endpoint: Box<str>,
    p256dh: [u8; 65],
    auth: [u8; 16],
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription(..)")
    }
}

impl Subscription {
    /// From what a page gives: the endpoint, the P-256 point and the secret, both base64url or base64, padded or not.
    /// `None` if they cannot be a subscription: the endpoint is no `https` address of a named host without a user, or
    /// the keys have wrong sizes.
    #[must_use]
    pub fn new(endpoint: &str, p256dh: &str, auth: &str) -> Option<Self> {
        let endpoint = endpoint.trim();
        host(endpoint)?;
        let p256dh: [u8; 65] = decode(p256dh)?.try_into().ok()?;
        let auth = decode(auth)?.try_into().ok()?;
        // Uncompressed (SEC 1); nothing else is a subscription's (RFC 8291 §2.1).
        (p256dh.first() == Some(&4)).then(|| Self { endpoint: endpoint.into(), p256dh, auth })
    }

    /// The subscription as the one text that a device keeps as its token.
    #[must_use]
    pub fn to_token(&self) -> DeviceToken {
        let [p256dh, auth] = [&self.p256dh[..], &self.auth[..]].map(|key| LENIENT.encode(key));
        DeviceToken::new([&*self.endpoint, &p256dh, &auth].join(" "))
    }

    /// The subscription that is kept as this token.
    #[must_use]
    pub fn of_token(token: &DeviceToken) -> Option<Self> {
        let token = token.reveal();
        let mut parts = token.split(' ');
        let (endpoint, p256dh, auth) = (parts.next()?, parts.next()?, parts.next()?);
        Self::new(endpoint, p256dh, auth).filter(|_| parts.next().is_none())
    }

    /// Where messages are posted: an `https` address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The browser's public key: an uncompressed P-256 point (RFC 8291 §3.1).
    #[must_use]
    pub const fn p256dh(&self) -> &[u8; 65] {
        &self.p256dh
    }

    /// The authentication secret (RFC 8291 §3.2).
    #[must_use]
    pub const fn auth(&self) -> &[u8; 16] {
        &self.auth
    }

    /// The endpoint's host name, in lower case.
    #[must_use]
    pub fn host(&self) -> Domain {
        Domain::new(&*host(&self.endpoint).unwrap_or_default().to_ascii_lowercase())
    }

    /// Whether the operator lets messages go there: to one of these hosts, on the port of `https`. What listens on
    /// another port is another service, which nobody has allowed.
    #[must_use]
    pub fn is_allowed(&self, hosts: &[DomainPattern]) -> bool {
        let host = self.host();
        self.port() == Some(443) && hosts.iter().any(|pattern| pattern.matches(&host))
    }

    fn port(&self) -> Option<u16> {
        let authority = self.endpoint.strip_prefix("https://")?.split(['/', '?', '#']).next()?;
        authority.split_once(':').map_or(Some(443), |(_, port)| port.parse().ok())
    }
}

/// The host of an `https` address that may be an endpoint: a name with a dot that is no address, and no user before it.
fn host(endpoint: &str) -> Option<&str> {
    let plain = endpoint.len() <= MAX_ENDPOINT && endpoint.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let rest = endpoint.strip_prefix("https://").filter(|_| plain)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#'])?);
    let host = match authority.split_once(':') {
        Some((host, port)) => {
            port.parse::<u16>().ok().filter(|port| *port > 0)?;
            host
        }
        None => authority,
    };
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let label =
        |label: &str| !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-');
    // The last label of a name is never a number; that of an IPv4 address always is.
    let last = host.rsplit('.').next().unwrap_or_default();
    let named = host.contains('.')
        && host.len() <= 253
        && host.chars().all(name)
        && host.split('.').all(label)
        && last.starts_with(|c: char| c.is_ascii_alphabetic());
    (named && path.starts_with('/') && !path.contains('#')).then_some(host)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text
        .trim()
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    (text.len() <= 128).then(|| LENIENT.decode(text).ok()).flatten()
}

/// base64url without padding, which is taken if it is there.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8291 §5.
    const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const ENDPOINT: &str = "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV";

    #[test]
    fn a_subscription_is_kept_as_a_token() {
        let subscription = Subscription::new(ENDPOINT, P256DH, AUTH).unwrap();
        assert_eq!(subscription.to_token().reveal(), format!("{ENDPOINT} {P256DH} {AUTH}"));
        assert_eq!(Subscription::of_token(&subscription.to_token()), Some(subscription.clone()));
        assert_eq!(subscription.host(), Domain::new("push.example.net"));
        assert_eq!((subscription.p256dh()[0], subscription.auth().len()), (4, 16));
        let padded = Subscription::new(
            ENDPOINT,
            &format!("{}=", P256DH.replace('_', "/").replace('-', "+")),
            "BTBZMqHH6r4Tts7J/aSIgg==",
        );
        assert_eq!(padded, Some(subscription));
    }

    #[test]
    fn what_cannot_be_a_subscription() {
        let compressed = "AyVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx";
        let rows = [
            ("", P256DH, AUTH),
            ("http://push.example.net/x", P256DH, AUTH),
            ("https://push.example.net", P256DH, AUTH),
            ("https://user@push.example.net/x", P256DH, AUTH),
            ("https://push.example.net:0/x", P256DH, AUTH),
            ("https://push.example.net:99999/x", P256DH, AUTH),
            ("https://push.example.net/x y", P256DH, AUTH),
            ("https://push.example.net/x#y", P256DH, AUTH),
            ("https://push.example.net\\@evil.example/x", P256DH, AUTH),
            ("https://127.0.0.1/x", P256DH, AUTH),
            ("https://2130706433/x", P256DH, AUTH),
            ("https://0x7f.1/x", P256DH, AUTH),
            ("https://[::1]/x", P256DH, AUTH),
            ("https://localhost/x", P256DH, AUTH),
            ("https://push..net/x", P256DH, AUTH),
            (ENDPOINT, compressed, AUTH),
            (ENDPOINT, "", AUTH),
            (ENDPOINT, P256DH, "BTBZMqHH6r4Tts7J"),
            (ENDPOINT, P256DH, "!!!"),
        ];
        for (endpoint, p256dh, auth) in rows {
            assert_eq!(Subscription::new(endpoint, p256dh, auth), None, "{endpoint} {p256dh} {auth}");
        }
        let long = format!("{ENDPOINT}{}", "x".repeat(2048));
        assert_eq!(Subscription::new(&long, P256DH, AUTH), None);
        for token in ["", "apns-token", &format!("{ENDPOINT} {P256DH}"), &format!("{ENDPOINT} {P256DH} {AUTH} more")] {
            assert_eq!(Subscription::of_token(&DeviceToken::new(token)), None, "{token}");
        }
    }

    #[test]
    fn hosts_that_the_operator_allows() {
        let at = |host: &str| Subscription::new(&format!("https://{host}/x"), P256DH, AUTH).unwrap();
        let hosts = [
            DomainPattern::Exactly(Domain::new("fcm.googleapis.com")),
            DomainPattern::Below(Domain::new("push.apple.com")),
        ];
        let rows = [
            ("fcm.googleapis.com", true),
            ("FCM.googleapis.com:443", true),
            ("fcm.googleapis.com:8443", false),
            ("fcm.googleapis.com:22", false),
            ("web.push.apple.com", true),
            ("push.apple.com", false),
            ("fcm.googleapis.com.evil.example", false),
        ];
        for (host, allowed) in rows {
            assert_eq!(at(host).is_allowed(&hosts), allowed, "{host}");
        }
        assert!(!format!("{:?}", at("fcm.googleapis.com")).contains("fcm"));
    }
}
