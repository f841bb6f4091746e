//! What is seen of a cutover: images and interruptions in MongoDB, messages in SQS.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use futures_util::future::{join, join3};
use muster_actors::domain::cutover_state::CutoverState;
use muster_actors::ports::observer::Observer;
use muster_actors::ports::observer::{Observations, SideStats};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::now;
use muster_aws::clients::Clients;
use muster_aws::depth::{depth, name};
use muster_aws::ecs::EcsFleet;
use muster_config::{Mongo, Settings};
use muster_stores::mongo::{Connection, CutoverStats, MongoError, Uris};

/// A look takes no longer.
const OBSERVATION_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at MongoDB and SQS.
pub(crate) struct FleetObserver {
    sqs: Client,
    mongo: Mongo,
    /// Connected to when it is first needed: messages are routed without it.
    lately: OnceCell<CutoverStats>,
    window: Duration,
    ecs: String,
    batch: String,
    dead_letters: String,
    /// The service that works on ECS's queue, where it is named.
    service: Option<EcsFleet>,
    /// When Batch's queue was seen empty last, in milliseconds since 1970: what is in it now is younger.
    empty: Mutex<u64>,
}

/// What MongoDB says.
struct Stored {
    batch: SideStats,
    ecs: Option<SideStats>,
    last: Option<u64>,
    interruptions: u64,
}

impl FleetObserver {
    /// Over a fleet whose Batch queue was empty at `empty`, in milliseconds since 1970, or may have been.
    pub fn new(settings: &Settings, aws: &Clients, empty: u64) -> Arc<Self> {
        let Settings { cutover, queues, mongo, ecs, .. } = settings;
        let named = !ecs.cluster.is_empty() && !ecs.detection.is_empty();
        Arc::new(Self {
            sqs: aws.sqs.clone(),
            mongo: mongo.clone(),
            lately: OnceCell::new(),
            window: Duration::from_secs(cutover.window_seconds),
            ecs: cutover.ecs.clone(),
            batch: queues.images.clone(),
            dead_letters: queues.dead_letters.clone(),
            service: named.then(|| EcsFleet::new(aws, settings, &ecs.detection)),
            empty: Mutex::new(empty),
        })
    }

    async fn connect(&self) -> Result<CutoverStats, MongoError> {
        let uris = Uris { gallery_images: &self.mongo.gallery_images, huemn: &muster_config::Secret::from("") };
        Ok(CutoverStats::new(&Connection::open(&uris).await?))
    }

    async fn stored(&self, since: u64) -> Result<Stored, MongoError> {
        let lately = self.lately.get_or_try_init(|| self.connect()).await?;
        let window = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        let start = lately.now().await?.saturating_sub(window).max(since);
        let (batch, ecs) = (name(&self.batch), name(&self.ecs));
        let (of_batch, of_ecs) = join(lately.ended(batch, start), lately.ended(ecs, start)).await;
        let of_ecs = SideStats::from_ended(&of_ecs?);
        Ok(Stored {
            batch: SideStats::from_ended(&of_batch?),
            // A service that is not muster's leaves no record.
            ecs: (of_ecs.images > 0).then_some(of_ecs),
            last: lately.last(batch).await?,
            interruptions: lately.interruptions(batch, start).await?,
        })
    }

    /// All messages in a queue.
    async fn depth(&self, url: &str) -> Option<u64> {
        match timeout(OBSERVATION_TIMEOUT, depth(&self.sqs, url)).await {
            Ok(Ok(depth)) => Some(depth.total()),
            Ok(Err(fault)) => {
                tracing::warn!(message = fault.message, "cutover.observe");
                None
            }
            Err(_) => None,
        }
    }

    /// Tasks of ECS's service that run.
    async fn tasks(&self) -> Option<u64> {
        match timeout(OBSERVATION_TIMEOUT, self.service.as_ref()?.running()).await {
            Ok(Ok(tasks)) => Some(tasks),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cutover.observe");
                None
            }
            Err(_) => {
                tracing::warn!("cutover.observe: ECS does not answer in time");
                None
            }
        }
    }

    /// How long nothing has come out of a queue that has messages.
    fn stalled(&self, depth: u64, last: Option<u64>, since: u64) -> Duration {
        let now = now();
        let mut empty = self.empty.lock();
        if depth == 0 {
            *empty = now;
        }
        let moved = (*empty).max(last.unwrap_or(0)).max(since);
        Duration::from_millis(now.saturating_sub(moved))
    }
}

#[async_trait]
impl Observer for FleetObserver {
    async fn observe(&self, state: &CutoverState) -> Observations {
        let stored = timeout(OBSERVATION_TIMEOUT, self.stored(state.since));
        let (stored, depth, tasks) = join3(stored, self.depth(&self.batch), self.tasks()).await;
        let stored = match stored {
            Ok(Ok(stored)) => Some(stored),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cutover.observe");
                None
            }
            Err(_) => {
                tracing::warn!("cutover.observe: MongoDB does not answer in time");
                None
            }
        };
        let stalled = depth.zip(stored.as_ref()).map(|(depth, stored)| self.stalled(depth, stored.last, state.since));
        let letters = self.dead_letters().await.zip(state.dead_letters);
        Observations {
            stalled,
            tasks,
            dead_letters: letters.map(|(now, before)| now.saturating_sub(before)),
            interruptions: stored.as_ref().map(|stored| stored.interruptions),
            ecs: stored.as_ref().and_then(|stored| stored.ecs.clone()),
            batch: stored.map(|stored| stored.batch),
        }
    }

    async fn dead_letters(&self) -> Option<u64> {
        self.depth(&self.dead_letters).await
    }
}
