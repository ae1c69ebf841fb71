//! The whole way: the host publishes, the vendor receives, the host is answered.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::host::done;
use crate::support::vendor::{Answer, Behaviour};
use crate::whole_rig::{Whole, publish, register};

/// Longer than anything takes.
const SOON: Duration = Duration::from_secs(30);

fn assert_refused(answer: &str, id: &str, kind: &str, condition: &str) {
    for part in [format!("id='{id}'"), format!("type='{kind}'"), format!("<{condition}")] {
        assert!(answer.contains(&part), "{part} is not in {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_becomes_a_push_of_its_app_and_the_vendors_yes_its_answer() {
    let (whole, mut host) = Whole::start("").await;
    let ios = register(&mut host, "apns", "phone-1", "aabbcc01").await;
    let android = register(&mut host, "fcm", "phone-2", "fcm-token").await;
    host.send(&publish("p1", &ios, "juliet@example.org", "wherefore")).await;
    assert_eq!(host.stanza().await, done("p1"));
    host.send(&publish("p2", &android, "juliet@example.org", "wherefore")).await;
    assert_eq!(host.stanza().await, done("p2"));

    let [apns, fcm] = &whole.vendor.wait_for(2, SOON).await[..] else { panic!("two pushes") };
    assert_eq!(apns.path, "/3/device/aabbcc01");
    let headers = ["apns-topic", "apns-push-type", "apns-priority"].map(|name| apns.header(name));
    assert_eq!(headers, ["org.example.chat", "alert", "10"]);
    let alert = &apns.json()["aps"]["alert"];
    assert_eq!((&alert["title"], &alert["body"]), (&"juliet@example.org".into(), &"wherefore".into()));

    // An app of the Conversations family gets neither sender nor body, whatever the server publishes.
    let message = &fcm.json()["message"];
    assert_eq!((&message["token"], &message["android"]["priority"]), (&"fcm-token".into(), &"HIGH".into()));
    let text = message.to_string();
    assert!(!text.contains("juliet") && !text.contains("wherefore"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_gone_is_item_not_found_from_then_on_and_after_a_restart() {
    let (mut whole, mut host) = Whole::start("").await;
    let device = register(&mut host, "apns", "phone-1", "aabbcc02").await;
    whole.vendor.always("aabbcc02", Behaviour::Answer(Answer::gone(i64::MAX / 2)));
    host.send(&publish("p1", &device, "", "")).await;
    assert_refused(&host.stanza().await, "p1", "cancel", "item-not-found");
    host.send(&publish("p2", &device, "", "")).await;
    assert_refused(&host.stanza().await, "p2", "cancel", "item-not-found");
    assert_eq!(whole.vendor.pushes().len(), 1, "the vendor is asked once");

    whole.stop(host).await.unwrap();
    whole.start_again();
    let mut host = whole.host.component().await;
    host.send(&publish("p3", &device, "", "")).await;
    assert_refused(&host.stanza().await, "p3", "cancel", "item-not-found");

    // Registering again revives it, with the same node and secret.
    assert_eq!(register(&mut host, "apns", "phone-1", "aabbcc03").await, device);
    host.send(&publish("p4", &device, "", "")).await;
    assert_eq!(host.stanza().await, done("p4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_in_trouble_costs_nobody_anything_but_time() {
    let (whole, mut host) = Whole::start("[push]\nanswer_within = \"1s\"").await;
    let trouble = [
        ("1", Behaviour::Answer(Answer::apns(503, "ServiceUnavailable"))),
        ("2", Behaviour::Answer(Answer::apns(429, "TooManyRequests"))),
        ("3", Behaviour::Never),
        ("4", Behaviour::Answer(Answer::apns(403, "InvalidProviderToken"))),
    ];
    for (id, behaviour) in trouble {
        let token = format!("aabbcc0{id}");
        let device = register(&mut host, "apns", &format!("phone-{id}"), &token).await;
        whole.vendor.once(&token, behaviour);
        let publish = publish(id, &device, "", "important");
        host.send(&publish).await;
        assert_eq!(host.stanza().await, done(id));
    }
    // Each is tried again, and what the vendor was silent about, once it is cut off.
    whole.vendor.cut();
    let pushes = whole.vendor.wait_for(8, SOON).await;
    for id in 1..=4 {
        let to = pushes.iter().filter(|push| push.token == format!("aabbcc0{id}")).count();
        assert_eq!(to, 2, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_those_who_wait_before_it_closes_the_stream() {
    let (mut whole, mut host) = Whole::start("").await;
    let device = register(&mut host, "apns", "phone-1", "aabbcc05").await;
    whole.vendor.hold();
    host.send(&publish("p1", &device, "", "")).await;
    whole.vendor.wait_for(1, SOON).await;
    let stopping = whole.begin_stop();
    assert!(!stopping.is_finished());
    whole.vendor.release();
    assert_eq!(host.stanza().await, done("p1"));
    Whole::finish_stop(stopping, host).await.unwrap();
}

/// What the issue asks of a link that is lost with publishes unanswered.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_publishes_survive_the_loss_of_the_link_and_none_is_pushed_twice() {
    let (whole, mut host) = Whole::start("[push]\nanswer_within = \"20s\"\nmax_per_domain = 0").await;
    let mut devices = Vec::new();
    for number in 0..1000 {
        let device = register(&mut host, "apns", &format!("phone-{number}"), &format!("{number:08x}")).await;
        devices.push(device);
    }
    whole.vendor.hold();
    for (number, device) in devices.iter().enumerate() {
        host.send(&publish(&format!("p{number}"), device, "", "hi")).await;
    }
    // All of them are with the vendor, none is answered, and now the link goes.
    assert_eq!(whole.vendor.wait_for(1000, SOON).await.len(), 1000);
    drop(host);
    let mut host = whole.host.component().await;
    whole.vendor.release();
    // Answers of the last second before the loss may come again, as nobody knows whether they arrived.
    let mut answered = BTreeSet::new();
    while answered.len() < 1000 {
        let answer = host.stanza().await;
        if answer.contains("id='p") {
            assert!(answered.insert(answer.clone()), "twice: {answer}");
        }
    }
    let expected: BTreeSet<String> = (0..1000).map(|number| done(&format!("p{number}"))).collect();
    assert_eq!(answered, expected);
    assert_eq!(whole.vendor.pushes().len(), 1000);
}
