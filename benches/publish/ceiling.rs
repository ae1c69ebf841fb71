//! The ceiling: a component with nothing in it. It finds node and id of each publish by `memchr`, sends a push by a
//! plain `h2` client, and answers: no rules, no store, one task on one thread.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use memchr::{memchr, memmem};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Fallible;
use crate::host::{COMPONENT, DOMAIN, SECRET};
use crate::provider::Provider;
use crate::world::{Addresses, Side, World};

/// What a message becomes; then a token, for FCM.
const APNS_BODY: &[u8] = br#"{"aps":{"alert":{"title":"Bench","body":"New Message!"},"sound":"default","mutable-content":1},"account":"0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3","count":1}"#;
const FCM_BODY: [&str; 2] = [
    r#"{"message":{"token":""#,
    r#"","data":{"class":"important","account":"0c223e6b96c6112f5dd809bb1b6f7c5a78826ee3","body":"New Message!","count":"1"},"android":{"priority":"HIGH","ttl":"2419200s"}}}"#,
];
/// As long as a token of ES256: the signature is random anyway.
const APNS_BEARER: &str = concat!(
    "bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IkJFTkNIS0VZMDEifQ.eyJpc3MiOiJCRU5DSFRFQU0xIiwiaWF0IjoxNzYzODEyODAwfQ.",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
);
const READ: usize = 256 * 1024;

/// What it does with a publish.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Answers.
    Answer,
    /// Pushes to this vendor over so many connections, then answers.
    Push(Provider, usize),
}

/// The component, on a thread of its own.
pub(crate) struct Ceiling {
    thread: JoinHandle<Fallible<()>>,
}

impl Ceiling {
    /// Starts it, and waits until it is linked.
    pub(crate) fn start(world: &mut World, work: Work) -> Fallible<Self> {
        let (addresses, certificate) = (world.addresses, world.certificate());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(addresses, certificate, work))
        });
        world.link(Side::Ceiling)?;
        Ok(Self { thread })
    }

    /// Ends it.
    pub(crate) fn stop(self, world: &mut World) -> Fallible<()> {
        world.leave(Side::Ceiling)?;
        self.thread.join().map_err(|_| "the ceiling panicked")?
    }
}

async fn serve(addresses: Addresses, certificate: PathBuf, work: Work) -> Fallible<()> {
    // First, so that no publish comes before it.
    let mut connections = Vec::new();
    if let Work::Push(provider, number) = work {
        for _ in 0..number {
            connections.push(Connection::open(addresses, &certificate, provider).await?);
        }
    }
    let mut read = BytesMut::with_capacity(READ);
    let xmpp = link(addresses, &mut read).await?;
    let mut component = Component { xmpp, read, out: BytesMut::with_capacity(READ), connections, next: 0 };
    poll_fn(|cx| component.poll(cx)).await
}

/// Links to the XMPP server (XEP-0114 §3). What it says beyond that is left in `read`.
async fn link(addresses: Addresses, read: &mut BytesMut) -> Fallible<TcpStream> {
    let mut stream = TcpStream::connect(addresses.host).await?;
    stream.set_nodelay(true)?;
    let open = format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
         xmlns:stream='http://etherx.jabber.org/streams' to='{COMPONENT}'>"
    );
    stream.write_all(open.as_bytes()).await?;
    hear(&mut stream, read, b"jabber:component:accept").await?;
    hear(&mut stream, read, b"'>").await?;
    let digest: String = Sha1::digest(format!("bench-1{SECRET}")).iter().map(|byte| format!("{byte:02x}")).collect();
    stream.write_all(format!("<handshake>{digest}</handshake>").as_bytes()).await?;
    hear(&mut stream, read, b"<handshake/>").await?;
    Ok(stream)
}

/// Reads up to this, and takes it off.
async fn hear(stream: &mut TcpStream, read: &mut BytesMut, what: &[u8]) -> Fallible<()> {
    loop {
        if let Some(at) = memmem::find(read, what) {
            read.advance(at + what.len());
            return Ok(());
        }
        if stream.read_buf(read).await? == 0 {
            return Err("the bench host left during the handshake".into());
        }
    }
}

