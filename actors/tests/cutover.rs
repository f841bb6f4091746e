//! A cutover in memory: answers get lost, watchers meet, and nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use muster_actors::cutover::record::{self, RecordError, change};
use muster_actors::cutover::router::{Routed, Router};
use muster_actors::cutover::split::{Side, side};
use muster_actors::cutover::state::{Note, State, What, Wish};
use muster_actors::cutover::trigger::{Limits, Observed, Seen};
use muster_actors::cutover::watcher::{Notes, Rules, Watcher};
use muster_actors::image::Rejection;
use muster_actors::ports::observer::Observer;
use muster_actors::ports::outbox::{Letter, Outbox};
use muster_actors::ports::queue::{Delivery, Handle, Queue, QueueError, Received, Settled};
use muster_actors::sim::cell::SimCell;
use muster_actors::sim::lost::{Lost, What as Part};
use proptest::prelude::*;
use tokio::sync::watch;

const DWELL: Duration = Duration::from_secs(60);

fn note(id: String, at: u64) -> Note {
    Note { id, at, by: "test".into(), why: "because".into(), dead_letters: Some(0) }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(future)
}

/// The same value, of which something else gets lost.
fn losing(cell: &SimCell, lost: Lost) -> SimCell {
    let mut cell = cell.clone();
    cell.lost = lost;
    cell
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        (prop::sample::select(vec![0u8, 10, 25, 50, 75, 100]), any::<bool>())
            .prop_map(|(to, force)| Wish::Set { to, force }),
        (0u64..6).prop_map(Wish::Advance),
        (0u64..6).prop_map(Wish::Trigger),
        Just(Wish::RollBack),
    ]
}

/// Each person or watcher makes its wishes one after the other; all at once.
async fn act(cell: &SimCell, actors: &[Vec<Wish>]) -> Vec<(String, Result<State, RecordError>)> {
    let one = async |actor: usize, wishes: &[Wish]| {
        let mut ends = Vec::new();
        for (n, wish) in wishes.iter().enumerate() {
            let id = format!("{actor}.{n}");
            ends.push((id.clone(), change(cell, *wish, &note(id, n as u64 * 30_000), DWELL).await));
        }
        ends
    };
    let all = actors.iter().enumerate().map(|(actor, wishes)| one(actor, wishes));
    futures_util::future::join_all(all).await.into_iter().flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn however_many_change_it_and_whichever_answer_is_lost_the_trail_tells_all_that_was_granted_and_nothing_else(
        actors in prop::collection::vec(prop::collection::vec(wish(), 1..6), 2..4),
        nth in 0usize..40,
        answer in any::<bool>(),
    ) {
        run(async {
            let lost = Lost::at(nth, if answer { Part::Answer } else { Part::Call });
            let cell = losing(&SimCell::default(), lost);
            let ends = act(&cell, &actors).await;
            let (state, _) = record::read(&losing(&cell, Lost::default())).await.unwrap();
            let told: Vec<&str> = state.trail.iter().map(|entry| entry.id.as_str()).collect();
            let once: BTreeSet<&str> = told.iter().copied().collect();
            assert_eq!(once.len(), told.len(), "each once");
            assert_eq!(state.revision, told.len() as u64);
            for (id, end) in &ends {
                match end {
                    Ok(state) => assert!(once.contains(id.as_str()) && state.holds(id), "{id} was granted and is not told"),
                    Err(RecordError::Refused(_)) => assert!(!once.contains(id.as_str()), "{id} was refused and is told"),
                    Err(error) => panic!("{error}"),
                }
            }
            // One follows from the other.
            let mut percent = 0;
            for entry in &state.trail {
                assert_eq!(entry.from, percent, "{entry:?}");
                percent = entry.to;
            }
            assert_eq!(state.percent, percent);
        });
    }
}

