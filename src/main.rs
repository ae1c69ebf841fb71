//! The command line.

#[path = "main/manual.rs"]
mod manual;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use pushkeeper::admin::doctor::{Finding, Verdict, exit_code, store_folder, unreadable};
use pushkeeper::admin::import::Kind;
use pushkeeper::app::service_manager::Service;
use pushkeeper::app::takeover::{self, Takeover};
use pushkeeper::app::transfer::{self, TransferError};
use pushkeeper::app::{self, Failure, Listeners, Reloads, Stage, health, logging};
use pushkeeper::clock::Clock;
use pushkeeper::config::{self, Complaint, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

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
    /// Look at everything that must be right for a phone to be woken, over the network too: files, store, the server's
    /// port, bridges, vendors, clock; say of each that it is, or what to do. Wakes no phone, changes nothing, and leaves
    /// a running pushkeeper alone. Ends with 0 if nothing is wrong, 1 if something is, 2 if it is the configuration
    Doctor {
        /// Print one JSON object a line: what, verdict (fine, advice, wrong), said, mend
        #[arg(long)]
        json: bool,
    },
    /// Write what is registered, as JSON lines; while pushkeeper runs, its newest snapshot (SIGUSR1 has it make one)
    Export {
        /// Where to, readable by its owner only; without it, to the standard output
        file: Option<PathBuf>,
    },
    /// Fill an empty store with what was exported, or with what another program keeps (docs/migrating.md); all or nothing
    Import {
        /// What was exported, or a snapshot; with --from, one or more files of that program
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<PathBuf>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Whose files they are, if not our own
        #[arg(long, value_name = "KIND")]
        from: Option<Kind>,
        /// Of which domain the accounts are, where the files do not say; where they do, take only those
        #[arg(long, requires = "from")]
        domain: Option<String>,
        /// Which app the devices are of; else the one that their client would mean
        #[arg(long, value_name = "NAME", requires = "from")]
        app: Option<String>,
        /// Add to a store that is not empty; what it has stays, unless it is older
        #[arg(long, requires = "from")]
        merge: bool,
    },
    /// Ask the one that runs whether it is ready; for health checks
    #[command(hide = true)]
    Health {
        /// Its `[http] listen`
        #[arg(default_value = "127.0.0.1:9180")]
        address: SocketAddr,
    },
    /// Write a shell's completions
    #[command(hide = true)]
    Completions {
        /// Of which shell
        shell: Shell,
    },
    /// Write the man page
    #[command(hide = true)]
    Manual,
}

/// Something failed.
const FAILED: u8 = 1;
/// The configuration must be mended.
const CONFIGURATION: u8 = 2;

/// A write went over the file size limit (signal(7), Linux).
const SIGXFSZ: i32 = 25;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // These need no configuration.
    match arguments.command {
        Some(Command::Health { address }) => return done(health::ask(address)),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Arguments::command(), "pushkeeper", &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
        Some(Command::Manual) => return done(manual::write(Arguments::command(), &mut std::io::stdout())),
        _ => {}
    }
    let found = config::find(arguments.config.as_deref());
    let read = found.and_then(|path| config::load(Some(&path), std::env::vars_os()).map(|read| (path, read)));
    let (path, (config, warnings)) = match read {
        Ok(read) => read,
        Err(errors) => {
            return match arguments.command {
                Some(Command::Doctor { json }) => report(&unreadable(&errors), json),
                _ => complain(&errors),
            };
        }
    };
    match arguments.command {
        Some(Command::Doctor { json }) => doctor(config, warnings, json),
        Some(Command::Check) => check(config, &warnings),
        Some(Command::Run) | None => run(config, &warnings, path),
        Some(Command::Export { file }) => done(transfer::export(&config.store, file.as_deref(), &Clock::system())),
        Some(Command::Health { .. } | Command::Completions { .. } | Command::Manual) => ExitCode::SUCCESS,
        Some(Command::Import { sources, dry_run, from: Some(kind), domain, app, merge }) => {
            let takeover = Takeover { kind, sources, domain, app, dry_run, merge };
            done(takeover::take_over(&config, &takeover, &Clock::system()))
        }
        Some(Command::Import { sources, dry_run, from: None, .. }) => match sources.as_slice() {
            [file] => done(transfer::import(&config, file, dry_run)),
            _ => done(Err(TransferError::OneFile)),
        },
    }
}

/// Says what was done to the one who asked; not on the standard output, where the export may go.
fn done<E: std::fmt::Display>(done: Result<String, E>) -> ExitCode {
    match done {
        Ok(text) => {
            if !text.is_empty() {
                eprintln!("{text}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn doctor(config: Config, warnings: Vec<Complaint>, json: bool) -> ExitCode {
    let runtime = match app::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the system gives us no threads: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let findings = runtime.block_on(app::doctor(config, warnings, &Clock::system()));
    // Names that are still being looked up are not worth waiting for.
    runtime.shutdown_background();
    report(&findings, json)
}

fn report(findings: &[Finding], json: bool) -> ExitCode {
    let mut out = std::io::stdout().lock();
    for finding in findings {
        let written = if json { writeln!(out, "{}", finding.json()) } else { writeln!(out, "{finding}") };
        // Whoever has read enough (head, grep -q) closes the pipe; the exit code is told all the same.
        if written.is_err() {
            break;
        }
    }
    ExitCode::from(exit_code(findings))
}

#[expect(clippy::print_stdout, reason = "the answer to the person who asked")]
fn check(config: Config, warnings: &[Complaint]) -> ExitCode {
    for warning in warnings {
        println!("warning: {warning}");
    }
    for finding in store_folder(&config.store.path) {
        if finding.verdict != Verdict::Fine {
            println!("warning: store.path: {}: {}", finding.said, finding.mend);
        }
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
    let log = logging::start(&config.log, std::env::vars_os());
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
    let manager = Service::from_env(std::env::vars_os(), std::process::id());
    let running = async {
        let (stop, snapshots) = (asked_to_stop()?, asked(SignalKind::user_defined1())?);
        let read = Arc::new(move || config::load(Some(&path), std::env::vars_os()));
        let told = manager.clone();
        let stage = Box::new(move |stage: Stage<'_>| match stage {
            Stage::Begins => told.reloading(),
            Stage::Ends { .. } => told.ready(),
        });
        let reloads = Reloads { read, asked: asked(SignalKind::hangup())?, log, stage };
        let listeners = Listeners::bind(&config.http)?;
        app::run_under(config, listeners, Clock::system(), stop, snapshots, reloads, manager).await
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

/// All complaints, for the eyes of the one who starts us.
fn complain(errors: &[Complaint]) -> ExitCode {
    // An error for the journal, too; there is no log yet that would say so.
    let priority = if logging::is_journal(std::env::vars_os()) { "<3>" } else { "" };
    for error in errors {
        eprintln!("{priority}error: {error}");
    }
    ExitCode::from(CONFIGURATION)
}
