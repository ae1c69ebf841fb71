//! What a bridge says of a session (docs/signals.md §2, the table of attributes).

use std::sync::Arc;

use crate::xmpp::xml::Element;

use super::words::{Malformed, count, flag, part, seconds, word};
use crate::domain::session::{Report, Sid, Standing};

/// Reads the session attributes of an element. `standing` is how the session stands if the bridge does not say.
///
/// # Errors
///
/// What names the session is missing, or something that is there cannot be read.
pub fn read(element: Element<'_>, standing: Standing) -> Result<Report, Malformed> {
    let sid = word(element, "sid").ok_or(Malformed("a session without a readable sid"))?;
    let resource = part(element, "resource").ok_or(Malformed("a session without a readable resource"))?;
    let state = match element.attribute("state") {
        None => standing,
        Some("plain") => Standing::Plain,
        Some("active") => Standing::Active,
        Some("unresponsive") => Standing::Unresponsive,
        Some("hibernated") => Standing::Hibernated,
        Some(_) => return Err(Malformed("a state that is none")),
    };
    let since = match element.attribute("since") {
        None => "",
        Some(_) => word(element, "since").ok_or(Malformed("an unreadable since"))?,
    };
    Ok(Report {
        sid: Sid::new(sid),
        resource: resource.into(),
        // Some hosts let the client choose it: a strange one is none, and no fault of the bridge.
        client_id: word(element, "client-id").map(Arc::from),
        state,
        since: since.into(),
        timeout: seconds(element, "timeout")?,
        left: seconds(element, "left")?,
        h_in: count(element, "h-in")?,
        h_out: count(element, "h-out")?,
        unacked: count(element, "unacked")?,
        queued: count(element, "queued")?,
        resumable: element.attribute("resumable").map_or(state == Standing::Hibernated, |_| flag(element, "resumable")),
        inactive: element.attribute("csi") == Some("inactive"),
    })
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
