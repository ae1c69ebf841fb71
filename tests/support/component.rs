//! A raw component (XEP-0114): plays a whole foreign server, users and all.

use minidom::Element;
use sha1::{Digest as _, Sha1};
use tokio::time::timeout;

use super::process::PATIENCE;
use super::stream::Stream;

const COMPONENT: &str = "jabber:component:accept";

/// A component that is connected.
pub(crate) struct Component {
    stream: Stream,
}

impl Component {
    /// Connects and shakes hands.
    pub(crate) async fn connect(port: u16, jid: &str, secret: &str) -> Self {
        let mut stream = Stream::open(port, COMPONENT, jid).await;
        let proof = Sha1::digest(format!("{}{secret}", stream.id));
        let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        stream.send(&format!("<handshake>{proof}</handshake>")).await;
        let answer = stream.next().await.expect("an answer to the handshake");
        assert!(answer.is("handshake", COMPONENT), "{}", String::from(&answer));
        Self { stream }
    }

    /// Sends text as it is.
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.send(text).await;
    }

    /// The next stanza; `None` when the stream is over. Loses nothing when it is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Option<Element> {
        self.stream.next().await
    }

    /// The next answer to an iq, whatever it says.
    pub(crate) async fn next_answer(&mut self) -> Element {
        let wait = async {
            loop {
                let element = self.stream.next().await.expect("the stream lives");
                if element.name() == "iq" && matches!(element.attr("type"), Some("result" | "error")) {
                    return element;
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("an answer in time")
    }
}
