//! A vendor that looks at everything (`PUSHKEEPER_BENCH_VENDOR=strict`): the `h2` crate reads what is sent, headers and
//! all. It costs more than pushkeeper does, so it is for correctness, not for figures. It thinks about nothing.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Method, Request, Response, StatusCode};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use crate::Fallible;
use crate::provider::{FCM_BODY, Provider};
use crate::vendor::{STREAMS, State};

pub(crate) async fn serve(tls: Arc<ServerConfig>, stream: TcpStream, state: Rc<State>) -> Fallible<()> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(tls).accept(stream).await?;
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(STREAMS)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        let state = Rc::clone(&state);
        spawn_local(async move {
            if let Err(error) = answer(request, respond, &state).await {
                eprintln!("strict bench vendor: {error}");
            }
        });
    }
    Ok(())
}

async fn answer(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>, state: &State) -> Fallible<()> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part?;
        body.extend_from_slice(&part);
        stream.flow_control().release_capacity(part.len())?;
    }
    let json = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
    let push = json && head.method == Method::POST && is_push(state.provider, &head);
    let status = if push { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let response = Response::builder().status(status);
    match state.provider {
        Provider::Apns => {
            let response = response.header("apns-id", "eabeae54-14a8-11e5-b60b-1697f925ec7b");
            respond.send_response(response.body(())?, true)?;
        }
        Provider::Fcm => {
            let response = response.header("content-type", "application/json");
            let mut out = respond.send_response(response.body(())?, false)?;
            out.send_data(Bytes::from_static(FCM_BODY), true)?;
        }
    }
    state.taken.set(state.taken.get() + u64::from(push));
    Ok(())
}

fn is_push(provider: Provider, head: &http::request::Parts) -> bool {
    let has = |names: &[&str]| names.iter().all(|name| head.headers.contains_key(*name));
    match provider {
        Provider::Apns => {
            let token = head.uri.path().strip_prefix("/3/device/");
            token.is_some_and(|token| token.len() == 64) && has(&["authorization", "apns-topic", "apns-push-type"])
        }
        Provider::Fcm => head.uri.path() == "/v1/projects/p/messages:send" && has(&["authorization", "content-type"]),
    }
}
