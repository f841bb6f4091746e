//! Answers a request that is sent again with the same `Idempotency-Key` with the answer of the first, without doing it again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Mutex as AsyncMutex;

use super::fingerprint::Fingerprint;
use super::guard::Caller;
use super::problem::Problem;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST_KEY: usize = 128;
/// Most answers that are kept, and for how long.
const KEPT: usize = 1_000;
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// Longest answer that is kept.
const LONGEST_ANSWER: usize = 1 << 20;
/// Most bytes of a body that are read only for its digest.
const MOST_BYTES: usize = 1 << 30;

#[derive(Clone)]
enum RequestState {
    /// The first request is being worked on.
    Open,
    /// The answer to the first request.
    Answered(StatusCode, HeaderMap, Bytes),
}

struct LoggedRequest {
    /// The request's path and query.
    what: String,
    /// The digest of its body; `None` while it is being read.
    body: Option<[u8; 32]>,
    since: Instant,
    known: RequestState,
}

#[derive(Default)]
struct AnswerLog {
    entries: HashMap<String, LoggedRequest>,
    order: VecDeque<String>,
}

/// Answers of the last day by idempotency key, at most [`KEPT`] of them.
#[derive(Default)]
pub struct RecentAnswers(Mutex<AnswerLog>);

impl RecentAnswers {
    fn state(&self) -> MutexGuard<'_, AnswerLog> {
        self.0.lock()
    }

    /// Looks a key up, and adds it where it is new: `None` says that the caller is the first, who must [`Self::end`] it.
    fn begin(&self, key: &str, what: &str) -> Result<Option<RequestState>, Problem> {
        let mut state = self.state();
        let AnswerLog { entries, order } = &mut *state;
        while let Some(oldest) = order.front()
            && (order.len() > KEPT || entries.get(oldest).is_none_or(|entry| entry.since.elapsed() > LIFE))
        {
            entries.remove(oldest);
            order.pop_front();
        }
        if let Some(entry) = entries.get(key) {
            if entry.what != what {
                return Err(used());
            }
            return Ok(Some(entry.known.clone()));
        }
        entries.insert(
            key.to_owned(),
            LoggedRequest { what: what.to_owned(), body: None, since: Instant::now(), known: RequestState::Open },
        );
        order.push_back(key.to_owned());
        Ok(None)
    }

    /// Whether the first request with this key had the same body.
    fn is_same_body(&self, key: &str, body: [u8; 32]) -> bool {
        self.state().entries.get(key).is_none_or(|entry| entry.body == Some(body))
    }

    /// Keeps the answer to the request with this body, or forgets the request.
    ///
    /// A body that could not be read to its end has no digest: nobody can show that a later one is the same.
    fn end(&self, key: &str, answer: Option<(Option<[u8; 32]>, RequestState)>) {
        let mut state = self.state();
        match answer {
            Some((body, answer)) => {
                if let Some(entry) = state.entries.get_mut(key) {
                    (entry.body, entry.known) = (body, answer);
                }
            }
            // Nothing was done, so the next request counts as the first.
            None => {
                state.entries.remove(key);
                state.order.retain(|kept| kept != key);
            }
        }
    }
}

fn used() -> Problem {
    let detail = "this Idempotency-Key was used for another request: take a new one";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "KEY_USED", detail)
}

/// A body that is digested as it is read.
struct DigestedBody {
    stream: BodyDataStream,
    fingerprint: Fingerprint,
    ended: bool,
}

impl DigestedBody {
    fn new(headers: &HeaderMap, body: Body) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        Self { stream: body.into_data_stream(), fingerprint: Fingerprint::new(content_type), ended: false }
    }

    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        let chunk = self.stream.next().await;
        match &chunk {
            Some(Ok(bytes)) => self.fingerprint.update(bytes),
            Some(Err(_)) => {}
            None => self.ended = true,
        }
        chunk
    }

    /// Reads what is left, and returns the digest of the whole body; `None` where it does not end, or is too long. The time
    /// limit of the answer bounds it.
    async fn digest(mut self) -> Option<[u8; 32]> {
        let mut left = MOST_BYTES;
        while !self.ended {
            match self.next().await {
                Some(Ok(chunk)) if chunk.len() <= left => left -= chunk.len(),
                None => break,
                Some(_) => return None,
            }
        }
        Some(self.fingerprint.finish())
    }
}

/// Removes an entry without an answer when it is dropped, also where the caller disconnects.
struct OpenRequestGuard {
    answers: Arc<RecentAnswers>,
    key: Option<String>,
}

