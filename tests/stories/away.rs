//! Rows 8 and 9: accounts and devices without a session.

use crate::scene::{Scene, Setting, TOKEN};

/// alice has two registrations and no session.
async fn two_devices_away(setting: &Setting<'_>) -> Scene {
    let scene = Scene::set(setting).await;
    let mut phone = scene.phone().await;
    scene.enable_ours(&mut phone, TOKEN).await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;
    scene
}

async fn one_push_each(mut scene: Scene) {
    for (id, count) in [("m1", 1), ("m2", 2)] {
        scene.write("alice", id).await;
        scene.third.wait_for(count).await;
        scene.vendors.pushes(count).await;
        scene.quiet().await;
        assert_eq!(scene.third.published().len(), count, "{id}: at the third party's");
        assert_eq!(scene.vendors.pushes(count).await.len(), count, "{id}: at Apple's");
    }
    assert!(scene.third.published().iter().all(|push| push.node == "phone" && push.is_important()));
    assert_eq!(scene.tap.windows("alice"), [] as [u64; 0], "no session, no window");
}

async fn row_08_a_message_to_offline_storage_is_one_push_to_every_registration() {
    let scene = two_devices_away(&Setting { archive: false, ..Setting::default() }).await;
    one_push_each(scene).await;
}

async fn row_08_with_an_archive_as_well_it_is_still_one_push_to_every_registration() {
    one_push_each(two_devices_away(&Setting::default()).await).await;
}

async fn row_08_and_so_it_is_with_an_archive_instead() {
    one_push_each(two_devices_away(&Setting { offline: false, ..Setting::default() }).await).await;
}

async fn row_09_a_message_is_pushed_to_the_phone_that_is_away_and_not_to_the_laptop_that_is_there() {
    let mut scene = Scene::start().await;
    let mut laptop = scene.online("alice", "laptop").await;
    scene.enable(&mut laptop, "laptop").await;
    let phone = scene.phone().await;
    phone.close().await;
    scene.tap.wait_for_events("end", "alice", 1).await;

    scene.write("alice", "m1").await;
    laptop.wait_for("m1", |it| it.name() == "message" && it.attr("id") == Some("m1")).await;
    scene.third.wait_for(1).await;
    scene.quiet().await;
    let nodes: Vec<_> = scene.third.published().into_iter().map(|push| push.node).collect();
    assert_eq!(nodes, ["phone"]);
    let archived = scene.tap.wait_for_events("archived", "alice", 1).await;
    assert_eq!(archived.len(), 1, "that is how we know");
}

crate::on_hosts::on_hosts! {
    both: [
        row_08_a_message_to_offline_storage_is_one_push_to_every_registration,
        row_08_with_an_archive_as_well_it_is_still_one_push_to_every_registration,
        row_08_and_so_it_is_with_an_archive_instead,
        row_09_a_message_is_pushed_to_the_phone_that_is_away_and_not_to_the_laptop_that_is_there,
    ],
}
