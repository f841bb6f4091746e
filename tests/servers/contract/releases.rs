//! What workers rely on of the notes about releases.

use muster_actors::ports::releases::{Receive, Releases};

/// Makes notes of which nothing is written yet.
pub trait Make<R: Releases>: AsyncFn() -> R {}
impl<R: Releases, M: AsyncFn() -> R> Make<R> for M {}

fn receive(message: &str, number: u32) -> Receive {
    Receive { message: message.to_owned(), number }
}

pub async fn earlier_receives_are_counted_each_once_and_for_their_own_message<R: Releases>(make: impl Make<R>) {
    let releases = make().await;
    let asked = [receive("a", 4), receive("b", 9), receive("none", 3)];
    assert_eq!(releases.count(&asked).await.unwrap(), [0, 0, 0]);
    assert_eq!(releases.count(&[]).await.unwrap(), Vec::<u32>::new());
    releases.note(&[]).await.unwrap();
    for _ in 0..2 {
        releases.note(&[receive("a", 1), receive("b", 1), receive("a", 3)]).await.unwrap();
    }
    releases.note(&[receive("b", 12), receive("a", 4), receive("a", 5)]).await.unwrap();
    assert_eq!(releases.count(&asked).await.unwrap(), [2, 1, 0]);
    assert_eq!(releases.count(&[receive("a", 6), receive("a", 1)]).await.unwrap(), [4, 0], "in the order asked");
}

pub async fn many_notes_of_many_workers_are_all_counted<R: Releases>(make: impl Make<R>) {
    let releases = &make().await;
    let note = async |number: u32| {
        let receives: Vec<Receive> = (0..10).map(|message| receive(&format!("m{message}"), number)).collect();
        releases.note(&receives).await.unwrap();
    };
    futures_util::future::join_all((1..=20).map(note)).await;
    let asked: Vec<Receive> = (0..10).map(|message| receive(&format!("m{message}"), 21)).collect();
    assert_eq!(releases.count(&asked).await.unwrap(), [20; 10]);
}
