//! Errors as `application/problem+json` (RFC 9457), each with a stable code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use muster_actors::domain::image::Rejection;
use muster_actors::people::CorrectionError;
use muster_actors::people::undo::UndoError;
use serde::Serialize;
use utoipa::ToSchema;

use muster_gallery::{AddFaceError, GalleryError, StoreFault};
use muster_library::LibraryError;
use muster_worker::recognition::Refusal;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says more.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// For programs: stable.
    code: &'static str,
    /// For a person.
    detail: String,
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// Creates a problem with a status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let (status, detail) = (status.as_u16(), detail.into());
        Self { kind: "about:blank", title, status, code, detail, retry_after: None }
    }

    /// Creates the answer to a request for something that does not exist.
    pub fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no such {what}"))
    }

    /// Creates the answer to a request that can be read and is not valid.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID", detail)
    }

    /// Creates the answer to a request without a gallery where the service has none of its own.
    fn which_gallery() -> Self {
        let detail = "the request names no gallery, and this service has none of its own: name one with ?gallery=";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "WHICH_GALLERY", detail)
    }

    /// Creates the answer to a request that cannot be read.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UNREADABLE", detail)
    }

    /// Creates the answer to a body above the limit in bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_MANY_BYTES", format!("at most {limit} bytes are taken"))
    }

    /// Creates the answer to a request whose time limit is over.
    pub fn late(seconds: u64) -> Self {
        let detail = format!("there was no answer within {seconds} s");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT", detail).after(1)
    }

    /// Creates the answer to an internal error; its cause goes to the log only.
    pub fn broken(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "http.broken");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "BROKEN", "something went wrong here; the log says what")
    }

    /// Creates the answer where another service does not respond; the cause goes to the log only.
    pub fn unavailable(why: &str) -> Self {
        tracing::warn!(why, "http.unavailable");
        let detail = "something that this service depends on does not answer";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail).after(5)
    }

    /// Adds the time after which the caller may try again, in seconds.
    pub fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Creates the answer to a photo that was rejected; `which` names it among several.
    pub fn rejected(rejection: &Rejection, which: Option<&str>) -> Self {
        use muster_actors::domain::image::RejectReason as R;
        let status = match rejection.reason {
            R::TooManyBytes => StatusCode::PAYLOAD_TOO_LARGE,
            R::UnknownFormat | R::DecoderMissing => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            R::BadMessage
            | R::Missing
            | R::Unreadable
            | R::Empty
            | R::Truncated
            | R::Corrupt
            | R::TooManyPixels
            | R::Crashed
            | R::Isolated
            | R::TooManyAttempts
            | R::Removed
            | R::Forgotten => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let which = which.map(|which| format!("{which}: ")).unwrap_or_default();
        Self::new(status, rejection.reason.as_str(), format!("{which}{}", rejection.detail))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Text and numbers can always be serialised.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Locked(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "LIBRARY_BUSY", why).after(1),
            StoreFault::Full(why) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "DISK_FULL", why),
            StoreFault::Unavailable(why) => Self::unavailable(&why),
            StoreFault::Broken(why) => Self::broken(why),
        }
    }
}

impl From<LibraryError> for Problem {
    fn from(error: LibraryError) -> Self {
        StoreFault::from(error).into()
    }
}

impl From<CorrectionError> for Problem {
    fn from(error: CorrectionError) -> Self {
        let (status, code) = match error {
            CorrectionError::NoGroup(_) | CorrectionError::NoFace(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            CorrectionError::Name => (StatusCode::UNPROCESSABLE_ENTITY, "BAD_NAME"),
            CorrectionError::Note => (StatusCode::UNPROCESSABLE_ENTITY, "BAD_NOTE"),
            CorrectionError::Alone => (StatusCode::UNPROCESSABLE_ENTITY, "NOTHING_TO_MERGE"),
            CorrectionError::NotMember(_) => (StatusCode::CONFLICT, "NOT_MEMBER"),
            CorrectionError::NoneChosen => (StatusCode::UNPROCESSABLE_ENTITY, "NONE_CHOSEN"),
            CorrectionError::All => (StatusCode::CONFLICT, "ALL_FACES"),
            CorrectionError::Same => (StatusCode::UNPROCESSABLE_ENTITY, "SAME_FACE"),
            CorrectionError::Elsewhere { .. } => (StatusCode::CONFLICT, "IN_ANOTHER_GROUP"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<GalleryError> for Problem {
    fn from(error: GalleryError) -> Self {
        match error {
            GalleryError::NoGallery(_) => Self::missing("gallery"),
            GalleryError::WhichGallery => Self::which_gallery(),
            GalleryError::Correction(error) => error.into(),
            GalleryError::NoChange(_) => Self::missing("change"),
            GalleryError::Undo { error: ref why, .. } => {
                let code = match why {
                    UndoError::Overtaken(_) => "OVERTAKEN",
                    UndoError::Undone | UndoError::Forgotten => "CANNOT_UNDO",
                };
                Self::new(StatusCode::CONFLICT, code, error.to_string())
            }
            GalleryError::Nothing => Self::new(StatusCode::CONFLICT, "NOTHING_TO_UNDO", "nothing to take back"),
            GalleryError::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "GALLERY_BUSY", error.to_string()).after(5)
            }
            GalleryError::Grouping(error) => Self::broken(error),
            GalleryError::AddFace(error) => {
                let (status, code) = match error {
                    AddFaceError::Elsewhere => (StatusCode::NOT_IMPLEMENTED, "MODELS_ELSEWHERE"),
                    AddFaceError::Box(_) => (StatusCode::UNPROCESSABLE_ENTITY, "BAD_BOX"),
                    AddFaceError::Forgotten(_) => (StatusCode::CONFLICT, "FORGOTTEN"),
                    AddFaceError::Changed(_) => (StatusCode::CONFLICT, "PHOTO_CHANGED"),
                    AddFaceError::Models(why) => return Self::broken(why),
                };
                Self::new(status, code, error.to_string())
            }
            GalleryError::Store(fault) => fault.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rejected(rejection) => Self::rejected(&rejection, None),
            Refusal::Busy(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, "BUSY", refusal.to_string()).after(1),
            Refusal::NoGallery(_) => Self::missing("gallery"),
            Refusal::WhichGallery => Self::which_gallery(),
            Refusal::Unavailable(why) => Self::unavailable(&why),
            Refusal::Broken(why) => Self::broken(why),
            Refusal::Closed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "STOPPING", refusal.to_string()).after(5),
        }
    }
}
