//! Publishes, made beforehand: one text, into which each puts its node, secret and id.

use bytes::{BufMut as _, BytesMut};

use crate::Fallible;
use crate::host::{COMPONENT, DOMAIN};
use crate::provider::hex8;

/// Who is published to.
pub(crate) struct Publishes {
    /// The text: what is before, between and behind the three.
    parts: [Vec<u8>; 4],
    node: usize,
    /// Nodes and secrets, one after another: all of them are of the same length.
    devices: Vec<u8>,
    each: usize,
    /// The number of the first one's account.
    pub(crate) first: usize,
}

impl Publishes {
    pub(crate) fn new<'a>(devices: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, first: usize) -> Fallible<Self> {
        let mut packed = Vec::new();
        let mut lengths = None;
        for (node, secret) in devices {
            let these = (node.len(), secret.len());
            if *lengths.get_or_insert(these) != these {
                return Err("nodes or secrets are not of one length".into());
            }
            packed.extend_from_slice(node);
            packed.extend_from_slice(secret);
        }
        let (node, secret) = lengths.ok_or("there are no devices")?;
        Ok(Self { parts: parts(), node, devices: packed, each: node + secret, first })
    }

    /// Of devices that nobody knows: for what answers to everything.
    pub(crate) fn of_nobody(number: usize) -> Fallible<Self> {
        let nodes: Vec<String> = (0..number).map(|number| format!("{number:016x}")).collect();
        Self::new(nodes.iter().map(|node| (node.as_bytes(), b"mQ7xV2sT9uKfBzR4pLwEhCjN".as_slice())), 0)
    }

    /// Of the devices of [`known`].
    pub(crate) fn of_known(number: usize) -> Fallible<Self> {
        let mut packed = Vec::new();
        let mut node = 0;
        for number in 0..number {
            let (name, secret) = known(number);
            node = name.len();
            packed.extend_from_slice(name.as_bytes());
            packed.extend_from_slice(secret.as_bytes());
        }
        let each = packed.len().checked_div(number).ok_or("there are no devices")?;
        Ok(Self { parts: parts(), node, devices: packed, each, first: 0 })
    }

    pub(crate) fn number(&self) -> usize {
        self.devices.len() / self.each
    }

    /// The node and secret of one.
    pub(crate) fn device(&self, number: usize) -> (&[u8], &[u8]) {
        let device = self.devices.get(number * self.each..).and_then(|devices| devices.get(..self.each));
        device.and_then(|device| device.split_at_checked(self.node)).unwrap_or_default()
    }

    /// Appends the publish to one after another.
    pub(crate) fn write(&self, out: &mut BytesMut, turn: usize, id: Id) {
        let [a, b, c, d] = &self.parts;
        let (node, secret) = self.device(turn % self.number());
        out.extend_from_slice(a);
        id.write(out);
        out.extend_from_slice(b);
        out.extend_from_slice(node);
        out.extend_from_slice(c);
        out.extend_from_slice(secret);
        out.extend_from_slice(d);
    }
}

/// Node and secret of a device that is put into the store before pushkeeper starts. Nodes come in no order.
pub(crate) fn known(number: usize) -> (String, String) {
    let node = format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let secret = format!("secret-s{node}");
    (node, secret)
}

/// As long as Prosody's ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id {
    pub(crate) run: u32,
    pub(crate) index: u32,
}

impl Id {
    const LENGTH: usize = 64;

    pub(crate) fn write(self, out: &mut BytesMut) {
        hex8(out, self.run);
        out.put_u8(b'-');
        out.put_bytes(b'0', Self::LENGTH - 17);
        hex8(out, self.index);
    }

    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let (run, index) = (text.first_chunk::<8>()?, text.last_chunk::<8>()?);
        (text.len() == Self::LENGTH).then_some(())?;
        Some(Self { run: number(run)?, index: number(index)? })
    }
}

fn number(digits: &[u8; 8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}

/// As Prosody 0.12's mod_cloud_notify writes it, but for names.
fn parts() -> [Vec<u8>; 4] {
    let text = format!(
        "<iq type='set' to='{COMPONENT}' from='{DOMAIN}' id='|'>\
         <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='|'><item>\
         <notification xmlns='urn:xmpp:push:0'><x type='form' xmlns='jabber:x:data'>\
         <field type='hidden' var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>\
         <field type='text-single' var='message-count'><value>1</value></field>\
         <field type='text-single' var='pending-subscription-count'/>\
         <field type='jid-single' var='last-message-sender'/>\
         <field type='text-single' var='last-message-body'><value>New Message!</value></field></x></notification>\
         </item></publish><publish-options><x type='submit' xmlns='jabber:x:data'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='secret'><value>|</value></field></x></publish-options></pubsub></iq>"
    );
    let mut parts = text.split('|').map(|part| part.as_bytes().to_vec());
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
