//! Enrols a person by photos that have one good face each. The photos are not kept.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json as Out};
use muster_actors::grouping::Params;
use muster_actors::grouping::identification::Identified;
use muster_actors::people::CorrectionError;
use muster_actors::people::correction::LONGEST_NAME;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app_state::AppState;
use super::body::{Form, FormLimits};
use super::gallery::RequestedGallery;
use super::guard::Caller;
use super::people::called;
use super::problem::Problem;
use super::recognize::length;
use super::shapes::Person;
use muster_gallery::enrolment::{self, Enrolment};
use muster_gallery::gallery_store::person;
use muster_gallery::{GalleryStore, GalleryStores};
use muster_worker::recognition::query::AnalysedPhoto;
use muster_worker::recognition::wire_protocol::CANDIDATES;
use muster_worker::recognition::{RecognitionQuery, Refusal};

/// State of the enrolment route.
#[derive(Clone)]
pub(super) struct EnrolmentState {
    pub state: Arc<AppState>,
    pub stores: Arc<dyn GalleryStores>,
}

pub(super) fn routes() -> OpenApiRouter<EnrolmentState> {
    // The route has limits of its own.
    OpenApiRouter::new().routes(routes!(enrol)).layer(DefaultBodyLimit::disable())
}

/// A form with a name and photos.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a form, which is read field by field")]
struct EnrolmentForm {
    /// What the person is called.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Photos with one face each.
    #[schema(value_type = Vec<String>, format = Binary)]
    photo: Vec<Vec<u8>>,
}

/// Make a person known by one photo or more
///
/// Each photo has one good face. What is kept of it is the face's crop and its vector; the photo is not.
#[utoipa::path(post, path = "/v1/people", tag = "people",
    request_body(content_type = "multipart/form-data", content = EnrolmentForm),
    responses((status = 201, body = Person)))]
async fn enrol(
    State(EnrolmentState { state, stores }): State<EnrolmentState>,
    RequestedGallery(gallery): RequestedGallery,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<(StatusCode, Out<Person>), Problem> {
    let store = stores.open(gallery).await?;
    let limits = FormLimits { photos: state.limits.photos, bytes: state.limits.bytes };
    let permit = state.recognizer.admit(length(&request, limits.photos * limits.bytes))?;
    let form = Form::read(request, limits).await?;
    let name = form.name.map(|name| name.trim().to_owned()).unwrap_or_default();
    if name.is_empty() {
        return Err(Problem::invalid("the form has no field `name`, or it is empty"));
    }
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(CorrectionError::Name.into());
    }
    if form.photos.is_empty() {
        return Err(Problem::invalid("the form has no field `photo`"));
    }
    let gallery = store.gallery();
    let (mut photos, mut who) = (Vec::with_capacity(form.photos.len()), Vec::new());
    for (which, bytes) in form.photos {
        let query = RecognitionQuery { gallery: Some(gallery.clone()), keep: CANDIDATES };
        let AnalysedPhoto { image, faces, who: mut each } =
            usable(&which, state.recognizer.find(&permit, bytes.clone(), query).await)?;
        who.append(&mut each);
        photos.push(enrolment::record(&gallery, &bytes, image, faces));
    }
    let enrolment = enrolment(&*store, who, name).await?;
    let group = store.enrol(photos, enrolment, &caller.name).await?;
    let group = group.ok_or_else(|| Problem::broken("an enrolled face is in no group"))?;
    let person = person(&*store, group).await?.ok_or_else(|| Problem::missing("person"))?;
    Ok((StatusCode::CREATED, Out(Person::from(&person))))
}

/// Checks that a photo has exactly one face that is good enough to identify a person. Detections that are not faces are left out.
///
/// # Errors
/// The photo is rejected, or has no face, several, or a poor one.
fn usable(which: &str, found: Result<AnalysedPhoto, Refusal>) -> Result<AnalysedPhoto, Problem> {
    let AnalysedPhoto { image, faces, who } = match found {
        Err(Refusal::Rejected(rejection)) => return Err(Problem::rejected(&rejection, Some(which))),
        other => other?,
    };
    let (faces, who) = faces.into_iter().zip(who).filter(|(face, _)| face.quality.is_face()).unzip();
    let found = AnalysedPhoto { image, faces, who };
    let refuse = |code, detail: String| Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail));
    match &found.faces[..] {
        [] => refuse("NO_FACE", format!("{which}: no face was found")),
        [face] if face.quality.overall < Params::default().core_quality => {
            let reasons: Vec<String> = face.quality.reasons.iter().map(|reason| format!("{reason:?}")).collect();
            refuse("POOR_FACE", format!("{which}: the face is too poor ({})", reasons.join(", ")))
        }
        [_] => Ok(found),
        _ => refuse("SEVERAL_FACES", format!("{which}: several faces were found; take a photo of one person")),
    }
}

/// Compares an enrolment's faces with the people of the gallery. Someone who has the same name is the same person;
/// look-alikes that have other names are recorded as other people.
///
/// # Errors
/// A face is near enough to somebody of another name to be that person.
async fn enrolment(store: &dyn GalleryStore, who: Vec<Identified>, name: String) -> Result<Enrolment, Problem> {
    let mut others = Vec::new();
    for identified in who {
        let named = identified.candidates.iter().filter(|one| one.name.as_ref().is_some_and(|other| *other != name));
        others.extend(named.map(|one| one.face));
        let first = identified.candidates.first().filter(|first| identified.near && others.contains(&first.face));
        if let Some(first) = first {
            let who = called(first.group, first.name.as_deref());
            let detail =
                format!("this looks like {who} ({:.2}): rename that one, or take another photo", first.similarity);
            return Err(Problem::new(StatusCode::CONFLICT, "SOMEBODY_ELSE", detail));
        }
    }
    let people = store.people().await?;
    let same = people.iter().filter(|known| known.name.as_ref() == Some(&name)).map(|known| known.id).take(1).collect();
    Ok(Enrolment { name, same, others })
}
