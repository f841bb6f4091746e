//! What a submitter and a cutover rely on of a value that many share.

use muster_actors::ports::cas_object::{CasError, CasObject, CasVersion, write};

/// Makes a value that was never written.
pub trait Make<C: CasObject>: AsyncFn() -> C {}
impl<C: CasObject, M: AsyncFn() -> C> Make<C> for M {}

fn is_changed(written: &Result<CasVersion, CasError>) -> bool {
    matches!(written, Err(CasError::Changed))
}

pub async fn only_who_has_read_the_last_value_writes<C: CasObject>(make: impl Make<C>) {
    let cell = make().await;
    assert_eq!(cell.read().await.unwrap(), None);
    assert!(
        is_changed(&cell.swap(Some(&CasVersion("\"none\"".to_owned())), b"x".to_vec()).await),
        "there is nothing yet"
    );
    let first = cell.swap(None, b"one".to_vec()).await.unwrap();
    assert!(is_changed(&cell.swap(None, b"another".to_vec()).await), "there is something");
    let held = cell.read().await.unwrap().unwrap();
    assert_eq!((held.bytes, &held.version), (b"one".to_vec(), &first));
    let second = cell.swap(Some(&first), b"two".to_vec()).await.unwrap();
    assert!(is_changed(&cell.swap(Some(&first), b"late".to_vec()).await));
    let held = cell.read().await.unwrap().unwrap();
    assert_eq!((held.bytes, held.version), (b"two".to_vec(), second));
}

pub async fn of_many_writers_at_once_one_wins<C: CasObject>(make: impl Make<C>) {
    let cell = &make().await;
    let mut version = None;
    for round in 0..5 {
        let expected = version.as_ref();
        let writers = (0..8).map(async |writer| cell.swap(expected, format!("{round} {writer}").into_bytes()).await);
        let written: Vec<CasVersion> =
            futures_util::future::join_all(writers).await.into_iter().filter_map(Result::ok).collect();
        assert_eq!(written.len(), 1, "{written:?}");
        version = written.into_iter().next();
        assert_eq!(cell.read().await.unwrap().map(|held| held.version), version);
    }
}

pub async fn who_wrote_what_is_there_has_written_it<C: CasObject>(make: impl Make<C>) {
    let cell = make().await;
    let first = write(&cell, None, b"mine".to_vec()).await.unwrap();
    // As after an answer that was lost.
    assert_eq!(write(&cell, None, b"mine".to_vec()).await.unwrap(), first);
    assert!(is_changed(&write(&cell, None, b"theirs".to_vec()).await));
}
