//! The settings of the pipeline. Every figure has a usable default; the program's configuration overrides them.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::domain::gallery::{GalleryId, GalleryRule};
use crate::domain::message::Intake;
use crate::domain::sibling::Sibling;
use crate::errors::backoff::RetrySettings;
use crate::flow::concurrency::{Bounds, Limits};
use crate::flow::progress::Stage;
use crate::pipeline::batcher::plan::BatchLimits;
use crate::runtime::blocking::Blocking;
use crate::runtime::restart::Intensity;

/// Bounds on the work in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditSettings {
    /// Number of images.
    pub count: usize,
    /// Bytes of memory that the images keep, encoded and decoded.
    pub bytes: usize,
    /// Bytes that an image is assumed to keep before its size is known.
    pub estimate: usize,
}

/// The kind of work that the messages of a queue ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Images to index.
    Images,
    /// Galleries to group.
    Galleries,
}

/// How the Fetcher receives messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetcherSettings {
    /// Kind of work that the messages ask for.
    pub reads: Reads,
    /// Most messages in one receive.
    pub receive: usize,
    /// Longest message in bytes (SQS allows 1 MiB).
    pub message_bytes: usize,
    /// Pause after an empty answer that came at once.
    pub pause: Duration,
    /// Number of empty receives in a row, with nothing in flight, after which the run ends; `None` waits for ever.
    pub leave_after_empty: Option<u32>,
    /// Number of receives without an end, this one included, from which an image is decoded in a process of its own.
    pub apart_at: u32,
    /// Number of receives without an end, this one included, from which an image is a suspect and runs alone.
    pub suspect_at: u32,
    /// Number of receives without an end after which the next receive rejects the image.
    pub max_receives: u32,
    /// Time that a drain waits for a receive that is on its way.
    pub grace: Duration,
}

/// How thumbnails are judged before an image is downloaded.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefilterSettings {
    /// Threshold of quality, 0 to 1; images whose thumbnail is below it are not downloaded.
    pub threshold: f32,
    /// Pattern of the keys of thumbnails that lie beside the images.
    pub sibling: Option<Sibling>,
    /// Bytes of an image's header that are read for its thumbnail.
    pub head_bytes: u64,
    /// Thumbnails that are judged at once.
    pub at_once: usize,
}

/// How results are bundled into writes ("bulks").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterSettings {
    /// Results in a bulk.
    pub count: usize,
    /// Bytes in a bulk.
    pub bytes: usize,
    /// Longest time that a result waits for others.
    pub age: Duration,
    /// Longest time that a result waits when no other image is on its way.
    pub complete_age: Duration,
    /// Bulks that are written at once.
    pub at_once: usize,
}

/// How leases are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseManagerSettings {
    /// Leases in a call; an adapter splits the call where its service allows fewer.
    pub batch: usize,
    /// Time that a settlement waits for others to join its call.
    pub linger: Duration,
    /// Calls that run at once.
    pub at_once: usize,
    /// Longest time for which a lease is renewed.
    pub bound: Duration,
    /// Most attempts at settling one lease.
    pub attempts: u32,
    /// Number of settlements that are not done above which the Fetcher stops receiving.
    pub backlog: usize,
}

/// When a gallery is grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Once, when all results are written.
    AtFinish,
    /// The gallery is grouped this time after faces were written, and when all results are written.
    Debounced(Duration),
}

/// How galleries are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrouperSettings {
    /// When galleries are grouped.
    pub wake: Wake,
    /// Galleries that are reconciled at the end even if none of their faces was written.
    pub always: Vec<GalleryId>,
    /// How often a gallery that changed during its grouping is read again.
    pub conflicts: u32,
}

/// Time limits of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One call of the queue, its long poll included.
    pub queue: Duration,
    /// One read of an object.
    pub object: Duration,
    /// One batch on an engine; a longer one counts as a hang.
    pub engine: Duration,
    /// One rebuild of an engine; a longer one counts as a hang.
    pub rebuild: Duration,
    /// One call of the store.
    pub store: Duration,
    /// One read of a whole gallery, or saving or publishing its groups.
    pub gallery: Duration,
}

/// A function that each handler calls first with its stage; simulated faults strike there.
#[derive(Clone, Default)]
pub struct Probe(pub Option<Arc<dyn Fn(Stage) + Send + Sync>>);

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Probe(set)" } else { "Probe" })
    }
}

impl Probe {
    /// Calls the function for an actor that begins to handle a message.
    pub(crate) fn pass(&self, stage: Stage) {
        if let Some(strike) = &self.0 {
            strike(stage);
        }
    }
}

