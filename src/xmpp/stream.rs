//! One stream to the host (XEP-0114), from the first byte to the last, over anything that reads and writes.

use std::pin::pin;

use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep_until, timeout_at};

use super::answer;
use super::frame::{Fault, Frame, Framer};
use super::inbound::{self, Inbound};
use super::link::{Link, Settings, has_room};
use super::read::Opening;
use super::service::Service;
use super::trouble::Trouble;
use crate::domain::time::Moment;

/// With more than this many bytes of answers unread by the host, nothing more is read from it.
const MAX_UNSENT: usize = 4 * 1024 * 1024;

/// How a stream ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// We wanted it to: all answers are written.
    Finished,
    /// We did not.
    Lost(Trouble),
}

/// A stream that the host has accepted.
pub(super) struct Stream<R, W> {
    reader: R,
    writer: W,
    framer: Framer,
    opening: Opening,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Stream<R, W> {
    /// Opens the stream and shows the secret (XEP-0114 §3).
    pub(super) async fn open(
        mut reader: R,
        mut writer: W,
        settings: &Settings,
        service: &Service,
    ) -> Result<Self, Trouble> {
        let mut framer = Framer::new();
        let jid = service.jid().as_str();
        let mut header = bytes::BytesMut::from(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
             xmlns:stream='http://etherx.jabber.org/streams' to='",
        );
        answer::escape(&mut header, jid);
        header.extend_from_slice(b"'>");
        writer.write_all(&header).await?;
        let mut opening = loop {
            match framer.next_frame() {
                Ok(Some(Frame::StreamOpen(tag))) => match Opening::read(tag) {
                    Ok(opening) => break opening,
                    Err(fault) => return Err(refuse(&mut writer, fault).await),
                },
                Ok(Some(_)) => return Err(Trouble::Closed),
                Ok(None) => fill(&mut reader, &mut framer).await?,
                Err(fault) => return Err(refuse(&mut writer, fault).await),
            }
        };
        let handshake = format!("<handshake>{}</handshake>", handshake(&opening.id, &settings.secret.reveal()));
        writer.write_all(handshake.as_bytes()).await?;
        loop {
            let frame = match framer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => match fill(&mut reader, &mut framer).await {
                    Ok(()) => continue,
                    Err(Trouble::Closed | Trouble::Broken(_)) => return Err(Trouble::ClosedAtHandshake),
                    Err(trouble) => return Err(trouble),
                },
                Err(fault) => return Err(refuse(&mut writer, fault).await),
            };
            match inbound::receive(service, &mut opening, frame, Moment::default())? {
                Some(Inbound::HandshakeDone) => return Ok(Self { reader, writer, framer, opening }),
                Some(Inbound::StreamError(error)) => {
                    return Err(match &*error.condition {
                        "not-authorized" => Trouble::WrongSecret,
                        "host-unknown" => Trouble::UnknownToHost { jid: jid.to_owned() },
                        _ => Trouble::Host(error),
                    });
                }
                Some(_) => {}
                None => return Err(Trouble::ClosedAtHandshake),
            }
        }
    }

    /// Its parts, for one that serves it otherwise.
    pub(super) fn into_parts(self) -> (R, W, Framer, Opening) {
        (self.reader, self.writer, self.framer, self.opening)
    }

    /// Serves the stream until it ends.
    ///
    /// One task, five things that can happen, none of which waits for another: the driver takes a batch; the driver
    /// has answers; the host takes bytes; the host has bytes (not asked for while the driver has not taken the last
    /// batch, or the host does not take its answers: that is the back-pressure); too long a silence. All of them
    /// can be dropped half-way without loss, because what they work on is in `self` and `link`.
    pub(super) async fn serve(mut self, link: &mut Link) -> Ended {
        let timing = link.settings.timing;
        let mut heard = link.clock.steady();
        let mut moved = heard;
        let mut pinged: Option<Moment> = None;
        let mut watch = pin!(sleep_until(link.clock.instant(heard + timing.idle)));
        // Something may have come together with the end of the handshake.
        let mut untaken = true;
        while link.answering {
            link.offer();
            if untaken && link.batch.is_empty() {
                untaken = false;
                if let Err(trouble) = self.take(link) {
                    return self.lost(link, trouble).await;
                }
                link.offer();
            }
            let reads = link.taking && link.batch.is_empty() && link.outbox.unsent().len() <= MAX_UNSENT;
            if !reads {
                // The silence is ours.
                heard = link.clock.steady();
                pinged = None;
            }
            if link.outbox.is_empty() {
                moved = link.clock.steady();
            }
            tokio::select! {
                open = has_room(&link.inputs), if !link.batch.is_empty() => if !open { link.stop_taking() },
                () = link.inputs.closed(), if link.taking => link.stop_taking(),
                count = link.answers.recv_many(&mut link.received, 64), if link.answering => link.render(count),
                written = self.writer.write(link.outbox.unsent()), if !link.outbox.is_empty() => match written {
                    Ok(0) => return self.lost(link, Trouble::Closed).await,
                    Ok(written) => {
                        moved = link.clock.steady();
                        link.outbox.written(written, moved);
                    }
                    Err(error) => return self.lost(link, error.into()).await,
                },
                read = self.reader.read(self.framer.room()), if reads => {
                    heard = link.clock.steady();
                    pinged = None;
                    let taken = match read {
                        Ok(0) => Err(Trouble::Closed),
                        Ok(read) => {
                            self.framer.filled(read);
                            self.take(link)
                        }
                        Err(error) => Err(error.into()),
                    };
                    if let Err(trouble) = taken {
                        return self.lost(link, trouble).await;
                    }
                }
                () = &mut watch => {
                    let now = link.clock.steady();
                    if now - moved >= timing.idle + timing.dead {
                        return self.lost(link, Trouble::Stalled).await;
                    }
                    if pinged.is_some_and(|pinged| now - pinged >= timing.dead) {
                        return self.lost(link, Trouble::Silent).await;
                    }
                    if pinged.is_none() && reads && now - heard >= timing.idle {
                        link.outbox.stanza(&ping(link.service.jid().as_str()), None);
                        pinged = Some(now);
                    }
                    let mut next = pinged.map_or(heard + timing.idle, |pinged| pinged + timing.dead);
                    if !link.outbox.is_empty() {
                        next = next.min(moved + timing.idle + timing.dead);
                    }
                    watch.as_mut().reset(link.clock.instant(next));
                }
            }
        }
        self.close(link).await
    }

