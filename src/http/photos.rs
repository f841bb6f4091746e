//! Routes of photos and galleries: which photos were indexed, which were rejected, and why.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json as Out};
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::image::{ImageId, ImageState};
use muster_actors::people::CorrectionError;
use muster_actors::people::correction::is_name;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Json, Params};
use super::cursor::{List, Page, cursor};
use super::gallery::GalleryParam;
use super::guard::Caller;
use super::people::id;
use super::problem::Problem;
use super::shapes::{Change, Face, Photo};
use muster_gallery::enrolment::{self, FaceOwner};
use muster_gallery::pages::{FaceFilter, PageRows};
use muster_gallery::receipt::Receipt;
use muster_gallery::view::{ImageRow, Totals};
use muster_gallery::{GalleryStore, GalleryStores};

pub(super) fn routes() -> OpenApiRouter<Arc<dyn GalleryStores>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, forget))
        .routes(routes!(add_face))
        .routes(routes!(galleries))
        .routes(routes!(totals))
}

/// How a photo ended.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[schema(as = State_)]
#[serde(rename_all = "snake_case")]
enum PhotoState {
    Indexed,
    NoFaces,
    LowQuality,
    Rejected,
}

impl From<PhotoState> for ImageState {
    fn from(state: PhotoState) -> Self {
        match state {
            PhotoState::Indexed => Self::Indexed,
            PhotoState::NoFaces => Self::NoFaces,
            PhotoState::LowQuality => Self::LowQuality,
            PhotoState::Rejected => Self::Rejected,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListPhotosQuery {
    /// Those that ended so.
    #[param(inline)]
    state: Option<PhotoState>,
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// The photos, by path
#[utoipa::path(get, path = "/v1/photos", tag = "photos", params(ListPhotosQuery), responses((status = 200, body = List<Photo>)))]
async fn list(
    GalleryParam(store): GalleryParam,
    Params(query): Params<ListPhotosQuery>,
) -> Result<Out<List<Photo>>, Problem> {
    let page = Page { limit: query.limit, cursor: query.cursor };
    let (limit, after) = (page.limit()?, page.after::<(String, String)>()?);
    let state = query.state.map(ImageState::from);
    let PageRows { mut rows, total } = store.photos(state, after, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| cursor(&(&row.bucket, &row.key)));
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    Ok(Out(List { items: rows.into_iter().map(|row| Photo::new(row, None)).collect(), next, total }))
}

async fn row(store: &dyn GalleryStore, photo: &str) -> Result<ImageRow, Problem> {
    let photo: ImageId = id(photo, "photo")?;
    store.photo(photo).await?.ok_or_else(|| Problem::missing("photo"))
}

/// One photo, with its faces
#[utoipa::path(get, path = "/v1/photos/{id}", tag = "photos",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Photo)))]
async fn one(GalleryParam(store): GalleryParam, Path(photo): Path<String>) -> Result<Out<Photo>, Problem> {
    let row = row(&*store, &photo).await?;
    let most = usize::try_from(row.face_count).unwrap_or(usize::MAX);
    let faces = store.faces(FaceFilter::Image(row.id), None, most).await?;
    Ok(Out(Photo::new(row, Some(faces.rows.into_iter().map(Face::from).collect()))))
}

/// Forget a photo: its faces, crops and vectors. The photo itself stays where it is
#[utoipa::path(delete, path = "/v1/photos/{id}", tag = "photos",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Object)))]
async fn forget(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(photo): Path<String>,
) -> Result<Out<Receipt>, Problem> {
    Ok(Out(store.forget_photo(&row(&*store, &photo).await?, &caller.name).await?))
}

/// A box around a face that was not found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DrawnFace {
    /// The box, in pixels of the upright photo.
    #[serde(rename = "box")]
    drawn: DrawnBox,
    /// The person whose face it is.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    person: Option<String>,
    /// In place of `person`: what the person is called. A name that nobody has is a new person.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// A rectangle in pixels of the upright photo.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DrawnBox {
    /// Left edge.
    x: f64,
    /// Top edge.
    y: f64,
    /// Width, 12 or more.
    width: f64,
    /// Height, 12 or more.
    height: f64,
}

/// A face that was added, and what changed.
#[derive(Debug, Serialize, ToSchema)]
struct AddedFace {
    /// The face: a new one, or the one that was at this place already.
    #[schema(value_type = String)]
    face: FaceId,
    #[serde(flatten)]
    change: Change,
}

/// Add a face that was not found: the one in a box of the photo
///
/// The face is looked for in the box with a lower limit than otherwise; where the models see none, it is taken to fill
/// the box. It can then be grouped, named and forgotten like any other. `501` where the models run elsewhere.
#[utoipa::path(post, path = "/v1/photos/{id}/faces", tag = "photos", request_body = DrawnFace,
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = AddedFace)))]
async fn add_face(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Path(photo): Path<String>,
    Json(DrawnFace { drawn, person, name }): Json<DrawnFace>,
) -> Result<Out<AddedFace>, Problem> {
    let row = row(&*store, &photo).await?;
    let name = name.map(|name| name.trim().to_owned());
    let owner = match (person, name) {
        (Some(_), Some(_)) => return Err(Problem::invalid("`person` and `name` exclude each other")),
        (None, Some(name)) if name.is_empty() || !is_name(&name) => return Err(CorrectionError::Name.into()),
        (Some(person), None) => {
            let group: GroupId = person.parse().map_err(|_| Problem::missing("person"))?;
            FaceOwner::Person(store.group(group).await?.ok_or_else(|| Problem::missing("person"))?)
        }
        (None, Some(name)) => {
            let people = store.people().await?;
            let same = people.iter().find(|person| person.name.as_ref() == Some(&name)).map(|person| person.id);
            same.map_or(FaceOwner::New(name), FaceOwner::Person)
        }
        (None, None) => FaceOwner::Unsaid,
    };
    // What a float cannot hold becomes infinite, and no box of a photo.
    let [x, y, width, height] = [drawn.x, drawn.y, drawn.width, drawn.height].map(|value| value as f32);
    let face = store.add_face(row.id, BBox { x, y, width, height }).await?;
    let home = store.face(face).await?.and_then(|face| face.group);
    let correction = enrolment::added_face(face, home, owner);
    let change = store.correct(correction, &caller.name).await?.into();
    Ok(Out(AddedFace { face, change }))
}

/// A set of photos whose faces are grouped together.
#[derive(Debug, Serialize, ToSchema)]
struct Gallery {
    /// Its name.
    id: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Galleries {
    items: Vec<Gallery>,
}

/// The galleries: a library has one, `local`
#[utoipa::path(get, path = "/v1/galleries", tag = "galleries", responses((status = 200, body = Galleries)))]
async fn galleries(State(stores): State<Arc<dyn GalleryStores>>) -> Result<Out<Galleries>, Problem> {
    let galleries = stores.list().await?;
    Ok(Out(Galleries { items: galleries.into_iter().map(|gallery| Gallery { id: gallery.0 }).collect() }))
}

/// How many there are of everything
#[utoipa::path(get, path = "/v1/totals", tag = "photos", responses((status = 200, body = Object)))]
async fn totals(GalleryParam(store): GalleryParam) -> Result<Out<Totals>, Problem> {
    Ok(Out(store.totals().await?))
}
