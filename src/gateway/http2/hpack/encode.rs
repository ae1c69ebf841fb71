//! Writes requests' headers. Their names are few and known, and so are most of their values, so the tables never have to
//! forget anything: what does not fit any more is written out each time.

use super::{DYNAMIC, ENTRY, TABLE, put_integer};

/// The headers that requests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `:authority`
    Authority,
    /// `authorization`
    Authorization,
    /// `content-type`
    ContentType,
    /// `apns-topic`
    ApnsTopic,
    /// `apns-push-type`
    ApnsPushType,
    /// `apns-priority`
    ApnsPriority,
    /// `apns-expiration`
    ApnsExpiration,
    /// `apns-collapse-id`
    ApnsCollapseId,
    /// `apns-id`
    ApnsId,
}

impl Name {
    const fn text(self) -> &'static str {
        match self {
            Self::Authority => ":authority",
            Self::Authorization => "authorization",
            Self::ContentType => "content-type",
            Self::ApnsTopic => "apns-topic",
            Self::ApnsPushType => "apns-push-type",
            Self::ApnsPriority => "apns-priority",
            Self::ApnsExpiration => "apns-expiration",
            Self::ApnsCollapseId => "apns-collapse-id",
            Self::ApnsId => "apns-id",
        }
    }

    /// Its number in the static table, if it has one (RFC 7541, Appendix A).
    const fn fixed(self) -> Option<usize> {
        match self {
            Self::Authority => Some(1),
            Self::Authorization => Some(23),
            Self::ContentType => Some(31),
            _ => None,
        }
    }
}

/// A header of a request.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    name: Name,
    value: &'a [u8],
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Lasting,
    Passing,
    Secret,
}

impl<'a> Field<'a> {
    /// One whose value comes again: it is remembered, and written once.
    pub const fn lasting(name: Name, value: &'a [u8]) -> Self {
        Self { name, value, kind: Kind::Lasting }
    }

    /// One whose value does not come again: only its name is remembered, as Apple asks (Apple: "Sending notification
    /// requests to APNs").
    pub const fn passing(name: Name, value: &'a [u8]) -> Self {
        Self { name, value, kind: Kind::Passing }
    }

    /// One that nobody on the way may remember (RFC 7541 §7.1.3).
    pub const fn secret(name: Name, value: &'a [u8]) -> Self {
        Self { name, value, kind: Kind::Secret }
    }
}

/// One direction of a connection.
#[derive(Default)]
pub(in crate::gateway::http2) struct Encoder {
    /// The dynamic table, oldest first.
    table: Vec<(Name, Box<[u8]>)>,
    /// What it takes, bytes.
    size: usize,
    /// What it may take less than [`TABLE`], bytes.
    less: usize,
    /// Whether that has changed since the last block.
    changed: bool,
}

impl Encoder {
    /// What the other side allows the table to take.
    pub(in crate::gateway::http2) fn allow(&mut self, most: usize) {
        let less = TABLE.saturating_sub(most);
        if less != self.less {
            self.less = less;
            self.changed = true;
            self.table.clear();
            self.size = 0;
        }
    }

