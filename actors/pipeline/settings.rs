//! How the pipeline behaves. Every figure has a sane default; the program's configuration sets what it wants.

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
    /// Images.
    pub count: usize,
    /// Bytes they keep, encoded and decoded.
    pub bytes: usize,
    /// Bytes an image is taken for before its size is known.
    pub estimate: usize,
}

/// What the messages of a queue ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Images to index.
    Images,
    /// Galleries to group.
    Galleries,
}

/// How messages are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetcherSettings {
    /// What they ask for.
    pub reads: Reads,
    /// Messages asked for at once.
    pub receive: usize,
    /// Longest message in bytes (SQS: 1 MiB).
    pub message_bytes: usize,
    /// Pause after an empty answer that came at once.
    pub pause: Duration,
    /// Leave after so many empty receives in a row with nothing in flight; `None` waits for ever.
    pub leave_after_empty: Option<u32>,
    /// An image received so often without an end, this receive included, is decoded where its death harms nobody else.
    pub apart_at: u32,
    /// An image received so often without an end, this receive included, is a suspect: it runs alone.
    pub suspect_at: u32,
    /// An image with so many receives without an end is rejected at the next.
    pub max_receives: u32,
    /// A receive on its way when a drain begins may take so long.
    pub grace: Duration,
}

/// How thumbnails are judged before the image is downloaded.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefilterSettings {
    /// Images whose thumbnail is judged below this, 0 to 1, are not downloaded.
    pub threshold: f32,
    /// Where thumbnails lie beside the images.
    pub sibling: Option<Sibling>,
    /// Bytes of the header to read.
    pub head_bytes: u64,
    /// Thumbnails judged at once.
    pub at_once: usize,
}

/// How results are bundled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterSettings {
    /// Results in a bulk.
    pub count: usize,
    /// Bytes in a bulk.
    pub bytes: usize,
    /// A result waits at most so long for others.
    pub age: Duration,
    /// And at most so long once no other is on its way.
    pub complete_age: Duration,
    /// Bulks written at once.
    pub at_once: usize,
}

/// How leases are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseManagerSettings {
    /// Leases in a call; an adapter splits further where its service allows fewer.
    pub batch: usize,
    /// A settlement waits so long for others.
    pub linger: Duration,
    /// Calls at once.
    pub at_once: usize,
    /// A lease is renewed for at most so long.
    pub bound: Duration,
    /// Attempts at settling one lease.
    pub attempts: u32,
    /// The Fetcher stops receiving while more settlements than this are not done.
    pub backlog: usize,
}

/// When a gallery is grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Once, when everything is written.
    AtFinish,
    /// So long after faces were written, and when everything is written.
    Debounced(Duration),
}

/// How galleries are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrouperSettings {
    /// When.
    pub wake: Wake,
    /// Galleries to reconcile at the end even when no face of them was written.
    pub always: Vec<GalleryId>,
    /// How often a gallery that changed meanwhile is read again.
    pub conflicts: u32,
}

/// How long calls may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One call of the queue, its long poll included.
    pub queue: Duration,
    /// One read of an object.
    pub object: Duration,
    /// One batch; longer is a hang.
    pub engine: Duration,
    /// One rebuild of an engine; longer is a hang.
    pub rebuild: Duration,
    /// One call of the store.
    pub store: Duration,
    /// Reading a gallery as a whole, saving its groups, or publishing them.
    pub gallery: Duration,
}

/// Called at the head of every handler with the actor's stage: where simulated faults strike.
#[derive(Clone, Default)]
pub struct Probe(pub Option<Arc<dyn Fn(Stage) + Send + Sync>>);

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Probe(set)" } else { "Probe" })
    }
}

impl Probe {
    /// An actor begins to handle a message.
    pub(crate) fn pass(&self, stage: Stage) {
        if let Some(strike) = &self.0 {
            strike(stage);
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Id of the model pack, with its version: part of every face's id.
    pub model: String,
    /// How messages are read.
    pub intake: Intake,
    /// Largest object in bytes.
    pub object_bytes: u64,
    /// Bounds on the work in the pipeline.
    pub credits: CreditSettings,
    /// How messages are received.
    pub fetcher: FetcherSettings,
    /// How thumbnails are judged; `None` passes all.
    pub prefilter: Option<PrefilterSettings>,
    /// Downloads and decodes at the start.
    pub limits: Limits,
    /// Between what they move.
    pub bounds: Bounds,
    /// How often they are adjusted.
    pub adjust_every: Duration,
    /// When a batch is closed.
    pub batch: BatchLimits,
    /// Full batches that must succeed before a batch size that was halved grows again.
    pub regrow_after: u32,
    /// How results are bundled.
    pub writer: WriterSettings,
    /// How leases are settled.
    pub lease_manager: LeaseManagerSettings,
    /// How galleries are grouped.
    pub grouper: GrouperSettings,
    /// How long calls may take.
    pub timeouts: Timeouts,
    /// How calls are retried.
    pub retry: RetrySettings,
    /// Delay of an image that was given back because something failed (upper end of a jitter).
    pub release_delay: Duration,
    /// Delay of an image whose actor died.
    pub drop_delay: Duration,
    /// How often a child may die.
    pub intensity: Intensity,
    /// One piece of work that takes longer is a hang.
    pub watchdog: Duration,
    /// Time for a drain that the pipeline begins itself because something is broken.
    pub drain_deadline: Duration,
    /// Time for a drain that the pipeline begins itself because all is done: the last grouping.
    pub finish_deadline: Duration,
    /// How often progress is published.
    pub progress_every: Duration,
    /// Rejected images listed in the summary.
    pub max_rejections: usize,
    /// Where blocking work runs.
    pub blocking: Blocking,
    /// Seed of all jitter.
    pub seed: u64,
    /// Makes a span the child of what a message's trace header names.
    pub adopt: fn(&Span, &str),
    /// Where simulated faults strike.
    pub probe: Probe,
    /// A planted bug: leases that were lost are settled all the same.
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
                // A million faces take minutes.
                gallery: seconds(1200),
            },
            retry: RetrySettings::default(),
            release_delay: seconds(10),
            drop_delay: seconds(1),
            // Fewer than `max_receives`: a child that always dies must stop the run before its victims are rejected.
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
    /// Whether leases that were lost are settled: never outside a simulation.
    #[cfg_attr(not(feature = "sim"), expect(clippy::unused_self, reason = "constant without the simulation"))]
    pub(crate) fn settles_lost_leases(&self) -> bool {
        #[cfg(feature = "sim")]
        return self.settles_lost_leases;
        #[cfg(not(feature = "sim"))]
        false
    }
}
