//! Reads the bodies of requests, which are JSON or photos, up to their limits.

use axum::body::Bytes;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Extractor of a JSON body that reports errors as problem documents.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::JsonDataError(error)) => Err(Problem::invalid(error.body_text())),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Err(Problem::new(
                    status,
                    "UNSUPPORTED_MEDIA_TYPE",
                    "the body must be JSON: send Content-Type: application/json",
                ))
            }
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::too_large(JSON_BYTES)),
            Err(error) => Err(Problem::unreadable(error.body_text())),
        }
    }
}

/// Extractor of a query string that reports errors as problem documents.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error @ QueryRejection::FailedToDeserializeQueryString(_)) => Err(Problem::invalid(error.body_text())),
            Err(error) => Err(Problem::unreadable(error.body_text())),
        }
    }
}

/// Longest JSON body in bytes: some thousand ids.
pub(crate) const JSON_BYTES: usize = 1 << 20;

/// What a form may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormLimits {
    /// Photos.
    pub photos: usize,
    /// Bytes of each.
    pub bytes: usize,
}

/// A form with photos, and the name of the person in them.
#[derive(Debug, Default)]
pub struct Form {
    /// The field `name`.
    pub name: Option<String>,
    /// The fields `photo`, each with its file's name.
    pub photos: Vec<(String, Bytes)>,
}

/// Longest field of text in bytes.
const TEXT_BYTES: usize = 4096;

impl Form {
    /// Reads a form, field by field.
    ///
    /// # Errors
    /// The form is malformed, has an unknown field, or exceeds a limit.
    pub async fn read(request: Request, limits: FormLimits) -> Result<Self, Problem> {
        let mut form = Self::default();
        let unreadable = |error: MultipartError| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(limits.bytes),
            _ => Problem::unreadable(error.body_text()),
        };
        let mut fields = Multipart::from_request(request, &())
            .await
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "UNREADABLE", error.body_text()))?;
        while let Some(mut field) = fields.next_field().await.map_err(unreadable)? {
            let is_photo = field.name() == Some("photo");
            let is_name = field.name() == Some("name");
            let file = field.file_name().map(str::to_owned);
            let most = if is_photo { limits.bytes } else { TEXT_BYTES };
            let mut bytes = Vec::new();
            while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
                if bytes.len() + chunk.len() > most {
                    return Err(Problem::too_large(most));
                }
                bytes.extend_from_slice(&chunk);
            }
            if is_photo {
                if form.photos.len() == limits.photos {
                    let detail = format!("at most {} photos are taken at once", limits.photos);
                    return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_MANY_PHOTOS", detail));
                }
                let name = file.unwrap_or_else(|| format!("photo {}", form.photos.len() + 1));
                form.photos.push((name.chars().take(200).collect(), bytes.into()));
            } else if is_name {
                form.name = Some(String::from_utf8(bytes).map_err(|_| Problem::unreadable("the name is not UTF-8"))?);
            } else {
                return Err(Problem::invalid("known fields are `photo` and `name`"));
            }
        }
        Ok(form)
    }
}

/// Reads one photo: the whole body, or the field `photo` of a form.
///
/// # Errors
/// The body is of another type, malformed, or too large.
pub async fn photo(request: Request, bytes: usize) -> Result<Bytes, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "multipart/form-data" => {
            let form = Form::read(request, FormLimits { photos: 1, bytes }).await?;
            let photo = form.photos.into_iter().next();
            photo.map(|(_, photo)| photo).ok_or_else(|| Problem::invalid("the form has no field `photo`"))
        }
        "" | "application/octet-stream" => whole(request, bytes).await,
        kind if kind.starts_with("image/") => whole(request, bytes).await,
        other => {
            let detail = format!(
                "Content-Type is {other}: send image/jpeg, image/png, image/webp, image/heic or application/octet-stream, \
                 or multipart/form-data with the field `photo`"
            );
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail))
        }
    }
}

async fn whole(request: Request, bytes: usize) -> Result<Bytes, Problem> {
    let body = request.into_body();
    axum::body::to_bytes(body, bytes).await.map_err(|error| {
        // The only error of ours is the limit; any other is of a caller that went away in the middle.
        let limit = std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("length limit"));
        if limit { Problem::too_large(bytes) } else { Problem::unreadable("the body ended too early") }
    })
}
