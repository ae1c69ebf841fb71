//! The man page: what the command line says of itself, and what else an operator looks up there.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// Writes pushkeeper(1). Nothing is left to be said.
///
/// # Errors
/// The writer's.
pub(crate) fn write(command: Command, to: &mut impl Write) -> io::Result<String> {
    let command = command.disable_help_subcommand(true);
    let man =
        Man::new(command.clone()).manual("pushkeeper").source(format!("pushkeeper {}", env!("CARGO_PKG_VERSION")));
    man.render_title(to)?;
    man.render_name_section(to)?;
    man.render_synopsis_section(to)?;
    man.render_description_section(to)?;
    commands(&command).to_writer(to)?;
    man.render_options_section(to)?;
    for (title, rows) in SECTIONS {
        section(title, rows).to_writer(to)?;
    }
    Ok(String::new())
}

/// A section: its title, and its terms with what they mean.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: [Section; 5] = [
    (
        "SIGNALS",
        &[
            ("SIGTERM, SIGINT", "Stop: read nothing more, answer those who wait, write a snapshot of the store, end."),
            ("SIGHUP", "Read the configuration anew, without dropping the link."),
            ("SIGUSR1", "Write a snapshot of the store now."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Fine."),
            ("1", "It failed, or the host refused the secret; the last line of the log says why."),
            ("2", "The configuration or the command line must be mended; each complaint names its key."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("PUSHKEEPER_CONFIG", "The configuration's file, as --config."),
            (
                "PUSHKEEPER_SECTION__KEY",
                "Any value of the configuration, over what the file says, as in PUSHKEEPER_COMPONENT__SECRET_FILE or \
                 PUSHKEEPER_APPS__CHAT_IOS__TOPIC; not in sections that there can be many of ([[hosts]]).",
            ),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "Set by the service manager, which is told when all is ready, how the link is, and that the process \
                 is not stuck; see sd_notify(3).",
            ),
            (
                "JOURNAL_STREAM",
                "Set by the service manager: lines of the log then begin with their priority, and text has no time.",
            ),
        ],
    ),
    (
        "FILES",
        &[
            ("/etc/pushkeeper/config.toml", "The configuration. It may hold secrets: mode 0640, group pushkeeper."),
            (
                "/usr/share/doc/pushkeeper/config.example.toml",
                "Every key of the configuration with its meaning and its default.",
            ),
            ("/var/lib/pushkeeper", "The store: devices, registrations, and what is owed to them; snapshots of it."),
            ("/usr/share/pushkeeper/bridge", "The modules for Prosody and ejabberd."),
        ],
    ),
    (
        "EXAMPLES",
        &[
            (
                "pushkeeper check",
                "Say what is wrong with /etc/pushkeeper/config.toml, and which hosts and apps it serves.",
            ),
            ("journalctl -u pushkeeper -p warning", "What needs an operator."),
        ],
    ),
];

/// The commands, each with its arguments. Those for machines are left out.
fn commands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let mut usage: Vec<Inline> = vec![bold(command.get_name())];
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let (left, right) = if argument.is_required_set() { (" ", "") } else { (" [", "]") };
            let name = match argument.get_long() {
                Some("help" | "config" | "version") => continue,
                Some(long) => bold(format!("--{long}")),
                None => italic(argument.get_id().as_str().to_uppercase()),
            };
            usage.extend([roman(left), name, roman(right)]);
        }
        roff.control("TP", []).text(usage);
        roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string);
            let name = match (argument.get_long(), help.is_some()) {
                (Some("help" | "config" | "version"), _) | (_, false) => continue,
                (Some(long), _) => bold(format!("--{long}")),
                (None, _) => italic(argument.get_id().as_str().to_uppercase()),
            };
            roff.control("RS", []).control("TP", []).text([name]);
            roff.text([roman(help.unwrap_or_default())]);
            roff.control("RE", []);
        }
    }
    roff
}

fn section(title: &str, rows: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, meaning) in rows {
        roff.control("TP", []).text([bold(*term)]);
        roff.text([roman(*meaning)]);
    }
    roff
}
