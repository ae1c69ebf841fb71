//! The stand-in for APNs and FCM as these tests use it: one port, two apps, everything recorded.

use tempfile::TempDir;

use crate::process::PATIENCE;
use crate::vendor::{Answer, Behaviour, Options, Recorded, Vendor};

/// The stand-in, and the files that a configuration names.
pub(crate) struct Vendors {
    pub(crate) vendor: Vendor,
    files: TempDir,
}

impl Vendors {
    pub(crate) async fn start() -> Self {
        let vendor = Vendor::start(Options::default()).await;
        let files = TempDir::with_prefix("pushkeeper-keys-").expect("a temporary folder");
        vendor.keys().write(files.path()).expect("keys");
        Self { vendor, files }
    }

    /// An app for each vendor, for pushkeeper's configuration.
    pub(crate) fn apps(&self) -> String {
        let (url, keys, files) = (self.vendor.url(), self.vendor.keys(), self.files.path().display());
        let (key_id, team_id) = (&keys.key_id, &keys.team_id);
        format!(
            r#"
[apps.chat-ios]
provider = "apns"
topic = "org.example.chat"
key_file = "{files}/AuthKey.p8"
key_id = "{key_id}"
team_id = "{team_id}"
endpoint = "{url}"
ca_file = "{files}/ca.pem"

[apps.chat-android]
provider = "fcm"
service_account_file = "{files}/service-account.json"
endpoint = "{url}"
ca_file = "{files}/ca.pem"
style = "conversations"
"#
        )
    }

    /// All pushes so far, once there are this many.
    pub(crate) async fn pushes(&self, count: usize) -> Vec<Recorded> {
        self.vendor.wait_for(count, PATIENCE).await
    }

    /// From now on, APNs says that this token is dead, since this time in milliseconds.
    pub(crate) fn is_gone(&self, token: &str, since: i64) {
        self.vendor.always(token, Behaviour::Answer(Answer::gone(since)));
    }
}
