//! Lets an administrator empty the queues and buckets between the web tier and its workers, after a second request that
//! confirms the first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json as Out};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Json;
use super::guard::Caller;
use super::problem::Problem;
use crate::purge::{PurgeTarget, Purger, TargetContent};
use muster_aws::classify::Fault;
use muster_worker::recognition::Refusal;
use muster_worker::recognition::wire_protocol::Id;

/// Time within which a purge must be confirmed.
const MINUTE: Duration = Duration::from_secs(60);

/// Administration of the stores, with the purges that wait for their confirmation.
pub struct Admin {
    purger: Purger,
    asked: Mutex<HashMap<Id, PendingPurge>>,
}

struct PendingPurge {
    by: String,
    stores: Vec<PurgeTarget>,
    at: Instant,
}

pub(super) fn routes() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::new().routes(routes!(purge))
}

impl Admin {
    /// Creates the administration over the stores that `purger` can empty.
    pub fn new(purger: Purger) -> Self {
        Self { purger, asked: Mutex::default() }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<Id, PendingPurge>> {
        let mut asked = self.asked.lock();
        asked.retain(|_, asked| asked.at.elapsed() < MINUTE);
        asked
    }

    /// Notes a first request, and returns the word that confirms it.
    fn first(&self, by: &str, stores: &[PurgeTarget]) -> Result<Id, Problem> {
        let word = Id::random().map_err(Problem::broken)?;
        self.asked().insert(word, PendingPurge { by: by.to_owned(), stores: stores.to_vec(), at: Instant::now() });
        Ok(word)
    }

    /// Tells whether the same caller asked for the same stores before. A word is valid once.
    fn second(&self, by: &str, stores: &[PurgeTarget], word: &str) -> bool {
        let asked = word.parse().ok().and_then(|word: Id| self.asked().remove(&word));
        asked.is_some_and(|asked| asked.by == by && asked.stores == stores)
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Wanted)]
#[serde(deny_unknown_fields)]
struct PurgeRequest {
    /// What is emptied.
    #[schema(min_items = 1, max_items = 4)]
    stores: Vec<PurgeTarget>,
    /// From the answer to the first time.
    confirm: Option<String>,
}

/// What is emptied, or would be.
#[derive(Debug, Serialize, ToSchema)]
struct Purge {
    /// Whether it was done.
    done: bool,
    /// What lies there, or lay there.
    content: Vec<TargetContent>,
    /// To be said within a minute, by the same caller to the same server.
    confirm: Option<String>,
}

/// Empty the queues and buckets between the web tier and its workers
///
/// The first time it says what would go, and a word; with that word, within a minute, it is done. Callers who wait get no answer.
#[utoipa::path(post, path = "/v1/admin/purge", tag = "admin", request_body = PurgeRequest, responses((status = 200, body = Purge)))]
async fn purge(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    Json(PurgeRequest { mut stores, confirm }): Json<PurgeRequest>,
) -> Result<Out<Purge>, Problem> {
    stores.sort();
    stores.dedup();
    if stores.is_empty() {
        return Err(Problem::invalid("stores is empty: name some of requests, responses, photos, answers"));
    }
    if let Some(word) = &confirm
        && !admin.second(&caller.name, &stores, word)
    {
        let detail =
            "confirm is not of a purge of these stores that you asked for here within a minute: ask without it first";
        return Err(Problem::new(StatusCode::CONFLICT, "NOT_CONFIRMED", detail));
    }
    let mut content = Vec::with_capacity(stores.len());
    for store in &stores {
        content.push(admin.purger.content(*store).await.map_err(failed)?);
    }
    if confirm.is_none() {
        let word = admin.first(&caller.name, &stores)?;
        return Ok(Out(Purge { done: false, content, confirm: Some(word.to_string()) }));
    }
    for store in &stores {
        admin.purger.purge(*store).await.map_err(failed)?;
        tracing::warn!(by = caller.name, ?store, "admin.purge");
    }
    Ok(Out(Purge { done: true, content, confirm: None }))
}

fn failed(fault: Fault) -> Problem {
    if fault.code.as_deref().is_some_and(|code| code.ends_with("PurgeQueueInProgress")) {
        let detail = "a purge of this queue is on its way: SQS takes one a minute";
        return Problem::new(StatusCode::CONFLICT, "PURGING", detail).after(MINUTE.as_secs());
    }
    Refusal::from(fault).into()
}
