//! Routes that list suggestions, which are questions to somebody who knows the people, and take the answers.

use std::sync::Arc;

use axum::{Extension, Json as Out};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;
use muster_actors::people::Correction;
use muster_actors::people::correction;
use muster_gallery::GalleryStores;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Json, Params};
use super::gallery::GalleryParam;
use super::guard::Caller;
use super::problem::Problem;
use super::shapes::{Change, Face, PersonRef};

pub(super) fn routes() -> OpenApiRouter<Arc<dyn GalleryStores>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(answer))
}

/// A face that may be a person's.
#[derive(Debug, Serialize, ToSchema)]
struct Suggestion {
    /// The face: in no group, or standing for its person.
    face: Face,
    /// Whose it may be.
    person: PersonRef,
    /// How likely that is.
    #[schema(minimum = 0, maximum = 1)]
    probability: f32,
    /// How many faces the answer is about.
    faces: u64,
}

/// The questions that are open.
#[derive(Debug, Serialize, ToSchema)]
struct Suggestions {
    /// Those first whose answers are likely to put most faces right.
    items: Vec<Suggestion>,
    /// How many there are.
    total: usize,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SuggestionsQuery {
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
}

/// Who may be whom
///
/// Faces in no group that may be somebody's, and people who may be one. Answers are kept: what was answered or skipped
/// does not come again.
#[utoipa::path(get, path = "/v1/suggestions", tag = "people", params(SuggestionsQuery), responses((status = 200, body = Suggestions)))]
async fn list(
    GalleryParam(store): GalleryParam,
    Params(SuggestionsQuery { limit }): Params<SuggestionsQuery>,
) -> Result<Out<Suggestions>, Problem> {
    let limit = limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(Problem::invalid("limit is 1 to 500"));
    }
    let questions = store.suggestions().await?;
    let people = store.people().await?;
    let mut items = Vec::new();
    for question in questions.iter().take(limit) {
        let Some(face) = store.face(question.face).await? else { continue };
        let name = people.iter().find(|person| person.id == question.group).and_then(|person| person.name.clone());
        let person = PersonRef { id: question.group, name };
        items.push(Suggestion { face: face.into(), person, probability: question.probability, faces: question.faces });
    }
    Ok(Out(Suggestions { items, total: questions.len() }))
}

/// What is answered.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// It is that person.
    Yes,
    /// It is somebody else.
    No,
    /// It cannot be said.
    Skip,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Answered)]
#[serde(deny_unknown_fields)]
struct SuggestionAnswer {
    /// The face of the question.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    face: String,
    /// The person of the question.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    person: String,
    /// The answer.
    answer: Answer,
}

/// Answer a suggestion
#[utoipa::path(post, path = "/v1/suggestions", tag = "people", request_body = SuggestionAnswer,
    responses((status = 200, body = Change)))]
async fn answer(
    GalleryParam(store): GalleryParam,
    Extension(caller): Extension<Caller>,
    Json(SuggestionAnswer { face, person, answer }): Json<SuggestionAnswer>,
) -> Result<Out<Change>, Problem> {
    let fault = |_| Problem::invalid("an id has 32 hexadecimal digits");
    let (face, group) = (face.parse::<FaceId>().map_err(fault)?, person.parse::<GroupId>().map_err(fault)?);
    let answer = match answer {
        Answer::Yes => correction::Answer::Yes,
        Answer::No => correction::Answer::No,
        Answer::Skip => correction::Answer::Skip,
    };
    Ok(Out(store.correct(Correction::Answer { face, group, answer }, &caller.name).await?.into()))
}
