use super::*;
use crate::domain::gallery::GalleryId;
use crate::domain::image::{ImageState, RejectReason, Rejection};
use crate::flow::run_stats::Done;
use crate::ports::queue::SettleOutcome;
use tokio::time::timeout;

const VISIBILITY: Duration = Duration::from_secs(30);
const BOUND: Duration = Duration::from_secs(300);

fn table() -> (Arc<LeaseTable>, RunStats) {
    let stats = RunStats::new(10);
    let rules =
        LeaseRules { visibility: VISIBILITY, bound: BOUND, drop_delay: Duration::from_secs(1), settles_lost: false };
    (LeaseTable::new(rules, stats.clone()), stats)
}

fn open(table: &Arc<LeaseTable>, images: usize) -> Vec<Lease> {
    let locator = |n: usize| Locator { gallery: GalleryId("g".into()), bucket: "b".into(), key: n.to_string() };
    let delivery = Delivery {
        handle: Handle("h".into()),
        message: "m".into(),
        body: String::new(),
        receive_count: 1,
        trace: None,
        waited: None,
    };
    table.open(&delivery, (0..images).map(|n| Some(locator(n))).collect())
}

fn rejection() -> Rejection {
    Rejection::new(RejectReason::Corrupt, "a test")
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lease_is_released_and_an_ended_one_ends_once() {
    let (table, stats) = table();
    drop(open(&table, 1));
    open(&table, 1).into_iter().for_each(|lease| lease.ack(Done::Image(ImageState::NoFaces)));
    let released = table.take_due(10);
    assert_eq!(
        released.iter().map(|due| due.settlement.clone()).collect::<Vec<_>>(),
        [Settlement::Release { delay: VISIBILITY / 30, clean: false }]
    );
    let acked = table.take_due(10);
    assert_eq!(acked.iter().map(|due| due.settlement.clone()).collect::<Vec<_>>(), [Settlement::Ack]);
    for due in released.iter().chain(&acked) {
        table.settled(due.id, &SettleOutcome::Done, None);
    }
    let counts = stats.progress().counts;
    assert_eq!((counts.released, counts.no_faces, counts.ended(), table.is_empty()), (1, 1, 2, true));
}

#[tokio::test(start_paused = true)]
async fn a_message_with_several_images_ends_when_the_last_does_and_by_the_worst() {
    let (table, stats) = table();
    let mut leases = open(&table, 3);
    leases.remove(0).ack(Done::Image(ImageState::Indexed));
    leases.remove(0).reject(rejection());
    assert!(table.take_due(10).is_empty());
    leases.remove(0).ack(Done::Image(ImageState::NoFaces));
    let due = table.take_due(10);
    assert!(matches!(due[0].settlement, Settlement::Reject(_)));
    table.settled(due[0].id, &SettleOutcome::Done, None);
    let progress = stats.progress();
    assert_eq!((progress.counts.indexed, progress.counts.no_faces, progress.counts.rejected), (1, 1, 1));
    assert_eq!(progress.rejections[0].rejection, rejection());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_is_counted_lost_and_never_settled() {
    let (table, stats) = table();
    let mut leases = open(&table, 1);
    tokio::time::advance(VISIBILITY).await;
    assert!(table.take_stale(VISIBILITY / 3, 10).is_empty());
    assert!(leases[0].lost());
    leases.remove(0).ack(Done::Image(ImageState::Indexed));
    assert!(table.take_due(10).is_empty() && table.is_empty());
    assert_eq!(stats.progress().counts.lease_lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_settlement_is_due_again_after_its_wait_and_survives_the_keeper() {
    let (table, stats) = table();
    open(&table, 1).into_iter().for_each(|lease| lease.ack(Done::Image(ImageState::Indexed)));
    let due = table.take_due(10);
    table.settled(due[0].id, &SettleOutcome::Failed(crate::errors::Class::Transient), Some(Duration::from_secs(1)));
    assert!(table.take_due(10).is_empty());
    tokio::time::advance(Duration::from_secs(1)).await;
    let again = table.take_due(10);
    assert_eq!((again.len(), table.attempts(again[0].id)), (1, 1));
    table.reclaim();
    assert_eq!(table.take_due(10).len(), 1);
    table.settled(again[0].id, &SettleOutcome::Done, None);
    assert_eq!(stats.progress().counts.indexed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_until_its_bound_and_then_let_go() {
    let (table, stats) = table();
    let held = open(&table, 1);
    let mut renewals = 0;
    while !held[0].lost() {
        tokio::time::sleep(VISIBILITY / 3).await;
        let asked = Instant::now();
        for (id, _) in table.take_stale(VISIBILITY / 3, 10) {
            table.renewed(id, asked, &SettleOutcome::Done);
            renewals += 1;
        }
    }
    assert_eq!(renewals, BOUND.as_secs() / 10 - 1, "one at every third, none at the bound");
    drop(held);
    assert_eq!((stats.progress().counts.lease_lost, table.is_empty()), (1, true));
}

#[tokio::test(start_paused = true)]
async fn a_release_waits_until_a_renewal_on_its_way_is_answered() {
    let transient = SettleOutcome::Failed(crate::errors::Class::Transient);
    for answer in [SettleOutcome::Done, transient] {
        let (table, stats) = table();
        let held = open(&table, 1);
        tokio::time::advance(VISIBILITY / 3).await;
        let asked = Instant::now();
        let stale = table.take_stale(VISIBILITY / 3, 10);
        assert_eq!(stale.len(), 1);
        drop(held);
        assert!(table.take_due(10).is_empty(), "a renewal that arrives after the release hides the message");
        assert_eq!(table.next_due(), None, "nothing to wake up for before the answer");
        tokio::time::advance(VISIBILITY / 10).await;
        table.due.notified().await;
        table.renewed(stale[0].0, asked, &answer);
        timeout(Duration::ZERO, table.due.notified()).await.expect("the answer wakes the LeaseManager");
        let due = table.take_due(10);
        assert_eq!(due.len(), 1, "{answer:?}");
        table.settled(due[0].id, &SettleOutcome::Done, None);
        assert_eq!((stats.progress().counts.released, table.is_empty()), (1, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_settlement_is_on_its_way_at_the_end_is_lost_whatever_it_names() {
    for images in [0, 1, 3] {
        let (table, stats) = table();
        open(&table, images).into_iter().for_each(|lease| lease.ack(Done::Image(ImageState::Indexed)));
        let due = table.take_due(10);
        assert_eq!((due.len(), table.abandon()), (1, 1));
        table.settled(due[0].id, &SettleOutcome::Done, None);
        let counts = stats.progress().counts;
        assert_eq!((table.lost_messages(), counts.lease_lost, counts.ended()), (1, images as u64, images as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_does_not_wait_for_a_renewal() {
    let (table, _) = table();
    let held = open(&table, 1);
    tokio::time::advance(VISIBILITY / 3).await;
    assert_eq!(table.take_stale(VISIBILITY / 3, 10).len(), 1);
    held.into_iter().for_each(|lease| lease.ack(Done::Image(ImageState::Indexed)));
    assert_eq!(table.take_due(10).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_to_be_given_back_is_not_renewed() {
    let (table, _) = table();
    drop(open(&table, 1));
    let due = table.take_due(10);
    let wait = VISIBILITY / 2;
    table.settled(due[0].id, &SettleOutcome::Failed(crate::errors::Class::Transient), Some(wait));
    tokio::time::advance(VISIBILITY / 3).await;
    assert!(table.take_stale(VISIBILITY / 3, 10).is_empty(), "its release may have been done, and its answer lost");
}

#[tokio::test(start_paused = true)]
async fn a_release_is_clean_unless_an_image_may_have_broken_something() {
    let delay = Duration::from_secs(2);
    type End = fn(Lease, Duration);
    let (release, fail): (End, End) = (Lease::release, Lease::fail);
    let (hand_back, dropped): (End, End) = (|lease, _| lease.hand_back(), |lease, _| drop(lease));
    let ack: End = |lease, _| lease.ack(Done::Image(ImageState::Indexed));
    for (what, handing_back, ends, clean) in [
        ("given back", None, vec![release], true),
        ("given back, the rest is stored", None, vec![ack, release], true),
        ("it broke something", None, vec![release, fail], false),
        ("not begun", None, vec![hand_back], true),
        ("dropped in the middle of the work", None, vec![dropped], false),
        ("dropped in a drain", Some(false), vec![dropped], true),
        ("it broke something in a drain", Some(false), vec![dropped, fail], false),
        ("dropped because something hangs", Some(true), vec![dropped], false),
    ] {
        let (table, _) = table();
        let leases = open(&table, ends.len());
        handing_back.into_iter().for_each(|hangs| table.hand_back(hangs));
        leases.into_iter().zip(ends).for_each(|(lease, end)| end(lease, delay));
        let due = table.take_due(10);
        assert!(matches!(due[0].settlement, Settlement::Release { clean: is, .. } if is == clean), "{what}: {due:?}");
    }
    let (table, _) = table();
    table.hand_back(false);
    let lease = open(&table, 1);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = lease;
        std::panic::resume_unwind(Box::new("a test"));
    }));
    assert!(panicked.is_err());
    assert!(matches!(table.take_due(10)[0].settlement, Settlement::Release { clean: false, .. }));
}
