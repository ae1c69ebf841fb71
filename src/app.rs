//! Puts the parts together, and takes them apart again in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::config::{ApnsAuth, AppConfig, Complaint, Config, Vendor};
use crate::domain::app::{Credentials, Provider, Style};
use crate::domain::ids::AppName;
use crate::domain::push::Push;
use crate::driver::{Deliver, Disk, DiskReport, Driver, Ended, Ports};
use crate::flows::data::Change;
use crate::flows::dice::Dice;
use crate::flows::state::State;
use crate::gateway::apns::{self, Apns};
use crate::gateway::fcm::{self, Fcm};
use crate::gateway::stub::Stub;
use crate::gateway::{AppGateway, CredentialError, Gateways, Limits};
use crate::store::{Committer, Store, StoreError};
use crate::xmpp::link::{self, LinkError};
use crate::xmpp::service::Service;
