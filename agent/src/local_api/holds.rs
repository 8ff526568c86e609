//! `GET /v1/requests`: server-sent events that ask the application to hold, and say when it may go on.
use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{Response, body::Frame, header};
use kioskwatch_proto::local::HoldRequest;
use serde_json::json;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::timeout,
};

use super::{HoldEvent, answer::Body};

/// A comment this often shows both sides that the other lives.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// First what is open, then what comes.
pub(super) fn response(open: Vec<HoldRequest>, events: broadcast::Receiver<HoldEvent>) -> Response<Body> {
    let open: Vec<HoldEvent> = open.into_iter().map(HoldEvent::Ask).collect();
    let state = (open.into_iter(), events, true);
    let frames = stream::unfold(state, |(mut open, mut events, begins)| async move {
        let text = if begins {
            // Sent at once, so that the application sees that it is heard.
            ": listening\n\n".to_owned()
        } else if let Some(event) = open.next() {
            text_of(&event)
        } else {
            match timeout(COMMENT_EVERY, events.recv()).await {
                Ok(Ok(event)) => text_of(&event),
                // Too far behind, or the agent ends: the application comes again and hears what is open.
                Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) => return None,
                Err(_) => ": alive\n\n".to_owned(),
            }
        };
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), (open, events, false)))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn text_of(event: &HoldEvent) -> String {
    match event {
        HoldEvent::Ask(request) => {
            let data = serde_json::to_string(request).expect("a request has text keys and no floats");
            format!("event: hold\nid: {}\ndata: {data}\n\n", request.request)
        }
        HoldEvent::Over { request } => {
            format!("event: over\ndata: {}\n\n", json!({ "request": request }))
        }
    }
}
