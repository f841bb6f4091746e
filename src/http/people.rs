//! Routes of people: the groups, their names, and corrections of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::Path;
use axum::{Extension, Json as Out};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::person::BirthDate;
use muster_actors::people::correction::{Details, LONGEST_NAME};
use muster_actors::people::{Correction, CorrectionError, Member};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Json, Params};
use super::cursor::{List, Page, cursor};
use super::gallery::GalleryParam;
use super::guard::Caller;
use super::problem::Problem;
use super::shapes::{Change, Face, Person};
use muster_gallery::gallery_store::person;
use muster_gallery::pages::FaceFilter;
use muster_gallery::pages::PageRows;
use muster_gallery::receipt::Receipt;
use muster_gallery::text::short;
use muster_gallery::{GalleryStore, GalleryStores};

/// Most ids in one request.
const IDS: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<dyn GalleryStores>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, describe, forget))
        .routes(routes!(faces))
        .routes(routes!(merge))
        .routes(routes!(split))
        .routes(routes!(relocate))
        .routes(routes!(confirm))
        .routes(routes!(not_person))
        .routes(routes!(not_one))
}

/// Parses an id in a path. An invalid one is answered like an unknown one.
pub(super) fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::missing(what))
}

/// Reads the person that an id in a path names.
async fn this(store: &dyn GalleryStore, text: &str) -> Result<muster_gallery::view::Person, Problem> {
    person(store, id(text, "person")?).await?.ok_or_else(|| Problem::missing("person"))
}

/// Parses the ids in a body.
pub(super) fn ids<T: std::str::FromStr + Ord>(texts: &[String]) -> Result<BTreeSet<T>, Problem> {
    if texts.len() > IDS {
        return Err(Problem::invalid(format!("at most {IDS} ids are taken")));
    }
    let id = |text: &String| text.parse().map_err(|_| Problem::invalid("an id has 32 hexadecimal digits"));
    texts.iter().map(id).collect()
}

/// Filters and page of a list of people.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListPeopleQuery {
    /// Part of a name or of a photo's path, or the beginning of an id.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    q: Option<String>,
    /// With a name, or without.
    named: Option<bool>,
    /// Hidden people, too.
    #[param(default = false)]
    hidden: Option<bool>,
    /// Without those of whom nobody has said anything and who are in fewer photos.
    #[param(minimum = 1, default = 1)]
    min_photos: Option<u64>,
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// The people, the largest groups first
#[utoipa::path(get, path = "/v1/people", tag = "people", params(ListPeopleQuery), responses((status = 200, body = List<Person>)))]
async fn list(
    GalleryParam(store): GalleryParam,
    Params(query): Params<ListPeopleQuery>,
) -> Result<Out<List<Person>>, Problem> {
    let page = Page { limit: query.limit, cursor: query.cursor };
    if query.q.as_deref().is_some_and(|q| q.chars().count() > LONGEST_NAME || q.contains('\0')) {
        return Err(Problem::invalid(format!("q has at most {LONGEST_NAME} characters")));
    }
    let people = store.people().await?;
    let text = query.q.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_lowercase);
    let seen = match &text {
        Some(text) => store.groups_in(text).await?,
        None => BTreeSet::new(),
    };
    let is_wanted = |person: &&muster_gallery::view::Person| {
        let named = query.named.is_none_or(|named| named == person.name.is_some());
        let is_rare = !person.is_person && query.min_photos.is_some_and(|least| person.photos < least);
        named && !is_rare && (query.hidden.unwrap_or(false) || !person.is_hidden)
    };
    let mut found: Vec<(MatchRank, Person)> = people
        .iter()
        .filter(is_wanted)
        .filter_map(|person| Some((MatchRank::of(person, text.as_deref(), &seen)?, Person::from(person))))
        .collect();
    // The nearest matches first; among equals descending by faces, then ascending by id, as the people come.
    found.sort_by_key(|(rank, _)| *rank);
    let (ranks, found): (Vec<MatchRank>, Vec<Person>) = found.into_iter().unzip();
    let rank_of: BTreeMap<GroupId, MatchRank> = found.iter().map(|person| person.id).zip(ranks).collect();
    let place = |person: &Person| (rank_of[&person.id] as u8, u64::MAX - person.faces, person.id.to_string());
    Ok(Out(page.of(&found, place)?))
}

