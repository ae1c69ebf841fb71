//! The configuration is read again while all goes on: the link stays, what changed holds, and nothing is lost.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::bridged::Bridge;
use crate::support::host::{JID, done};
use crate::support::vendor::{Answer, Behaviour};
use crate::whole_rig::{Whole, publish, register, registration};

const SOON: Duration = Duration::from_secs(30);

const INFO: &str = "<iq type='get' id='info' from='romeo@example.org/app' to='push.example.net'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_said_and_holds_on_the_same_stream() {
    let (mut whole, mut host) = Whole::start("[rules]\nmax_devices = 5").await;
    assert_eq!(whole.reload().await, (true, vec!["nothing changed".to_owned()]));
    let ios = register(&mut host, "apns", "phone-1", "aabbcc01").await;
    whole.edit("max_devices = 5", "max_devices = 3\n[apps.new]\nprovider = \"stub\"\naliases = [\"new:1\"]");
    let (taken, said) = whole.reload().await;
    assert_eq!((taken, &said[..2]), (true, &["[rules]: nothing".to_owned(), String::new()][..]));
    host.send(&publish("p1", &ios, "", "")).await;
    assert_eq!(host.stanza().await, done("p1"));
}
