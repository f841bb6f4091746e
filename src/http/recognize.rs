//! A photo in, names out. Nothing of it is kept.

use std::sync::Arc;
use std::time::Instant;

use axum::Json as Out;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::header;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::body::{self, Params};
use super::problem::Problem;
use super::shapes::{Recognition, RecognizedFace};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    // It has limits of its own.
    OpenApiRouter::new().routes(routes!(recognize)).layer(DefaultBodyLimit::disable())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Candidates of each face at most.
    #[param(minimum = 1, maximum = 20, default = 3)]
    limit: Option<usize>,
}

/// A form with one photo.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a form, which is read field by field")]
struct PhotoForm {
    #[schema(value_type = String, format = Binary)]
    photo: Vec<u8>,
}

/// Bytes that a request says its body has, or may have.
pub(super) fn length(request: &Request, most: usize) -> usize {
    let given = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    given.unwrap_or(most).min(most)
}

/// Whose faces are in a photo
///
/// The body is the photo (JPEG, PNG, WebP or HEIC), or a form with the field `photo`. It is not kept.
#[utoipa::path(post, path = "/v1/recognize", tag = "recognition", params(Wanted),
    request_body(content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"),
        (Vec<u8> = "image/heic"), (Vec<u8> = "application/octet-stream"), (PhotoForm = "multipart/form-data"))),
    responses((status = 200, body = Recognition)))]
async fn recognize(State(app): State<Arc<App>>, request: Request) -> Result<Out<Recognition>, Problem> {
    let (mut parts, body) = request.into_parts();
    let Params(Wanted { limit }) = Params::from_request_parts(&mut parts, &()).await?;
    let request = Request::from_parts(parts, body);
    let keep = limit.unwrap_or(3);
    if !(1..=20).contains(&keep) {
        return Err(Problem::invalid(format!("limit is {keep}, allowed is 1 to 20")));
    }
    let place = app.analyst.place(length(&request, app.limits.bytes))?;
    let photo = body::photo(request, app.limits.bytes).await?;
    let begun = Instant::now();
    let found = app.analyst.analyse(&place, photo).await?;
    let crowd = Arc::clone(&app.crowd);
    let search = move || {
        let identified = crowd.identify(&found.faces, keep);
        (found, identified)
    };
    let (found, identified) = tokio::task::spawn_blocking(search).await.map_err(Problem::broken)?;
    let faces = found.faces.iter().zip(identified?).map(|(face, who)| RecognizedFace::new(face, who));
    Ok(Out(Recognition {
        width: found.image.width,
        height: found.image.height,
        faces: faces.collect(),
        model: found.image.model,
        milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}
