//! Bugs that are planted to see whether the simulation finds them: a port that does not keep its promise looks to the world
//! as workers look that do not keep theirs.

mod faces;
mod objects;
mod outbox;
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ports::faces::Faces;
use crate::ports::objects::Objects;
use crate::ports::outbox::Outbox;
use crate::ports::queue::Queue;
use crate::ports::releases::{LocalReleases, Releases};
use crate::sim::plant::faces::PlantedFaces;
use crate::sim::plant::objects::PlantedObjects;
use crate::sim::plant::outbox::PlantedOutbox;
use crate::sim::plant::queue::PlantedQueue;

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
    /// Each image of a message settles the whole message.
    RecordsSettledApart,
    /// A wake-up for grouping is deleted when it is received.
    WakeUpDeletedEarly,
    /// A wake-up for grouping is counted as sent, and the queue never told.
    LostWakeUp,
    /// A wake-up that the queue refuses is taken for a fault of the photos that it is for.
    RefusedWakeUpCondemns,
    /// A bucket that may not be read is taken for a fault of each photo in it.
    RefusedReadCondemns,
    /// A crop that may not be written is taken for a fault of its photo.
    RefusedWriteCondemns,
    /// A put that S3 refuses because others write there counts as done. The store of the world puts crops, so this bug is a
    /// switch there.
    ConflictCountsAsPut,
    /// A command that fails as a whole is taken for a fault of every result in it.
    FailedCommandCondemns,
    /// A body that ended early is decoded as far as it goes.
    ShortBodyTaken,
    /// Groups of a gallery that changed meanwhile are taken for saved.
    ConflictIgnored,
    /// Groups are saved over a gallery that changed meanwhile.
    SavedOverNewer,
    /// An image of which faces are stored is not written again, whatever its key holds now.
    StoredIsEnough,
    /// Nobody says which version of its image a result is of.
    VersionForgotten,
    /// A message that was given back counts as one that its worker died of.
    ReleaseCountsAsDeath,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::AckBeforeWrite,
        Self::LostRelease,
        Self::NoRenewal,
        Self::StaleDelete,
        Self::PartialIgnored,
        Self::RecordsSettledApart,
        Self::WakeUpDeletedEarly,
        Self::LostWakeUp,
        Self::RefusedWakeUpCondemns,
        Self::RefusedReadCondemns,
        Self::RefusedWriteCondemns,
        Self::ConflictCountsAsPut,
        Self::FailedCommandCondemns,
        Self::ShortBodyTaken,
        Self::ConflictIgnored,
        Self::SavedOverNewer,
        Self::StoredIsEnough,
        Self::VersionForgotten,
        Self::ReleaseCountsAsDeath,
    ];
}

/// The bug of one worker, if it has any.
pub(super) struct Planted {
    plant: Option<Plant>,
    /// The queue of galleries has refused a wake-up.
    refused: Arc<AtomicBool>,
}

impl Planted {
    /// A worker with this bug.
    pub(super) fn new(plant: Option<Plant>) -> Self {
        Self { plant, refused: Arc::default() }
    }

    /// Its queue of images.
    pub(super) fn in_images(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        match self.plant {
            Some(plant @ (Plant::LostRelease | Plant::NoRenewal | Plant::RecordsSettledApart)) => {
                Arc::new(PlantedQueue { queue, plant })
            }
            _ => queue,
        }
    }

    /// What it knows of releases.
    pub(super) fn in_releases(&self, releases: Arc<LocalReleases>) -> Arc<dyn Releases> {
        match self.plant {
            Some(Plant::ReleaseCountsAsDeath) => Arc::new(LocalReleases::default()),
            _ => releases,
        }
    }

    /// Its queue of galleries.
    pub(super) fn in_galleries(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        match self.plant {
            Some(plant @ (Plant::LostRelease | Plant::NoRenewal | Plant::WakeUpDeletedEarly)) => {
                Arc::new(PlantedQueue { queue, plant })
            }
            _ => queue,
        }
    }

    /// Where it sends wake-ups.
    pub(super) fn in_outbox(&self, outbox: Arc<dyn Outbox>) -> Arc<dyn Outbox> {
        match self.plant {
            Some(plant @ (Plant::LostWakeUp | Plant::RefusedWakeUpCondemns)) => {
                Arc::new(PlantedOutbox { outbox, plant, refused: Arc::clone(&self.refused) })
            }
            _ => outbox,
        }
    }

    /// Where it reads images.
    pub(super) fn in_objects(&self, objects: Arc<dyn Objects>) -> Arc<dyn Objects> {
        match self.plant {
            Some(plant @ (Plant::RefusedReadCondemns | Plant::ShortBodyTaken)) => {
                Arc::new(PlantedObjects { objects, plant })
            }
            _ => objects,
        }
    }

    /// Its store.
    pub(super) fn in_faces(&self, faces: Arc<dyn Faces>) -> Arc<dyn Faces> {
        let Some(plant) = self.plant else { return faces };
        match plant {
            Plant::AckBeforeWrite
            | Plant::PartialIgnored
            | Plant::RefusedWakeUpCondemns
            | Plant::RefusedWriteCondemns
            | Plant::FailedCommandCondemns
            | Plant::ConflictIgnored
            | Plant::SavedOverNewer
            | Plant::StoredIsEnough
            | Plant::VersionForgotten => {
                let refused = Arc::clone(&self.refused);
                Arc::new(PlantedFaces { faces, plant, refused: move || refused.swap(false, Ordering::Relaxed) })
            }
            _ => faces,
        }
    }
}
