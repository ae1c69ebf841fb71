//! What the stand-in can be told to do with a push.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;

/// What a request meets.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// This answer instead of what the rules say.
    Answer(Answer),
    /// The same, that much later.
    Late(Duration, Answer),
    /// No answer at all.
    Never,
    /// RST_STREAM.
    Reset(Reason),
    /// The push is taken, and then the TCP connection ends without an answer.
    Cut,
    /// The push is taken and answered, and GOAWAY sent: what comes after it on this connection is not processed.
    GoAway,
    /// The push is taken, and then the TCP connection falls silent without an end: nothing is read or written.
    Freeze,
    /// The push is judged as ever, and then the access token no longer counts.
    Revoke,
}

/// A status with what belongs to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) location: Option<String>,
    /// The `Date` header.
    pub(crate) date: Option<String>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn ok() -> Self {
        Self::status(200)
    }

    /// Without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// As APNs says it.
    pub(crate) fn apns(status: u16, reason: &str) -> Self {
        Self { body: format!(r#"{{"reason":"{reason}"}}"#).into(), ..Self::status(status) }
    }

    /// A dead token as APNs says it, since this time in milliseconds.
    pub(crate) fn gone(since: i64) -> Self {
        let body = format!(r#"{{"reason":"Unregistered","timestamp":{since}}}"#);
        Self { body: body.into(), ..Self::status(410) }
    }

    /// As FCM says it: the `google.rpc.Code`, and the FcmError's code if there is one.
    pub(crate) fn fcm(status: u16, code: &str, fcm: Option<&str>) -> Self {
        let detail = fcm.map_or_else(String::new, |fcm| {
            format!(r#"{{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"{fcm}"}}"#)
        });
        let body =
            format!(r#"{{"error":{{"code":{status},"message":"stand-in","status":"{code}","details":[{detail}]}}}}"#);
        Self { body: body.into(), ..Self::status(status) }
    }

    /// As a token endpoint says it (RFC 6749 §5.2).
    pub(crate) fn oauth(status: u16, error: &str) -> Self {
        let body = format!(r#"{{"error":"{error}","error_description":"stand-in"}}"#);
        Self { body: body.into(), ..Self::status(status) }
    }

    /// A redirect.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self { location: Some(location.to_owned()), ..Self::status(status) }
    }

    pub(crate) fn retry_after(self, text: &str) -> Self {
        Self { retry_after: Some(text.to_owned()), ..self }
    }
}