/// All settings of a pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Id of the model pack with its version, which is part of every face's id.
    pub model: String,
    /// How messages are parsed.
    pub intake: Intake,
    /// Largest object in bytes.
    pub object_bytes: u64,
    /// Bounds on the work in the pipeline.
    pub credits: CreditSettings,
    /// How messages are received.
    pub fetcher: FetcherSettings,
    /// How thumbnails are judged; `None` passes all images.
    pub prefilter: Option<PrefilterSettings>,
    /// Parallel downloads and decodes at the start.
    pub limits: Limits,
    /// Range in which these limits move.
    pub bounds: Bounds,
    /// Interval at which these limits are adjusted.
    pub adjust_every: Duration,
    /// When a batch is closed.
    pub batch: BatchLimits,
    /// Number of full batches that must succeed before a halved batch size grows again.
    pub regrow_after: u32,
    /// How results are bundled into writes.
    pub writer: WriterSettings,
    /// How leases are settled.
    pub lease_manager: LeaseManagerSettings,
    /// How galleries are grouped.
    pub grouper: GrouperSettings,
    /// How long calls may take.
    pub timeouts: Timeouts,
    /// How calls are retried.
    pub retry: RetrySettings,
    /// Longest delay until an image that was given back after a failure is visible again; the delay is random below it.
    pub release_delay: Duration,
    /// Delay until an image is visible again whose actor died.
    pub drop_delay: Duration,
    /// How often an actor may die.
    pub intensity: Intensity,
    /// Longest time of one piece of work; a longer one counts as a hang.
    pub watchdog: Duration,
    /// Time for a drain that the pipeline begins itself because of a fault.
    pub drain_deadline: Duration,
    /// Time for a drain that the pipeline begins itself because all work is done; it includes the last grouping.
    pub finish_deadline: Duration,
    /// Interval at which progress is published.
    pub progress_every: Duration,
    /// Most rejected images that the summary lists.
    pub max_rejections: usize,
    /// Kind of thread on which blocking work runs.
    pub blocking: Blocking,
    /// Seed of all jitter.
    pub seed: u64,
    /// Makes a span the child of the remote span that a message's trace header names.
    pub adopt: fn(&Span, &str),
    /// The function at which simulated faults strike.
    pub probe: Probe,
    /// Whether leases that were lost are settled all the same: a planted bug.
    #[cfg(feature = "sim")]
    pub settles_lost_leases: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let seconds = Duration::from_secs;
        Self {
            model: String::from("unnamed"),
            intake: Intake {
                gallery: GalleryRule::Always(GalleryId(String::from("default"))),
                results: String::new(),
                thumbnails: None,
                removals: false,
            },
            object_bytes: 256 << 20,
            credits: CreditSettings { count: 256, bytes: 512 << 20, estimate: 4 << 20 },
            fetcher: FetcherSettings {
                reads: Reads::Images,
                receive: 10,
                message_bytes: 1 << 20,
                pause: Duration::from_millis(200),
                leave_after_empty: None,
                apart_at: 2,
                suspect_at: 3,
                max_receives: 10,
                grace: seconds(3),
            },
            prefilter: None,
            limits: Limits { downloads: 8, decodes: cores },
            bounds: Bounds {
                least: Limits { downloads: 2, decodes: 1 },
                most: Limits { downloads: 64, decodes: cores },
            },
            adjust_every: seconds(1),
            batch: BatchLimits { count: 8, pixels: 64 << 20, age: Duration::from_millis(50) },
            regrow_after: 8,
            writer: WriterSettings {
                count: 100,
                bytes: 16 << 20,
                age: Duration::from_millis(200),
                complete_age: Duration::ZERO,
                at_once: 1,
            },
            lease_manager: LeaseManagerSettings {
                batch: 100,
                linger: Duration::from_millis(20),
                at_once: 4,
                bound: seconds(11 * 3600),
                attempts: 8,
                backlog: 1_000,
            },
            grouper: GrouperSettings { wake: Wake::AtFinish, always: Vec::new(), conflicts: 10 },
            timeouts: Timeouts {
                queue: seconds(30),
                object: seconds(60),
                engine: seconds(120),
                rebuild: seconds(120),
                store: seconds(60),
                // A gallery of a million faces takes minutes.
                gallery: seconds(1200),
            },
            retry: RetrySettings::default(),
            release_delay: seconds(10),
            drop_delay: seconds(1),
            // This is below `max_receives`: a child that always dies must stop the run before its images are rejected.
            intensity: Intensity { max: 4, within: seconds(60), delay: Duration::from_millis(50) },
            watchdog: seconds(300),
            drain_deadline: seconds(20),
            finish_deadline: seconds(24 * 3600),
            progress_every: Duration::from_millis(250),
            max_rejections: 1_000,
            blocking: Blocking::Threads,
            seed: RandomState::new().hash_one(std::process::id()),
            adopt: |_, _| {},
            probe: Probe::default(),
            #[cfg(feature = "sim")]
            settles_lost_leases: false,
        }
    }
}

impl Settings {
    /// Returns whether lost leases are settled, which happens only in a simulation.
    #[cfg_attr(not(feature = "sim"), expect(clippy::unused_self, reason = "constant without the simulation"))]
    pub(crate) fn settles_lost_leases(&self) -> bool {
        #[cfg(feature = "sim")]
        return self.settles_lost_leases;
        #[cfg(not(feature = "sim"))]
        false
    }
}
