//! Liveness, readiness and metrics of the service.

use std::sync::Arc;

use axum::Json as Out;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app_state::AppState;
use super::problem::Problem;
use muster_telemetry::metrics::samples;
use muster_telemetry::prometheus::{CONTENT_TYPE, render};

pub(super) fn routes() -> OpenApiRouter<Arc<AppState>> {
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

/// Whether photos can be recognised
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn ready(State(state): State<Arc<AppState>>) -> Result<Out<Health>, Problem> {
    let not = |why: String| {
        // The caller has no key, so the cause goes to the log only.
        tracing::warn!(why, "http.not_ready");
        let detail = "photos cannot be recognised now";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", detail).after(5)
    };
    state.recognizer.ready().await.map_err(not)?;
    Ok(Out(Health { status: "ok" }))
}

/// What is measured, as Prometheus reads it
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, content_type = "text/plain", body = String)))]
async fn metrics(State(state): State<Arc<AppState>>) -> ([(HeaderName, &'static str); 1], String) {
    let progress = state.recognizer.progress().borrow().clone();
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], render(&samples(&progress, &state.process_metrics())))
}