#[test]
fn a_change_whose_answer_was_lost_and_on_which_somebody_has_written_since_is_not_made_twice() {
    run(async {
        let cell = SimCell::default();
        // Its first call reads, its second writes.
        let slow = losing(&cell, Lost::at(1, Part::Answer));
        let (set, back) = (Wish::Set { to: 10, force: false }, Wish::Set { to: 25, force: true });
        let later = async {
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            change(&cell, back, &note("later".into(), 2), DWELL).await
        };
        let first = note("first".into(), 1);
        let (first, later) = tokio::join!(change(&slow, set, &first, DWELL), later);
        assert!(first.is_ok() && later.is_ok(), "{first:?} {later:?}");
        let (state, _) = record::read(&cell).await.unwrap();
        let told: Vec<_> = state.trail.iter().map(|entry| (entry.id.as_str(), entry.to)).collect();
        assert_eq!(told, [("first", 10), ("later", 25)]);
    });
}

#[test]
fn what_is_no_state_is_left_alone() {
    run(async {
        use muster_actors::ports::cell::Cell;
        for text in
            ["", "{}", "[]", r#"{"revision":1,"percent":101,"since":0,"dead_letters":null,"held":null,"trail":[]}"#]
        {
            let cell = SimCell::default();
            cell.swap(None, text.as_bytes().to_vec()).await.unwrap();
            let end = change(&cell, Wish::RollBack, &note("1".into(), 0), DWELL).await;
            assert!(matches!(end, Err(RecordError::Garbled(_))), "{text}: {end:?}");
            assert_eq!(cell.read().await.unwrap().unwrap().bytes, text.as_bytes());
        }
    });
}

/// A body, and until when it is invisible.
type Message = (String, Option<tokio::time::Instant>);

/// A queue in memory whose calls and answers get lost; a lease lasts 30 s.
#[derive(Clone, Default)]
struct Box_ {
    messages: Arc<Mutex<BTreeMap<u64, Message>>>,
    serial: Arc<AtomicU64>,
    lost: Lost,
}

fn failed(class: muster_actors::error::Class, message: String) -> QueueError {
    QueueError { class, message }
}

impl Box_ {
    fn put(&self, body: &str) {
        let id = self.serial.fetch_add(1, Ordering::Relaxed);
        self.messages.lock().unwrap().insert(id, (body.to_owned(), None));
    }

    fn bodies(&self) -> Vec<String> {
        self.messages.lock().unwrap().values().map(|(body, _)| body.clone()).collect()
    }
}

#[async_trait]
impl Outbox for Box_ {
    async fn send(&self, letters: &[Letter]) -> Result<Vec<Settled>, QueueError> {
        let send = || {
            letters.iter().for_each(|letter| self.put(&letter.body));
            Ok(vec![Settled::Done; letters.len()])
        };
        self.lost.call(send, failed).await
    }
}

#[async_trait]
impl Queue for Box_ {
    fn visibility(&self) -> Duration {
        Duration::from_secs(30)
    }
    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        let receive = || {
            let now = tokio::time::Instant::now();
            let mut messages = self.messages.lock().unwrap();
            let free = messages.iter_mut().filter(|(_, (_, until))| until.is_none_or(|until| until <= now)).take(max);
            let deliveries = free.map(|(id, (body, until))| {
                *until = Some(now + self.visibility());
                Delivery {
                    handle: Handle(id.to_string()),
                    body: body.clone(),
                    receive_count: 1,
                    trace: None,
                    waited: None,
                }
            });
            Ok(Received { deliveries: deliveries.collect(), finished: false })
        };
        self.lost.call(receive, failed).await
    }
    async fn extend(&self, _: &[Handle]) -> Result<Vec<Settled>, QueueError> {
        unreachable!()
    }
    async fn ack(&self, handles: &[Handle]) -> Result<Vec<Settled>, QueueError> {
        let ack = || {
            let mut messages = self.messages.lock().unwrap();
            handles.iter().for_each(|handle| drop(messages.remove(&handle.0.parse().unwrap())));
            Ok(vec![Settled::Done; handles.len()])
        };
        self.lost.call(ack, failed).await
    }
    async fn release(&self, _: &[Handle], _: Duration) -> Result<Vec<Settled>, QueueError> {
        unreachable!()
    }
    async fn reject(&self, _: &[(Handle, Rejection)]) -> Result<Vec<Settled>, QueueError> {
        unreachable!()
    }
}

