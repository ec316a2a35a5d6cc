//! One connection: one request, one answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::Format;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Source;

/// How long a client may take for the head of its request.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long all of it may take.
const LIFETIME: Duration = Duration::from_secs(15);
/// Bytes of a request's head, the least that hyper allows, and headers in it.
const MAX_HEAD: usize = 8192;
const MAX_HEADERS: usize = 64;

const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers one request. Whatever the client does, it is over soon.
pub(super) async fn connection(stream: TcpStream, source: Arc<Source>) {
    let service = service_fn(move |request| {
        let source = Arc::clone(&source);
        async move { Ok::<_, Infallible>(answer(&request, &source).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    // What is wrong with a client is its own affair.
    let _ = timeout(LIFETIME, served).await;
}

async fn answer(request: &Request<Incoming>, source: &Source) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return response(StatusCode::NOT_FOUND, PLAIN, "there is only /metrics\n".to_owned());
    }
    if request.method() != Method::GET {
        let mut response =
            response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "metrics can only be read\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    match source.text(format).await {
        Some(text) => response(StatusCode::OK, format.content_type(), text),
        None => {
            let text = "the daemon does not answer; ask again\n".to_owned();
            response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, text)
        }
    }
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
