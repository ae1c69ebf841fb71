//! Asks a running pushkeeper whether it is ready: for those who have nothing else to ask with, such as the health check
//! of a container without a shell.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long each of connecting, asking and reading may take.
const WITHIN: Duration = Duration::from_secs(5);

/// The most of an answer that is read.
const MAX_ANSWER: u64 = 16 * 1024;

/// Why it is not ready.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// Nobody can be asked there.
    #[error("nobody answers at {0}: {1}; does pushkeeper run, and is [http] listen that address?")]
    Unreachable(SocketAddr, io::Error),
    /// What answers is not what we are.
    #[error("what answers at {0} is no pushkeeper")]
    Strange(SocketAddr),
    /// It says that it is not ready, and why.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks `GET /readyz` of the one who listens at `address`. What it says of itself, if it is ready.
///
/// # Errors
/// It is not, or does not answer.
pub fn ask(address: SocketAddr) -> Result<String, HealthError> {
    let answer = fetch(address).map_err(|error| HealthError::Unreachable(address, error))?;
    match read(&answer) {
        Some((200, body)) => Ok(body),
        Some((503, body)) => Err(HealthError::NotReady(body)),
        _ => Err(HealthError::Strange(address)),
    }
}

fn fetch(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    // HTTP/1.0: the end of the answer is the end of the connection, and nothing comes in chunks.
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Status and body of an answer; the body as one line of text.
fn read(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let body = body.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Asks somebody who answers so; with what was asked.
    fn asked(answer: &'static str) -> (Result<String, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let answered = ask(address).map_err(|error| error.to_string().replace(&address.to_string(), "ADDRESS"));
        (answered, server.join().unwrap().replace(&address.to_string(), "ADDRESS"))
    }

    #[test]
    fn it_asks_readyz_and_believes_only_what_a_pushkeeper_would_say() {
        let strange = Err("what answers at ADDRESS is no pushkeeper".to_owned());
        let rows = [
            ("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nok\n", Ok("ok".to_owned())),
            ("HTTP/1.1 200 OK\r\n\r\n", Ok(String::new())),
            (
                "HTTP/1.1 503 Service Unavailable\r\n\r\nlink: down\nstore: fine\n",
                Err("not ready: link: down store: fine".to_owned()),
            ),
            ("HTTP/1.1 404 Not Found\r\n\r\n", strange.clone()),
            ("HTTP/1.1 é00\r\n\r\n", strange.clone()),
            ("220 mail.example.org ESMTP\r\n\r\n", strange.clone()),
            ("", strange),
        ];
        for (answer, expected) in rows {
            let (answered, request) = asked(answer);
            assert_eq!(answered, expected, "{answer:?}");
            assert_eq!(request, "GET /readyz HTTP/1.0\r\nHost: ADDRESS\r\n\r\n");
        }
    }

    #[test]
    fn nobody_there_is_said_with_the_address() {
        // Taken and let go: nobody else is given it so soon.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = ask(address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("nobody answers at {address}: ")), "{error}");
    }
}
