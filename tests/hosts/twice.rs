//! Two pushkeepers with the same name. Prosody refuses the second one's connection; ejabberd would take it and split the
//! traffic between the two, so it is our own lock that has to hold.

use crate::daemon::Daemon;
use crate::steps::{STUB_APP, configuration, host};

async fn a_second_pushkeeper_on_the_same_store_does_not_start() {
    let host = host().await;
    let folder = tempfile::TempDir::with_prefix("pushkeeper-store-").expect("a temporary folder");
    let store = folder.path().join("store");
    let config = configuration(&host, STUB_APP).replace("$DIR/store", &store.to_string_lossy());
    let first = Daemon::linked(&config).await;
    let mut second = Daemon::start(&config);
    assert_eq!(second.exit_code().await, Some(1), "{}", second.log());
    assert!(second.log().contains(&*store.to_string_lossy()), "it says what it could not have: {}", second.log());
    assert!(!second.log().contains("the link is up"), "{}", second.log());
    assert_eq!(first.log().matches("the link is up").count(), 1, "{}", first.log());
}

crate::on_hosts::on_hosts! {
    both: [
        a_second_pushkeeper_on_the_same_store_does_not_start,
    ],
}
