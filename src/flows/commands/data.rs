//! What people ask by commands (XEP-0050), and what they are shown. Plain data: how it looks on the wire is the edge's
//! affair.

use std::sync::Arc;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// All registrations, filtered.
    ListRegistrations,
    /// All that is known of an account.
    ShowAccount,
    /// Removes registrations of an account.
    RemoveRegistration,
    /// Enables registrations that were disabled for errors.
    EnableRegistration,
    /// All devices, filtered.
    ListDevices,
    /// Removes devices of an account.
    RemoveDevice,
    /// All sessions, filtered.
    ListSessions,
    /// Pushes to a registration or a device, and shows each stage.
    SendTestPush,
    /// How all of it stands.
    Status,
    /// Reads the configuration again.
    Reload,
    /// The asker's own registrations and devices.
    MyDevices,
    /// Removes some of them.
    RemoveMyDevice,
    /// Pushes to one of them, and shows each stage.
    TestMyDevice,
}

impl Name {
    /// All of them, as they are listed.
    pub const ALL: [Self; 13] = [
        Self::Status,
        Self::ShowAccount,
        Self::ListRegistrations,
        Self::ListDevices,
        Self::ListSessions,
        Self::SendTestPush,
        Self::RemoveRegistration,
        Self::EnableRegistration,
        Self::RemoveDevice,
        Self::Reload,
        Self::MyDevices,
        Self::TestMyDevice,
        Self::RemoveMyDevice,
    ];

    /// The name in its node: `urn:pushkeeper:command:0#NAME`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ListRegistrations => "list-registrations",
            Self::ShowAccount => "show-account",
            Self::RemoveRegistration => "remove-registration",
            Self::EnableRegistration => "enable-registration",
            Self::ListDevices => "list-devices",
            Self::RemoveDevice => "remove-device",
            Self::ListSessions => "list-sessions",
            Self::SendTestPush => "send-test-push",
            Self::Status => "status",
            Self::Reload => "reload",
            Self::MyDevices => "my-devices",
            Self::RemoveMyDevice => "remove-my-device",
            Self::TestMyDevice => "test-my-device",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// What a client's menu says.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::ListRegistrations => "List registrations",
            Self::ShowAccount => "Show an account: why was it woken, or not?",
            Self::RemoveRegistration => "Remove registrations",
            Self::EnableRegistration => "Enable registrations again",
            Self::ListDevices => "List devices",
            Self::RemoveDevice => "Remove devices",
            Self::ListSessions => "List sessions",
            Self::SendTestPush => "Send a test push",
            Self::Status => "Status",
            Self::Reload => "Read the configuration again",
            Self::MyDevices => "My devices: why was my phone woken, or not?",
            Self::RemoveMyDevice => "Remove my devices",
            Self::TestMyDevice => "Send a test push to my device",
        }
    }

    /// Whether it is about the asker's own account, so that anybody may ask.
    #[must_use]
    pub const fn is_for_owners(self) -> bool {
        matches!(self, Self::MyDevices | Self::RemoveMyDevice | Self::TestMyDevice)
    }
}

/// What somebody wants of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which command.
    pub name: Name,
    /// The session that it goes on with; `None` begins one.
    pub session: Option<Box<str>>,
    /// What to do.
    pub action: Action,
    /// The form that was filled in, if one came.
    pub fields: Option<Answers>,
}

/// What to do with a command (XEP-0050 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What is done if nothing is said.
    Execute,
    /// To the next stage, or the next page.
    Next,
    /// Back by one.
    Prev,
    /// To the end.
    Complete,
    /// Nothing more.
    Cancel,
}

/// What was filled in: fields by name, and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(pub Vec<(Box<str>, Vec<Box<str>>)>);

impl Answers {
    /// The first value of a field that is not blank. Of fields with the same name the last one counts, for later stages
    /// follow earlier ones.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).map(str::trim).find(|value| !value.is_empty())
    }

    /// All values of a field.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let field = self.0.iter().rev().find(|(known, _)| **known == *name);
        field.into_iter().flat_map(|(_, values)| values.iter().map(|value| &**value))
    }

    /// Whether there is a field of that name, filled in or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| **known == *name)
    }
}

/// What somebody is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Of which command.
    pub name: Name,
    /// Its session.
    pub session: Arc<str>,
    /// How far it is.
    pub progress: Progress,
    /// Sentences beside the form.
    pub notes: Vec<(Tone, String)>,
    /// What is to be filled in, or what came of it.
    pub form: Option<Form>,
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something more can be done.
    Executing {
        /// One can go back.
        prev: bool,
        /// There is a next stage, or page.
        next: bool,
        /// What to do if nothing is said: the next stage, or else the end.
        default_next: bool,
    },
    /// It is over.
    Completed,
    /// The asker thought better of it.
    Canceled,
}

/// How a note is meant (XEP-0050 §3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// To be known.
    Info,
    /// Something to look at.
    Warn,
    /// It did not work.
    Error,
}

/// A form to be filled in, or a result (XEP-0004).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Whether it is a result.
    pub result: bool,
    /// What it is about.
    pub title: String,
    /// What to do with it.
    pub instructions: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// A table below them.
    pub table: Option<Table>,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What it takes.
    pub kind: FieldKind,
    /// What it holds.
    pub values: Vec<String>,
    /// Whether it must be filled in.
    pub required: bool,
}

/// What a field takes (XEP-0004 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A line.
    Text,
    /// Lines.
    Lines,
    /// A JID.
    Jid,
    /// One of these: label and value.
    One(Vec<(String, String)>),
    /// Some of these: label and value.
    Some(Vec<(String, String)>),
}

/// A table (XEP-0004 §3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its columns: name and heading.
    pub columns: Vec<(&'static str, &'static str)>,
    /// Its rows, a cell for each column.
    pub rows: Vec<Vec<String>>,
}

impl Field {
    /// A field that need not be filled in.
    #[must_use]
    pub const fn new(name: &'static str, label: &'static str, kind: FieldKind) -> Self {
        Self { name, label, kind, values: Vec::new(), required: false }
    }

    /// The same, which must be.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, which holds this.
    #[must_use]
    pub fn holding(self, value: impl Into<String>) -> Self {
        Self { values: vec![value.into()], ..self }
    }

    /// Lines to read.
    #[must_use]
    pub fn lines(name: &'static str, label: &'static str, values: Vec<String>) -> Self {
        Self { values, ..Self::new(name, label, FieldKind::Lines) }
    }
}
