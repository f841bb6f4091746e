//! What was served: how many answers of which kind, and in what time. A route is its template, so that what is counted stays bounded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use muster_actors::domain::histogram::Histogram;

use muster_telemetry::Answers;
use parking_lot::{Mutex, MutexGuard};

/// The status of a request whose caller left before there was an answer.
const LEFT: &str = "left";

/// What was served since the start.
#[derive(Default)]
pub struct Served(Mutex<Tally>);

#[derive(Default)]
struct Tally {
    waiting: u64,
    routes: BTreeMap<Route, Counts>,
}

#[derive(Default)]
struct Counts {
    statuses: BTreeMap<String, u64>,
    seconds: Histogram,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    path: String,
    method: &'static str,
}

/// The template of a request's route; `none` where it leads nowhere.
pub(super) fn template(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str)
}

impl Route {
    fn from_request(request: &Request) -> Self {
        let path = template(request).to_owned();
        let method = match *request.method() {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        Self { path, method }
    }
}

impl Served {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock()
    }

    /// Callers who wait for an answer.
    pub fn waiting(&self) -> u64 {
        self.tally().waiting
    }

    /// The answers of each route.
    pub fn answers(&self) -> Vec<Answers> {
        let tally = self.tally();
        let told = tally.routes.iter().map(|(Route { path, method }, counts)| Answers {
            route: path.clone(),
            method,
            statuses: counts.statuses.clone(),
            seconds: counts.seconds.clone(),
        });
        told.collect()
    }
}

/// A request that has no answer yet. Dropped without one, its caller left.
struct Waiting {
    served: Arc<Served>,
    route: Route,
    begun: Instant,
    status: Option<StatusCode>,
}

impl Waiting {
    fn begin(served: Arc<Served>, route: Route) -> Self {
        served.tally().waiting += 1;
        Self { served, route, begun: Instant::now(), status: None }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let status = self.status.map_or_else(|| LEFT.to_owned(), |status| status.as_str().to_owned());
        let mut tally = self.served.tally();
        tally.waiting -= 1;
        let counts = tally.routes.entry(self.route.clone()).or_default();
        *counts.statuses.entry(status).or_default() += 1;
        counts.seconds.record(self.begun.elapsed().as_secs_f64());
    }
}

/// Around everything that answers: from the head of a request to that of its answer.
pub async fn count(State(served): State<Arc<Served>>, request: Request, next: Next) -> Response {
    let mut waiting = Waiting::begin(served, Route::from_request(&request));
    let response = next.run(request).await;
    waiting.status = Some(response.status());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_leaves_is_counted_as_one_and_does_not_wait_any_more() {
        let served = Arc::<Served>::default();
        let route = Route { path: "/v1/recognize".into(), method: "POST" };
        let begin = || Waiting::begin(Arc::clone(&served), route.clone());
        let (mut answered, left, _waits) = (begin(), begin(), begin());
        answered.status = Some(StatusCode::OK);
        drop((answered, left));
        let [answers] = &served.answers()[..] else { panic!("one route") };
        assert_eq!((&*answers.route, answers.method), ("/v1/recognize", "POST"));
        assert_eq!(answers.statuses, [("200".to_owned(), 1), (LEFT.to_owned(), 1)].into());
        assert_eq!((answers.seconds.count(), served.waiting()), (2, 1));
    }
}
