//! Photos and galleries: what was indexed, what was not and why.

use std::sync::Arc;

use axum::Json as Out;
use axum::extract::{Path, State};
use muster_actors::image::{ImageId, ImageState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::body::Params;
use super::cursor::{List, Page, cursor};
use super::people::id;
use super::problem::Problem;
use super::shapes::{Face, Photo};
use crate::local::forget::{Receipt, Target};
use crate::local::view::{self, Totals};
use crate::local::{GALLERY, key, pages};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one, forget)).routes(routes!(galleries))
}

/// How a photo ended.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum State_ {
    Indexed,
    NoFaces,
    LowQuality,
    Rejected,
}

impl From<State_> for ImageState {
    fn from(state: State_) -> Self {
        match state {
            State_::Indexed => Self::Indexed,
            State_::NoFaces => Self::NoFaces,
            State_::LowQuality => Self::LowQuality,
            State_::Rejected => Self::Rejected,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Those that ended so.
    #[param(inline)]
    state: Option<State_>,
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// The photos, by path
#[utoipa::path(get, path = "/v1/photos", tag = "photos", params(Wanted), responses((status = 200, body = List<Photo>)))]
async fn list(State(app): State<Arc<App>>, Params(wanted): Params<Wanted>) -> Result<Out<List<Photo>>, Problem> {
    let page = Page { limit: wanted.limit, cursor: wanted.cursor };
    let (limit, after) = (page.limit()?, page.after::<(String, String)>()?);
    let state = wanted.state.map(ImageState::from);
    let (mut rows, total) = app
        .album
        .read(move |library| {
            let total = pages::count_images(library.db(), state)?;
            Ok((pages::images(library.db(), state, after, limit + 1)?, total))
        })
        .await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| cursor(&(&row.bucket, &row.key)));
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    Ok(Out(List { items: rows.into_iter().map(|row| Photo::new(row, None)).collect(), next, total }))
}

async fn row(app: &Arc<App>, photo: &str) -> Result<view::ImageRow, Problem> {
    let photo: ImageId = id(photo, "photo")?;
    let found = app.album.read(move |library| pages::image(library.db(), photo)).await?;
    found.ok_or_else(|| Problem::missing("photo"))
}

/// One photo, with its faces
#[utoipa::path(get, path = "/v1/photos/{id}", tag = "photos",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Photo)))]
async fn one(State(app): State<Arc<App>>, Path(photo): Path<String>) -> Result<Out<Photo>, Problem> {
    let row = row(&app, &photo).await?;
    let (id, most) = (row.id, usize::try_from(row.face_count).unwrap_or(usize::MAX));
    let faces = app.album.read(move |library| pages::faces(library.db(), pages::Faces::Image(id), None, most)).await?;
    Ok(Out(Photo::new(row, Some(faces.into_iter().map(Face::from).collect()))))
}

/// Forget a photo: its faces, crops and vectors. The photo itself stays where it is
#[utoipa::path(delete, path = "/v1/photos/{id}", tag = "photos",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")), responses((status = 200, body = Object)))]
async fn forget(State(app): State<Arc<App>>, Path(photo): Path<String>) -> Result<Out<Receipt>, Problem> {
    let row = row(&app, &photo).await?;
    let target = match row.bucket.as_str() {
        key::ENROLLED => Target::Image(row.id),
        bucket => Target::Path(app.album.store().places().path(bucket, &row.key).map_err(Problem::broken)?),
    };
    Ok(Out(app.album.forget(target).await?))
}

/// A set of photos whose faces are grouped together.
#[derive(Debug, Serialize, ToSchema)]
struct Gallery {
    /// Its name.
    id: &'static str,
    /// How many there are of everything.
    #[schema(value_type = Object)]
    totals: Totals,
}

#[derive(Debug, Serialize, ToSchema)]
struct Galleries {
    items: Vec<Gallery>,
}

/// The galleries: a library has one
#[utoipa::path(get, path = "/v1/galleries", tag = "photos", responses((status = 200, body = Galleries)))]
async fn galleries(State(app): State<Arc<App>>) -> Result<Out<Galleries>, Problem> {
    let totals = app.album.read(|library| view::totals(library.db())).await?;
    Ok(Out(Galleries { items: vec![Gallery { id: GALLERY, totals }] }))
}
