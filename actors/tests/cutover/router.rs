//! Messages on their way to their sides.

use async_trait::async_trait;
use muster_actors::cutover::router::{RoutedCounts, Router};
use muster_actors::cutover::split::{CutoverTarget, side};
use muster_actors::domain::image::Rejection;
use muster_actors::ports::outbox::{OutboundMessage, Outbox};
use muster_actors::ports::queue::{Delivery, Handle, Queue, QueueError, Received, SettleOutcome};
use muster_actors::sim::call_loss::{CallLoss, LostPart};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

use super::run;

/// A body, and until when it is invisible.
type Message = (String, Option<tokio::time::Instant>);

/// A queue in memory whose calls and answers get lost; a lease lasts 30 s.
#[derive(Clone, Default)]
struct Box_ {
    messages: Arc<Mutex<BTreeMap<u64, Message>>>,
    serial: Arc<AtomicU64>,
    lost: CallLoss,
}

fn failed(class: muster_actors::errors::Class, message: String) -> QueueError {
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
    async fn send(&self, letters: &[OutboundMessage]) -> Result<Vec<SettleOutcome>, QueueError> {
        let send = || {
            letters.iter().for_each(|letter| self.put(&letter.body));
            Ok(vec![SettleOutcome::Done; letters.len()])
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
                    message: id.to_string(),
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
    async fn extend(&self, _: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        unreachable!()
    }
    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        let ack = || {
            let mut messages = self.messages.lock().unwrap();
            handles.iter().for_each(|handle| drop(messages.remove(&handle.0.parse().unwrap())));
            Ok(vec![SettleOutcome::Done; handles.len()])
        };
        self.lost.call(ack, failed).await
    }
    async fn release(&self, _: &[Handle], _: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        unreachable!()
    }
    async fn reject(&self, _: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
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
    let expected: BTreeSet<String> =
        all.iter().filter(|key| side("b", key, 50) == CutoverTarget::Batch).cloned().collect();
    let mut nth = 0;
    loop {
        let mut calls = 0;
        for part in [LostPart::Call, LostPart::Answer] {
            run(async {
                let lost = CallLoss::new(nth, part);
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
        let routed = Arc::new(RoutedCounts::default());
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
