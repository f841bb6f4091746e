//! A store decorator that sends a wake-up for each gallery that was written to, before it reports that anything is
//! written.
//!
//! The wake-up is sent with a delay, and covers all that is written to the gallery until it becomes visible. So each
//! gallery causes at most one wake-up within the delay, however many images are written. The wake-up is sent before the
//! images' own messages are deleted, so no crash loses it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use crate::errors::Class;
use crate::ports::faces::{Commit, Faces, FacesError};
use crate::ports::outbox::{OutboundMessage, Outbox};
use crate::ports::queue::{QueueError, SettleOutcome};

/// A wake-up that becomes visible sooner than this does not cover a new write: its receiver might not see that write
/// yet.
const MARGIN: Duration = Duration::from_secs(1);

/// Sends wake-ups, the messages that ask for the grouping of a gallery.
pub struct Announcer {
    outbox: Arc<dyn Outbox>,
    delay: Duration,
    /// Returns the trace header of the current span.
    trace: fn() -> Option<String>,
    /// Time at which the last wake-up of each gallery becomes visible.
    visible: Mutex<HashMap<GalleryId, Instant>>,
}

impl Announcer {
    /// Creates an announcer whose wake-ups become visible after `delay`. `trace` returns the trace header of the
    /// current span, so that the grouping belongs to the trace of the write.
    pub fn new(outbox: Arc<dyn Outbox>, delay: Duration, trace: fn() -> Option<String>) -> Self {
        Self { outbox, delay, trace, visible: Mutex::default() }
    }

    fn visible(&self) -> MutexGuard<'_, HashMap<GalleryId, Instant>> {
        self.visible.lock()
    }

    /// Sends a wake-up for a gallery, unless one that is on its way covers it.
    ///
    /// # Errors
    /// The queue failed or refused the message; it may have been sent all the same.
    pub async fn announce(&self, gallery: &GalleryId) -> Result<(), QueueError> {
        let now = Instant::now();
        {
            let mut visible = self.visible();
            visible.retain(|_, at| *at > now);
            if visible.get(gallery).is_some_and(|at| now + MARGIN < *at) {
                return Ok(());
            }
        }
        let body = serde_json::json!({ "gallery_id": gallery }).to_string();
        let letter = OutboundMessage { body, trace: (self.trace)(), delay: self.delay };
        let class = match self.outbox.send(&[letter]).await?.pop() {
            Some(SettleOutcome::Done) => {
                self.visible().insert(gallery.clone(), now + self.delay);
                return Ok(());
            }
            Some(SettleOutcome::Failed(class)) => class,
            Some(SettleOutcome::LeaseLost) | None => Class::Bug,
        };
        Err(QueueError { class, message: String::from("the grouping message was refused") })
    }
}

/// Maps the class of a failed wake-up to one for the photos that were written: they are in the store, so no class may
/// put the blame on them.
fn of_queue(class: Class) -> Class {
    match class {
        Class::Transient | Class::Throttled { .. } | Class::DependencyDown | Class::Misconfigured(_) => class,
        Class::Overload
        | Class::Poison
        | Class::Suspect
        | Class::LeaseLost
        | Class::Engine
        | Class::HostFault
        | Class::Hang
        | Class::Bug => Class::Transient,
    }
}

/// A store that sends wake-ups for its writes.
pub struct Announced<F> {
    store: F,
    announcer: Announcer,
}

impl<F: Faces> Announced<F> {
    /// Wraps a store.
    pub fn new(store: F, announcer: Announcer) -> Self {
        Self { store, announcer }
    }
}