fn body(key: &str) -> String {
    serde_json::json!({ "bucket": "b", "key": key }).to_string()
}

/// The keys that a queue's messages name, events included.
fn keys(queue: &Box_) -> BTreeSet<String> {
    let key = |body: String| -> Vec<String> {
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        match value["Records"].as_array() {
            Some(records) => records.iter().map(|r| r["s3"]["object"]["key"].as_str().unwrap().to_owned()).collect(),
            None => vec![value["key"].as_str().unwrap().to_owned()],
        }
    };
    queue.bodies().into_iter().flat_map(key).collect()
}

#[test]
fn whichever_call_or_answer_of_two_routers_is_lost_every_message_arrives_on_its_side() {
    let all: BTreeSet<String> = (0..60).map(|n| format!("{n}.jpg")).collect();
    let expected: BTreeSet<String> = all.iter().filter(|key| side("b", key, 50) == Side::Batch).cloned().collect();
    let mut nth = 0;
    loop {
        let mut calls = 0;
        for part in [Part::Call, Part::Answer] {
            run(async {
                let lost = Lost::at(nth, part);
                let [intake, ecs, batch] = [(); 3].map(|()| Box_ { lost: lost.clone(), ..Box_::default() });
                let events: Vec<&String> = all.iter().collect();
                for (n, keys) in events.chunks(3).enumerate() {
                    if n % 2 == 0 {
                        keys.iter().for_each(|key| intake.put(&body(key)));
                    } else {
                        let record = |key: &&String| serde_json::json!({ "s3": { "bucket": { "name": "b" }, "object": { "key": key } } });
                        intake.put(
                            &serde_json::json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() }).to_string(),
                        );
                    }
                }
                let (_percent, percent) = watch::channel(Some(50));
                let (stop, stopped) = watch::channel(false);
                let router = Router {
                    from: Arc::new(intake.clone()),
                    ecs: Arc::new(ecs.clone()),
                    batch: Some(Arc::new(batch.clone())),
                    percent,
                    routed: Arc::default(),
                };
                let end = async {
                    while !intake.bodies().is_empty() {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    calls = calls.max(lost.calls());
                    stop.send(true).unwrap();
                };
                let (one, other, ()) = futures_util::join!(router.run(&stopped), router.run(&stopped), end);
                one.and(other).unwrap();
                assert_eq!(keys(&batch), expected, "{part:?} {nth}");
                assert_eq!(keys(&ecs), &all - &expected, "{part:?} {nth}");
            });
        }
        nth += 1;
        if nth > calls {
            assert!(nth > 10, "it never got to lose anything");
            return;
        }
    }
}

#[test]
fn out_of_batch_goes_only_what_must_not_stay_there() {
    run(async {
        let (ecs, batch) = (Box_::default(), Box_::default());
        (0..25).for_each(|n| batch.put(&body(&n.to_string())));
        batch.put("not JSON");
        let (set, percent) = watch::channel(Some(10));
        let (stop, stopped) = watch::channel(false);
        let routed = Arc::new(Routed::default());
        let mover = Router {
            from: Arc::new(batch.clone()),
            ecs: Arc::new(ecs.clone()),
            batch: None,
            percent,
            routed: Arc::clone(&routed),
        };
        let end = async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            assert_eq!((batch.bodies().len(), ecs.bodies().len()), (26, 0), "at 10 % it stays");
            set.send_replace(Some(0));
            tokio::time::sleep(Duration::from_secs(100)).await;
            assert_eq!((batch.bodies().len(), ecs.bodies().len()), (0, 26));
            stop.send(true).unwrap();
        };
        futures_util::join!(mover.run(&stopped), end).0.unwrap();
        assert_eq!(routed.counts(), (26, 0));
    });
}

