//! People: the groups, their names, and what somebody says of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json as Out;
use axum::extract::Path;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;
use muster_actors::grouping::say::{LONGEST_NAME, Member, Say};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Json, Params};
use super::cursor::{List, Page, cursor};
use super::gallery::In;
use super::problem::Problem;
use super::shapes::{Change, Face, Person};
use muster_gallery::album::person;
use muster_gallery::pages::Faces;
use muster_gallery::pages::Part;
use muster_gallery::receipt::Receipt;
use muster_gallery::text::short;
use muster_gallery::{Album, Albums};

/// Most ids in one request.
const IDS: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<dyn Albums>> {
    OpenApiRouter::new()
        .routes(routes!(list))
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

/// The person of an id in a path.
async fn this(album: &dyn Album, text: &str) -> Result<muster_gallery::view::Person, Problem> {
    person(album, id(text, "person")?).await?.ok_or_else(|| Problem::missing("person"))
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
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
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
async fn list(In(album): In, Params(wanted): Params<Wanted>) -> Result<Out<List<Person>>, Problem> {
    let page = Page { limit: wanted.limit, cursor: wanted.cursor };
    if wanted.q.as_deref().is_some_and(|q| q.chars().count() > LONGEST_NAME || q.contains('\0')) {
        return Err(Problem::invalid(format!("q has at most {LONGEST_NAME} characters")));
    }
    let people = album.people().await?;
    let text = wanted.q.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_lowercase);
    let seen = match &text {
        Some(text) => album.groups_in(text).await?,
        None => BTreeSet::new(),
    };
    let matches = |person: &&muster_gallery::view::Person| {
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
async fn one(In(album): In, Path(person): Path<String>) -> Result<Out<Person>, Problem> {
    Ok(Out(Person::from(&this(&*album, &person).await?)))
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
    In(album): In,
    Path(person): Path<String>,
    Json(Name { name }): Json<Name>,
) -> Result<Out<Change>, Problem> {
    let group = id(&person, "person")?;
    Ok(Out(album.say(Say::Name { group, name }).await?.into()))
}

/// Forget a person: faces, crops and vectors
#[utoipa::path(delete, path = "/v1/people/{id}", tag = "people",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Object)))]
async fn forget(In(album): In, Path(person): Path<String>) -> Result<Out<Receipt>, Problem> {
    // Also one whose faces went before whoever forgot it was done.
    let group = album.group(id(&person, "person")?).await?.ok_or_else(|| Problem::missing("person"))?;
    Ok(Out(album.forget_person(group).await?))
}

/// The faces of a person, the best first
#[utoipa::path(get, path = "/v1/people/{id}/faces", tag = "people",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$"), Page), responses((status = 200, body = List<Face>)))]
async fn faces(
    In(album): In,
    Path(person): Path<String>,
    Params(page): Params<Page>,
) -> Result<Out<List<Face>>, Problem> {
    let person = this(&*album, &person).await?;
    Ok(Out(some_faces(&*album, Faces::Group(person.id), &page).await?))
}

/// A page of faces.
pub(super) async fn some_faces(album: &dyn Album, which: Faces, page: &Page) -> Result<List<Face>, Problem> {
    let limit = page.limit()?;
    let after: Option<(f32, String)> = page.after()?;
    let after = match after {
        Some((overall, face)) => {
            Some((overall, face.parse::<FaceId>().map_err(|_| Problem::invalid("cursor is not one of this list"))?))
        }
        None => None,
    };
    let Part { mut rows, total } = album.faces(which, after, limit + 1).await?;
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
async fn merge(In(album): In, Json(Members { ids: all }): Json<Members>) -> Result<Out<Change>, Problem> {
    // The order says which id is kept, among groups of one size.
    let checked: BTreeSet<GroupId> = ids(&all)?;
    let mut members = Vec::with_capacity(checked.len());
    for text in &all {
        let Ok(group) = text.parse::<GroupId>() else { continue };
        members.push(match album.group(group).await? {
            Some(group) => Member::Group(group),
            None => Member::Face(FaceId(group.0)),
        });
    }
    Ok(Out(album.say(Say::Merge(members)).await?.into()))
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
async fn split(In(album): In, Path(person): Path<String>, Json(chosen): Json<Chosen>) -> Result<Out<Change>, Problem> {
    let (group, faces) = (id(&person, "person")?, ids(&chosen.faces)?);
    Ok(Out(album.say(Say::Split { group, faces }).await?.into()))
}

/// Say that faces, of others or of nobody, are this person
#[utoipa::path(post, path = "/v1/people/{id}/move", tag = "people", request_body = Chosen,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn relocate(
    In(album): In,
    Path(person): Path<String>,
    Json(chosen): Json<Chosen>,
) -> Result<Out<Change>, Problem> {
    let (group, faces) = (id(&person, "person")?, ids(&chosen.faces)?);
    Ok(Out(album.say(Say::Move { group, faces }).await?.into()))
}

/// Take back what was said last
#[utoipa::path(post, path = "/v1/undo", tag = "people", responses((status = 200, body = Change)))]
async fn undo(In(album): In) -> Result<Out<Change>, Problem> {
    Ok(Out(album.undo().await?.into()))
}

/// How a person is called in a sentence.
pub(super) fn called(id: GroupId, name: Option<&str>) -> String {
    name.map_or_else(|| format!("the person {}", short(id)), |name| format!("{name:?}"))
}
