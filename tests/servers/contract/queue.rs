//! What the pipeline relies on of a queue.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_actors::domain::image::{RejectReason, Rejection};
use muster_actors::ports::queue::{Delivery, Handle, Queue, SettleOutcome};

/// Makes a queue that holds so many messages, with so long leases.
pub trait Make<Q: Queue>: AsyncFn(usize, Duration) -> Q {}
impl<Q: Queue, F: AsyncFn(usize, Duration) -> Q> Make<Q> for F {}

const LONG: Duration = Duration::from_secs(60);

async fn take(queue: &impl Queue, want: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    for _ in 0..50 {
        let received = queue.receive(want - all.len()).await.unwrap();
        all.extend(received.deliveries);
        if all.len() >= want || received.finished {
            break;
        }
    }
    all
}

fn handles(deliveries: &[Delivery]) -> Vec<Handle> {
    deliveries.iter().map(|d| d.handle.clone()).collect()
}

/// Whether nothing comes and the queue, if it can tell, says that nothing will.
async fn is_empty(queue: &impl Queue) -> bool {
    queue.receive(10).await.unwrap().deliveries.is_empty()
}

pub async fn each_message_comes_once_while_it_is_leased<Q: Queue>(make: impl Make<Q>) {
    let queue = make(25, LONG).await;
    let all = take(&queue, 25).await;
    let bodies: BTreeSet<_> = all.iter().map(|d| d.body.clone()).collect();
    assert_eq!((all.len(), bodies.len()), (25, 25));
    assert!(all.iter().all(|d| d.receive_count == 1));
    assert!(is_empty(&queue).await, "leased messages are not delivered");
    assert!(queue.ack(&handles(&all)).await.unwrap().iter().all(|s| *s == SettleOutcome::Done));
    assert!(is_empty(&queue).await);
}

pub async fn no_more_come_than_were_asked_for<Q: Queue>(make: impl Make<Q>) {
    let queue = make(5, LONG).await;
    assert!(queue.receive(0).await.unwrap().deliveries.is_empty());
    assert!(queue.receive(2).await.unwrap().deliveries.len() <= 2);
}

pub async fn a_body_is_json_with_bucket_key_and_gallery<Q: Queue>(make: impl Make<Q>) {
    let queue = make(1, LONG).await;
    let body: serde_json::Value = serde_json::from_str(&take(&queue, 1).await[0].body).unwrap();
    for name in ["bucket", "key", "gallery_id"] {
        assert!(body[name].is_string(), "{body}");
    }
}

pub async fn a_released_message_comes_again_after_its_delay_and_is_counted<Q: Queue>(make: impl Make<Q>) {
    let queue = make(1, LONG).await;
    let first = take(&queue, 1).await;
    // Its delay begins somewhere within the call.
    let start = std::time::Instant::now();
    let settled = queue.release(&handles(&first), Duration::from_secs(1)).await.unwrap();
    assert_eq!(settled, [SettleOutcome::Done]);
    let again = take(&queue, 1).await;
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
    assert_eq!((again[0].body.as_str(), again[0].receive_count), (first[0].body.as_str(), 2));
    assert_ne!(again[0].handle, first[0].handle, "a receipt of its own");
    assert_eq!(queue.ack(&handles(&first)).await.unwrap(), [SettleOutcome::LeaseLost], "the old receipt does nothing");
    assert_eq!(queue.ack(&handles(&again)).await.unwrap(), [SettleOutcome::Done]);
    assert!(is_empty(&queue).await);
}

pub async fn a_lease_that_ends_gives_the_message_back_and_an_extended_one_does_not<Q: Queue>(make: impl Make<Q>) {
    let queue = make(2, Duration::from_secs(8)).await;
    let both = take(&queue, 2).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(queue.extend(&handles(&both[..1])).await.unwrap(), [SettleOutcome::Done]);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let again = take(&queue, 1).await;
    assert_eq!(again[0].body, both[1].body, "only the one that was not extended");
    assert_eq!(queue.extend(&handles(&both[1..])).await.unwrap(), [SettleOutcome::LeaseLost]);
    assert_eq!(queue.ack(&handles(&both[..1])).await.unwrap(), [SettleOutcome::Done]);
}

pub async fn batches_answer_one_by_one_in_order<Q: Queue>(make: impl Make<Q>) {
    let queue = make(3, LONG).await;
    let mut all = handles(&take(&queue, 3).await);
    queue.ack(&all[1..2]).await.unwrap();
    let settled = queue.ack(&all).await.unwrap();
    assert_eq!(settled, [SettleOutcome::Done, SettleOutcome::LeaseLost, SettleOutcome::Done]);
    all.clear();
    assert!(queue.ack(&all).await.unwrap().is_empty());
}

pub async fn a_rejected_message_never_comes_again<Q: Queue>(make: impl Make<Q>) {
    let queue = make(1, LONG).await;
    let one = take(&queue, 1).await;
    let entry = [(one[0].handle.clone(), Rejection::new(RejectReason::Corrupt, "no image"))];
    assert_eq!(queue.reject(&entry).await.unwrap(), [SettleOutcome::Done]);
    assert_eq!(queue.reject(&entry).await.unwrap(), [SettleOutcome::LeaseLost]);
    assert!(is_empty(&queue).await);
}
