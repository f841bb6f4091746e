//! Routes that list corrections and undo them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::{Extension, Json as Out};
use muster_actors::domain::gallery::GroupId;
use muster_gallery::GalleryStores;
use muster_gallery::history::{ChangeEntry, MovedFaces, NamedPerson};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Params;
use super::gallery::GalleryParam;
use super::guard::Caller;
use super::problem::Problem;
use super::shapes::Change;

pub(super) fn routes() -> OpenApiRouter<Arc<dyn GalleryStores>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(undo))
}

/// A person that a change is about.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryPerson {
    /// Its id when the change was made.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    id: GroupId,
    /// Its name now, if it has one.
    name: Option<String>,
    /// Its name before the change, where the change is about its record.
    before: Option<String>,
    /// Its name after the change, where the change is about its record.
    after: Option<String>,
}

/// How many faces a change moved from one group to another.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryMove {
    /// Where they were; `null` for no group.
    #[schema(value_type = Option<String>)]
    from: Option<GroupId>,
    /// Where they went; `null` for no group.
    #[schema(value_type = Option<String>)]
    to: Option<GroupId>,
    /// How many.
    faces: u64,
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Said)]
struct HistoryEntry {
    /// Its number, by which it is taken back.
    change: u64,
    /// `named`, `merged`, `split`, …; or `forgotten`, which cannot be taken back.
    said: String,
    /// Who said it: the name of a key, or an address.
    by: String,
    /// When, in milliseconds since 1970 (UTC).
    at_ms: u64,
    /// What changed, in a few words.
    summary: String,
    /// The people that it is about; empty in a fleet, which lists summaries only.
    people: Vec<HistoryPerson>,
    /// Faces that it moved; empty in a fleet.
    moved: Vec<HistoryMove>,
    /// The number of the change that this one takes back.
    undoes: Option<u64>,
    /// The number of the change that took this one back.
    undone_by: Option<u64>,
}

impl HistoryEntry {
    fn new(entry: ChangeEntry, names: &HashMap<GroupId, String>) -> Self {
        let ChangeEntry { change, said, by, at_ms, summary, people, moved, undoes, undone_by } = entry;
        let person = |NamedPerson { id, before, after }| {
            let name = names.get(&id).cloned();
            HistoryPerson { id, name, before, after }
        };
        let ways = moved.into_iter().map(|MovedFaces { from, to, faces }| HistoryMove { from, to, faces });
        let people = people.into_iter().map(person).collect();
        Self { change, said, by, at_ms, summary, people, moved: ways.collect(), undoes, undone_by }
    }
}

/// The changes, the last first.
#[derive(Debug, Serialize, ToSchema)]
struct Changes {
    items: Vec<HistoryEntry>,
    /// `before` of the next page; `null` where there is none.
    next: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// Only changes with smaller numbers.
    #[param(minimum = 1)]
    before: Option<u64>,
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
}

/// What was said, the last first
#[utoipa::path(get, path = "/v1/history", tag = "people", params(HistoryQuery), responses((status = 200, body = Changes)))]
async fn list(
    GalleryParam(store): GalleryParam,
    Params(HistoryQuery { before, limit }): Params<HistoryQuery>,
) -> Result<Out<Changes>, Problem> {
    let limit = limit.unwrap_or(50);
    if !(1..=500).contains(&limit) || before.is_some_and(|before| before == 0 || i64::try_from(before).is_err()) {
        return Err(Problem::invalid("limit is 1 to 500, and before the number of a change"));
    }
    let mut entries = store.history(before, limit + 1).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|last| last.change);
    let people = store.people().await?;
    let names = people.iter().filter_map(|person| Some((person.id, person.name.clone()?))).collect();
    Ok(Out(Changes { items: entries.into_iter().map(|entry| HistoryEntry::new(entry, &names)).collect(), next }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct UndoQuery {
    /// The number of the change; the last that was not taken back where none is given.
    #[param(minimum = 1)]
    change: Option<u64>,
}

/// Take a change back
#[utoipa::path(post, path = "/v1/undo", tag = "people", params(UndoQuery), responses((status = 200, body = Change)))]
async fn undo(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Params(UndoQuery { change }): Params<UndoQuery>,
) -> Result<Out<Change>, Problem> {
    if change == Some(0) {
        return Err(Problem::invalid("change is the number of a change, from 1"));
    }
    if change.is_some_and(|change| i64::try_from(change).is_err()) {
        return Err(Problem::missing("change"));
    }
    Ok(Out(store.undo(change, &caller.name).await?.into()))
}
