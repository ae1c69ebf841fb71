//! Devices of p2, the push service of Conversations: its table `target`, in MySQL or MariaDB.
//!
//! p2 makes the same hash of account and device as we do, and keeps nothing else of the account but its domain. So
//! servers go on publishing to the node they have, and an app that registers again is found by the hash and gets its
//! node and secret again; that is also when it is first known whose device it is.

use std::io::BufRead;
use std::path::Path;

use super::report::Skip;
use super::{Foreign, ForeignError, draft, sql};
use crate::domain::app::{self, App, Provider};
use crate::domain::device::{Access, Device, DeviceKey, History};
use crate::domain::ids::{Account, DeviceHash, Node};
use crate::domain::secret::{DeviceToken, Secret};

/// The columns of the table; older releases had no `service`, and knew FCM only.
const COLUMNS: [&[&str]; 2] = [
    &["service", "device", "channel", "domain", "token", "node", "secret"],
    &["device", "channel", "domain", "token", "node", "secret"],
];

/// Reads an SQL dump.
pub(super) fn read(foreign: &mut Foreign<'_>, path: &Path, dump: impl BufRead) -> Result<(), ForeignError> {
    let found = sql::read(dump, "target", &COLUMNS, |row| {
        let whose = row.text("domain").ok().flatten().unwrap_or_default();
        match device(foreign, &row) {
            Ok(device) => foreign.device(row.line, device),
            Err(why) => foreign.skip(row.line, whose, why),
        }
    });
    let found = found.map_err(|error| ForeignError::Sql(path.to_owned(), error))?;
    if found { Ok(()) } else { Err(ForeignError::NothingOfTheKind(path.to_owned(), foreign.kind)) }
}

fn device(foreign: &mut Foreign<'_>, row: &sql::Row<'_>) -> Result<Device, Skip> {
    let text = |column| row.text(column).map(Option::unwrap_or_default).map_err(Skip::Broken);
    let some =
        |column, what| text(column).and_then(|text| if text.is_empty() { Err(Skip::Broken(what)) } else { Ok(text) });
    let hash = |text| DeviceHash::from_hex(text).ok_or(Skip::Broken("has a device that is no hash"));
    let service = row.text("service").map_err(Skip::Broken)?.unwrap_or("fcm").to_ascii_lowercase();
    let domain = draft::domain(text("domain")?).ok_or(Skip::Broken("has a domain that is none"))?;
    if foreign.wanted.domain.as_ref().is_some_and(|wanted| *wanted != domain) {
        return Err(Skip::OtherDomain);
    }
    let app = match foreign.wanted.app {
        Some(app) => Some(app).filter(|app| is_of(app, &service)),
        None => app::choose(&foreign.wanted.policy.apps, &service),
    };
    let app = app.ok_or(Skip::NoApp)?;
    if app::choose(&foreign.wanted.policy.apps, &service).is_none_or(|meant| meant.name != app.name) {
        let text = format!(
            "a client that registers again for {service:?} does not get to the app {}, so it gets another node; give that \
             app the alias {service:?}",
            app.name
        );
        foreign.taken.warnings.insert(text);
    }
    let account = hash(text("device")?)?;
    let channel = Some(text("channel")?).filter(|channel| !channel.is_empty()).map(hash).transpose()?;
    Ok(Device {
        node: Node::new(some("node", "has no node")?),
        secret: Secret::new(some("secret", "has no secret")?),
        key: DeviceKey { app: app.name.clone(), account, channel },
        owner: Account::new(format!("{}@{domain}", account.hex())),
        permitted: [domain].into(),
        access: Access::Secret,
        token: DeviceToken::new(some("token", "has no token")?),
        voip_token: None,
        generation: 1,
        made: foreign.wanted.now,
        renewed: foreign.wanted.now,
        history: History::default(),
        gone: None,
    })
}

/// Whether an app can serve devices of that service. The stub serves all.
fn is_of(app: &App, service: &str) -> bool {
    app.provider == Provider::Stub || Provider::from_service(service) == Some(app.provider)
}

#[cfg(test)]
#[path = "p2_tests.rs"]
mod tests;