/// How well a person matches the text of a search, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MatchRank {
    /// The text is the name.
    Name,
    /// The name begins so.
    NameBegins,
    /// A word of the name begins so, or it is somewhere in the name.
    InName,
    /// The id begins so.
    Id,
    /// A photo's path has the text.
    Photo,
}

impl MatchRank {
    /// Ranks a person; `None` where it does not match. Without a text everybody matches equally.
    fn of(person: &muster_gallery::view::Person, text: Option<&str>, seen: &BTreeSet<GroupId>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::Name) };
        let name = person.name.as_deref().unwrap_or_default().to_lowercase();
        [
            (Self::Name, name == text),
            (Self::NameBegins, name.starts_with(text)),
            (Self::InName, name.contains(text)),
            (Self::Id, person.id.to_string().starts_with(text)),
            (Self::Photo, seen.contains(&person.id)),
        ]
        .into_iter()
        .find_map(|(rank, matches)| matches.then_some(rank))
    }
}

/// One person
///
/// An id that went into another by a merge answers with that one.
#[utoipa::path(get, path = "/v1/people/{id}", tag = "people",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Person)))]
async fn one(GalleryParam(store): GalleryParam, Path(person): Path<String>) -> Result<Out<Person>, Problem> {
    Ok(Out(Person::from(&this(&*store, &person).await?)))
}

/// What becomes known of a person. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = About)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonDetails {
    /// An empty one takes the name away.
    #[schema(max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    name: Option<String>,
    /// Whether lists leave the person out.
    hidden: Option<bool>,
    /// `1984`, `1984-05` or `1984-05-17`; an empty one takes it away.
    #[schema(pattern = "^([0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?)?$")]
    born: Option<String>,
    /// An empty one takes the note away.
    #[schema(max_length = 10000)]
    notes: Option<String>,
    /// A face of the person, to show it by.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    cover: Option<String>,
}

impl PersonDetails {
    /// Converts the body into the details of a correction.
    pub(super) fn details(self) -> Result<Details, Problem> {
        let born = match self.born.as_deref().map(str::trim) {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(text.parse::<BirthDate>().map_err(|e| Problem::invalid(e.to_string()))?)),
        };
        let fault = |_| Problem::invalid("cover is not the id of a face");
        let cover = self.cover.map(|face| face.parse::<FaceId>().map_err(fault)).transpose()?;
        let details = Details { name: self.name, cover, is_hidden: self.hidden, born, notes: self.notes };
        if details == Details::default() {
            return Err(Problem::invalid("give at least one of name, hidden, born, notes and cover"));
        }
        Ok(details)
    }
}

/// Give a person a name, a date of birth, a note or a cover, or hide it
#[utoipa::path(patch, path = "/v1/people/{id}", tag = "people", request_body = PersonDetails,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn describe(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(person): Path<String>,
    Json(about): Json<PersonDetails>,
) -> Result<Out<Change>, Problem> {
    let member = Member::Group(id(&person, "person")?);
    let correction = Correction::Details { member, details: about.details()? };
    Ok(Out(store.correct(correction, &caller.name).await?.into()))
}

/// Forget a person: faces, crops and vectors
#[utoipa::path(delete, path = "/v1/people/{id}", tag = "people",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Object)))]
async fn forget(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(person): Path<String>,
) -> Result<Out<Receipt>, Problem> {
    // A person whose faces are gone already is found too, so that an interrupted deletion can be completed.
    let group = store.group(id(&person, "person")?).await?.ok_or_else(|| Problem::missing("person"))?;
    Ok(Out(store.forget_person(group, &caller.name).await?))
}

/// The faces of a person, the best first
#[utoipa::path(get, path = "/v1/people/{id}/faces", tag = "people",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$"), Page), responses((status = 200, body = List<Face>)))]
async fn faces(
    GalleryParam(store): GalleryParam,
    Path(person): Path<String>,
    Params(page): Params<Page>,
) -> Result<Out<List<Face>>, Problem> {
    let person = this(&*store, &person).await?;
    Ok(Out(some_faces(&*store, FaceFilter::Group(person.id), &page).await?))
}

/// Reads a page of faces, the best first.
pub(super) async fn some_faces(
    store: &dyn GalleryStore,
    which: FaceFilter,
    page: &Page,
) -> Result<List<Face>, Problem> {
    let limit = page.limit()?;
    let after: Option<(f32, String)> = page.after()?;
    let after = match after {
        Some((overall, face)) => {
            Some((overall, face.parse::<FaceId>().map_err(|_| Problem::invalid("cursor is not one of this list"))?))
        }
        None => None,
    };
    let PageRows { mut rows, total } = store.faces(which, after, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| cursor(&(row.quality.overall, row.id)));
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    Ok(List { items: rows.into_iter().map(Face::from).collect(), next, total })
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Members)]
#[serde(deny_unknown_fields)]
struct MergeRequest {
    /// Ids of people, or of faces in no group.
    #[schema(min_items = 2, max_items = 10_000)]
    ids: Vec<String>,
}

