//! The dialect of mod_push_appserver, which old releases of Monal and yaxim speak: `v1-register-push` and
//! `v1-unregister-push`. The client chooses its node; that it is not somebody else's, only the flow knows.

use xmpp_parsers::data_forms::Field;

use super::{Request, fields};
use crate::domain::ids::{DeviceHash, Node};
use crate::flows::data::{DeviceRegistration, DeviceUnregistration};
use crate::xmpp::answer::StanzaError;

/// The longest node that a client may choose, in bytes. Real ones are UUIDs.
const MAX_NODE: usize = 256;

/// Fields `type`, `node` and `token`.
pub(super) fn register(request: &Request<'_>) -> Result<DeviceRegistration, StanzaError> {
    let (service, node, account) = device(request)?;
    let token = fields::token(request.form, "token").ok_or(StanzaError::BAD_PAYLOAD)?;
    Ok(DeviceRegistration { node: Some(Node::new(node)), ..request.registration(service, account, token) })
}

/// Fields `type` and `node`.
pub(super) fn unregister(request: &Request<'_>) -> Result<DeviceUnregistration, StanzaError> {
    let (service, _, account) = device(request)?;
    Ok(request.unregistration(service, account))
}

/// What an empty form asks for.
pub(super) fn fields(registers: bool) -> Vec<Field> {
    let token = registers.then(|| fields::required("token", "Push token"));
    let fields = [fields::required("type", "Push service"), fields::required("node", "Node")];
    fields.into_iter().chain(token).collect()
}

/// Service, node and the device's name. The node is taken verbatim: servers will publish to it so.
fn device<'a>(request: &Request<'a>) -> Result<(&'a str, &'a str, DeviceHash), StanzaError> {
    let service = request.form.value("type").map(str::trim).filter(|service| !service.is_empty());
    let fits = |node: &&str| node.len() <= MAX_NODE && !node.contains(char::is_control);
    let node = request.form.value("node").filter(fits);
    let (service, node) = service.zip(node).ok_or(StanzaError::BAD_PAYLOAD)?;
    // No device id of the other dialects is meant by this.
    Ok((service, node, request.hash(&format!("v1 {node}"))))
}

#[cfg(test)]
#[path = "appserver_tests.rs"]
mod tests;
