//! A person is made known by photos, each with one good face. The photos are not kept.

use std::sync::Arc;

use axum::Json as Out;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use muster_actors::grouper::Params;
use muster_actors::grouper::say::{LONGEST_NAME, SayError};
use muster_actors::ports::faces::Commit;
use serde::Deserialize;
use utoipa::ToSchema;

use super::app::App;
use super::body::{Form, FormLimits};
use super::people::called;
use super::problem::Problem;
use super::recognize::length;
use super::shapes::Person;
use crate::local::enrol;
use crate::recognition::Refusal;

/// People who look most like a new one, and are kept apart from it.
const LOOK_ALIKES: usize = 20;

/// A form with a name and photos.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a form, which is read field by field")]
pub(super) struct EnrolmentForm {
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
pub(super) async fn enrol(State(app): State<Arc<App>>, request: Request) -> Result<(StatusCode, Out<Person>), Problem> {
    let limits = FormLimits { photos: app.limits.photos, bytes: app.limits.bytes };
    let place = app.analyst.place(length(&request, limits.photos * limits.bytes))?;
    let form = Form::read(request, limits).await?;
    let name = form.name.map(|name| name.trim().to_owned()).unwrap_or_default();
    if name.is_empty() {
        return Err(Problem::invalid("the form has no field `name`, or it is empty"));
    }
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(SayError::Name.into());
    }
    if form.photos.is_empty() {
        return Err(Problem::invalid("the form has no field `photo`"));
    }
    let mut photos = Vec::with_capacity(form.photos.len());
    for (which, bytes) in form.photos {
        let found = app.analyst.analyse(&place, bytes.clone()).await;
        photos.push(enrol::record(&bytes, usable(&which, found)?));
    }
    let person = person(&app, &photos, name).await?;
    let group = app.album.write(move |library, regroup| enrol::enrol(library, &photos, &person, regroup)).await?;
    let id = group.ok_or_else(|| Problem::broken("an enrolled face is in no group"))?.id;
    let person = app.album.person(id).await?;
    Ok((StatusCode::CREATED, Out(Person::from(&person))))
}

/// A photo with one face that is good enough to stand for a person.
fn usable(which: &str, found: Result<Commit, Refusal>) -> Result<Commit, Problem> {
    let found = match found {
        Err(Refusal::Rejected(rejection)) => return Err(Problem::rejected(&rejection, Some(which))),
        other => other?,
    };
    let refuse = |code, detail: String| Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail));
    match &found.faces[..] {
        [] => refuse("NO_FACE", format!("{which}: no face was found")),
        [face] if face.quality.overall < Params::default().core_quality => {
            let reasons: Vec<String> = face.quality.reasons.iter().map(|reason| format!("{reason:?}")).collect();
            refuse("POOR_FACE", format!("{which}: the face is too poor ({})", reasons.join(", ")))
        }
        [_] => Ok(found),
        faces => refuse("SEVERAL_FACES", format!("{which}: {} faces; wanted is one", faces.len())),
    }
}

/// Who it is that is enrolled, among those who are known.
///
/// # Errors
/// A face is somebody else's already.
async fn person(app: &Arc<App>, photos: &[Commit], name: String) -> Result<enrol::Person, Problem> {
    let crowd = Arc::clone(&app.crowd);
    let faces: Vec<_> = photos.iter().flat_map(|photo| photo.faces.clone()).collect();
    let found =
        tokio::task::spawn_blocking(move || crowd.identify(&faces, LOOK_ALIKES)).await.map_err(Problem::broken)??;
    let mut others = Vec::new();
    for identified in found {
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
    let people = app.album.people().await?;
    let same = people.iter().filter(|known| known.name.as_ref() == Some(&name)).map(|known| known.cover).collect();
    Ok(enrol::Person { name, same, others })
}
