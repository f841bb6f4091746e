//! The progress of a run: how each image ended, and what each stage is doing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::cost::{Requests, Usage};
use crate::domain::face::Face;
use crate::domain::histogram::{DEGREES, FRACTION, Histogram};
use crate::domain::image::{Locator, RejectReason, Rejection};
use crate::flow::concurrency::Limits;

/// A stage of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Receives and parses messages.
    Fetcher,
    /// Judges the thumbnails of images before these are downloaded.
    Prefilter,
    /// Downloads images.
    Downloader,
    /// Decodes (done by the Downloader).
    Decoder,
    /// Holds decoded images until a device pulls.
    Batcher,
    /// Runs the models.
    Device,
    /// Writes results.
    Writer,
    /// Groups faces.
    Grouper,
    /// Renews and settles leases.
    LeaseManager,
}

impl Stage {
    /// All stages, front to end.
    pub const ALL: [Self; 9] = [
        Self::Fetcher,
        Self::Prefilter,
        Self::Downloader,
        Self::Decoder,
        Self::Batcher,
        Self::Device,
        Self::Writer,
        Self::Grouper,
        Self::LeaseManager,
    ];

    /// Returns the stage's name in results, such as `device`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetcher => "fetcher",
            Self::Prefilter => "prefilter",
            Self::Downloader => "downloader",
            Self::Decoder => "decoder",
            Self::Batcher => "batcher",
            Self::Device => "device",
            Self::Writer => "writer",
            Self::Grouper => "grouper",
            Self::LeaseManager => "keeper",
        }
    }
}

/// The work of one stage, so far and at this moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StageProgress {
    /// Items that wait in the stage's own queue.
    pub waiting: usize,
    /// Items being worked on.
    pub in_flight: usize,
    /// Number of items that the stage finished.
    pub done: u64,
    /// Calls that failed, those included that were retried later.
    pub errors: u64,
    /// Calls that failed and were tried again.
    pub retried: u64,
    /// Calls that succeeded after they had failed.
    pub recovered: u64,
    /// Seconds of work, summed over parallel work.
    pub busy_seconds: f64,
    /// Bytes that the stage handled.
    pub bytes: u64,
    /// Bytes of images that did not have to be downloaded.
    pub bytes_saved: u64,
    /// Histogram of the seconds that each finished piece of work took: a download, a decode, a batch.
    #[serde(skip_serializing_if = "Histogram::is_empty")]
    pub seconds: Histogram,
}

/// The number of images (or of galleries to group) by how they ended. When nothing is in flight, the sum is the number
/// that was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Stored with faces.
    pub indexed: u64,
    /// Stored without a face.
    pub no_faces: u64,
    /// Stored as too poor by the thumbnail, without a download.
    pub low_quality: u64,
    /// Galleries that were grouped because a message asked for it.
    #[serde(skip_serializing_if = "is_zero")]
    pub grouped: u64,
    /// Deleted images whose records were removed because a message told of the deletion.
    #[serde(skip_serializing_if = "is_zero")]
    pub removed: u64,
    /// Sent to the dead-letter queue with a reason.
    pub rejected: u64,
    /// Given back to the queue.
    pub released: u64,
    /// Images whose lease ended before the work on them did; another worker may have them.
    pub lease_lost: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Returns the number of images that ended.
    pub fn ended(&self) -> u64 {
        self.acked() + self.rejected + self.released + self.lease_lost
    }

    /// Returns the number of images whose message was deleted because the result is stored.
    pub fn acked(&self) -> u64 {
        self.indexed + self.no_faces + self.low_quality + self.grouped + self.removed
    }
}

/// Histograms of the quality of the faces that were written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaceQuality {
    /// Sharpness, 0 (blurred) to 1 (fine detail).
    pub sharpness: Histogram,
    /// Exposure as the mean luma, 0 (black) to 1 (white).
    pub level: Histogram,
    /// Yaw without its sign, in degrees: how far the face is turned to either side.
    pub yaw_abs: Histogram,
}

impl Default for FaceQuality {
    fn default() -> Self {
        Self { sharpness: Histogram::new(FRACTION), level: Histogram::new(FRACTION), yaw_abs: Histogram::new(DEGREES) }
    }
}

impl FaceQuality {
    /// Adds a face to the histograms.
    pub fn record(&mut self, face: &Face) {
        self.sharpness.record(f64::from(face.quality.sharpness));
        self.level.record(f64::from(face.quality.level));
        self.yaw_abs.record(f64::from(face.quality.yaw.abs()));
    }

    /// Returns whether no face was added.
    pub fn is_empty(&self) -> bool {
        self.sharpness.is_empty() && self.level.is_empty() && self.yaw_abs.is_empty()
    }
}

/// An image that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The image; `None` when its message could not be read.
    pub locator: Option<Locator>,
    /// Reason of the rejection, and its details.
    #[serde(flatten)]
    pub rejection: Rejection,
}

/// The counters of a run so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Seconds since the start.
    pub seconds: f64,
    /// Images received (an image received twice counts twice).
    pub fetched: u64,
    /// Number of images by how they ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// Messages that name no image to index (test events, deletions).
    pub ignored_messages: u64,
    /// Number of faces that were written.
    pub faces: u64,
    /// Quality of these faces.
    #[serde(skip_serializing_if = "FaceQuality::is_empty")]
    pub quality: FaceQuality,
    /// Work of each stage.
    pub stages: BTreeMap<Stage, StageProgress>,
    /// Limits on parallel downloads and decodes at this moment.
    pub limits: Limits,
    /// Number of batches by the number of images in them.
    pub batch_sizes: BTreeMap<usize, u64>,
    /// Number of times a device ran out of memory.
    pub out_of_memory: u64,
    /// Number of times an engine was rebuilt.
    pub rebuilds: u64,
    /// Devices that failed for good. The run goes on with the others, if there are any.
    pub devices_lost: u64,
    /// Number of restarts of each actor, by its name.
    pub restarts: BTreeMap<String, u64>,
    /// Number of reconciliations of galleries.
    pub reconciliations: u64,
    /// The first rejected images, as many as [`Settings::max_rejections`](crate::Settings::max_rejections).
    pub rejections: Vec<Rejected>,
    /// Number of rejected images that the list has no room for.
    pub rejections_omitted: u64,
    /// Number of rejected images by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<RejectReason, u64>,
    /// Names of the actors that had not ended when a drain's time was over.
    pub stragglers: Vec<String>,
}

impl Progress {
    /// Returns the run's use of resources, from which its costs are computed; `requests` are the calls that its
    /// adapters counted.
    pub fn usage(&self, requests: Requests) -> Usage {
        let of = |stage| self.stages.get(&stage);
        let Counts { indexed, no_faces, low_quality, rejected, .. } = self.counts;
        Usage {
            images: indexed + no_faces + low_quality + rejected,
            machine_seconds: self.seconds,
            device_seconds: of(Stage::Device).map_or(0.0, |device| device.busy_seconds),
            bytes: of(Stage::Downloader).map_or(0, |downloader| downloader.bytes),
            requests,
        }
    }
}

/// The counters of a finished run.
pub type Summary = Progress;
