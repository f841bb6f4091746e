//! Reads from time to time how many messages wait in a worker's queue, for the metrics.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use muster_aws::classify::Fault;
use muster_aws::depth::depth;

/// Interval of reads, half of that at which metrics are sent.
const EVERY: Duration = Duration::from_secs(30);

type Last = Arc<Mutex<Option<u64>>>;

fn lock(last: &Last) -> MutexGuard<'_, Option<u64>> {
    last.lock()
}

/// The number of messages that can be received, as SQS reported last. It is approximate for about a minute.
#[derive(Debug)]
pub struct DepthMonitor {
    last: Last,
    asking: JoinHandle<()>,
}

impl DepthMonitor {
    /// Starts monitoring the queue `url`. It needs a tokio runtime.
    pub fn watch(client: Client, url: String) -> Self {
        let last = Last::default();
        let told = Arc::clone(&last);
        let asking = tokio::spawn(async move {
            let mut clock = tokio::time::interval(EVERY);
            clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                clock.tick().await;
                let depth = depth(&client, &url).await;
                if let Err(Fault { message, .. }) = &depth {
                    tracing::debug!(%message, "queue.depth");
                }
                // What is not known any more is not said.
                *lock(&told) = depth.ok().map(|depth| depth.visible);
            }
        });
        Self { last, asking }
    }

    /// `None` while SQS does not say.
    pub fn last(&self) -> Option<u64> {
        *lock(&self.last)
    }
}

impl Drop for DepthMonitor {
    fn drop(&mut self) {
        self.asking.abort();
    }
}
