//! Each app's way to its vendor, from its section of the configuration.

use crate::clock::Clock;
use crate::config::{ApnsAuth, AppConfig, Vendor};
use crate::domain::secret::Secret;
use crate::gateway::apns::{self, Apns, Environment};
use crate::gateway::fcm::{self, Fcm};
use crate::gateway::pool::Limits;
use crate::gateway::stub::Stub;
use crate::gateway::webpush::{self, WebPush};
use crate::gateway::{AppGateway, CredentialError};

/// An app's gateway, or which key of its section is at fault.
pub(super) fn gateway(
    app: AppConfig,
    important_body: &str,
    clock: &Clock,
) -> Result<AppGateway, (&'static str, CredentialError)> {
    let style = app.app.style;
    let look = app.look;
    let address = |endpoint: Option<String>| {
        let parse = |text: String| text.parse().map_err(|error| ("endpoint", CredentialError::Endpoint(error)));
        endpoint.map(parse).transpose()
    };
    match app.vendor {
        Vendor::Stub => Ok(AppGateway::Stub(Stub)),
        Vendor::Apns { sandbox, endpoint, ca, topic, auth } => {
            let (key, auth) = match auth {
                ApnsAuth::Token { key, key_id, team_id } => ("key_file", apns::Auth::Token { key, key_id, team_id }),
                ApnsAuth::Certificate { bytes, password } => {
                    let password = Some(password).filter(|password| !password.is_empty()).map(Secret::new);
                    ("certificate_file", apns::Auth::Certificate { file: bytes, password })
                }
            };
            let settings = apns::Settings {
                environment: if sandbox { Environment::Sandbox } else { Environment::Production },
                endpoint: address(endpoint)?,
                ca,
                topic,
                auth,
                style,
                look,
                important_body: important_body.to_owned(),
                limits: Limits::default(),
            };
            let apns = Apns::new(settings, clock.clone()).map_err(|error| (at_fault(&error, key), error))?;
            Ok(AppGateway::Apns(Box::new(apns)))
        }
        Vendor::Fcm { endpoint, token_endpoint, ca, service_account } => {
            let settings = fcm::Settings {
                endpoint: address(endpoint)?,
                token_endpoint,
                ca,
                service_account,
                style,
                look,
                limits: Limits::default(),
            };
            let key = "service_account_file";
            let fcm = Fcm::new(settings, clock.clone()).map_err(|error| (at_fault(&error, key), error))?;
            Ok(AppGateway::Fcm(Box::new(fcm)))
        }
        Vendor::WebPush { vapid_key, vapid_subject, silent, ca, connect_to } => {
            let settings = webpush::Settings {
                vapid_key,
                vapid_subject,
                allow_hosts: app.app.allow_hosts,
                silent,
                ca,
                connect_to: connect_to.into_iter().collect(),
                lookup: webpush::resolve::system(),
                limits: webpush::Limits::default(),
            };
            let key = "vapid_key_file";
            let webpush = WebPush::new(settings, clock.clone()).map_err(|error| (at_fault(&error, key), error))?;
            Ok(AppGateway::WebPush(Box::new(webpush)))
        }
    }
}

/// Which key an error is about; `key` if it is about the credentials.
const fn at_fault(error: &CredentialError, key: &'static str) -> &'static str {
    match error {
        CredentialError::BadCa | CredentialError::NoSystemRoots(_) => "ca_file",
        CredentialError::BadText(what) => what,
        CredentialError::BadSubject => "vapid_subject",
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::check;
    use crate::config::Complaint;
    use crate::domain::ids::AppName;

    #[test]
    fn an_endpoint_that_is_none_is_said_in_words_that_help() {
        let app = AppConfig {
            app: crate::domain::app::App {
                name: AppName::new("ios"),
                provider: crate::domain::app::Provider::Apns,
                aliases: Vec::new(),
                default: false,
                style: crate::domain::app::Style::Generic,
                token_nodes: false,
                allow_hosts: Vec::new(),
                fingerprint: 1,
            },
            look: crate::domain::look::Look::PLAIN,
            vendor: Vendor::Apns {
                sandbox: false,
                endpoint: Some("https://127.0.0.1:8443/3/device".to_owned()),
                ca: None,
                topic: "org.example.chat".to_owned(),
                auth: ApnsAuth::Certificate { bytes: Vec::new(), password: String::new() },
            },
        };
        let complaints = check(vec![app], "", &Clock::system()).err().unwrap_or_default();
        let complaints: Vec<String> = complaints.iter().map(Complaint::to_string).collect();
        let expected =
            "apps.ios.endpoint: must not have a path, a query, or a user; write https://HOST or https://HOST:PORT";
        assert_eq!(complaints, [expected]);
    }
}