#[async_trait]
impl<F: Faces> Faces for Announced<F> {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let of: Vec<GalleryId> = batch.iter().map(|commit| commit.image.locator.gallery.clone()).collect();
        let mut outcomes = self.store.commit(batch).await?;
        // A rejected result may have been written, read by a grouper, and taken out again.
        let changed = |outcome: &Result<(), FacesError>| matches!(outcome, Ok(()) | Err(FacesError::Rejected(_)));
        let written: BTreeSet<&GalleryId> =
            of.iter().zip(&outcomes).filter(|(_, outcome)| changed(outcome)).map(|(gallery, _)| gallery).collect();
        for gallery in written {
            let Err(QueueError { class, message }) = self.announcer.announce(gallery).await else { continue };
            let class = of_queue(class);
            for (_, outcome) in of.iter().zip(&mut outcomes).filter(|(other, _)| *other == gallery) {
                if changed(outcome) {
                    *outcome = Err(FacesError::Failed { class, message: message.clone() });
                }
            }
        }
        Ok(outcomes)
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.store.gallery(gallery).await
    }

    async fn is_grouped(&self, gallery: &GalleryId) -> Result<bool, FacesError> {
        self.store.is_grouped(gallery).await
    }

    async fn publish(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        self.store.publish(gallery).await
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        self.store.save(gallery, read, reconciled).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Remedy;
    use crate::domain::image::{ImageId, ImageRecord, ImageState, Locator};
    use crate::domain::timings::Timings;
    use crate::errors::class::Classified;

    /// A queue that answers every letter alike.
    struct Answers(Result<Vec<SettleOutcome>, Class>);

    #[async_trait]
    impl Outbox for Answers {
        async fn send(&self, _: &[OutboundMessage]) -> Result<Vec<SettleOutcome>, QueueError> {
            self.0.clone().map_err(|class| QueueError { class, message: String::from("refused") })
        }
    }

    /// A store that takes everything.
    struct Taken;

    #[async_trait]
    impl Faces for Taken {
        async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
            Ok(batch.iter().map(|_| Ok(())).collect())
        }

        async fn gallery(&self, _: &GalleryId) -> Result<GallerySnapshot, FacesError> {
            Err(FacesError::Conflict)
        }

        async fn save(&self, _: &GalleryId, _: GalleryVersion, _: &Reconciled) -> Result<(), FacesError> {
            Err(FacesError::Conflict)
        }
    }

    fn photo() -> Commit {
        let locator = Locator { gallery: GalleryId("g".into()), bucket: "b".into(), key: "k".into() };
        let image = ImageRecord {
            id: ImageId([0; 16]),
            locator,
            etag: String::new(),
            bytes: 1,
            width: 1,
            height: 1,
            orientation: 1,
            taken: None,
            picture: None,
            state: ImageState::NoFaces,
            rejection: None,
            quality: None,
            face_count: 0,
            model: "m".into(),
        };
        Commit { image, faces: Vec::new(), content: None, version: Default::default(), timings: Timings::default() }
    }

    #[tokio::test]
    async fn a_wake_up_that_is_refused_is_never_the_fault_of_the_photos_that_it_is_for() {
        let (permission, throttled) =
            (Class::Misconfigured(Remedy::Permission), Class::Throttled { retry_after: None });
        let mut answers = vec![(Ok(vec![]), Class::Transient), (Ok(vec![SettleOutcome::LeaseLost]), Class::Transient)];
        for (class, expected) in [
            (Class::Transient, Class::Transient),
            (throttled, throttled),
            (Class::DependencyDown, Class::DependencyDown),
            (permission, permission),
            // The classes that say something of the photo, or of this machine.
            (Class::Poison, Class::Transient),
            (Class::Suspect, Class::Transient),
            (Class::LeaseLost, Class::Transient),
            (Class::Overload, Class::Transient),
            (Class::Bug, Class::Transient),
        ] {
            answers.push((Ok(vec![SettleOutcome::Failed(class)]), expected));
            answers.push((Err(class), expected));
        }
        for (answer, expected) in answers {
            let outbox = Arc::new(Answers(answer.clone()));
            let announced = Announced::new(Taken, Announcer::new(outbox, Duration::from_secs(3), || None));
            let outcome = announced.commit(vec![photo()]).await.unwrap().pop().unwrap();
            assert_eq!(outcome.map_err(|error| error.class()), Err(expected), "{answer:?}");
        }
    }
}
