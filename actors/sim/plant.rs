//! Bugs that are planted to see whether the simulation finds them: a port that does not keep its promise looks to the world
//! as workers look that do not keep theirs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::spawn_local;

use crate::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use crate::domain::image::Rejection;
use crate::ports::faces::{Commit, Faces, FacesError};
use crate::ports::queue::{Handle, Queue, QueueError, Received, Settled};

/// A bug that somebody could write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The message is deleted before its result is stored.
    AckBeforeWrite,
    /// What is given back is counted as such, and the queue never told.
    LostRelease,
    /// Leases are not renewed.
    NoRenewal,
    /// A message whose lease was lost is deleted by its stale handle. No port takes part in that decision, so this bug is not a
    /// port's: a setting puts it into the table of leases.
    StaleDelete,
    /// A bulk that was done in part is taken for done.
    PartialIgnored,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::AckBeforeWrite, Self::LostRelease, Self::NoRenewal, Self::StaleDelete, Self::PartialIgnored];

    /// The queue of a worker with this bug.
    pub(super) fn in_queue(self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        match self {
            Self::LostRelease | Self::NoRenewal => Arc::new(PlantedQueue { queue, plant: self }),
            Self::AckBeforeWrite | Self::StaleDelete | Self::PartialIgnored => queue,
        }
    }

    /// The store of a worker with this bug.
    pub(super) fn in_faces(self, faces: Arc<dyn Faces>) -> Arc<dyn Faces> {
        match self {
            Self::AckBeforeWrite | Self::PartialIgnored => Arc::new(PlantedFaces { faces, plant: self }),
            Self::LostRelease | Self::NoRenewal | Self::StaleDelete => faces,
        }
    }
}

/// A queue that says more than it does.
struct PlantedQueue {
    queue: Arc<dyn Queue>,
    plant: Plant,
}

#[async_trait]
impl Queue for PlantedQueue {
    fn visibility(&self) -> Duration {
        self.queue.visibility()
    }

    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        self.queue.receive(max).await
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<Settled>, QueueError> {
        if self.plant == Plant::NoRenewal {
            return Ok(vec![Settled::Done; handles.len()]);
        }
        self.queue.extend(handles).await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<Settled>, QueueError> {
        self.queue.ack(handles).await
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<Settled>, QueueError> {
        if self.plant == Plant::LostRelease {
            return Ok(vec![Settled::Done; handles.len()]);
        }
        self.queue.release(handles, delay).await
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<Settled>, QueueError> {
        self.queue.reject(entries).await
    }
}

/// A store that says more than it does.
struct PlantedFaces {
    faces: Arc<dyn Faces>,
    plant: Plant,
}

#[async_trait]
impl Faces for PlantedFaces {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let all = vec![Ok(()); batch.len()];
        if self.plant == Plant::AckBeforeWrite {
            let faces = Arc::clone(&self.faces);
            // It ends with the worker's machine, whose tasks are one local set.
            spawn_local(async move { faces.commit(batch).await });
            return Ok(all);
        }
        self.faces.commit(batch).await.map(|_| all)
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.faces.gallery(gallery).await
    }

    async fn is_grouped(&self, gallery: &GalleryId) -> Result<bool, FacesError> {
        self.faces.is_grouped(gallery).await
    }

    async fn publish(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        self.faces.publish(gallery).await
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        self.faces.save(gallery, read, reconciled).await
    }
}
