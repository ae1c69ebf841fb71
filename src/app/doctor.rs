//! `pushkeeper doctor`: the configuration as the doctor wants it.

use crate::admin::doctor::{self, Finding, Patient};
use crate::clock::Clock;
use crate::config::{Complaint, Config};

/// Looks at everything that must be right for a phone to be woken. `warnings` are those of reading the configuration.
pub async fn doctor(config: Config, warnings: Vec<Complaint>, clock: &Clock) -> Vec<Finding> {
    let http = super::check_http(&config.http).err().unwrap_or_default();
    let public = config.http.public.as_ref().and_then(|public| public.tls.as_ref());
    let public_certificate = public.and_then(|tls| crate::http::expires(&tls.certificate));
    let served = config.policy.served();
    let (apps, complaints) = super::usable(config.apps, &config.policy.rules.redaction.important_body, clock);
    let patient = Patient {
        warnings,
        complaints: complaints.into_iter().chain(http).collect(),
        served,
        files: config.files,
        jid: config.component.jid,
        connect: config.component.connect,
        secret: config.component.secret,
        hosts: config.policy.hosts,
        store: config.store.path,
        engine: super::engine(config.store.engine),
        apps,
        public_certificate,
        ready: config.http.listen,
    };
    doctor::examine(patient, clock).await
}
