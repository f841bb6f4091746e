//! What submitters remember: whatever it says, no more workers are asked for than there may be, and what is none is left alone.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use muster_actors::ports::fleet::JobQueue;
use muster_actors::ports::fleet::{Fleet, FleetError, JobOrder, JobPhase, JobProgress};
use muster_actors::ports::queue_metrics::Depth;
use muster_actors::ports::queue_metrics::{QueueMetrics, QueueMetricsError};
use muster_actors::scaler::memory::ScalerTimeouts;
use muster_actors::scaler::policy::{Policy, Throughput};
use muster_actors::scaler::submitter::{ScalerSettings, ScalerTickError, Submitter};
use muster_actors::scaler::workers::Workers;

use super::shelf::{Shelf, now};

const CAPS: Workers = Workers { primary: 50, secondary: 50, fallback: 10 };

/// Five thousand messages wait; nobody knows the rate.
struct Queue;

#[async_trait]
impl QueueMetrics for Queue {
    async fn depth(&self) -> Result<Depth, QueueMetricsError> {
        Ok(Depth { visible: 5_000, ..Depth::default() })
    }

    async fn rate(&self) -> Option<f64> {
        None
    }
}

/// Takes every job, and shows those that it is asked for in this phase, or none.
struct Anywhere(Option<JobPhase>);

#[async_trait]
impl Fleet for Anywhere {
    async fn seen(&self, names: &[String]) -> Result<Vec<JobProgress>, FleetError> {
        let seen = |phase| names.iter().map(move |name| JobProgress::new(name, JobQueue::Primary, phase, 1));
        Ok(self.0.into_iter().flat_map(seen).collect())
    }

    async fn submit(&self, _: &JobOrder) -> Result<(), FleetError> {
        Ok(())
    }
}

/// Bytes as the shared value, and two looks over it.
pub fn memory(data: &[u8]) {
    for phase in [None, Some(JobPhase::Waiting), Some(JobPhase::Working)] {
        let shelf = Arc::new(Shelf::new(data));
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let pace = Throughput { rate: 1.0, target: minutes(10), boot: minutes(2) };
        let submitter = Submitter {
            id: "me".to_owned(),
            settings: ScalerSettings {
                name: "w".to_owned(),
                policy: Policy::DrainTime(pace),
                caps: CAPS,
                floor: 0.1,
                patience: ScalerTimeouts {
                    appear: minutes(3),
                    dwell: minutes(10),
                    starve: minutes(15),
                    rest: minutes(5),
                },
            },
            cell: Arc::clone(&shelf) as _,
            gauge: Arc::new(Queue),
            fleet: Arc::new(Anywhere(phase)),
            clock: Arc::new(|| -> SystemTime { UNIX_EPOCH + Duration::from_secs(1_700_000_000) }),
        };
        let peeked = now(submitter.peek());
        match now(submitter.tick()) {
            Ok(look) => {
                assert!(peeked.is_ok_and(|peeked| peeked == look), "a peek says what a look does");
                assert!(look.failed.is_empty() && look.rate.is_some_and(|rate| rate > 0.0));
                let mut active = look.tally.active;
                for order in &look.orders {
                    assert!((1..=128).contains(&order.name.len()) && order.job().is_legal(), "{order:?}");
                    active.add(order.line, order.workers);
                    assert!(active.of(order.line) <= CAPS.of(order.line), "{look:?}");
                }
                let again = now(submitter.tick()).expect("the flight was given back");
                // What was asked for counts until it is seen; a fleet that shows one worker a job has lost the others.
                let ordered: u64 = look.orders.iter().chain(&again.orders).map(|order| order.workers).sum();
                assert!(phase.is_some() || ordered <= CAPS.total(), "{look:?}, then {again:?}");
            }
            Err(ScalerTickError::Busy { .. } | ScalerTickError::Memory(_)) => {
                assert_eq!(shelf.held(), (0, data.to_vec()))
            }
            Err(error) => panic!("nothing here fails: {error}"),
        }
    }
}
