//! Routes of faces: boxes, crops, explanations of groups, and corrections of single faces.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::{Extension, Json as Out};
use muster_actors::domain::face::FaceId;
use muster_actors::grouping::explain::Explanation;
use muster_actors::people::{Correction, Member};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Json, Params};
use super::cursor::{List, Page};
use super::gallery::GalleryParam;
use super::guard::Caller;
use super::people::{PersonDetails, id, ids, some_faces};
use super::problem::Problem;
use super::shapes::{Change, Face};
use muster_gallery::{GalleryStore, GalleryStores};
use muster_gallery::{pages, view};

pub(super) fn routes() -> OpenApiRouter<Arc<dyn GalleryStores>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(crop))
        .routes(routes!(why))
        .routes(routes!(not_same))
        .routes(routes!(person))
        .routes(routes!(is_face))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListFacesQuery {
    /// Only faces in a group, or only those in none.
    in_group: Option<bool>,
    /// With `false`: what looked like a face and is none, whatever `in_group` says.
    is_face: Option<bool>,
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// The faces, the best first
#[utoipa::path(get, path = "/v1/faces", tag = "faces", params(ListFacesQuery), responses((status = 200, body = List<Face>)))]
async fn list(
    GalleryParam(store): GalleryParam,
    Params(query): Params<ListFacesQuery>,
) -> Result<Out<List<Face>>, Problem> {
    let which = match (query.is_face, query.in_group) {
        (Some(false), _) => pages::FaceFilter::NonFaces,
        (_, None) => pages::FaceFilter::All,
        (_, Some(true)) => pages::FaceFilter::Grouped,
        (_, Some(false)) => pages::FaceFilter::Ungrouped,
    };
    Ok(Out(some_faces(&*store, which, &Page { limit: query.limit, cursor: query.cursor }).await?))
}

async fn row(store: &dyn GalleryStore, face: &str) -> Result<view::FaceRow, Problem> {
    let face: FaceId = id(face, "face")?;
    store.face(face).await?.ok_or_else(|| Problem::missing("face"))
}

/// One face
#[utoipa::path(get, path = "/v1/faces/{id}", tag = "faces",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Face)))]
async fn one(GalleryParam(store): GalleryParam, Path(face): Path<String>) -> Result<Out<Face>, Problem> {
    Ok(Out(row(&*store, &face).await?.into()))
}

/// The face as a square picture
#[utoipa::path(get, path = "/v1/faces/{id}/crop", tag = "faces",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>)))]
async fn crop(
    GalleryParam(store): GalleryParam,
    Path(face): Path<String>,
) -> Result<([(HeaderName, &'static str); 2], Vec<u8>), Problem> {
    let jpeg = store.crop(&row(&*store, &face).await?).await?;
    if jpeg.is_empty() {
        return Err(Problem::missing("crop"));
    }
    // A browser asks each time whether the face is still there: one that was forgotten is shown nowhere any more.
    Ok(([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, no-cache")], jpeg))
}

/// Why two faces are together or apart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Why)]
struct FaceExplanation {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    explanation: Explanation,
    /// The explanation in words.
    text: String,
}

/// Why two faces are together or apart
#[utoipa::path(get, path = "/v1/faces/{id}/why/{other}", tag = "faces",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$"), ("other" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = Object)))]
async fn why(
    GalleryParam(store): GalleryParam,
    Path((a, b)): Path<(String, String)>,
) -> Result<Out<FaceExplanation>, Problem> {
    let (a, b) = (row(&*store, &a).await?.id, row(&*store, &b).await?.id);
    let explanation = store.why(a, b).await?;
    // The rule in words; the ids of the faces on the way are in `explanation`.
    let text = explanation.rule.to_string();
    Ok(Out(FaceExplanation { explanation, text }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Pair)]
#[serde(deny_unknown_fields)]
struct FacePair {
    /// One face.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    a: String,
    /// The other face.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    b: String,
}

/// Say that two faces are two people
#[utoipa::path(post, path = "/v1/faces/not-same", tag = "faces", request_body = FacePair,
    responses((status = 200, body = Change)))]
async fn not_same(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Json(pair): Json<FacePair>,
) -> Result<Out<Change>, Problem> {
    let face = |text: &str| text.parse().map_err(|_| Problem::invalid("an id has 32 hexadecimal digits"));
    let correction = Correction::NotSame { a: face(&pair.a)?, b: face(&pair.b)? };
    Ok(Out(store.correct(correction, &caller.name).await?.into()))
}

/// Make a person of a face that is in no group
///
/// Somebody who was seen once gets a name, a date of birth or a note.
#[utoipa::path(post, path = "/v1/faces/{id}/person", tag = "faces", request_body = PersonDetails,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Change)))]
async fn person(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(face): Path<String>,
    Json(about): Json<PersonDetails>,
) -> Result<Out<Change>, Problem> {
    let member = Member::Face(row(&*store, &face).await?.id);
    let correction = Correction::Details { member, details: about.details()? };
    Ok(Out(store.correct(correction, &caller.name).await?.into()))
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Judged)]
#[serde(deny_unknown_fields)]
struct IsFaceRequest {
    /// Ids of faces.
    #[schema(min_items = 1, max_items = 10_000)]
    faces: Vec<String>,
    /// Whether they are faces.
    is_face: bool,
}

/// Say that these are faces, or are none
///
/// What is no face is in no group and is not counted; `GET /v1/faces?is_face=false` lists it.
#[utoipa::path(post, path = "/v1/faces/is-face", tag = "faces", request_body = IsFaceRequest,
    responses((status = 200, body = Change)))]
async fn is_face(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Json(IsFaceRequest { faces, is_face }): Json<IsFaceRequest>,
) -> Result<Out<Change>, Problem> {
    let correction = Correction::Face { faces: ids(&faces)?, is_face };
    Ok(Out(store.correct(correction, &caller.name).await?.into()))
}
