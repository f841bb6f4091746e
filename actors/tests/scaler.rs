//! Submitters against AWS Batch's rules: at any depth, side by side, with every call and answer lost in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use muster_actors::errors::backoff::Jitter;
use muster_actors::ports::cas_object::CasObject;
use muster_actors::ports::fleet::JobOrder;
use muster_actors::ports::fleet::JobQueue;
use muster_actors::ports::queue_metrics::Depth;
use muster_actors::scaler::memory::{LockHolder, Memory, PendingOrder, ScalerTimeouts};
use muster_actors::scaler::policy::{PlanReason, Policy, Throughput};
use muster_actors::scaler::stuck::StuckCause;
use muster_actors::scaler::submitter::{ScalerSettings, ScalerTick, ScalerTickError, Submitter};
use muster_actors::scaler::workers::Workers;
use muster_actors::sim::batch::Status;
use muster_actors::sim::call_loss::{CallLoss, LostPart};
use muster_actors::sim::cas_object::SimCasObject;
use muster_actors::sim::fleet::SimFleet;

const CAPS: Workers = Workers { primary: 4, secondary: 64, fallback: 16 };

struct World {
    fleet: SimFleet,
    cell: SimCasObject,
    clock: Arc<AtomicU64>,
}

impl World {
    fn new(lost: &CallLoss, lag: usize) -> Self {
        let (mut fleet, mut cell) = (SimFleet::default(), SimCasObject::default());
        (fleet.lost, cell.lost) = (lost.clone(), lost.clone());
        fleet.jobs().lag = lag;
        Self { fleet, cell, clock: Arc::new(AtomicU64::new(1_700_000_000)) }
    }

    fn submitter(&self, id: &str) -> Submitter {
        let clock = Arc::clone(&self.clock);
        let pace = Throughput { rate: 20.0, target: Duration::from_secs(900), boot: Duration::from_secs(180) };
        let seconds = Duration::from_secs;
        Submitter {
            id: id.to_owned(),
            settings: ScalerSettings {
                name: "muster-detection".to_owned(),
                policy: Policy::DrainTime(pace),
                caps: CAPS,
                floor: 1.0,
                patience: ScalerTimeouts {
                    appear: seconds(180),
                    dwell: seconds(600),
                    starve: seconds(900),
                    rest: seconds(300),
                },
            },
            cell: Arc::new(self.cell.clone()),
            gauge: Arc::new(self.fleet.clone()),
            fleet: Arc::new(self.fleet.clone()),
            clock: Arc::new(move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed))),
        }
    }

    fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Every worker of every job.
    fn set(&self, status: Status) {
        self.fleet.jobs().all_mut().iter_mut().for_each(|job| job.workers.fill(status));
    }

    fn within_the_caps(&self, story: &str) {
        for line in [JobQueue::Primary, JobQueue::Secondary, JobQueue::Fallback] {
            let (there, cap) = (self.fleet.active().of(line), CAPS.of(line));
            assert!(there <= cap, "{there} workers in {line:?}, {cap} allowed: {story}");
        }
    }
}

