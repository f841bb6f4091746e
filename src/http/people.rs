//! People: the groups, their names, and what somebody says of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json as Out;
use axum::extract::{DefaultBodyLimit, Path, State};
use muster_actors::face::FaceId;
use muster_actors::gallery::GroupId;
use muster_actors::grouper::say::{Member, Say};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::body::{Json, Params};
use super::cursor::{List, Page, cursor};
use super::enrol;
use super::problem::Problem;
use super::shapes::{Change, Face, Person};
use crate::local::forget::{Receipt, Target};
use crate::local::pages::{self, Faces};
use crate::text::short;

/// Most ids in one request.
const IDS: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        // Enrolment has limits of its own.
        .routes(routes!(list, enrol::enrol))
        .layer(DefaultBodyLimit::disable())
        .routes(routes!(one, rename, forget))
        .routes(routes!(faces))
        .routes(routes!(merge))
        .routes(routes!(split))
        .routes(routes!(relocate))
        .routes(routes!(undo))
}

/// An id in a path.
pub(super) fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::missing(what))
}

/// Ids in a body.
pub(super) fn ids<T: std::str::FromStr + Ord>(texts: &[String]) -> Result<BTreeSet<T>, Problem> {
    if texts.len() > IDS {
        return Err(Problem::invalid(format!("at most {IDS} ids are taken")));
    }
    let id = |text: &String| text.parse().map_err(|_| Problem::invalid("an id has 32 hexadecimal digits"));
    texts.iter().map(id).collect()
}

/// Which people.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Part of a name or of a photo's path, or the beginning of an id.
    #[param(max_length = 200)]
    q: Option<String>,
    /// With a name, or without.
    named: Option<bool>,
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// The people, the largest groups first
#[utoipa::path(get, path = "/v1/people", tag = "people", params(Wanted), responses((status = 200, body = List<Person>)))]
async fn list(State(app): State<Arc<App>>, Params(wanted): Params<Wanted>) -> Result<Out<List<Person>>, Problem> {
    let page = Page { limit: wanted.limit, cursor: wanted.cursor };
    let people = app.album.people().await?;
    let text = wanted.q.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_lowercase);
    let seen = match text.clone() {
        Some(text) => app.album.read(move |library| pages::groups_in(library.db(), &text)).await?,
        None => BTreeSet::new(),
    };
    let matches = |person: &&crate::local::view::Person| {
        let named = wanted.named.is_none_or(|named| named == person.name.is_some());
        let found = text.as_deref().is_none_or(|text| {
            let name = person.name.as_deref().unwrap_or_default().to_lowercase();
            name.contains(text) || person.id.to_string().starts_with(text) || seen.contains(&person.id)
        });
        named && found
    };
    let found: Vec<Person> = people.iter().filter(matches).map(Person::from).collect();
    // Descending by faces, then ascending by id.
    Ok(Out(page.of(&found, |person| (u64::MAX - person.faces, person.id.to_string()))?))
}

