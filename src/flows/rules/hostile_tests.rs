//! What users, strangers and hosts do to the rules that nobody in good faith would.

use super::rig::Rig;
use crate::domain::refusal::Refusal;
use crate::flows::data::Answer;

#[test]
fn no_address_of_a_host_of_ours_is_a_push_service_however_it_is_spelt() {
    let mut rig = Rig::with(|policy| policy.hosts.push(crate::domain::ids::Domain::new("other.example")));
    rig.phone();
    let addresses = [
        "example.org",
        "example.org.",
        "EXAMPLE.org",
        "example.org/x",
        "ALICE@Example.Org/phone",
        "bob@example.org./pc",
        "bob@\u{ff45}xample.org/pc",
        "bob@exam\u{ad}ple.org",
        "other.example",
        "carol@Other.Example/x",
    ];
    for address in addresses {
        let answers = rig.enable(address, "n", "phone", None).answers;
        assert_eq!(answers[0].1, Answer::Refused(Refusal::BadService), "{address}");
    }
    for address in ["push.example.org", "example.org.third.example", "pubsub@third.example/example.org"] {
        assert_eq!(rig.enable(address, "n", "phone", None).answers[0].1, Answer::Done, "{address}");
    }
}
