//! Whether the service lives, whether it can answer, and its figures.

use std::sync::Arc;

use axum::Json as Out;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::problem::Problem;
use crate::telemetry::metrics::samples;
use crate::telemetry::prometheus::{CONTENT_TYPE, render};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready)).routes(routes!(metrics))
}

#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the process answers
#[utoipa::path(get, path = "/health/live", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn live() -> Out<Health> {
    Out(Health { status: "ok" })
}

/// Whether photos can be recognised and people be read
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn ready(State(app): State<Arc<App>>) -> Result<Out<Health>, Problem> {
    let not = |detail: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", detail).after(5);
    if let Some(exit) = &*app.analyst.ended().borrow() {
        return Err(not(format!("recognition has ended: {exit}")));
    }
    let read = app.album.read(|library| crate::local::view::totals(library.db())).await;
    read.map_err(|_| not(String::from("the library cannot be read")))?;
    Ok(Out(Health { status: "ok" }))
}

/// What is measured, as Prometheus reads it
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, content_type = "text/plain", body = String)))]
async fn metrics(State(app): State<Arc<App>>) -> ([(HeaderName, &'static str); 1], String) {
    let progress = app.analyst.progress().borrow().clone();
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], render(&samples(&progress, &(app.extra)())))
}
