//! What can be wrong with what comes: with one stanza, or with the whole stream.

use super::head::Head;

/// What is known of a stanza that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Its start tag, as far as it could be read.
    pub head: Option<Head>,
    /// Which limit it broke.
    pub why: Excess,
}

/// A limit on stanzas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// [`MAX_DEPTH`](super::frame::MAX_DEPTH).
    Depth,
    /// [`MAX_STANZA`](super::frame::MAX_STANZA), or more elements than `read` takes.
    Size,
    /// [`MAX_ATTRIBUTES`](super::frame::MAX_ATTRIBUTES), or more namespace prefixes than `read` takes.
    Attributes,
}

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What came is not XML.
    #[error("what came is not well-formed XML")]
    NotWellFormed,
    /// A comment, a processing instruction, a DOCTYPE (RFC 6120 §11.1).
    #[error("XML that XMPP does not allow came: a comment, a processing instruction or a DOCTYPE")]
    Restricted,
    /// Not UTF-8 (RFC 6120 §11.6).
    #[error("what came is not UTF-8")]
    BadEncoding,
    /// XML, but not an XMPP stream.
    #[error("what came is XML but not an XMPP stream")]
    BadFormat,
    /// The stream's namespace is wrong.
    #[error("the stream has a wrong namespace; is this the host's component port?")]
    InvalidNamespace,
}

impl Fault {
    /// The stream error that says so (RFC 6120 §4.9.3).
    #[must_use]
    pub const fn condition(self) -> &'static str {
        match self {
            Self::NotWellFormed => "not-well-formed",
            Self::Restricted => "restricted-xml",
            Self::BadEncoding => "unsupported-encoding",
            Self::BadFormat => "bad-format",
            Self::InvalidNamespace => "invalid-namespace",
        }
    }
}