    /// Appends the block of a POST.
    pub(in crate::gateway::http2) fn post(
        &mut self,
        authority: &[u8],
        path: [&[u8]; 2],
        fields: &[Option<Field<'_>>],
        out: &mut Vec<u8>,
    ) {
        if std::mem::take(&mut self.changed) {
            // Nothing is kept, whatever was allowed meanwhile (RFC 7541 §4.2).
            put_integer(out, 0x20, 5, 0);
            put_integer(out, 0x20, 5, TABLE - self.less);
        }
        // `:method: POST` and `:scheme: https`.
        out.extend_from_slice(&[0x83, 0x87]);
        self.field(&Field::lasting(Name::Authority, authority), out);
        let [before, after] = path;
        put_integer(out, 0, 4, 4);
        put_integer(out, 0, 7, before.len() + after.len());
        out.extend_from_slice(before);
        out.extend_from_slice(after);
        for field in fields.iter().flatten() {
            self.field(field, out);
        }
    }

    fn field(&mut self, field: &Field<'_>, out: &mut Vec<u8>) {
        let (whole, name) = self.find(field);
        if let (Some(index), Kind::Lasting) = (whole, field.kind) {
            return put_integer(out, 0x80, 7, index);
        }
        let takes = field.name.text().len() + field.value.len() + ENTRY;
        let remember = match field.kind {
            Kind::Lasting => true,
            Kind::Passing => name.is_none(),
            Kind::Secret => false,
        };
        let remember = remember && self.size + takes <= TABLE - self.less;
        let (high, bits) = match field.kind {
            _ if remember => (0x40, 6),
            Kind::Secret => (0x10, 4),
            _ => (0, 4),
        };
        put_integer(out, high, bits, name.unwrap_or_default());
        if name.is_none() {
            put_text(out, field.name.text().as_bytes());
        }
        put_text(out, field.value);
        if remember {
            self.table.push((field.name, field.value.into()));
            self.size += takes;
        }
    }

    /// The numbers of the field, and of its name.
    fn find(&self, field: &Field<'_>) -> (Option<usize>, Option<usize>) {
        let mut named = field.name.fixed();
        // The newest has the lowest number.
        for (index, (name, value)) in (DYNAMIC..).zip(self.table.iter().rev()) {
            if *name != field.name {
                continue;
            }
            named = named.or(Some(index));
            if matches!(field.kind, Kind::Lasting) && **value == *field.value {
                return (Some(index), named);
            }
        }
        (None, named)
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;

    fn post(encoder: &mut Encoder, token: &str, fields: &[Option<Field<'_>>]) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.post(b"vendor", [b"/3/device/", token.as_bytes()], fields, &mut out);
        out
    }

    fn read(decoder: &mut Decoder, bytes: &[u8]) -> Vec<String> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder.block(bytes, |name, value| fields.push(format!("{}: {}", text(name), text(value)))).unwrap();
        fields
    }

    const HEAD: [&str; 4] = [":method: POST", ":scheme: https", ":authority: vendor", ":path: /3/device/t1"];

    #[test]
    fn what_comes_again_is_written_once_and_what_does_not_is_not_remembered() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let fields = [
            Some(Field::secret(Name::Authorization, b"bearer x")),
            None,
            Some(Field::lasting(Name::ApnsTopic, b"topic")),
            Some(Field::passing(Name::ApnsId, b"id-1")),
        ];
        let first = post(&mut encoder, "t1", &fields);
        let second = post(&mut encoder, "t1", &fields);
        let expected = [&HEAD[..], &["authorization: bearer x", "apns-topic: topic", "apns-id: id-1"]].concat();
        assert_eq!(read(&mut decoder, &first), expected);
        assert_eq!(read(&mut decoder, &second), expected);
        // Authority and topic are a byte each, the id's name is one, its text is whole; so is the secret, which is marked.
        assert_eq!(second.len(), 2 + 1 + (2 + 12) + (2 + 1 + 8) + 1 + (2 + 1 + 4));
        assert_eq!(second[17..20], [0x1f, 8, 8]);
        let names: Vec<Name> = encoder.table.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [Name::Authority, Name::ApnsTopic, Name::ApnsId]);
    }

    #[test]
    fn a_full_table_takes_nothing_more_and_all_is_still_read() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let topics: Vec<String> = (0..40).map(|number| format!("{number:0>200}")).collect();
        for topic in topics.iter().chain(&topics) {
            let bytes = post(&mut encoder, "t1", &[Some(Field::lasting(Name::ApnsTopic, topic.as_bytes()))]);
            assert_eq!(read(&mut decoder, &bytes)[4], format!("apns-topic: {topic}"));
        }
        assert_eq!(encoder.table.len(), 17);
    }

    #[test]
    fn a_smaller_table_is_begun_anew() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let fields = [Some(Field::lasting(Name::ApnsTopic, b"topic"))];
        let expected = [&HEAD[..], &["apns-topic: topic"]].concat();
        for most in [4096, 100, 0, 1 << 20, 4096] {
            encoder.allow(most);
            for _ in 0..2 {
                let bytes = post(&mut encoder, "t1", &fields);
                assert_eq!(read(&mut decoder, &bytes), expected, "{most}");
                assert!(encoder.size <= most);
            }
        }
    }
}
