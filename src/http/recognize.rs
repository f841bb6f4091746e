//! The route that recognises the faces in a photo. It keeps nothing of the photo.

use std::sync::Arc;
use std::time::Instant;

use axum::Json as Out;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::header;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app_state::AppState;
use super::body::{self, Params};
use super::gallery::RequestedGallery;
use super::problem::Problem;
use super::shapes::Recognition;
use muster_worker::recognition::RecognitionQuery;
use muster_worker::recognition::wire_protocol::CANDIDATES;

pub(super) fn routes() -> OpenApiRouter<Arc<AppState>> {
    // The route has limits of its own.
    OpenApiRouter::new().routes(routes!(recognize)).layer(DefaultBodyLimit::disable())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RecognizeParams {
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

/// Returns the length that a request states for its body; `most` where it states none or more.
pub(super) fn length(request: &Request, most: usize) -> usize {
    let given = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    given.unwrap_or(most).min(most)
}

/// Whose faces are in a photo
///
/// The body is the photo (JPEG, PNG, WebP or HEIC), or a form with the field `photo`. It is not kept.
#[utoipa::path(post, path = "/v1/recognize", tag = "recognition", params(RecognizeParams),
    request_body(content((Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"),
        (Vec<u8> = "image/heic"), (Vec<u8> = "application/octet-stream"), (PhotoForm = "multipart/form-data"))),
    responses((status = 200, body = Recognition)))]
async fn recognize(
    State(state): State<Arc<AppState>>,
    RequestedGallery(gallery): RequestedGallery,
    request: Request,
) -> Result<Out<Recognition>, Problem> {
    let (mut parts, body) = request.into_parts();
    let Params(RecognizeParams { limit }) = Params::from_request_parts(&mut parts, &()).await?;
    let request = Request::from_parts(parts, body);
    let keep = limit.unwrap_or(3);
    if !(1..=CANDIDATES).contains(&keep) {
        return Err(Problem::invalid(format!("limit is {keep}, allowed is 1 to {CANDIDATES}")));
    }
    let query = RecognitionQuery { gallery, keep };
    let permit = state.recognizer.admit(length(&request, state.limits.bytes))?;
    let photo = body::photo(request, state.limits.bytes).await?;
    let begun = Instant::now();
    let seen = state.recognizer.recognize(&permit, photo, query).await?;
    Ok(Out(Recognition::new(seen, begun.elapsed())))
}
