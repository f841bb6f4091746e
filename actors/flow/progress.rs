//! What a run did so far: every image in exactly one state, and what each stage is doing.

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
    /// Judges headers.
    Prefilter,
    /// Downloads.
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

    /// As it appears in results: `device`.
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

/// What one stage did and does.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StageProgress {
    /// Items that wait in the stage's own queue.
    pub waiting: usize,
    /// Items being worked on.
    pub in_flight: usize,
    /// Items finished.
    pub done: u64,
    /// Calls that failed, retried ones included.
    pub errors: u64,
    /// Calls that failed and were tried again.
    pub retried: u64,
    /// Calls that succeeded after they had failed.
    pub recovered: u64,
    /// Seconds of work, summed over what ran side by side.
    pub busy_seconds: f64,
    /// Bytes that went through.
    pub bytes: u64,
    /// Bytes that need not be read.
    pub bytes_saved: u64,
    /// Seconds of each piece of work that was done: a download, a decode, a batch.
    #[serde(skip_serializing_if = "Histogram::is_empty")]
    pub seconds: Histogram,
}

/// How many images (or galleries to group) ended how. Their sum is what was fetched, once nothing is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Stored with faces.
    pub indexed: u64,
    /// Stored, no face found.
    pub no_faces: u64,
    /// Stored as too poor, never downloaded.
    pub low_quality: u64,
    /// Galleries grouped, where messages ask for that.
    #[serde(skip_serializing_if = "is_zero")]
    pub grouped: u64,
    /// Images that were deleted, where messages tell.
    #[serde(skip_serializing_if = "is_zero")]
    pub removed: u64,
    /// Dead-lettered with a reason.
    pub rejected: u64,
    /// Given back to the queue.
    pub released: u64,
    /// The lease had ended before the work did: somebody else has the image now.
    pub lease_lost: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Images that ended.
    pub fn ended(&self) -> u64 {
        self.acked() + self.rejected + self.released + self.lease_lost
    }

    /// Those whose message was deleted because the result is stored.
    pub fn acked(&self) -> u64 {
        self.indexed + self.no_faces + self.low_quality + self.grouped + self.removed
    }
}

/// How good the faces are that were written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaceQuality {
    /// Fine detail, 0 to 1: how blurred they are.
    pub sharpness: Histogram,
    /// Mean luma, 0 to 1: how they are lit.
    pub level: Histogram,
    /// Degrees turned away to either side.
    pub yaw_abs: Histogram,
}

impl Default for FaceQuality {
    fn default() -> Self {
        Self { sharpness: Histogram::new(FRACTION), level: Histogram::new(FRACTION), yaw_abs: Histogram::new(DEGREES) }
    }
}

impl FaceQuality {
    /// Counts a face.
    pub fn record(&mut self, face: &Face) {
        self.sharpness.record(f64::from(face.quality.sharpness));
        self.level.record(f64::from(face.quality.level));
        self.yaw_abs.record(f64::from(face.quality.yaw.abs()));
    }

    /// Whether no face was counted.
    pub fn is_empty(&self) -> bool {
        self.sharpness.is_empty() && self.level.is_empty() && self.yaw_abs.is_empty()
    }
}

/// A rejected image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Which; `None` when its message could not be read.
    pub locator: Option<Locator>,
    /// Why.
    #[serde(flatten)]
    pub rejection: Rejection,
}

/// What a run did so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Seconds since the start.
    pub seconds: f64,
    /// Images received (an image received twice counts twice).
    pub fetched: u64,
    /// How they ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// Messages that name no image to index (test events, deletions).
    pub ignored_messages: u64,
    /// Faces written.
    pub faces: u64,
    /// How good they are.
    #[serde(skip_serializing_if = "FaceQuality::is_empty")]
    pub quality: FaceQuality,
    /// What each stage did.
    pub stages: BTreeMap<Stage, StageProgress>,
    /// What may run at once now.
    pub limits: Limits,
    /// How often each batch size ran.
    pub batch_sizes: BTreeMap<usize, u64>,
    /// Times a device ran out of memory.
    pub out_of_memory: u64,
    /// Times an engine was rebuilt.
    pub rebuilds: u64,
    /// Devices that died. The run went on with those left, if there were any.
    pub devices_lost: u64,
    /// Times an actor was restarted, by name.
    pub restarts: BTreeMap<String, u64>,
    /// Galleries reconciled.
    pub reconciliations: u64,
    /// The first rejected images.
    pub rejections: Vec<Rejected>,
    /// Rejected images that the list has no room for.
    pub rejections_omitted: u64,
    /// How many were rejected for which reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<RejectReason, u64>,
    /// Actors that had not ended when a drain's time was over.
    pub stragglers: Vec<String>,
}

impl Progress {
    /// What it has used, with these requests.
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

/// What a finished run did.
pub type Summary = Progress;
