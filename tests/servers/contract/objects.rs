//! What the pipeline relies on of a store of images.

use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{Locator, RejectReason};
use muster_actors::ports::objects::{Objects, ObjectsError};

/// A store of objects that a test can fill.
pub trait Fill: Objects {
    /// The bucket of all objects.
    fn bucket(&self) -> String;
    /// Writes an object.
    async fn put(&self, key: &str, bytes: &[u8]);
}

/// Makes an empty store.
pub trait Make<O: Fill>: AsyncFn() -> O {}
impl<O: Fill, M: AsyncFn() -> O> Make<O> for M {}

const LIMIT: u64 = 1 << 20;

fn at(store: &impl Fill, key: &str) -> Locator {
    Locator { gallery: GalleryId("g".to_owned()), bucket: store.bucket(), key: key.to_owned() }
}

fn reason(error: &ObjectsError) -> Option<RejectReason> {
    match error {
        ObjectsError::Rejected(rejection) => Some(rejection.reason),
        ObjectsError::Failed { .. } => None,
    }
}

pub async fn an_object_comes_whole_under_any_name<O: Fill>(make: impl Make<O>) {
    let store = make().await;
    let bytes: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    for key in ["a.jpg", "deep/er/ä ö.jpg", "100%+1 & more?.jpg"] {
        store.put(key, &bytes).await;
        let object = store.get(&at(&store, key), LIMIT).await.unwrap();
        assert_eq!((object.bytes.as_ref(), object.size), (&bytes[..], 100_000), "{key}");
        assert!(!object.etag.is_empty());
    }
}

pub async fn another_version_has_another_etag<O: Fill>(make: impl Make<O>) {
    let store = make().await;
    store.put("a.jpg", b"one").await;
    let first = store.get(&at(&store, "a.jpg"), LIMIT).await.unwrap().etag;
    assert_eq!(store.get(&at(&store, "a.jpg"), LIMIT).await.unwrap().etag, first);
    store.put("a.jpg", b"another").await;
    assert_ne!(store.get(&at(&store, "a.jpg"), LIMIT).await.unwrap().etag, first);
}

pub async fn an_object_over_the_limit_is_rejected<O: Fill>(make: impl Make<O>) {
    let store = make().await;
    store.put("a.jpg", &[7; 1001]).await;
    let error = store.get(&at(&store, "a.jpg"), 1000).await.unwrap_err();
    assert_eq!(reason(&error), Some(RejectReason::TooManyBytes), "{error}");
    assert_eq!(store.get(&at(&store, "a.jpg"), 1001).await.unwrap().size, 1001);
}

pub async fn an_object_that_is_not_there_is_rejected<O: Fill>(make: impl Make<O>) {
    let store = make().await;
    for error in [
        store.get(&at(&store, "none.jpg"), LIMIT).await.unwrap_err(),
        store.head(&at(&store, "none.jpg"), 10).await.unwrap_err(),
    ] {
        assert_eq!(reason(&error), Some(RejectReason::Missing), "{error}");
    }
}

pub async fn an_object_without_bytes_is_rejected<O: Fill>(make: impl Make<O>) {
    let store = make().await;
    store.put("a.jpg", b"").await;
    let locator = at(&store, "a.jpg");
    for error in [store.get(&locator, LIMIT).await.unwrap_err(), store.head(&locator, 10).await.unwrap_err()] {
        assert_eq!(reason(&error), Some(RejectReason::Empty), "{error}");
    }
}

pub async fn the_head_of_an_object_comes_with_its_whole_size<O: Fill>(make: impl Make<O>) {
    let store = make().await;
    for (bytes, head) in [(vec![1; 5000], 1000), (vec![2; 10], 10)] {
        store.put("a.jpg", &bytes).await;
        let object = store.head(&at(&store, "a.jpg"), 1000).await.unwrap();
        assert_eq!((object.bytes.len(), object.size), (head, bytes.len() as u64));
    }
}
