//! One look at each queue.

use std::sync::Arc;
use std::time::Duration;

use muster_actors::scaler::submitter::{ScalerTick, ScalerTickError, Submitter};
use muster_aws::clients::Clients;
use muster_aws::scaling;
use muster_config::{Layers, MissingSetting, ScaledService, Settings, SettingsError};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Two looks are over before Lambda's own minute is.
const TICK_TIMEOUT: Duration = Duration::from_secs(25);

/// Why nothing was looked at, or not all.
#[derive(Debug, thiserror::Error)]
pub enum SubmitterError {
    /// A setting is wrong.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// A setting is missing.
    #[error("{0}")]
    MissingSetting(#[from] MissingSetting),
    /// A look failed, or a job was not submitted. What the others did is in the log.
    #[error("{0}")]
    Ticks(String),
}

/// Whoever scales each service.
pub struct Submitters(Vec<(ScaledService, Submitter)>);

impl Submitters {
    /// From the environment.
    pub async fn new() -> Result<Self, SubmitterError> {
        let mut layers = Layers::defaults();
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        layers.environment(std::env::vars_os().filter_map(text))?;
        let settings: Settings = layers.settings()?;
        let clients = Clients::scaling(&settings).await;
        let mut all = Vec::new();
        for service in [ScaledService::Detection, ScaledService::Grouping] {
            let gauge = Arc::new(scaling::gauge(&clients, &settings, service)?);
            let fleet = Arc::new(scaling::batch(&clients, &settings, service)?);
            all.push((service, scaling::submitter(&clients, &settings, service, gauge, fleet)?));
        }
        Ok(Self(all))
    }

    /// Looks at each queue and does what follows. Where one look fails the other is still made.
    pub async fn once(&self) -> Result<Value, SubmitterError> {
        let (mut told, mut faults) = (Vec::new(), Vec::new());
        for (service, submitter) in &self.0 {
            let name = service.as_str();
            let looked = timeout(TICK_TIMEOUT, submitter.tick()).await;
            let (line, fault) = tell(name, looked.ok());
            tracing::info!(%line, "submitter.looked");
            told.push(line);
            faults.extend(fault.map(|fault| format!("{name}: {fault}")));
        }
        if faults.is_empty() { Ok(told.into()) } else { Err(SubmitterError::Ticks(faults.join("; "))) }
    }
}

/// A line about a look, and why it is a fault.
fn tell(name: &str, looked: Option<Result<ScalerTick, ScalerTickError>>) -> (Value, Option<String>) {
    let error = match looked {
        Some(Ok(look)) => {
            let failed = look.failed.iter().map(|(job, error)| format!("{job}: {error}")).collect::<Vec<_>>();
            let fault = (!failed.is_empty()).then(|| failed.join(", "));
            return (json!({ "service": name, "look": look }), fault);
        }
        // Whoever is at it does the same.
        Some(Err(error @ ScalerTickError::Busy { .. })) => {
            return (json!({ "service": name, "busy": error.to_string() }), None);
        }
        Some(Err(error)) => error.to_string(),
        None => format!("no answer within {} s", TICK_TIMEOUT.as_secs()),
    };
    (json!({ "service": name, "error": error }), Some(error))
}
