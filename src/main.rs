//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use pushkeeper::app::transfer::{self, TransferError};
use pushkeeper::app::{self, Failure, Listeners, Reloads};
use pushkeeper::clock::Clock;
use pushkeeper::config::{self, Complaint, Config, Log, LogFormat};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

/// An XMPP component that wakes phones.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration; else /etc/pushkeeper/config.toml, else ./config.toml
    #[arg(long, global = true, value_name = "FILE", env = "PUSHKEEPER_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (what happens without a command)
    Run,
    /// Say what is wrong with the configuration and its credentials; needs no network
    Check,
    /// Write what is registered, as JSON lines; while pushkeeper runs, its newest snapshot (SIGUSR1 has it make one)
    Export {
        /// Where to, readable by its owner only; without it, to the standard output
        file: Option<PathBuf>,
    },
    /// Fill an empty store with what was exported, all or nothing
    Import {
        /// What was exported, or a snapshot
        file: PathBuf,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// Something failed.
const FAILED: u8 = 1;
/// The configuration must be mended.
const CONFIGURATION: u8 = 2;

/// A write went over the file size limit (signal(7), Linux).
const SIGXFSZ: i32 = 25;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let found = config::find(arguments.config.as_deref());
    let read = found.and_then(|path| config::load(Some(&path), std::env::vars_os()).map(|read| (path, read)));
    let (path, (config, warnings)) = match read {
        Ok(read) => read,
        Err(errors) => return complain(&errors),
    };
    match arguments.command {
        Some(Command::Check) => check(config, &warnings),
        Some(Command::Run) | None => run(config, &warnings, path),
        Some(Command::Export { file }) => done(transfer::export(&config.store, file.as_deref(), &Clock::system())),
        Some(Command::Import { file, dry_run }) => done(transfer::import(&config, &file, dry_run)),
    }
}

/// Says what was done to the one who asked; not on the standard output, where the export may go.
fn done(done: Result<String, TransferError>) -> ExitCode {
    match done {
        Ok(text) => {
            eprintln!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(FAILED)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer to the person who asked")]
fn check(config: Config, warnings: &[Complaint]) -> ExitCode {
    for warning in warnings {
        println!("warning: {warning}");
    }
    let http = app::check_http(&config.http);
    let apps = app::check(config.apps, &config.policy.rules.redaction.important_body, &Clock::system());
    let (gateways, mut errors) = match apps {
        Ok(gateways) => (gateways, Vec::new()),
        Err(errors) => (Vec::new(), errors),
    };
    errors.extend(http.err().unwrap_or_default());
    match errors.is_empty() {
        true => {
            println!("the configuration is fine; {}", config.policy.served());
            for (app, gateway) in &gateways {
                if let Some(ends) = gateway.expires() {
                    let days = (ends - Clock::system().wall()).as_secs() / (24 * 3600);
                    println!("[apps.{app}]: its certificate is good for {days} more days");
                }
                if let Some(key) = gateway.public_key() {
                    println!("[apps.{app}]: pages subscribe with the key {key}");
                }
            }
            ExitCode::SUCCESS
        }
        false => complain(&errors),
    }
}

fn run(config: Config, warnings: &[Complaint], path: PathBuf) -> ExitCode {
    let log = start_log(&config.log);
    for warning in warnings {
        warn!("{warning}");
    }
    let runtime = match app::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("the system gives us no threads: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let running = async {
        let (stop, snapshots) = (asked_to_stop()?, asked(SignalKind::user_defined1())?);
        let read = Arc::new(move || config::load(Some(&path), std::env::vars_os()));
        let reloads = Reloads { read, asked: asked(SignalKind::hangup())?, log, stage: Box::new(|_stage| {}) };
        let listeners = Listeners::bind(&config.http)?;
        app::run_reloading(config, listeners, Clock::system(), stop, snapshots, reloads).await
    };
    match runtime.block_on(running) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(errors)) => complain(&errors),
        Err(failure) => {
            error!("{failure}");
            ExitCode::from(FAILED)
        }
    }
}

/// Resolves when somebody wants us to stop: SIGTERM or SIGINT.
fn asked_to_stop() -> Result<impl Future<Output = ()>, std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A file size limit (ulimit -f) must be an error of a write, not the end of the process: listening is enough.
    let file_too_large = signal(SignalKind::from_raw(SIGXFSZ))?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        drop(file_too_large);
        info!("got {name}");
    })
}

/// Somebody wants something by a signal: a snapshot of the store (SIGUSR1), or the configuration to be read again
/// (SIGHUP). While that is done, one more is remembered.
fn asked(kind: SignalKind) -> Result<mpsc::Receiver<()>, std::io::Error> {
    let mut signals = signal(kind)?;
    let (ask, asked) = mpsc::channel(1);
    tokio::spawn(async move {
        while signals.recv().await.is_some() && !ask.is_closed() {
            // There is no room only if one is remembered already.
            let _ = ask.try_send(());
        }
    });
    Ok(asked)
}

/// Starts the log; returns what has another level hold.
fn start_log(log: &Log) -> Box<dyn Fn(&Log) + Send + Sync> {
    let (filter, handle) = reload::Layer::new(log.filter());
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => filtered.with(lines.with_ansi(false)).init(),
        LogFormat::Json => filtered.with(lines.json()).init(),
    }
    Box::new(move |log| {
        // It is gone only when the process ends.
        let _gone = handle.reload(log.filter());
    })
}

/// All complaints, for the eyes of the one who starts us.
fn complain(errors: &[Complaint]) -> ExitCode {
    for error in errors {
        eprintln!("error: {error}");
    }
    ExitCode::from(CONFIGURATION)
}
