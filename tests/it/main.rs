//! What needs no program but ours, and nghttpd, which speaks HTTP/2 as others do: one binary, linked once.

#![cfg(test)]

mod bridged;
mod check;
mod conversations;
mod dashboards;
mod doctor;
mod doctor_rig;
mod exposition;
mod gateway_apns;
mod gateway_deaf;
mod gateway_faults;
mod gateway_fcm;
mod gateway_log;
mod gateway_nghttpd;
mod gateway_pool;
mod gateway_rig;
mod gateway_webpush;
mod gateway_webpush_hostile;
mod hostile;
mod http;
mod http_bounds;
mod killing;
mod layers;
mod link_bridge;
mod link_life;
mod link_load;
mod log_is_clean;
mod metrics;
mod options;
mod packaging;
mod payloads;
mod promql;
mod reliability;
mod reload;
mod service_manager;
mod store;
mod takeover;
mod trouble;
mod whole;
mod whole_rig;

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/process.rs"]
mod process;
