//! A request that is sent again with the same `Idempotency-Key` is not done again: it gets the answer of the first.

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
/// Answers that are kept, and for how long.
const KEPT: usize = 1_000;
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// Longest answer that is kept.
const LONGEST_ANSWER: usize = 1 << 20;

#[derive(Clone)]
enum Known {
    /// Somebody works on it.
    Open,
    /// As it was answered.
    Answered(StatusCode, HeaderMap, Bytes),
}

struct Entry {
    /// Of the request: its path, query and length.
    what: String,
    since: Instant,
    known: Known,
}

#[derive(Default)]
struct State_ {
    entries: HashMap<String, Entry>,
    order: VecDeque<String>,
}

/// What was answered lately.
#[derive(Default)]
pub struct Answers(Mutex<State_>);

impl Answers {
    fn state(&self) -> MutexGuard<'_, State_> {
        self.0.lock()
    }

    /// What is known of a key; none says that the caller is the first, who must [`Self::end`] it.
    fn begin(&self, key: &str, what: &str) -> Result<Option<Known>, Problem> {
        let mut state = self.state();
        let State_ { entries, order } = &mut *state;
        while let Some(oldest) = order.front()
            && (order.len() > KEPT || entries.get(oldest).is_none_or(|entry| entry.since.elapsed() > LIFE))
        {
            entries.remove(oldest);
            order.pop_front();
        }
        if let Some(entry) = entries.get(key) {
            if entry.what != what {
                let detail = "this Idempotency-Key was used for another request";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "KEY_USED", detail));
            }
            return Ok(Some(entry.known.clone()));
        }
        entries.insert(key.to_owned(), Entry { what: what.to_owned(), since: Instant::now(), known: Known::Open });
        order.push_back(key.to_owned());
        Ok(None)
    }

    fn end(&self, key: &str, answer: Option<Known>) {
        let mut state = self.state();
        match answer {
            Some(answer) => {
                if let Some(entry) = state.entries.get_mut(key) {
                    entry.known = answer;
                }
            }
            // Nothing was done: the next one is the first.
            None => {
                state.entries.remove(key);
                state.order.retain(|kept| kept != key);
            }
        }
    }
}

/// Ends an entry that has no answer: also when its caller leaves in the middle.
struct Open {
    answers: Arc<Answers>,
    key: Option<String>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.answers.end(key, None);
        }
    }
}

/// In front of what changes something.
pub async fn once(State(answers): State<Arc<Answers>>, request: Request, next: Next) -> Response {
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
        Ok(Some(Known::Open)) => {
            let detail = "the first request with this Idempotency-Key has no answer yet";
            Problem::new(StatusCode::CONFLICT, "IN_PROGRESS", detail).after(1).into_response()
        }
        Ok(Some(Known::Answered(status, headers, body))) => {
            let mut response = (status, Body::from(body)).into_response();
            *response.headers_mut() = headers;
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            response
        }
        Ok(None) => {
            let mut open = Open { answers: Arc::clone(&answers), key: Some(key) };
            let (parts, body) = next.run(request).await.into_parts();
            let Ok(body) = to_bytes(body, LONGEST_ANSWER).await else {
                return Problem::broken("an answer that is too long").into_response();
            };
            // What could not be done may be tried again with the same key.
            let lasting = !parts.status.is_server_error() && parts.status != StatusCode::TOO_MANY_REQUESTS;
            if let Some(key) = open.key.take_if(|_| lasting) {
                let known = Known::Answered(parts.status, parts.headers.clone(), body.clone());
                answers.end(&key, Some(known));
            }
            Response::from_parts(parts, Body::from(body))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &'static str) -> Known {
        Known::Answered(StatusCode::OK, HeaderMap::new(), Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn the_second_gets_the_answer_of_the_first() {
        let answers = Answers::default();
        assert!(answers.begin("a", "POST /x").unwrap().is_none());
        assert!(matches!(answers.begin("a", "POST /x").unwrap(), Some(Known::Open)));
        answers.end("a", Some(answered("done")));
        assert!(matches!(answers.begin("a", "POST /x").unwrap(), Some(Known::Answered(_, _, body)) if body == "done"));
        assert!(answers.begin("a", "POST /y").is_err(), "another request");
    }

    #[test]
    fn what_failed_may_be_tried_again() {
        let answers = Answers::default();
        assert!(answers.begin("a", "x").unwrap().is_none());
        answers.end("a", None);
        assert!(answers.begin("a", "x").unwrap().is_none());
    }

    #[test]
    fn no_more_answers_are_kept_than_allowed() {
        let answers = Answers::default();
        for n in 0..KEPT + 10 {
            answers.begin(&n.to_string(), "x").unwrap();
        }
        assert!(answers.state().entries.len() <= KEPT + 1);
        assert!(answers.begin("0", "x").unwrap().is_none(), "the oldest went first");
    }
}