fn waits(visible: u64) -> Depth {
    Depth { visible, ..Depth::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// Two submitters at once, minute by minute, until nothing changes any more.
async fn two_at_once(world: &World, minutes: usize, story: &str) -> Vec<Result<ScalerTick, ScalerTickError>> {
    let (one, two) = (world.submitter("one"), world.submitter("two"));
    let mut looks = Vec::new();
    for _ in 0..minutes {
        let (first, second) = tokio::join!(one.tick(), two.tick());
        world.within_the_caps(story);
        looks.extend([first, second]);
        world.pass(60);
    }
    looks
}

#[test]
fn two_submitters_at_once_ask_for_what_one_would_whatever_gets_lost() {
    runtime().block_on(async {
        for lag in [0, 1, 3] {
            let calm = CallLoss::default();
            let world = World::new(&calm, lag);
            world.fleet.fill(waits(100_000));
            two_at_once(&world, 1, "calm").await;
            let calls = calm.calls();
            assert!(calls > 8, "{calls}");
            for nth in 0..calls {
                for what in [LostPart::Call, LostPart::Answer] {
                    let story = format!("list lags by {lag}, {what:?} {nth} is lost");
                    let world = World::new(&CallLoss::new(nth, what), lag);
                    world.fleet.fill(waits(100_000));
                    two_at_once(&world, 8, &story).await;
                    let active = world.fleet.active();
                    // Seven from zero; where one lost call left some of them alone, those at work are enough for the rest.
                    assert!((6..=7).contains(&active.total()), "{active:?}: {story}");
                }
            }
        }
    });
}

#[test]
fn no_depth_and_no_loss_exceeds_the_caps() {
    runtime().block_on(async {
        for seed in 0..4_000 {
            let dice = Jitter::new(seed);
            let roll = |sides: f64| (dice.unit() * sides) as usize;
            let what = if roll(2.0) == 0 { LostPart::Call } else { LostPart::Answer };
            let world = World::new(&CallLoss::new(roll(120.0), what), roll(4.0));
            let (one, two) = (world.submitter("one"), world.submitter("two"));
            for _ in 0..12 {
                world.fleet.fill(Depth {
                    visible: (dice.unit().powi(4) * 2_000_000.0) as u64,
                    delayed: roll(100.0) as u64,
                    in_flight: roll(1000.0) as u64,
                });
                // Jobs move on, end, or wait.
                let moves = [Status::Runnable, Status::Running, Status::Succeeded, Status::Failed];
                for job in world.fleet.jobs().all_mut() {
                    for status in job.workers.iter_mut().filter(|status| !status.is_end()) {
                        *status = (*status).max(moves[roll(4.0)]);
                    }
                }
                match roll(3.0) {
                    0 => drop(one.tick().await),
                    1 => drop(tokio::join!(one.tick(), two.tick())),
                    _ => drop(two.tick().await),
                }
                world.within_the_caps(&format!("seed {seed}"));
                // A list that lags by three looks lags by less than a job may take to appear.
                world.pass(roll(60.0) as u64);
            }
            let names: Vec<_> = world.fleet.jobs().all().iter().map(|job| job.name.clone()).collect();
            let distinct: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(distinct.len(), names.len(), "a job was submitted twice: seed {seed}");
        }
    });
}

#[test]
fn a_submitter_that_dies_in_its_flight_delays_the_others_by_a_minute_and_no_more() {
    runtime().block_on(async {
        let world = World::new(&CallLoss::default(), 0);
        world.fleet.fill(waits(100_000));
        let (one, two) = (world.submitter("one"), world.submitter("two"));
        // It is dropped when the plan is written and nothing is submitted.
        let written = async || {
            let mut calm = world.cell.clone();
            calm.lost = CallLoss::default();
            let held = calm.read().await.unwrap();
            held.is_some_and(|held| !serde_json::from_slice::<Memory>(&held.bytes).unwrap().asked.is_empty())
        };
        let mut dying = Box::pin(one.tick());
        while !written().await {
            assert!(futures_util::poll!(&mut dying).is_pending());
        }
        drop(dying);
        assert_eq!(world.fleet.jobs().all().len(), 0, "nothing is submitted yet");
        assert!(matches!(two.tick().await, Err(ScalerTickError::Busy { .. })));
        // What is written down counts for three minutes, and then no more.
        for (seconds, workers) in [(61, 0), (60, 0), (60, 7), (60, 7)] {
            world.pass(seconds);
            two.tick().await.unwrap();
            assert_eq!(world.fleet.active().total(), workers);
        }
    });
}

#[test]
fn a_clock_that_is_far_ahead_locks_nobody_out() {
    runtime().block_on(async {
        let world = World::new(&CallLoss::default(), 0);
        let holder = Some(LockHolder { id: "ahead".to_owned(), until: u64::MAX });
        let memory = Memory { holder, ..Memory::default() };
        world.cell.swap(None, serde_json::to_vec(&memory).unwrap()).await.unwrap();
        world.submitter("one").tick().await.unwrap();
    });
}

#[test]
fn a_memory_at_its_largest_figures_asks_for_nobody_too_many() {
    runtime().block_on(async {
        let world = World::new(&CallLoss::default(), 0);
        world.fleet.fill(waits(100_000));
        let asked = |name: &str| PendingOrder {
            order: JobOrder { name: name.to_owned(), line: JobQueue::Secondary, workers: u64::MAX },
            at: 1_700_000_000_000,
        };
        let asked = vec![asked("a"), asked("b")];
        let memory = Memory { revision: u64::MAX, serial: u64::MAX, asked, ..Memory::default() };
        world.cell.swap(None, serde_json::to_vec(&memory).unwrap()).await.unwrap();
        let look = world.submitter("one").tick().await.unwrap();
        assert_eq!((look.tally.active.secondary, look.orders), (u64::MAX, vec![]));
    });
}

#[test]
fn machines_on_demand_come_when_spot_has_none_and_the_reason_is_told() {
    runtime().block_on(async {
        let world = World::new(&CallLoss::default(), 0);
        world.fleet.fill(waits(100_000));
        let submitter = world.submitter("one");
        let mut asked = Vec::new();
        for minute in 0..20 {
            let look = submitter.tick().await.unwrap();
            if !look.orders.is_empty() {
                asked.push((minute, look.why, look.orders.iter().map(|order| order.workers).sum::<u64>()));
            }
            if minute == 12 {
                assert_eq!((look.tally.stuck[0].cause, look.tally.stuck[0].workers), (StuckCause::Capacity, 7));
            }
            world.set(Status::Runnable);
            for job in world.fleet.jobs().all_mut() {
                job.reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - g4dn.xlarge".to_owned();
            }
            world.pass(60);
        }
        assert_eq!(asked, [(0, PlanReason::Needed, 7), (16, PlanReason::Starving, 7)]);
        assert_eq!(world.fleet.active(), Workers { primary: 4, secondary: 3, fallback: 7 });
    });
}

#[test]
fn a_look_without_consequences_changes_nothing() {
    runtime().block_on(async {
        let world = World::new(&CallLoss::default(), 0);
        world.fleet.fill(waits(1));
        let look = world.submitter("one").peek().await.unwrap();
        assert_eq!((look.want, look.orders.len(), look.orders[0].workers), (1, 1, 1));
        assert_eq!(world.fleet.jobs().all().len(), 0);
        assert_eq!(world.cell.read().await.unwrap(), None);
    });
}
