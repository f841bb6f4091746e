//! Counts answers by route and status, with their durations. A route is counted by its template, which bounds the number
//! of series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use muster_actors::domain::histogram::Histogram;

use muster_telemetry::RouteAnswers;
use parking_lot::{Mutex, MutexGuard};

/// Status of a request whose caller disconnected before the answer.
const LEFT: &str = "left";

/// Counts of requests and answers since the process started.
#[derive(Default)]
pub struct HttpMetrics(Mutex<Tally>);

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

/// Returns the template of a request's route; `none` where no route matches.
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

impl HttpMetrics {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock()
    }

    /// Returns the number of requests that have no answer yet.
    pub fn waiting(&self) -> u64 {
        self.tally().waiting
    }

    /// Returns the counts and durations of each route's answers.
    pub fn answers(&self) -> Vec<RouteAnswers> {
        let tally = self.tally();
        let told = tally.routes.iter().map(|(Route { path, method }, counts)| RouteAnswers {
            route: path.clone(),
            method,
            statuses: counts.statuses.clone(),
            seconds: counts.seconds.clone(),
        });
        told.collect()
    }
}

/// A request that has no answer yet. One that is dropped without a status is counted as `left`.
struct Waiting {
    metrics: Arc<HttpMetrics>,
    route: Route,
    begun: Instant,
    status: Option<StatusCode>,
}

impl Waiting {
    fn begin(metrics: Arc<HttpMetrics>, route: Route) -> Self {
        metrics.tally().waiting += 1;
        Self { metrics, route, begun: Instant::now(), status: None }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let status = self.status.map_or_else(|| LEFT.to_owned(), |status| status.as_str().to_owned());
        let mut tally = self.metrics.tally();
        tally.waiting -= 1;
        let counts = tally.routes.entry(self.route.clone()).or_default();
        *counts.statuses.entry(status).or_default() += 1;
        counts.seconds.record(self.begun.elapsed().as_secs_f64());
    }
}

/// Counts a request, and the time from its head to the head of its answer. It wraps all other layers.
pub async fn count_requests(State(metrics): State<Arc<HttpMetrics>>, request: Request, next: Next) -> Response {
    let mut waiting = Waiting::begin(metrics, Route::from_request(&request));
    let response = next.run(request).await;
    waiting.status = Some(response.status());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_who_leaves_is_counted_as_one_and_does_not_wait_any_more() {
        let metrics = Arc::<HttpMetrics>::default();
        let route = Route { path: "/v1/recognize".into(), method: "POST" };
        let begin = || Waiting::begin(Arc::clone(&metrics), route.clone());
        let (mut answered, left, _waits) = (begin(), begin(), begin());
        answered.status = Some(StatusCode::OK);
        drop((answered, left));
        let [answers] = &metrics.answers()[..] else { panic!("one route") };
        assert_eq!((&*answers.route, answers.method), ("/v1/recognize", "POST"));
        assert_eq!(answers.statuses, [("200".to_owned(), 1), (LEFT.to_owned(), 1)].into());
        assert_eq!((answers.seconds.count(), metrics.waiting()), (2, 1));
    }
}