/// One person
///
/// An id that went into another by a merge answers with that one.
#[utoipa::path(get, path = "/v1/people/{id}", tag = "people",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Person)))]
async fn one(State(app): State<Arc<App>>, Path(person): Path<String>) -> Result<Out<Person>, Problem> {
    Ok(Out(Person::from(&app.album.person(id(&person, "person")?).await?)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Name {
    /// An empty one takes the name away.
    #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    name: String,
}

/// Give a person a name
#[utoipa::path(patch, path = "/v1/people/{id}", tag = "people", request_body = Name,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn rename(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
    Json(Name { name }): Json<Name>,
) -> Result<Out<Change>, Problem> {
    let group = id(&person, "person")?;
    Ok(Out(app.album.say(Say::Name { group, name }).await?.into()))
}

/// Forget a person: faces, crops and vectors
#[utoipa::path(delete, path = "/v1/people/{id}", tag = "people",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Object)))]
async fn forget(State(app): State<Arc<App>>, Path(person): Path<String>) -> Result<Out<Receipt>, Problem> {
    let person = app.album.person(id(&person, "person")?).await?;
    Ok(Out(app.album.forget(Target::Group(person.id)).await?))
}

/// The faces of a person, the best first
#[utoipa::path(get, path = "/v1/people/{id}/faces", tag = "people",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$"), Page), responses((status = 200, body = List<Face>)))]
async fn faces(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
    Params(page): Params<Page>,
) -> Result<Out<List<Face>>, Problem> {
    let person = app.album.person(id(&person, "person")?).await?;
    Ok(Out(some_faces(&app, Faces::Group(person.id), &page).await?))
}

/// A page of faces.
pub(super) async fn some_faces(app: &Arc<App>, which: Faces, page: &Page) -> Result<List<Face>, Problem> {
    let limit = page.limit()?;
    let after: Option<(f32, String)> = page.after()?;
    let after = match after {
        Some((overall, face)) => {
            Some((overall, face.parse::<FaceId>().map_err(|_| Problem::invalid("cursor is not one of this list"))?))
        }
        None => None,
    };
    let (mut rows, total) = app
        .album
        .read(move |library| {
            let total = pages::count_faces(library.db(), which)?;
            Ok((pages::faces(library.db(), which, after, limit + 1)?, total))
        })
        .await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| cursor(&(row.quality.overall, row.id)));
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    Ok(List { items: rows.into_iter().map(Face::from).collect(), next, total })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Members {
    /// Ids of people, or of faces in no group.
    #[schema(min_items = 2, max_items = 10_000)]
    ids: Vec<String>,
}

/// Say that these are one person
#[utoipa::path(post, path = "/v1/people/merge", tag = "people", request_body = Members,
    responses((status = 200, body = Change)))]
async fn merge(State(app): State<Arc<App>>, Json(Members { ids: all }): Json<Members>) -> Result<Out<Change>, Problem> {
    // The order says which id is kept, among groups of one size.
    let checked: BTreeSet<GroupId> = ids(&all)?;
    let members = app
        .album
        .read(move |library| {
            let member = |text: &String| -> Result<Option<Member>, crate::local::LibraryError> {
                let Ok(group) = text.parse::<GroupId>() else { return Ok(None) };
                Ok(Some(match pages::group(library.db(), group)? {
                    Some(group) => Member::Group(group),
                    None => Member::Face(FaceId(group.0)),
                }))
            };
            let mut members = Vec::with_capacity(checked.len());
            for text in &all {
                members.extend(member(text)?);
            }
            Ok(members)
        })
        .await?;
    Ok(Out(app.album.say(Say::Merge(members)).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Chosen {
    /// Ids of faces.
    #[schema(min_items = 1, max_items = 10_000)]
    faces: Vec<String>,
}

/// Say that faces of a person are somebody else
#[utoipa::path(post, path = "/v1/people/{id}/split", tag = "people", request_body = Chosen,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn split(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
    Json(chosen): Json<Chosen>,
) -> Result<Out<Change>, Problem> {
    let (group, faces) = (id(&person, "person")?, ids(&chosen.faces)?);
    Ok(Out(app.album.say(Say::Split { group, faces }).await?.into()))
}

/// Say that faces, of others or of nobody, are this person
#[utoipa::path(post, path = "/v1/people/{id}/move", tag = "people", request_body = Chosen,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn relocate(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
    Json(chosen): Json<Chosen>,
) -> Result<Out<Change>, Problem> {
    let (group, faces) = (id(&person, "person")?, ids(&chosen.faces)?);
    Ok(Out(app.album.say(Say::Move { group, faces }).await?.into()))
}

/// Take back what was said last
#[utoipa::path(post, path = "/v1/undo", tag = "people", responses((status = 200, body = Change)))]
async fn undo(State(app): State<Arc<App>>) -> Result<Out<Change>, Problem> {
    Ok(Out(app.album.undo().await?.into()))
}

/// How a person is called in a sentence.
pub(super) fn called(id: GroupId, name: Option<&str>) -> String {
    name.map_or_else(|| format!("the person {}", short(id)), |name| format!("{name:?}"))
}