impl Drop for OpenRequestGuard {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.answers.end(key, None);
        }
    }
}

/// Replays the answer to a repeated `POST` with an idempotency key, and keeps the answer to a new one.
pub async fn once(State(answers): State<Arc<RecentAnswers>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).cloned();
    let Some(given) = given.filter(|_| request.method() == Method::POST) else { return next.run(request).await };
    let valid = given.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let Some(key) = valid else {
        let detail = format!("an Idempotency-Key has 1 to {LONGEST_KEY} characters");
        return Problem::invalid(detail).into_response();
    };
    let caller = request.extensions().get::<Caller>().map(|caller| caller.name.clone()).unwrap_or_default();
    let key = format!("{caller}\n{key}");
    let what = request.uri().to_string();
    match answers.begin(&key, &what) {
        Err(problem) => problem.into_response(),
        Ok(Some(RequestState::Open)) => {
            let detail = "the first request with this Idempotency-Key has no answer yet";
            Problem::new(StatusCode::CONFLICT, "IN_PROGRESS", detail).after(1).into_response()
        }
        Ok(Some(RequestState::Answered(status, headers, body))) => {
            let (parts, again) = request.into_parts();
            match DigestedBody::new(&parts.headers, again).digest().await {
                Some(digest) if answers.is_same_body(&key, digest) => {}
                Some(_) => return used().into_response(),
                None => return Problem::unavailable("the body did not come to its end: send it again").into_response(),
            }
            let mut response = (status, Body::from(body)).into_response();
            *response.headers_mut() = headers;
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            response
        }
        Ok(None) => {
            let mut open = OpenRequestGuard { answers: Arc::clone(&answers), key: Some(key) };
            let (parts, body) = request.into_parts();
            let read = Arc::new(AsyncMutex::new(DigestedBody::new(&parts.headers, body)));
            let theirs = unfold(Arc::clone(&read), |read| async move {
                let chunk = read.lock().await.next().await?;
                Some((chunk, read))
            });
            let (parts, body) = next.run(Request::from_parts(parts, Body::from_stream(theirs))).await.into_parts();
            let Ok(body) = to_bytes(body, LONGEST_ANSWER).await else {
                return Problem::broken("an answer that is too long").into_response();
            };
            // A request that failed on this side may be tried again with the same key.
            let lasting = !parts.status.is_server_error() && parts.status != StatusCode::TOO_MANY_REQUESTS;
            // The handler has dropped its half of the body by now, whether or not it read all of it.
            if let Some(key) = open.key.take_if(|_| lasting) {
                let digest = match Arc::into_inner(read) {
                    Some(read) => read.into_inner().digest().await,
                    None => None,
                };
                let known = RequestState::Answered(parts.status, parts.headers.clone(), body.clone());
                answers.end(&key, Some((digest, known)));
            }
            Response::from_parts(parts, Body::from(body))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &'static str) -> (Option<[u8; 32]>, RequestState) {
        let state = RequestState::Answered(StatusCode::OK, HeaderMap::new(), Bytes::from_static(body.as_bytes()));
        (Some([7; 32]), state)
    }

    #[test]
    fn the_second_gets_the_answer_of_the_first() {
        let answers = RecentAnswers::default();
        assert!(answers.begin("a", "POST /x").unwrap().is_none());
        assert!(matches!(answers.begin("a", "POST /x").unwrap(), Some(RequestState::Open)));
        answers.end("a", Some(answered("done")));
        assert!(
            matches!(answers.begin("a", "POST /x").unwrap(), Some(RequestState::Answered(_, _, body)) if body == "done")
        );
        assert!(answers.begin("a", "POST /y").is_err(), "another request");
        assert!(answers.is_same_body("a", [7; 32]) && !answers.is_same_body("a", [8; 32]));
    }

    #[test]
    fn what_failed_may_be_tried_again() {
        let answers = RecentAnswers::default();
        assert!(answers.begin("a", "x").unwrap().is_none());
        answers.end("a", None);
        assert!(answers.begin("a", "x").unwrap().is_none());
    }

    #[test]
    fn no_more_answers_are_kept_than_allowed() {
        let answers = RecentAnswers::default();
        for n in 0..KEPT + 10 {
            answers.begin(&n.to_string(), "x").unwrap();
        }
        assert!(answers.state().entries.len() <= KEPT + 1);
        assert!(answers.begin("0", "x").unwrap().is_none(), "the oldest went first");
    }
}