struct Component {
    xmpp: TcpStream,
    read: BytesMut,
    out: BytesMut,
    connections: Vec<Connection>,
    /// Whose turn it is.
    next: usize,
}

impl Component {
    /// Does all that can be done now. Ready when the server has gone.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fallible<()>> {
        loop {
            match self.round(cx) {
                Ok(Some(true)) => {}
                Ok(Some(false)) => return Poll::Pending,
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// One look at everything. Whether anything was done; none if the server has gone.
    fn round(&mut self, cx: &mut Context<'_>) -> Fallible<Option<bool>> {
        let mut done = false;
        for connection in &mut self.connections {
            done |= connection.poll(cx, &mut self.out)?;
        }
        // While no stream is free, nothing is read.
        if self.has_room() {
            self.read.reserve(READ);
            match self.xmpp.poll_read_ready(cx) {
                Poll::Pending => {}
                Poll::Ready(ready) => {
                    ready?;
                    match self.xmpp.try_read_buf(&mut self.read) {
                        Ok(0) => return Ok(None),
                        Ok(_) => done = true,
                        // Once more, for the waker's sake.
                        Err(error) if error.kind() == ErrorKind::WouldBlock => done = true,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        self.take(cx)?;
        while !self.out.is_empty() && self.xmpp.poll_write_ready(cx)?.is_ready() {
            match self.xmpp.try_write(&self.out) {
                Ok(length) => self.out.advance(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(done))
    }

    fn has_room(&self) -> bool {
        self.connections.is_empty() || self.connections.iter().any(Connection::has_room)
    }

    /// Takes the publishes that are whole.
    fn take(&mut self, cx: &mut Context<'_>) -> Fallible<()> {
        let mut taken = 0;
        while self.has_room()
            && let Some(rest) = self.read.get(taken..)
            && let Some(end) = memmem::find(rest, b"</iq>")
            && let Some(stanza) = rest.get(..end + 5)
        {
            taken += stanza.len();
            let id = value(stanza, b" id='").ok_or("a publish without an id")?;
            if self.connections.is_empty() {
                answer(&mut self.out, id);
                continue;
            }
            let node = value(stanza, b" node='").ok_or("a publish without a node")?;
            while let Some(connection) = self.connections.get_mut(self.next)
                && !connection.has_room()
            {
                self.next = (self.next + 1) % self.connections.len();
            }
            if let Some(connection) = self.connections.get_mut(self.next) {
                connection.send(cx, id, node)?;
            }
            self.next = (self.next + 1) % self.connections.len();
        }
        self.read.advance(taken);
        Ok(())
    }
}

fn answer(out: &mut BytesMut, id: &[u8]) {
    out.extend_from_slice(b"<iq type='result' id='");
    out.extend_from_slice(id);
    out.extend_from_slice(b"' from='");
    out.extend_from_slice(COMPONENT.as_bytes());
    out.extend_from_slice(b"' to='");
    out.extend_from_slice(DOMAIN.as_bytes());
    out.extend_from_slice(b"'/>");
}

fn value<'a>(stanza: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let after = stanza.get(memmem::find(stanza, name)? + name.len()..)?;
    after.get(..memchr(b'\'', after)?)
}

/// One connection to the vendor.
struct Connection {
    provider: Provider,
    sender: SendRequest<Bytes>,
    driver: h2::client::Connection<TlsStream<TcpStream>, Bytes>,
    /// In the order in which they were sent: vendors answer so.
    open: VecDeque<(Open, [u8; 64])>,
    authority: Authority,
    headers: HeaderMap,
}

enum Open {
    Head(ResponseFuture),
    Body(RecvStream),
}

impl Connection {
    async fn open(addresses: Addresses, certificate: &PathBuf, provider: Provider) -> Fallible<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let address = addresses.of(provider);
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, mut driver) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(1 << 20)
            .initial_connection_window_size(1 << 22)
            .initial_max_send_streams(0)
            .handshake(stream)
            .await?;
        // Until the vendor's settings are here.
        poll_fn(|cx| match Pin::new(&mut driver).poll(cx) {
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending if driver.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let authority = format!("localhost:{}", address.port()).parse()?;
        Ok(Self { provider, sender, driver, open: VecDeque::new(), authority, headers: headers(provider) })
    }

    fn has_room(&self) -> bool {
        self.open.len() < self.driver.max_concurrent_send_streams()
    }

    /// Moves bytes, and answers those whose pushes were taken. Whether there were any.
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Fallible<bool> {
        if let Poll::Ready(end) = Pin::new(&mut self.driver).poll(cx) {
            end?;
            return Err("the vendor ended the connection".into());
        }
        let mut done = false;
        while let Some((open, id)) = self.open.front_mut() {
            match open {
                Open::Head(head) => {
                    let Poll::Ready(response) = Pin::new(head).poll(cx) else { break };
                    let response = response?;
                    if response.status() != StatusCode::OK {
                        return Err(format!("the vendor answered {}", response.status()).into());
                    }
                    if !response.body().is_end_stream() {
                        *open = Open::Body(response.into_body());
                        continue;
                    }
                }
                Open::Body(body) => match body.poll_data(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Some(part)) => {
                        body.flow_control().release_capacity(part?.len())?;
                        if !body.is_end_stream() {
                            continue;
                        }
                    }
                    Poll::Ready(None) => {}
                },
            }
            answer(out, id);
            self.open.pop_front();
            done = true;
        }
        Ok(done)
    }

    fn send(&mut self, cx: &mut Context<'_>, id: &[u8], node: &[u8]) -> Fallible<()> {
        let (path, body) = match self.provider {
            Provider::Apns => (push_path(node), Bytes::from_static(APNS_BODY)),
            Provider::Fcm => (Bytes::from_static(b"/v1/projects/p/messages:send"), push_body(node)),
        };
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path)?);
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_parts(parts)?;
        *request.headers_mut() = self.headers.clone();
        if self.sender.poll_ready(cx)?.is_pending() {
            return Err("no stream is free after all".into());
        }
        let (response, mut stream) = self.sender.send_request(request, false)?;
        stream.send_data(body, true)?;
        self.open.push_back((Open::Head(response), id.try_into()?));
        Ok(())
    }
}

fn push_path(node: &[u8]) -> Bytes {
    let mut path = Vec::with_capacity(76);
    path.extend_from_slice(b"/3/device/");
    path.resize(path.len() + 64_usize.saturating_sub(node.len()), b'0');
    path.extend_from_slice(node);
    path.into()
}

fn push_body(node: &[u8]) -> Bytes {
    let [before, after] = FCM_BODY.map(str::as_bytes);
    let mut body = Vec::with_capacity(before.len() + 150 + after.len());
    body.extend_from_slice(before);
    body.resize(body.len() + 150_usize.saturating_sub(node.len()), b'0');
    body.extend_from_slice(node);
    body.extend_from_slice(after);
    body.into()
}

fn headers(provider: Provider) -> HeaderMap {
    let bearer = match provider {
        Provider::Apns => APNS_BEARER.to_owned(),
        Provider::Fcm => format!("Bearer {}", "t".repeat(220)),
    };
    let mut authorization = HeaderValue::try_from(bearer).unwrap_or(HeaderValue::from_static(""));
    authorization.set_sensitive(true);
    let plain: &[(&'static str, &'static str)] = match provider {
        Provider::Apns => &[
            ("apns-topic", "org.example.bench"),
            ("apns-push-type", "alert"),
            ("apns-priority", "10"),
            ("apns-expiration", "1766404800"),
            ("content-type", "application/json"),
        ],
        Provider::Fcm => &[("content-type", "application/json")],
    };
    let mut headers: HeaderMap =
        plain.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    headers.insert(http::header::AUTHORIZATION, authorization);
    headers
}