    /// Takes all whole stanzas of a read: what is for the driver goes into one batch, what can be answered at once is
    /// answered.
    fn take(&mut self, link: &mut Link) -> Result<(), Trouble> {
        let now = link.clock.steady();
        while let Some(frame) = self.framer.next_parsed(self.opening.tree())? {
            let counts = &link.settings.counters;
            counts.stanzas.add(1);
            if matches!(frame, Frame::TooBig(_)) {
                counts.too_big.add(1);
            }
            match inbound::receive(&link.service, &mut self.opening, frame, now)? {
                Some(Inbound::Request(input)) => link.batch.push(input),
                Some(Inbound::Answer(stanza)) => link.outbox.stanza(&stanza, Some(now)),
                Some(Inbound::Ignored(why)) => link.ignored(why),
                Some(Inbound::StreamError(error)) => return Err(Trouble::Host(error)),
                Some(Inbound::HandshakeDone) => {}
                None => return Err(Trouble::Ended),
            }
        }
        Ok(())
    }

    /// Takes leave as far as the host still listens.
    async fn lost(mut self, link: &Link, trouble: Trouble) -> Ended {
        let farewell = match &trouble {
            Trouble::Fault(fault) => stream_error(fault.condition()),
            Trouble::Silent => stream_error("connection-timeout"),
            Trouble::Ended | Trouble::Host(_) => "</stream:stream>".to_owned(),
            _ => return Ended::Lost(trouble),
        };
        let leave = async {
            self.writer.write_all(link.outbox.rest_of_stanza()).await?;
            self.writer.write_all(farewell.as_bytes()).await?;
            self.writer.shutdown().await
        };
        // If the host does not take it, it is as gone as we say.
        let _unheard = timeout_at(link.deadline(link.settings.timing.close), leave).await;
        Ended::Lost(trouble)
    }

    /// Writes what waits, ends the stream, and waits a little for the host to do the same.
    async fn close(mut self, link: &mut Link) -> Ended {
        let deadline = link.deadline(link.settings.timing.close);
        let leave = async {
            while !link.outbox.is_empty() {
                let written = self.writer.write(link.outbox.unsent()).await?;
                if written == 0 {
                    return Err(std::io::ErrorKind::WriteZero.into());
                }
                link.outbox.written(written, link.clock.steady());
            }
            self.writer.write_all(b"</stream:stream>").await?;
            self.writer.shutdown().await
        };
        if !matches!(timeout_at(deadline, leave).await, Ok(Ok(()))) {
            return Ended::Finished;
        }
        let peer = async {
            // Stanzas that are still under way are not ours any more.
            while let Ok(frame) = self.framer.next_frame() {
                if frame == Some(Frame::StreamClose) {
                    return;
                }
                if frame.is_none() && fill(&mut self.reader, &mut self.framer).await.is_err() {
                    return;
                }
            }
        };
        let _late = timeout_at(deadline, peer).await;
        Ended::Finished
    }
}

/// Reads once.
async fn fill<R: AsyncRead + Unpin>(reader: &mut R, framer: &mut Framer) -> Result<(), Trouble> {
    match reader.read(framer.room()).await? {
        0 => Err(Trouble::Closed),
        read => {
            framer.filled(read);
            Ok(())
        }
    }
}

/// Tells the host, if it listens, why its stream is refused.
async fn refuse<W: AsyncWrite + Unpin>(writer: &mut W, fault: Fault) -> Trouble {
    // The handshake's deadline is around this, too.
    let _unheard = writer.write_all(stream_error(fault.condition()).as_bytes()).await;
    fault.into()
}

fn stream_error(condition: &str) -> String {
    format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
}

/// Lower-case hex of SHA-1 of the stream's id and the secret (XEP-0114 §3).
fn handshake(stream_id: &str, secret: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(stream_id.as_bytes());
    sha1.update(secret.as_bytes());
    sha1.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A ping to ourselves: the host routes it back to us, so it proves the whole way, and needs nobody else's name. We
/// answer it like any other; that answer comes back and is ignored.
fn ping(jid: &str) -> bytes::BytesMut {
    let mut out = bytes::BytesMut::from("<iq type='get' id='pushkeeper-alive' from='");
    answer::escape(&mut out, jid);
    out.extend_from_slice(b"' to='");
    answer::escape(&mut out, jid);
    out.extend_from_slice(b"'><ping xmlns='urn:xmpp:ping'/></iq>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_the_one_of_xep_0114() {
        // printf 3BF96D32test | sha1sum
        assert_eq!(handshake("3BF96D32", "test"), "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e");
    }
}
