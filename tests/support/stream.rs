//! One XMPP stream of a test, as it is on the wire: text out, elements in.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use minidom::Element;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An open stream.
pub(crate) struct Stream {
    tcp: TcpStream,
    namespace: &'static str,
    to: String,
    unread: Vec<u8>,
    /// The `id` of the peer's stream header.
    pub(crate) id: String,
}

impl Stream {
    /// Connects to a port of this machine and exchanges stream headers.
    pub(crate) async fn open(port: u16, namespace: &'static str, to: &str) -> Self {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("the server accepts");
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        let mut stream = Self { tcp, namespace, to: to.to_owned(), unread: Vec::new(), id: String::new() };
        stream.restart().await;
        stream
    }

    /// Begins the stream anew on the same connection, as after SASL.
    pub(crate) async fn restart(&mut self) {
        let Self { namespace, to, .. } = self;
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{to}' xmlns='{namespace}' \
             xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
        );
        self.send(&header).await;
        let header = loop {
            if let Some(header) = take_header(&mut self.unread) {
                break header;
            }
            assert!(self.read().await, "the server closes before its stream header");
        };
        let id = header.split_once(" id=").and_then(|(_, rest)| rest.split(['\'', '"']).nth(1));
        self.id = id.unwrap_or_default().to_owned();
    }

    /// Sends text as it is.
    pub(crate) async fn send(&mut self, text: &str) {
        self.tcp.write_all(text.as_bytes()).await.expect("the server reads");
    }

    /// The next element; `None` when the stream is over. Loses nothing when it is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Option<Element> {
        loop {
            if let Some((_, element)) = take_element(&mut self.unread, self.namespace) {
                return Some(element);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Ends the connection at once (RST), as a network that is gone: no good-bye, nothing flushed.
    pub(crate) fn cut(self) {
        socket2::SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }

    /// Ends the stream in order.
    pub(crate) async fn close(mut self) {
        self.send("</stream:stream>").await;
        while self.next().await.is_some() {}
    }

    /// Reads more; `false` at the end.
    async fn read(&mut self) -> bool {
        matches!(self.tcp.read_buf(&mut self.unread).await, Ok(1..)) && !self.unread.trim_ascii().starts_with(b"</")
    }
}

/// Takes the stream header from the front of what came, if it is whole.
pub(crate) fn take_header(unread: &mut Vec<u8>) -> Option<String> {
    let end = header_end(unread)?;
    Some(String::from_utf8(unread.drain(..end).collect()).expect("UTF-8"))
}

/// Takes the first element from the front of what came, if it is whole: as it came, and what it means in a stream of
/// this namespace.
pub(crate) fn take_element(unread: &mut Vec<u8>, namespace: &str) -> Option<(String, Element)> {
    let end = element_end(unread)?;
    let prefixes = BTreeMap::from([
        (None, namespace.to_owned()),
        (Some("stream".to_owned()), "http://etherx.jabber.org/streams".to_owned()),
    ]);
    let text = String::from_utf8(unread.drain(..end).collect()).expect("UTF-8");
    let element = Element::from_reader_with_prefixes(text.as_bytes(), prefixes);
    let element = element.unwrap_or_else(|error| panic!("{error}: {text}"));
    Some((text, element))
}

/// Where the stream header ends, if it is whole.
fn header_end(text: &[u8]) -> Option<usize> {
    let start = text.windows(8).position(|window| window == b"<stream:")?;
    Some(start + tag_end(&text[start..])?)
}

/// Where the first element ends, if it is whole. Servers send neither comments nor CDATA.
fn element_end(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        at += text[at..].iter().position(|&byte| byte == b'<')?;
        let end = at + tag_end(&text[at..])?;
        match &text[at..end] {
            [b'<', b'/', ..] => depth = depth.checked_sub(1)?,
            [.., b'/', b'>'] => {}
            _ => depth += 1,
        }
        at = end;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where the tag at the start ends, if it is whole: the first `>` outside of quotes.
fn tag_end(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, &byte) in text.iter().enumerate() {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'>' => return Some(at + 1),
            None if matches!(byte, b'\'' | b'"') => quote = Some(byte),
            None => {}
        }
    }
    None
}
