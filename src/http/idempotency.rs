//! Answers a request that is sent again with the same `Idempotency-Key` with the answer of the first, without doing it again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::{Mutex, MutexGuard};

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

#[derive(Clone)]
enum RequestState {
    /// The first request is being worked on.
    Open,
    /// The answer to the first request.
    Answered(StatusCode, HeaderMap, Bytes),
}

struct LoggedRequest {
    /// The request's path, query and length, by which another request with the same key is noticed.
    what: String,
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
                let detail = "this Idempotency-Key was used for another request: take a new one";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "KEY_USED", detail));
            }
            return Ok(Some(entry.known.clone()));
        }
        entries.insert(
            key.to_owned(),
            LoggedRequest { what: what.to_owned(), since: Instant::now(), known: RequestState::Open },
        );
        order.push_back(key.to_owned());
        Ok(None)
    }

    fn end(&self, key: &str, answer: Option<RequestState>) {
        let mut state = self.state();
        match answer {
            Some(answer) => {
                if let Some(entry) = state.entries.get_mut(key) {
                    entry.known = answer;
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
    let length = request.headers().get("content-length").and_then(|length| length.to_str().ok()).unwrap_or_default();
    let what = format!("{} {length}", request.uri());
    match answers.begin(&key, &what) {
        Err(problem) => problem.into_response(),
        Ok(Some(RequestState::Open)) => {
            let detail = "the first request with this Idempotency-Key has no answer yet";
            Problem::new(StatusCode::CONFLICT, "IN_PROGRESS", detail).after(1).into_response()
        }
        Ok(Some(RequestState::Answered(status, headers, body))) => {
            let mut response = (status, Body::from(body)).into_response();
            *response.headers_mut() = headers;
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            response
        }
        Ok(None) => {
            let mut open = OpenRequestGuard { answers: Arc::clone(&answers), key: Some(key) };
            let (parts, body) = next.run(request).await.into_parts();
            let Ok(body) = to_bytes(body, LONGEST_ANSWER).await else {
                return Problem::broken("an answer that is too long").into_response();
            };
            // A request that failed on this side may be tried again with the same key.
            let lasting = !parts.status.is_server_error() && parts.status != StatusCode::TOO_MANY_REQUESTS;
            if let Some(key) = open.key.take_if(|_| lasting) {
                let known = RequestState::Answered(parts.status, parts.headers.clone(), body.clone());
                answers.end(&key, Some(known));
            }
            Response::from_parts(parts, Body::from(body))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &'static str) -> RequestState {
        RequestState::Answered(StatusCode::OK, HeaderMap::new(), Bytes::from_static(body.as_bytes()))
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
