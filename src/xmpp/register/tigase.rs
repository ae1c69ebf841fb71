//! The dialect of Tigase's push component, which Siskin IM, Snikket iOS and Stork speak: `register-device` and
//! `unregister-device`. There is no device id: another token is another device. There is no secret either: whoever
//! knows the node may publish to it, from the account's own domain.

use xmpp_parsers::data_forms::{Field, FieldType, Option_};

use super::{Request, fields};
use crate::domain::device::Access;
use crate::domain::secret::DeviceToken;
use crate::flows::data::{DeviceRegistration, DeviceUnregistration};
use crate::xmpp::answer::StanzaError;

/// Fields `provider`, `device-token`, and for calls `device-second-token` (PushKit).
pub(super) fn register(request: &Request<'_>) -> Result<DeviceRegistration, StanzaError> {
    let (provider, token) = device(request)?;
    let second = "device-second-token";
    let voip_token = match request.form.value(second) {
        None => None,
        Some(_) => Some(fields::token(request.form, second).ok_or(StanzaError::BAD_PAYLOAD)?),
    };
    let account = request.hash(&token.reveal().to_ascii_lowercase());
    let registration = request.registration(provider, account, token);
    Ok(DeviceRegistration { voip_token, access: Access::Node, ..registration })
}

/// Fields `provider` and `device-token`.
pub(super) fn unregister(request: &Request<'_>) -> Result<DeviceUnregistration, StanzaError> {
    let (provider, token) = device(request)?;
    Ok(request.unregistration(provider, request.hash(&token.reveal().to_ascii_lowercase())))
}

/// What an empty form asks for; either command asks for the same.
pub(super) fn fields(providers: &[String]) -> Vec<Field> {
    let option = |id: &String| Option_ { label: None, value: id.clone() };
    let provider = Field {
        options: providers.iter().map(option).collect(),
        type_: FieldType::ListSingle,
        ..fields::required("provider", "Push provider")
    };
    vec![provider, fields::required("device-token", "Device token")]
}

/// Provider id and token. Apps write a token's hex digits in either case, so no case tells two devices apart.
fn device<'a>(request: &Request<'a>) -> Result<(&'a str, DeviceToken), StanzaError> {
    let provider = request.form.value("provider").map(str::trim).filter(|provider| !provider.is_empty());
    let token = fields::token(request.form, "device-token");
    provider.zip(token).ok_or(StanzaError::BAD_PAYLOAD)
}

#[cfg(test)]
#[path = "tigase_tests.rs"]
mod tests;
