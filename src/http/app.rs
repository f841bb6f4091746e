//! Puts the web service together: its parts, its routes, and the OpenAPI document that describes them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use super::admin::Admin;
use super::app_state::AppState;
use super::body::JSON_BYTES;
use super::drain_body::drain_body;
use super::enrol::EnrolmentState;
use super::etag::etag;
use super::gallery::{self, gallery};
use super::guard::{Guard, guard};
use super::http_metrics::count_requests;
use super::idempotency::once;
use super::jobs::Jobs;
use super::problem::Problem;
use super::trace::trace;
use super::{admin, enrol, faces, health, history, page, people, photos, recognize, suggestions};
use muster_gallery::GalleryStores;

/// The parts of a web service; a route exists where the part behind it does.
#[derive(Clone)]
pub struct ServiceParts {
    /// State that every service has.
    pub state: Arc<AppState>,
    /// The galleries, where people can be read and corrected.
    pub galleries: Option<Arc<dyn GalleryStores>>,
    /// The indexing jobs, where the service has a library.
    pub jobs: Option<Arc<Jobs>>,
    /// The administration of queues and buckets, where workers answer.
    pub admin: Option<Arc<Admin>>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "muster", description = "Finds every face in a photo collection and groups the faces by person."),
    components(schemas(Problem))
)]
struct Description;

/// Routes of every service.
fn common() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::with_openapi(Description::openapi()).merge(recognize::routes()).merge(health::routes())
}

/// Routes of a service that has galleries.
fn known() -> OpenApiRouter<Arc<dyn GalleryStores>> {
    OpenApiRouter::new()
        .merge(people::routes())
        .merge(history::routes())
        .merge(suggestions::routes())
        .merge(faces::routes())
        .merge(photos::routes())
}

/// Builds the router of a service, with its OpenAPI document at `/openapi.json`.
pub fn router(ServiceParts { state, galleries, jobs, admin }: ServiceParts, guarded: Arc<Guard>) -> Router {
    let metrics = Arc::clone(&state.metrics);
    let mut routes = common().with_state(Arc::clone(&state));
    if let Some(galleries) = galleries {
        let enrolments = EnrolmentState { state, stores: Arc::clone(&galleries) };
        routes = routes.merge(known().with_state(galleries)).merge(enrol::routes().with_state(enrolments));
        routes = routes.merge(page::routes(jobs.is_some()).into());
    }
    if let Some(jobs) = jobs {
        routes = routes.merge(super::jobs::routes().with_state(jobs));
    }
    if let Some(admin) = admin {
        routes = routes.merge(admin::routes().with_state(admin));
    }
    let (router, document) = routes.split_for_parts();
    let document = described(document, guarded.needs_keys());
    let text = document.to_json().unwrap_or_default();
    let description = move || async move { ([(header::CONTENT_TYPE, "application/json")], text) };
    let cors = guarded.cors();
    let router = router
        .route("/openapi.json", get(description))
        .fallback(|| async { Problem::missing("page") })
        .layer(from_fn(gallery))
        .layer(from_fn_with_state(guarded.answers(), once))
        .layer(from_fn(etag))
        .layer(from_fn(plain))
        .layer(DefaultBodyLimit::max(JSON_BYTES))
        .layer(from_fn(trace))
        // This runs before any of the body is read.
        .layer(from_fn_with_state(guarded, guard))
        .layer(from_fn_with_state(metrics, count_requests))
        .layer(from_fn(drain_body));
    match cors {
        // CORS comes before keys are checked: a browser's preflight request has none.
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// Builds the OpenAPI document of a service with a library. The answers that all routes share are added in one place.
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, mut document) = common().split_for_parts();
    document.merge(known().split_for_parts().1);
    document.merge(enrol::routes().split_for_parts().1);
    document.merge(super::jobs::routes().split_for_parts().1);
    described(document, true)
}

fn described(mut document: utoipa::openapi::OpenApi, keys: bool) -> utoipa::openapi::OpenApi {
    const PROBLEMS: [(u16, &str); 14] = [
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
        (501, "The models of this service run elsewhere"),
        (503, "No answer in time, or not ready: Retry-After says when to ask again"),
        (507, "The disk is full"),
    ];
    /// Tags of the routes that take a gallery.
    const ABOUT: [&str; 4] = ["recognition", "people", "faces", "photos"];
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(64));
    let text = text.pattern(Some("^(?!\\.+$)[^/\\\\\\x00-\\x1f\\x7f-\\x9f]+$")).build();
    let named = ParameterBuilder::new()
        .name(gallery::PARAMETER)
        .parameter_in(ParameterIn::Query)
        .description(Some("Which gallery; the service's own where none is named. A library is one, `local`."))
        .schema(Some(text))
        .build();
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
            let about = operation.tags.iter().flatten().any(|tag| ABOUT.contains(&tag.as_str()));
            if about {
                operation.parameters.get_or_insert_default().push(RefOr::T(named.clone()));
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

/// Turns refusals by the framework itself into problem documents.
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
