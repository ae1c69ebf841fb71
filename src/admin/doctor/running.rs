//! A pushkeeper that runs already: what it says of itself, in place of a second stream that would take its own away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Finding, STEP};
use crate::domain::ids::Domain;

const WHAT: &str = "component";

/// How much of its answer is read, in bytes.
const MOST: usize = 16 * 1024;

/// Asks the running one, if there is an address to ask at.
pub(super) async fn examine(pid: Option<u32>, jid: &Domain, ready: Option<SocketAddr>) -> Vec<Finding> {
    let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    let mut said = format!(
        "not tried: {holder} serves {}, and a second stream would be in its way; its ad-hoc command \"status\" tells of \
         link and hosts",
        jid.as_str()
    );
    let Some(address) = ready else {
        said += "; so would /readyz, with listen in [http]";
        return vec![Finding::fine(WHAT, said)];
    };
    let mut found = vec![Finding::fine(WHAT, said)];
    found.push(match ask(address).await {
        Ok((200, mut lines)) => {
            lines.retain(|line| line != "ready");
            Finding::fine("running", format!("{holder} is ready{}", listed(&lines)))
        }
        Ok((status, lines)) => Finding::wrong(
            "running",
            format!("{holder} is not ready (HTTP {status}){}", listed(&lines)),
            "what it names, or its log, says what to do",
        ),
        Err(error) => Finding::wrong(
            "running",
            format!("http://{address}/readyz does not answer: {error}"),
            "if it was started before http.listen was set, start it again; else look into its log",
        ),
    });
    found
}

fn listed(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
}

/// Its status, and the lines of its body.
async fn ask(address: SocketAddr) -> Result<(u16, Vec<String>), String> {
    let text = |error: reqwest::Error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        cause.to_string()
    };
    let client = reqwest::Client::builder().timeout(STEP).no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.build().map_err(text)?;
    let mut response = client.get(format!("http://{}/readyz", reachable(address))).send().await.map_err(text)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(text)? {
        body.extend_from_slice(&chunk);
        if body.len() >= MOST {
            body.truncate(MOST);
            break;
        }
    }
    let body = String::from_utf8_lossy(&body);
    let lines = body.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    Ok((status, lines.collect()))
}

/// Where one that listens on all addresses can be asked.
const fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::admin::doctor::Verdict;

    /// What is found where one listens who answers this, once.
    async fn found(answer: &'static str) -> Vec<Finding> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(tcp.read_buf(&mut request).await.unwrap() > 0);
            }
            assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&request));
            tcp.write_all(answer.as_bytes()).await.unwrap();
        });
        let found = examine(Some(42), &Domain::new("push.example.org"), Some(address)).await;
        serving.await.unwrap();
        found
    }

    #[tokio::test]
    async fn the_running_one_is_asked_how_it_is() {
        let rows = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n", Verdict::Fine, "process 42 is ready"),
            (
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 22\r\n\r\nlink: down\nstore: full",
                Verdict::Wrong,
                "process 42 is not ready (HTTP 503): link: down; store: full",
            ),
        ];
        for (answer, verdict, said) in rows {
            let found = found(answer).await;
            assert_eq!(found[0].verdict, Verdict::Fine);
            assert!(found[0].said.contains("not tried: process 42 serves push.example.org"), "{}", found[0]);
            assert!(found[0].said.contains("\"status\""), "{}", found[0]);
            assert_eq!((found[1].verdict, found[1].said.as_str()), (verdict, said));
        }
    }

    #[tokio::test]
    async fn nobody_who_answers_is_wrong_and_no_address_is_not() {
        // No test listens at a port of the system's.
        let free: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let found = examine(None, &Domain::new("push.example.org"), Some(free)).await;
        assert_eq!(found[1].verdict, Verdict::Wrong, "{}", found[1]);
        assert!(found[1].said.starts_with(&format!("http://{free}/readyz does not answer")), "{}", found[1]);
        let found = examine(None, &Domain::new("push.example.org"), None).await;
        assert_eq!(found.len(), 1);
        assert!(found[0].said.contains("another process serves push.example.org"), "{}", found[0]);
    }

    #[test]
    fn all_addresses_means_this_machine() {
        let rows = [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")];
        for (listen, asked) in rows {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
