//! Web Push for pages: `register-push-webpush` and `unregister-push-webpush`, or with the name of an app for `webpush`.
//! The same as Conversations' dialect, but for a token there is a subscription (W3C Push API).

use serde::Deserialize;
use xmpp_parsers::data_forms::Field;

use super::{Request, fields};
use crate::domain::subscription::Subscription;
use crate::flows::data::{DeviceRegistration, DeviceUnregistration};
use crate::xmpp::answer::StanzaError;
use crate::xmpp::forms::Form;

/// The longest `subscription`, in bytes: endpoint and keys, and what browsers put beside them.
const MAX_JSON: usize = 4096;

/// Whether a registration is of this kind, rather than one with a vendor's token.
pub(super) fn is_meant(service: &str, form: Form<'_>) -> bool {
    service == "webpush" || form.value("token").is_none() && has_subscription(form)
}

/// Whether an unregistration names the device by its subscription.
pub(super) fn names_device(form: Form<'_>) -> bool {
    fields::device_id(form).is_none() && has_subscription(form)
}

/// Fields `endpoint`, `p256dh` and `auth`, or `subscription` with all of them as JSON; optionally `device-id`.
pub(super) fn register(request: &Request<'_>, service: &str) -> Result<DeviceRegistration, StanzaError> {
    let form = request.form;
    let given = Given::read(form).ok_or(StanzaError::BAD_PAYLOAD)?;
    let subscription = Subscription::new(&given.endpoint, &given.keys.p256dh, &given.keys.auth);
    let subscription = subscription.ok_or(StanzaError::BAD_PAYLOAD)?;
    let named = form.value("device-id").is_some() || form.value("android-id").is_some();
    let device_id = match fields::device_id(form) {
        Some(id) => id,
        None if named => return Err(StanzaError::BAD_PAYLOAD),
        None => subscription.endpoint(),
    };
    Ok(request.registration(service, request.hash(device_id), subscription.to_token()))
}

/// Field `endpoint`, or `subscription`; with a `device-id`, Conversations' dialect says the same.
pub(super) fn unregister(request: &Request<'_>, service: &str) -> Result<DeviceUnregistration, StanzaError> {
    let given = Given::read(request.form).ok_or(StanzaError::BAD_PAYLOAD)?;
    Ok(request.unregistration(service, request.hash(given.endpoint.trim())))
}

/// What an empty form asks for.
pub(super) fn fields(registers: bool) -> Vec<Field> {
    if !registers {
        return vec![fields::optional("device-id", "Device id"), fields::optional("endpoint", "Endpoint")];
    }
    vec![
        fields::required("endpoint", "Endpoint"),
        fields::required("p256dh", "Public key (p256dh)"),
        fields::required("auth", "Authentication secret (auth)"),
        fields::optional("device-id", "Device id"),
    ]
}

fn has_subscription(form: Form<'_>) -> bool {
    form.value("endpoint").is_some() || form.value("subscription").is_some()
}

/// What `PushSubscription.toJSON()` gives, as far as we care; nothing of it is checked. It can wake a browser, so it
/// does not print.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Given {
    endpoint: String,
    keys: Keys,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Keys {
    p256dh: String,
    auth: String,
}

impl Given {
    /// Of single fields, or of the one; the single ones count where there are both.
    fn read(form: Form<'_>) -> Option<Self> {
        let text = |name| form.value(name).unwrap_or_default().to_owned();
        if form.value("endpoint").is_some() {
            return Some(Self {
                endpoint: text("endpoint"),
                keys: Keys { p256dh: text("p256dh"), auth: text("auth") },
            });
        }
        let json = form.value("subscription").filter(|json| json.len() <= MAX_JSON)?;
        serde_json::from_str(json).ok()
    }
}

#[cfg(test)]
#[path = "webpush_tests.rs"]
mod tests;
