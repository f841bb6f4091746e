//! A queue with a planted bug: it confirms calls that it has not made, or makes calls that nobody asked for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::domain::image::Rejection;
use crate::ports::queue::{Delivery, Handle, Queue, QueueError, Received, SettleOutcome};
use crate::sim::planted_bugs::PlantedBug;

/// A queue with a bug.
pub(super) struct PlantedQueue {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) planted_bug: PlantedBug,
}

/// Takes a message of several images for several messages.
fn apart(delivery: Delivery) -> Vec<Delivery> {
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    match body["Records"].as_array() {
        Some(records) => records
            .iter()
            .map(|record| Delivery { body: json!({ "Records": [record] }).to_string(), ..delivery.clone() })
            .collect(),
        None => vec![delivery],
    }
}

#[async_trait]
impl Queue for PlantedQueue {
    fn visibility(&self) -> Duration {
        self.queue.visibility()
    }

    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        let mut received = self.queue.receive(max).await?;
        match self.planted_bug {
            PlantedBug::RecordsSettledApart => {
                received.deliveries = received.deliveries.into_iter().flat_map(apart).collect();
            }
            PlantedBug::WakeUpDeletedEarly => {
                let handles: Vec<Handle> = received.deliveries.iter().map(|one| one.handle.clone()).collect();
                if !handles.is_empty() {
                    self.queue.ack(&handles).await?;
                }
            }
            _ => {}
        }
        Ok(received)
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        if self.planted_bug == PlantedBug::NoRenewal {
            return Ok(vec![SettleOutcome::Done; handles.len()]);
        }
        self.queue.extend(handles).await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.queue.ack(handles).await
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        if self.planted_bug == PlantedBug::LostRelease {
            return Ok(vec![SettleOutcome::Done; handles.len()]);
        }
        self.queue.release(handles, delay).await
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.queue.reject(entries).await
    }
}
