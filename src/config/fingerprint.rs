//! Tells apps' credentials, and all that their pushes go by, from former ones without revealing them.

use sha1::{Digest, Sha1};

use super::apps::{ApnsAuth, AppConfig, Vendor};
use crate::domain::app::Way;

impl AppConfig {
    /// How its pushes go: another digest means that its gateway has to be made anew. `important_body` is that of
    /// `[rules]`. When its credentials end, nobody knows before they were read.
    #[must_use]
    pub fn way(&self, important_body: &str) -> Way {
        let Self { app, look, vendor } = self;
        let mut sum = Sum::default();
        sum.number(app.fingerprint);
        sum.text(&format!("{:?} {look:?}", app.style));
        match vendor {
            Vendor::Apns { ca, auth, .. } => {
                sum.optional(ca.as_deref());
                // Stands for a text where there is none.
                sum.text(important_body);
                if let ApnsAuth::Certificate { password, .. } = auth {
                    sum.text(password);
                }
            }
            Vendor::Fcm { token_endpoint, ca, .. } => {
                sum.optional(token_endpoint.as_deref().map(str::as_bytes));
                sum.optional(ca.as_deref());
            }
            Vendor::WebPush { vapid_subject, silent, ca, .. } => {
                sum.text(vapid_subject);
                sum.text(&format!("{silent} {:?}", app.allow_hosts));
                sum.optional(ca.as_deref());
            }
            Vendor::Stub => {}
        }
        Way { digest: sum.end(), expires: None }
    }
}

/// Tells credentials and environment from others. It is stored: what goes into it must stay as it is.
pub(super) fn fingerprint(vendor: &Vendor) -> u64 {
    let mut sum = Sum::default();
    match vendor {
        Vendor::Apns { sandbox, endpoint, topic, auth, .. } => {
            sum.add(&[u8::from(*sandbox)]);
            sum.text(endpoint.as_deref().unwrap_or_default());
            sum.text(topic);
            match auth {
                ApnsAuth::Token { key, key_id, team_id } => {
                    [key, key_id.as_bytes(), team_id.as_bytes()].into_iter().for_each(|part| sum.add(part));
                }
                ApnsAuth::Certificate { bytes, .. } => sum.add(bytes),
            }
        }
        Vendor::Fcm { endpoint, service_account, .. } => {
            sum.text(endpoint.as_deref().unwrap_or_default());
            sum.add(service_account);
        }
        // A subscription is for one key.
        Vendor::WebPush { vapid_key, connect_to, .. } => {
            sum.add(vapid_key);
            sum.text(&format!("{connect_to:?}"));
        }
        Vendor::Stub => sum.add(b"stub"),
    }
    sum.end()
}

/// Tells bytes from others.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let mut sum = Sum::default();
    sum.add(bytes);
    sum.end()
}

/// The first bytes of a SHA-1 of parts, each after its length.
#[derive(Default)]
struct Sum(Sha1);

impl Sum {
    fn add(&mut self, part: &[u8]) {
        self.0.update(part.len().to_be_bytes());
        self.0.update(part);
    }

    fn text(&mut self, part: &str) {
        self.add(part.as_bytes());
    }

    fn number(&mut self, part: u64) {
        self.add(&part.to_be_bytes());
    }

    /// None is not the same as nothing in it.
    fn optional(&mut self, part: Option<&[u8]>) {
        self.add(&[u8::from(part.is_some())]);
        self.add(part.unwrap_or_default());
    }

    fn end(self) -> u64 {
        let digest: [u8; 20] = self.0.finalize().into();
        digest.into_iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(byte))
    }
}