/// Say that these are one person: the first
#[utoipa::path(post, path = "/v1/people/merge", tag = "people", request_body = MergeRequest,
    responses((status = 200, body = Change)))]
async fn merge(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Json(MergeRequest { ids: all }): Json<MergeRequest>,
) -> Result<Out<Change>, Problem> {
    // The first keeps its id, name and cover.
    let checked: BTreeSet<GroupId> = ids(&all)?;
    let mut members = Vec::with_capacity(checked.len());
    for text in &all {
        let Ok(group) = text.parse::<GroupId>() else { continue };
        members.push(match store.group(group).await? {
            Some(group) => Member::Group(group),
            None => Member::Face(FaceId(group.0)),
        });
    }
    Ok(Out(store.correct(Correction::Merge(members), &caller.name).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Chosen)]
#[serde(deny_unknown_fields)]
struct FaceSelection {
    /// Ids of faces.
    #[schema(min_items = 1, max_items = 10_000)]
    faces: Vec<String>,
}

/// Say that faces of a person are somebody else
#[utoipa::path(post, path = "/v1/people/{id}/split", tag = "people", request_body = FaceSelection,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn split(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(person): Path<String>,
    Json(chosen): Json<FaceSelection>,
) -> Result<Out<Change>, Problem> {
    let (group, faces) = (id(&person, "person")?, ids(&chosen.faces)?);
    Ok(Out(store.correct(Correction::Split { group, faces }, &caller.name).await?.into()))
}

/// Say that faces, of others or of nobody, are this person
#[utoipa::path(post, path = "/v1/people/{id}/move", tag = "people", request_body = FaceSelection,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn relocate(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(person): Path<String>,
    Json(chosen): Json<FaceSelection>,
) -> Result<Out<Change>, Problem> {
    let (group, faces) = (id(&person, "person")?, ids(&chosen.faces)?);
    Ok(Out(store.correct(Correction::Move { group, faces }, &caller.name).await?.into()))
}

/// Say that faces are rightly this person's
#[utoipa::path(post, path = "/v1/people/{id}/confirm", tag = "people", request_body = FaceSelection,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn confirm(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(person): Path<String>,
    Json(chosen): Json<FaceSelection>,
) -> Result<Out<Change>, Problem> {
    let (group, faces) = (id(&person, "person")?, ids(&chosen.faces)?);
    if chosen.faces.is_empty() {
        return Err(CorrectionError::NoneChosen.into());
    }
    Ok(Out(store.correct(Correction::Confirm { group, faces }, &caller.name).await?.into()))
}

/// Say that faces are not this person
#[utoipa::path(post, path = "/v1/people/{id}/not-person", tag = "people", request_body = FaceSelection,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn not_person(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(person): Path<String>,
    Json(chosen): Json<FaceSelection>,
) -> Result<Out<Change>, Problem> {
    let (group, faces) = (id(&person, "person")?, ids(&chosen.faces)?);
    Ok(Out(store.correct(Correction::NotPerson { group, faces }, &caller.name).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Two)]
#[serde(deny_unknown_fields)]
struct PersonPair {
    /// One person.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    a: String,
    /// The other person.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    b: String,
}

/// Say that two groups are two people
#[utoipa::path(post, path = "/v1/people/not-one", tag = "people", request_body = PersonPair,
    responses((status = 200, body = Change)))]
async fn not_one(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Json(PersonPair { a, b }): Json<PersonPair>,
) -> Result<Out<Change>, Problem> {
    let group = |text: &str| text.parse::<GroupId>().map_err(|_| Problem::invalid("an id has 32 hexadecimal digits"));
    let correction = Correction::NotOne { a: group(&a)?, b: group(&b)? };
    Ok(Out(store.correct(correction, &caller.name).await?.into()))
}

/// Returns what a message calls a person: its name in quotes, or its short id.
pub(super) fn called(id: GroupId, name: Option<&str>) -> String {
    name.map_or_else(|| format!("the person {}", short(id)), |name| format!("{name:?}"))
}
