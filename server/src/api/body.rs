//! Reads the bodies of requests, and writes those of long answers.

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::refused::Refused;

/// Reads a JSON body.
pub(super) async fn read<T: DeserializeOwned>(request: Request, max_bytes: usize) -> Result<T, Refused> {
    check_type(request.headers(), "application/json")?;
    let bytes = bytes(request.into_body(), max_bytes).await?;
    parse(&bytes)
}

/// Reads the parameters behind the `?` of a request.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refused> {
    Query::try_from_uri(uri)
        .map(|Query(options)| options)
        .map_err(|error| Refused::bad_request(error.body_text()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refused::bad_request("the body is not UTF-8"))?;
    serde_json::from_str(text)
        .map_err(|error| Refused::bad_request(format!("the body cannot be read: {error}")))
}

/// The whole body, if it is not too large and comes in time.
async fn bytes(body: Body, max_bytes: usize) -> Result<Bytes, Refused> {
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message =
                format!("a body has at most {max_bytes} bytes (`limits.max_body_bytes`); send fewer events");
            Err(Refused::too_large(message))
        }
        Err(_) => {
            let message = "the body did not come in time, or its connection broke";
            Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "timeout", message))
        }
    }
}

/// Refuses a body of another type, and one that is compressed: a small one could become a large one.
pub(super) fn check_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Refused> {
    let refuse = |message: String| {
        Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
    };
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        return refuse("send the body without a `content-encoding`".to_owned());
    }
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if given.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        refuse(format!("send the body with `content-type: {expected}`"))
    }
}

/// An answer of lines of JSON, for as long as it is read.
pub(super) struct NdJson<S>(pub(super) S);

impl<S> IntoResponse for NdJson<S>
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    fn into_response(self) -> Response {
        use futures_util::StreamExt;

        let lines = self.0.map(Ok::<_, std::convert::Infallible>);
        // A proxy that collects answers would hold the lines back.
        let headers = [
            ("content-type", "application/x-ndjson"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ];
        (headers, Body::from_stream(lines)).into_response()
    }
}
