//! Who watches, goes on and rolls back.

use async_trait::async_trait;
use muster_actors::cutover::record::{self, change};
use muster_actors::cutover::trigger::RollbackLimits;
use muster_actors::cutover::watcher::{NoteMaker, Watcher, WatcherRules};
use muster_actors::domain::cutover_state::{AuditAction, ChangeNote, CutoverCommand, CutoverState};
use muster_actors::ports::observer::Observer;
use muster_actors::ports::observer::{Observations, SideStats};
use muster_actors::sim::call_loss::{CallLoss, LostPart};
use muster_actors::sim::cas_object::SimCasObject;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

use super::{DWELL, losing, note, run};

/// Says what it is told to say.
struct Told {
    failed: AtomicU64,
}

#[async_trait]
impl Observer for Told {
    async fn observe(&self, _: &CutoverState) -> Observations {
        let batch = SideStats { images: 100, failed: self.failed.load(Ordering::Relaxed), ..SideStats::default() };
        Observations { batch: Some(batch), stalled: Some(Duration::ZERO), ..Observations::default() }
    }
    async fn dead_letters(&self) -> Option<u64> {
        Some(0)
    }
}

fn watcher(cell: &SimCasObject, told: &Arc<Told>, name: &'static str) -> Watcher {
    let (begun, serial) = (tokio::time::Instant::now(), AtomicU64::new(0));
    let notes: NoteMaker = Arc::new(move |why| {
        let at = begun.elapsed().as_millis() as u64;
        ChangeNote { why, ..note(format!("{name} {}", serial.fetch_add(1, Ordering::Relaxed)), at) }
    });
    let limits = RollbackLimits {
        images: 10,
        failure_ratio: 0.1,
        p99_seconds: 0.0,
        queue_age_seconds: 0.0,
        dead_letters: 0.0,
        dollars_per_thousand: 0.0,
        interruptions: 0.0,
        dollars_an_hour: 0.0,
    };
    let rules = WatcherRules { look: Duration::from_secs(10), dwell: DWELL, advance: true, limits };
    Watcher {
        cell: Arc::new(cell.clone()),
        observer: Arc::clone(told) as _,
        notes,
        rules,
        percent: watch::Sender::new(None),
    }
}

#[test]
fn two_watchers_go_through_the_steps_one_by_one_and_roll_back_once_whichever_answer_is_lost() {
    for nth in 0..200 {
        run(async {
            let cell = losing(&SimCasObject::default(), CallLoss::new(nth, LostPart::Answer));
            let told = Arc::new(Told { failed: AtomicU64::new(0) });
            change(&cell, CutoverCommand::Set { to: 10, force: false }, &note("begin".into(), 0), DWELL).await.unwrap();
            let watchers = ["one", "other"].map(|name| watcher(&cell, &told, name));
            let (stop, stopped) = watch::channel(false);
            let end = async {
                // Five steps of a minute and some looks.
                tokio::time::sleep(Duration::from_secs(400)).await;
                told.failed.store(11, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(21)).await;
                let (state, _) = record::read(&losing(&cell, CallLoss::default())).await.unwrap();
                assert!(watchers.iter().all(|watcher| *watcher.percent.borrow() == Some(0)), "both follow");
                // Nobody goes on before somebody has looked.
                told.failed.store(0, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(400)).await;
                stop.send(true).unwrap();
                state
            };
            let (one, other, state) = futures_util::join!(watchers[0].run(&stopped), watchers[1].run(&stopped), end);
            one.and(other).unwrap();
            let (last, _) = record::read(&losing(&cell, CallLoss::default())).await.unwrap();
            assert_eq!(last, state);
            let steps: Vec<(AuditAction, u8)> = state.trail.iter().map(|entry| (entry.what, entry.to)).collect();
            use AuditAction::{Advanced, Set, Triggered};
            let expected = [(Set, 10), (Advanced, 25), (Advanced, 50), (Advanced, 75), (Advanced, 100), (Triggered, 0)];
            assert_eq!(steps, expected, "{nth}");
            assert!(state.trail.windows(2).take(4).all(|pair| pair[1].at - pair[0].at >= 60_000), "{:?}", state.trail);
            assert!(state.held.unwrap().contains("11.0 %"));
        });
    }
}

#[test]
fn while_a_rollback_cannot_be_written_down_its_watcher_sends_nothing_to_batch() {
    run(async {
        let told = Arc::new(Told { failed: AtomicU64::new(50) });
        let cell = SimCasObject::default();
        change(&cell, CutoverCommand::Set { to: 10, force: false }, &note("begin".into(), 0), DWELL).await.unwrap();
        // Reads work; every write fails.
        struct ReadOnly(SimCasObject);
        #[async_trait]
        impl muster_actors::ports::cas_object::CasObject for ReadOnly {
            async fn read(
                &self,
            ) -> Result<Option<muster_actors::ports::cas_object::CasValue>, muster_actors::ports::cas_object::CasError>
            {
                self.0.read().await
            }
            async fn swap(
                &self,
                _: Option<&muster_actors::ports::cas_object::CasVersion>,
                _: Vec<u8>,
            ) -> Result<muster_actors::ports::cas_object::CasVersion, muster_actors::ports::cas_object::CasError>
            {
                let class = muster_actors::errors::Class::Transient;
                Err(muster_actors::ports::cas_object::CasError::Failed { class, message: "away".into() })
            }
        }
        let watcher = Watcher { cell: Arc::new(ReadOnly(cell.clone())), ..watcher(&cell, &told, "one") };
        let (stop, stopped) = watch::channel(false);
        let end = async {
            tokio::time::sleep(Duration::from_secs(15)).await;
            told.failed.store(0, Ordering::Relaxed);
            for _ in 0..60 {
                assert_eq!(*watcher.percent.borrow(), Some(0));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            stop.send(true).unwrap();
        };
        futures_util::join!(watcher.run(&stopped), end).0.unwrap();
    });
}