/// Says what it is told to say.
struct Told {
    failed: AtomicU64,
}

#[async_trait]
impl Observer for Told {
    async fn observe(&self, _: &State) -> Observed {
        let batch = Seen { images: 100, failed: self.failed.load(Ordering::Relaxed), ..Seen::default() };
        Observed { batch: Some(batch), stalled: Some(Duration::ZERO), ..Observed::default() }
    }
    async fn dead_letters(&self) -> Option<u64> {
        Some(0)
    }
}

fn watcher(cell: &SimCell, told: &Arc<Told>, name: &'static str) -> Watcher {
    let (begun, serial) = (tokio::time::Instant::now(), AtomicU64::new(0));
    let notes: Notes = Arc::new(move |why| {
        let at = begun.elapsed().as_millis() as u64;
        Note { why, ..note(format!("{name} {}", serial.fetch_add(1, Ordering::Relaxed)), at) }
    });
    let limits = Limits {
        images: 10,
        failure_ratio: 0.1,
        p99_seconds: 0.0,
        queue_age_seconds: 0.0,
        dead_letters: 0.0,
        dollars_per_thousand: 0.0,
        interruptions: 0.0,
        dollars_an_hour: 0.0,
    };
    let rules = Rules { look: Duration::from_secs(10), dwell: DWELL, advance: true, limits };
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
            let cell = losing(&SimCell::default(), Lost::at(nth, Part::Answer));
            let told = Arc::new(Told { failed: AtomicU64::new(0) });
            change(&cell, Wish::Set { to: 10, force: false }, &note("begin".into(), 0), DWELL).await.unwrap();
            let watchers = ["one", "other"].map(|name| watcher(&cell, &told, name));
            let (stop, stopped) = watch::channel(false);
            let end = async {
                // Five steps of a minute and some looks.
                tokio::time::sleep(Duration::from_secs(400)).await;
                told.failed.store(11, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(21)).await;
                let (state, _) = record::read(&losing(&cell, Lost::default())).await.unwrap();
                assert!(watchers.iter().all(|watcher| *watcher.percent.borrow() == Some(0)), "both follow");
                // Nobody goes on before somebody has looked.
                told.failed.store(0, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(400)).await;
                stop.send(true).unwrap();
                state
            };
            let (one, other, state) = futures_util::join!(watchers[0].run(&stopped), watchers[1].run(&stopped), end);
            one.and(other).unwrap();
            let (last, _) = record::read(&losing(&cell, Lost::default())).await.unwrap();
            assert_eq!(last, state);
            let steps: Vec<(What, u8)> = state.trail.iter().map(|entry| (entry.what, entry.to)).collect();
            use What::{Advanced, Set, Triggered};
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
        let cell = SimCell::default();
        change(&cell, Wish::Set { to: 10, force: false }, &note("begin".into(), 0), DWELL).await.unwrap();
        // Reads work; every write fails.
        struct ReadOnly(SimCell);
        #[async_trait]
        impl muster_actors::ports::cell::Cell for ReadOnly {
            async fn read(
                &self,
            ) -> Result<Option<muster_actors::ports::cell::Held>, muster_actors::ports::cell::CellError> {
                self.0.read().await
            }
            async fn swap(
                &self,
                _: Option<&muster_actors::ports::cell::Version>,
                _: Vec<u8>,
            ) -> Result<muster_actors::ports::cell::Version, muster_actors::ports::cell::CellError> {
                let class = muster_actors::error::Class::Transient;
                Err(muster_actors::ports::cell::CellError::Failed { class, message: "away".into() })
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
