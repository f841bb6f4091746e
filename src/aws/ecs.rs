//! Implements the port `Fleet`: runs workers as tasks of an ECS service, by setting its desired count.
//!
//! The tasks of a service do not leave by themselves, so the count is set to zero when no message waits and none is in
//! flight. ECS then stops them with SIGTERM, and they hand back what they received meanwhile.

use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::retry::RetryConfig;
use muster_actors::domain::exit::Remedy;
use muster_actors::errors::Class;
use muster_actors::ports::fleet::JobQueue;
use muster_actors::ports::fleet::{Fleet, FleetError, JobOrder, JobPhase, JobProgress};

use super::classify::fault;
use super::clients::{Clients, address};
use muster_config::Settings;

/// The tasks of one ECS service.
#[derive(Clone, Debug)]
pub struct EcsFleet {
    client: Client,
    cluster: String,
    service: String,
}

impl EcsFleet {
    /// Creates a fleet of tasks of `service`, in the cluster of the settings.
    pub fn new(clients: &Clients, settings: &Settings, service: &str) -> Self {
        let mut config = aws_sdk_ecs::config::Builder::from(&clients.config);
        if let Some(url) = address(&settings.ecs.endpoint, settings) {
            config = config.endpoint_url(url);
        }
        let cluster = settings.ecs.cluster.clone();
        Self { client: Client::from_conf(config.build()), cluster, service: service.to_owned() }
    }

    /// Reads the number of desired and of running tasks.
    async fn counts(&self) -> Result<(u64, u64), FleetError> {
        let asked = self.client.describe_services().cluster(&self.cluster).services(&self.service);
        let answer = asked.send().await.map_err(|error| fault("DescribeServices", &error).of_read())?;
        let Some(service) = answer.services.unwrap_or_default().into_iter().next() else {
            let message = format!("there is no service {} in cluster {}", self.service, self.cluster);
            return Err(FleetError::Failed { class: Class::Misconfigured(Remedy::Settings), message });
        };
        let count = |count| u64::try_from(count).unwrap_or(0);
        Ok((count(service.desired_count), count(service.running_count)))
    }

    /// Reads the number of running tasks.
    ///
    /// # Errors
    /// [`FleetError`] when there is no such service, or ECS fails.
    pub async fn running(&self) -> Result<u64, FleetError> {
        let (_, running) = self.counts().await?;
        Ok(running)
    }

    async fn set(&self, desired: u64) -> Result<(), FleetError> {
        let desired = i32::try_from(desired).map_err(|_| FleetError::Refused(format!("{desired} tasks")))?;
        let asked = self.client.update_service().cluster(&self.cluster).service(&self.service).desired_count(desired);
        // The call is tried only once, so that it ends within the time that the lock leaves.
        let once = aws_sdk_ecs::config::Builder::new().retry_config(RetryConfig::disabled());
        asked
            .customize()
            .config_override(once)
            .send()
            .await
            .map(drop)
            .map_err(|error| FleetError::from(fault("UpdateService", &error)))
    }
}

#[async_trait]
impl Fleet for EcsFleet {
    async fn seen(&self, names: &[String]) -> Result<Vec<JobProgress>, FleetError> {
        let (desired, running) = self.counts().await?;
        let of = |name: &str, phase, workers| JobProgress::new(name, JobQueue::Primary, phase, workers);
        // The desired count includes every order, so no job is known by its name, and no job is still to appear.
        let asked = names.iter().map(|name| of(name, JobPhase::Ended, 0));
        let working = running.min(desired);
        Ok(asked
            .chain([
                of(&self.service, JobPhase::Working, working),
                of(&self.service, JobPhase::Waiting, desired - working),
            ])
            .collect())
    }

    async fn submit(&self, order: &JobOrder) -> Result<(), FleetError> {
        let (desired, _) = self.counts().await?;
        self.set(desired + order.workers).await
    }

    async fn rest(&self) -> Result<(), FleetError> {
        match self.counts().await? {
            (0, _) => Ok(()),
            _ => self.set(0).await,
        }
    }
}
