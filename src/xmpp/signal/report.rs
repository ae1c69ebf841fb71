//! What a bridge says of a session (docs/signals.md §2, the table of attributes).

use std::sync::Arc;

use crate::xmpp::xml::Element;

use super::words::{Malformed, is_part, is_true, is_word, number, seconds};
use crate::domain::session::{Report, Sid, Standing};

/// Reads the session attributes of an element. `standing` is how the session stands if the bridge does not say.
///
/// # Errors
///
/// What names the session is missing, or something that is there cannot be read.
pub fn read(element: Element<'_>, standing: Standing) -> Result<Report, Malformed> {
    let said = Said::by(element);
    let sid = said.sid.filter(|sid| is_word(sid)).ok_or(Malformed("a session without a readable sid"))?;
    let resource =
        said.resource.filter(|text| is_part(text)).ok_or(Malformed("a session without a readable resource"))?;
    let state = match said.state {
        None => standing,
        Some("plain") => Standing::Plain,
        Some("active") => Standing::Active,
        Some("unresponsive") => Standing::Unresponsive,
        Some("hibernated") => Standing::Hibernated,
        Some(_) => return Err(Malformed("a state that is none")),
    };
    if said.since.is_some_and(|since| !is_word(since)) {
        return Err(Malformed("an unreadable since"));
    }
    Ok(Report {
        sid: Sid::new(sid),
        resource: resource.into(),
        // Some hosts let the client choose it: a strange one is none, and no fault of the bridge.
        client_id: said.client_id.filter(|id| is_word(id)).map(Arc::from),
        state,
        since: said.since.unwrap_or_default().into(),
        timeout: said.timeout.map(seconds).transpose()?,
        left: said.left.map(seconds).transpose()?,
        h_in: said.h_in.map(number).transpose()?,
        h_out: said.h_out.map(number).transpose()?,
        unacked: said.unacked.map(number).transpose()?,
        queued: said.queued.map(number).transpose()?,
        resumable: said.resumable.map_or(state == Standing::Hibernated, is_true),
        inactive: said.csi == Some("inactive"),
    })
}

/// The attributes as they are written, from one look at all of them.
#[derive(Default)]
struct Said<'a> {
    sid: Option<&'a str>,
    resource: Option<&'a str>,
    client_id: Option<&'a str>,
    state: Option<&'a str>,
    since: Option<&'a str>,
    timeout: Option<&'a str>,
    left: Option<&'a str>,
    h_in: Option<&'a str>,
    h_out: Option<&'a str>,
    unacked: Option<&'a str>,
    queued: Option<&'a str>,
    resumable: Option<&'a str>,
    csi: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn by(element: Element<'a>) -> Self {
        let mut said = Self::default();
        for attribute in element.attributes().filter(|attribute| attribute.namespace.is_none()) {
            let place = match attribute.name {
                "sid" => &mut said.sid,
                "resource" => &mut said.resource,
                "client-id" => &mut said.client_id,
                "state" => &mut said.state,
                "since" => &mut said.since,
                "timeout" => &mut said.timeout,
                "left" => &mut said.left,
                "h-in" => &mut said.h_in,
                "h-out" => &mut said.h_out,
                "unacked" => &mut said.unacked,
                "queued" => &mut said.queued,
                "resumable" => &mut said.resumable,
                "csi" => &mut said.csi,
                _ => continue,
            };
            *place = Some(attribute.value);
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(attributes: &str) -> Result<Report, Malformed> {
        let text = format!("<hibernate {attributes}/>");
        let document = crate::xmpp::xml::Document::parse(&text).unwrap();
        read(document.root_element(), Standing::Plain)
    }

    fn least() -> Report {
        Report {
            sid: Sid::new("avZCB7iX"),
            resource: "phone".into(),
            client_id: None,
            state: Standing::Plain,
            since: "".into(),
            timeout: None,
            left: None,
            h_in: None,
            h_out: None,
            unacked: None,
            queued: None,
            resumable: false,
            inactive: false,
        }
    }

    #[test]
    fn all_that_is_known_of_a_session() {
        let all = "sid='avZCB7iX' user='alice' resource='phone \u{1f600}' client-id='c-1' state='hibernated' \
                   since='2026-11-22T02:49:40.120Z' timeout='600' left='598.7' h-in='12' h-out='4294967295' unacked='7' \
                   queued='5' resumable='false' csi='inactive' shoe-size='43'";
        let expected = Report {
            resource: "phone \u{1f600}".into(),
            client_id: Some("c-1".into()),
            state: Standing::Hibernated,
            since: "2026-11-22T02:49:40.120Z".into(),
            timeout: Some(600),
            left: Some(598),
            h_in: Some(12),
            h_out: Some(u32::MAX),
            unacked: Some(7),
            queued: Some(5),
            resumable: false,
            inactive: true,
            ..least()
        };
        assert_eq!(report(all), Ok(expected));
    }

    #[test]
    fn what_is_not_known_is_none() {
        assert_eq!(report("sid='avZCB7iX' resource='phone'"), Ok(least()));
        let named = "sid='avZCB7iX' resource='phone'";
        let rows = [
            ("state='plain'", least()),
            ("state='active' resumable='true'", Report { state: Standing::Active, resumable: true, ..least() }),
            ("state='active'", Report { state: Standing::Active, ..least() }),
            ("state='unresponsive'", Report { state: Standing::Unresponsive, ..least() }),
            ("state='hibernated'", Report { state: Standing::Hibernated, resumable: true, ..least() }),
            ("csi='active'", least()),
            ("client-id=''", least()),
            ("client-id='a&#10;b'", least()),
        ];
        for (attributes, expected) in rows {
            assert_eq!(report(&format!("{named} {attributes}")), Ok(expected), "{attributes}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let rows = [
            ("resource='r'", "a session without a readable sid"),
            ("sid='' resource='r'", "a session without a readable sid"),
            ("sid='s'", "a session without a readable resource"),
            ("sid='s' resource=''", "a session without a readable resource"),
            ("sid='s' resource='r' state='asleep'", "a state that is none"),
            ("sid='s' resource='r' since=''", "an unreadable since"),
            ("sid='s' resource='r' h-out='many'", "a count that is none"),
            ("sid='s' resource='r' timeout='long'", "a time that is none"),
        ];
        for (attributes, why) in rows {
            assert_eq!(report(attributes), Err(Malformed(why)), "{attributes}");
        }
    }
}
