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
            if let Some(end) = header_end(&self.unread) {
                break self.unread.drain(..end).collect::<Vec<u8>>();
            }
            assert!(self.read().await, "the server closes before its stream header");
        };
        let header = String::from_utf8(header).expect("UTF-8");
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
            if let Some(end) = element_end(&self.unread) {
                let prefixes = BTreeMap::from([
                    (None, self.namespace.to_owned()),
                    (Some("stream".to_owned()), "http://etherx.jabber.org/streams".to_owned()),
                ]);
                let text: Vec<u8> = self.unread.drain(..end).collect();
                let element = Element::from_reader_with_prefixes(text.as_slice(), prefixes);
                return Some(element.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text))));
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
