use super::*;
use crate::domain::gallery::GalleryId;
use crate::domain::image::{ImageState, RejectReason};

const VISIBILITY: Duration = Duration::from_secs(30);
const BOUND: Duration = Duration::from_secs(300);

fn book() -> (Arc<Book>, Ledger) {
    let ledger = Ledger::new(10);
    let mut settings = Settings { drop_delay: Duration::from_secs(1), ..Settings::default() };
    settings.keeper.bound = BOUND;
    (Book::new(VISIBILITY, &settings, ledger.clone()), ledger)
}

fn open(book: &Arc<Book>, images: usize) -> Vec<Lease> {
    let locator = |n: usize| Locator { gallery: GalleryId("g".into()), bucket: "b".into(), key: n.to_string() };
    book.open(Handle("h".into()), (0..images).map(|n| Some(locator(n))).collect())
}

fn rejection() -> Rejection {
    Rejection::new(RejectReason::Corrupt, "a test")
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lease_is_released_and_an_ended_one_ends_once() {
    let (book, ledger) = book();
    drop(open(&book, 1));
    open(&book, 1).into_iter().for_each(|lease| lease.ack(Done::Image(ImageState::NoFaces)));
    let released = book.take_due(10);
    assert_eq!(released.iter().map(|due| due.ending.clone()).collect::<Vec<_>>(), [Ending::Release(VISIBILITY / 30)]);
    let acked = book.take_due(10);
    assert_eq!(acked.iter().map(|due| due.ending.clone()).collect::<Vec<_>>(), [Ending::Ack]);
    for due in released.iter().chain(&acked) {
        book.settled(due.id, &Settled::Done, None);
    }
    let counts = ledger.progress().counts;
    assert_eq!((counts.released, counts.no_faces, counts.ended(), book.is_empty()), (1, 1, 2, true));
}

#[tokio::test(start_paused = true)]
async fn a_message_with_several_images_ends_when_the_last_does_and_by_the_worst() {
    let (book, ledger) = book();
    let mut leases = open(&book, 3);
    leases.remove(0).ack(Done::Image(ImageState::Indexed));
    leases.remove(0).reject(rejection());
    assert!(book.take_due(10).is_empty());
    leases.remove(0).ack(Done::Image(ImageState::NoFaces));
    let due = book.take_due(10);
    assert!(matches!(due[0].ending, Ending::Reject(_)));
    book.settled(due[0].id, &Settled::Done, None);
    let progress = ledger.progress();
    assert_eq!((progress.counts.indexed, progress.counts.no_faces, progress.counts.rejected), (1, 1, 1));
    assert_eq!(progress.rejections[0].rejection, rejection());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_is_counted_lost_and_never_settled() {
    let (book, ledger) = book();
    let mut leases = open(&book, 1);
    tokio::time::advance(VISIBILITY).await;
    assert!(book.take_stale(VISIBILITY / 3, 10).is_empty());
    assert!(leases[0].lost());
    leases.remove(0).ack(Done::Image(ImageState::Indexed));
    assert!(book.take_due(10).is_empty() && book.is_empty());
    assert_eq!(ledger.progress().counts.lease_lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_settlement_is_due_again_after_its_wait_and_survives_the_keeper() {
    let (book, ledger) = book();
    open(&book, 1).into_iter().for_each(|lease| lease.ack(Done::Image(ImageState::Indexed)));
    let due = book.take_due(10);
    book.settled(due[0].id, &Settled::Failed(crate::errors::Class::Transient), Some(Duration::from_secs(1)));
    assert!(book.take_due(10).is_empty());
    tokio::time::advance(Duration::from_secs(1)).await;
    let again = book.take_due(10);
    assert_eq!((again.len(), book.attempts(again[0].id)), (1, 1));
    book.reclaim();
    assert_eq!(book.take_due(10).len(), 1);
    book.settled(again[0].id, &Settled::Done, None);
    assert_eq!(ledger.progress().counts.indexed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_until_its_bound_and_then_let_go() {
    let (book, ledger) = book();
    let held = open(&book, 1);
    let mut renewals = 0;
    while !held[0].lost() {
        tokio::time::sleep(VISIBILITY / 3).await;
        let asked = Instant::now();
        for (id, _) in book.take_stale(VISIBILITY / 3, 10) {
            book.renewed(id, asked, &Settled::Done);
            renewals += 1;
        }
    }
    assert_eq!(renewals, BOUND.as_secs() / 10 - 1, "one at every third, none at the bound");
    drop(held);
    assert_eq!((ledger.progress().counts.lease_lost, book.is_empty()), (1, true));
}
