//! Bugs that are planted to test that the simulation finds them. They are in the ports; to the rest of the world a port that
//! breaks its contract looks like a worker that does.

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
use crate::sim::planted_bugs::faces::PlantedFaces;
use crate::sim::planted_bugs::objects::PlantedObjects;
use crate::sim::planted_bugs::outbox::PlantedOutbox;
use crate::sim::planted_bugs::queue::PlantedQueue;

/// A bug that somebody could write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
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

impl PlantedBug {
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
    planted_bug: Option<PlantedBug>,
    /// The queue of galleries has refused a wake-up.
    refused: Arc<AtomicBool>,
}

impl Planted {
    /// A worker with this bug.
    pub(super) fn new(planted_bug: Option<PlantedBug>) -> Self {
        Self { planted_bug, refused: Arc::default() }
    }

    /// Its queue of images.
    pub(super) fn in_images(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        match self.planted_bug {
            Some(planted_bug @ (PlantedBug::LostRelease | PlantedBug::NoRenewal | PlantedBug::RecordsSettledApart)) => {
                Arc::new(PlantedQueue { queue, planted_bug })
            }
            _ => queue,
        }
    }

    /// What it knows of releases.
    pub(super) fn in_releases(&self, releases: Arc<LocalReleases>) -> Arc<dyn Releases> {
        match self.planted_bug {
            Some(PlantedBug::ReleaseCountsAsDeath) => Arc::new(LocalReleases::default()),
            _ => releases,
        }
    }

    /// Its queue of galleries.
    pub(super) fn in_galleries(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        match self.planted_bug {
            Some(planted_bug @ (PlantedBug::LostRelease | PlantedBug::NoRenewal | PlantedBug::WakeUpDeletedEarly)) => {
                Arc::new(PlantedQueue { queue, planted_bug })
            }
            _ => queue,
        }
    }

    /// Where it sends wake-ups.
    pub(super) fn in_outbox(&self, outbox: Arc<dyn Outbox>) -> Arc<dyn Outbox> {
        match self.planted_bug {
            Some(planted_bug @ (PlantedBug::LostWakeUp | PlantedBug::RefusedWakeUpCondemns)) => {
                Arc::new(PlantedOutbox { outbox, planted_bug, refused: Arc::clone(&self.refused) })
            }
            _ => outbox,
        }
    }

    /// Where it reads images.
    pub(super) fn in_objects(&self, objects: Arc<dyn Objects>) -> Arc<dyn Objects> {
        match self.planted_bug {
            Some(planted_bug @ (PlantedBug::RefusedReadCondemns | PlantedBug::ShortBodyTaken)) => {
                Arc::new(PlantedObjects { objects, planted_bug })
            }
            _ => objects,
        }
    }

    /// Its store.
    pub(super) fn in_faces(&self, faces: Arc<dyn Faces>) -> Arc<dyn Faces> {
        let Some(planted_bug) = self.planted_bug else { return faces };
        match planted_bug {
            PlantedBug::AckBeforeWrite
            | PlantedBug::PartialIgnored
            | PlantedBug::RefusedWakeUpCondemns
            | PlantedBug::RefusedWriteCondemns
            | PlantedBug::FailedCommandCondemns
            | PlantedBug::ConflictIgnored
            | PlantedBug::SavedOverNewer
            | PlantedBug::StoredIsEnough
            | PlantedBug::VersionForgotten => {
                let refused = Arc::clone(&self.refused);
                Arc::new(PlantedFaces { faces, planted_bug, refused: move || refused.swap(false, Ordering::Relaxed) })
            }
            _ => faces,
        }
    }
}
