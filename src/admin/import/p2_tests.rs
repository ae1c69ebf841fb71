use super::super::tests::{NOW, policy, taken, taken_for};
use super::super::{Kind, Taken};
use super::*;
use crate::domain::ids::Domain;

const DUMP: &[u8] = include_bytes!("samples/p2-mariadb.sql");
const HASH: &str = "0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";

fn shown(taken: &Taken) -> Vec<String> {
    let device = |device: &Device| {
        let channel = device.key.channel.map(|channel| channel.hex()[..2].to_owned());
        let (node, secret, token) = (device.node.as_str(), device.secret.reveal(), device.token.reveal());
        format!("{} {} {channel:?} {node} {secret} {token}", device.key.app, device.owner)
    };
    taken.devices.iter().map(|(_, it)| device(it)).collect()
}

#[test]
fn rows_of_a_real_database() {
    let taken = taken(Kind::P2, None, &[DUMP]).unwrap();
    let ios = "1c223e6b96c6112f5dd809bb1b6f7c5a78826ee3";
    let expected = [
        format!("android {HASH}@b.example None AAECAwQFBgcI CQoLDA0ODxAREhMUFRYXGBka cX-token:APA91b_it's"),
        format!("android {HASH}@b.example Some(\"2c\") CAECAwQFBgcI EQoLDA0ODxAREhMUFRYXGBka cX-token"),
        format!("ios {ios}@b.example None BAECAwQFBgcI DQoLDA0ODxAREhMUFRYXGBka ac4089a5"),
    ];
    assert_eq!(shown(&taken), expected);
    assert_eq!(taken.skips(), [""; 0]);
    assert!(taken.warnings.is_empty());
    let device = &taken.devices[0].1;
    assert_eq!(device.permitted, [Domain::new("b.example")].into());
    assert_eq!((device.access, device.made, device.renewed), (Access::Secret, NOW, NOW));
}

#[test]
fn an_app_takes_the_devices_of_its_vendor() {
    let policy = policy();
    let apps: Vec<_> = ["android", "ios"].map(|name| policy.apps.iter().find(|app| app.name.as_str() == name)).into();
    let of_android = taken_for(Kind::P2, None, apps[0], &[DUMP]).unwrap();
    assert_eq!(of_android.devices.len(), 2);
    let why = "is of a vendor that no app here, or not the one of --app, is of";
    assert_eq!(of_android.skips(), [format!("48 b.example: {why}")]);
    let of_ios = taken_for(Kind::P2, None, apps[1], &[DUMP]).unwrap();
    assert_eq!(of_ios.devices.len(), 1);
    let other = App { name: crate::domain::ids::AppName::new("other"), ..apps[1].unwrap().clone() };
    let of_other = taken_for(Kind::P2, None, Some(&other), &[DUMP]).unwrap();
    let warned: Vec<_> = of_other.warnings.iter().map(String::as_str).collect();
    let expected = "a client that registers again for \"apns\" does not get to the app other, so it gets another node; give \
                    that app the alias \"apns\"";
    assert_eq!(warned, [expected]);
}

#[test]
fn rows_that_make_no_sense_are_named_and_older_tables_are_of_fcm() {
    let row = |values: &str| format!("INSERT INTO `target` VALUES ({values});\n");
    let dump = [
        row(&format!("'{HASH}','','b.example','t','n1','s'")),
        row(&format!("'FCM','{HASH}','x','b.example','t','n2','s'")),
        row("'FCM','short','','b.example','t','n3','s'"),
        row(&format!("'FCM','{HASH}','','a@b.example','t','n4','s'")),
        row(&format!("'FCM','{HASH}','',NULL,'t','n5','s'")),
        row(&format!("'FCM','{HASH}','','b.example','','n6','s'")),
        row(&format!("'FCM','{HASH}','','b.example','t',NULL,'s'")),
        row(&format!("'FCM','{HASH}','','b.example','t','n8',''")),
        row(&format!("'HMS','{HASH}','','b.example','t','n9','s'")),
        row(&format!("'FCM','{HASH}','','other.example','t','n10','s'")),
    ];
    let taken = taken(Kind::P2, Some("b.example"), &[dump.concat().as_bytes()]).unwrap();
    assert_eq!(shown(&taken), [format!("android {HASH}@b.example None n1 s t")]);
    let expected = [
        "2 b.example: has a device that is no hash",
        "3 b.example: has a device that is no hash",
        "4 a@b.example: has a domain that is none",
        "5 : has a domain that is none",
        "6 b.example: has no token",
        "7 b.example: has no node",
        "8 b.example: has no secret",
        "9 b.example: is of a vendor that no app here, or not the one of --app, is of",
        "10 other.example: is of another domain",
    ];
    assert_eq!(taken.skips(), expected);
}
