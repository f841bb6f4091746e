//! The service put together: its parts, its routes, and the document that describes them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use super::album::Album;
use super::body::JSON_BYTES;
use super::etag::etag;
use super::guard::{Guard, guard};
use super::idempotency::{Answers, once};
use super::jobs::Jobs;
use super::linger::linger;
use super::problem::Problem;
use super::{faces, health, page, people, photos, recognize};
use crate::recognition::{Analyst, Crowd};
use crate::telemetry::Extra;

/// What is taken of photos.
#[derive(Clone, Copy, Debug)]
pub struct PhotoLimits {
    /// Bytes of one.
    pub bytes: usize,
    /// Photos of one enrolment.
    pub photos: usize,
}

/// The parts of a service.
pub struct App {
    /// The library.
    pub album: Arc<Album>,
    /// Finds faces in photos of callers.
    pub analyst: Analyst,
    /// Knows whose they are.
    pub crowd: Arc<Crowd>,
    /// Indexes.
    pub jobs: Jobs,
    /// What is taken.
    pub limits: PhotoLimits,
    /// What is measured beside the pipeline.
    pub extra: Box<dyn Fn() -> Extra + Send + Sync>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "muster", description = "Finds every face in a photo collection and groups the faces by person."),
    components(schemas(Problem))
)]
struct Description;

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(recognize::routes())
        .merge(people::routes())
        .merge(faces::routes())
        .merge(photos::routes())
        .merge(super::jobs::routes())
        .merge(health::routes())
}

/// The service, and its description at `/openapi.json`.
pub fn router(app: Arc<App>, front: Arc<Guard>) -> Router {
    let (router, document) = routes().split_for_parts();
    let document = described(document, front.needs_keys());
    let text = document.to_json().unwrap_or_default();
    let description = move || async move { ([(header::CONTENT_TYPE, "application/json")], text) };
    router
        .merge(page::routes())
        .route("/openapi.json", get(description))
        .with_state(app)
        .fallback(|| async { Problem::missing("page") })
        .layer(from_fn_with_state(Arc::<Answers>::default(), once))
        .layer(from_fn(etag))
        .layer(from_fn(plain))
        .layer(DefaultBodyLimit::max(JSON_BYTES))
        // Before anything is read.
        .layer(from_fn_with_state(front, guard))
        .layer(from_fn(linger))
}

/// The description: what every route may answer is said once.
pub fn document() -> utoipa::openapi::OpenApi {
    described(routes().split_for_parts().1, true)
}

fn described(mut document: utoipa::openapi::OpenApi, keys: bool) -> utoipa::openapi::OpenApi {
    const PROBLEMS: [(u16, &str); 13] = [
        (400, "The request cannot be read"),
        (401, "An API key is wanted"),
        (403, "The key allows too little, or the request comes from elsewhere"),
        (404, "There is no such thing"),
        (405, "No such method here"),
        (409, "It does not fit what there is"),
        (413, "Too large"),
        (415, "No photo, or no JSON"),
        (422, "It makes no sense, or the photo cannot be used"),
        (429, "Too many requests: Retry-After says when to ask again"),
        (500, "Something went wrong here"),
        (503, "No answer in time, or not ready: Retry-After says when to ask again"),
        (507, "The disk is full"),
    ];
    let problem = |text: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        ResponseBuilder::new().description(text).content("application/problem+json", content).build()
    };
    for (path, item) in &mut document.paths.paths {
        let guarded = !path.starts_with("/health/");
        let reads = item.get.is_some();
        let all = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for (n, operation) in all.into_iter().enumerate() {
            let Some(operation) = operation else { continue };
            for (status, text) in PROBLEMS {
                let status = status.to_string();
                operation.responses.responses.entry(status).or_insert_with(|| RefOr::T(problem(text)));
            }
            if reads && n == 0 {
                let same = ResponseBuilder::new().description("As the caller has it").build();
                operation.responses.responses.insert("304".into(), RefOr::T(same));
            }
            if guarded && keys {
                operation.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
            }
        }
    }
    if keys && let Some(components) = &mut document.components {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
    document
}

/// What the framework itself refuses becomes a problem too.
async fn plain(request: Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let methods = response.headers_mut().remove(header::ALLOW);
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "no such method here");
        response = problem.into_response();
        response.headers_mut().extend(methods.map(|methods| (header::ALLOW, methods)));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_every_route_and_what_it_may_refuse() {
        let document = document();
        let paths: Vec<&String> = document.paths.paths.keys().collect();
        for path in ["/v1/recognize", "/v1/people", "/v1/people/{id}/split", "/v1/jobs/{id}/events", "/health/ready"] {
            assert!(paths.iter().any(|known| *known == path), "{path} is not among {paths:?}");
        }
        let recognize = document.paths.paths["/v1/recognize"].post.as_ref().unwrap();
        for status in ["200", "401", "413", "415", "422", "429", "503"] {
            assert!(recognize.responses.responses.contains_key(status), "{status}");
        }
    }
}
