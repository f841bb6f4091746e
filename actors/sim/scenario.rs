//! The scenario of a simulated run: its work, and the faults with their frequencies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::flow::progress::Stage;
use crate::pipeline::settings::Settings;
use crate::runtime::drain::Mode;
use crate::sim::planted_bugs::PlantedBug;
use crate::sim::refusal::Refusal;
use crate::sim::script::FaultScript;

/// What an image is, and so how it must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// Has so many faces.
    Faces(u8),
    /// Its header looks poor: low quality where the prefilter is on, one face where it is not.
    Poor,
    /// Its bytes do not decode.
    Corrupt,
    /// Its object is not there.
    Missing,
    /// Its message cannot be read.
    BadMessage,
    /// Decoding it panics, every time.
    DecoderPanic,
    /// Decoding it kills the process.
    DecoderAbort,
    /// Breaks any engine that runs it.
    Poison,
    /// Runs out of memory even alone.
    Huge,
    /// Somebody forgot it: the store refuses it.
    Forgotten,
}

/// The faults of one run. Probabilities are per call.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The images.
    pub images: Vec<ImageKind>,
    /// Images that a message of a fleet names, at most.
    pub records: usize,
    /// Images of a fleet that a second message names too.
    pub told_twice: f64,
    /// Images of which an earlier run has found and grouped the faces, where they have any: of their first version.
    pub stored: BTreeSet<usize>,
    /// Images whose key gets a second version, with other faces, and when. A laptop's folder has it from the beginning.
    pub overwritten: BTreeMap<usize, Duration>,
    /// Lease time of the queue.
    pub visibility: Duration,
    /// Devices.
    pub devices: usize,
    /// Queue calls that fail.
    pub queue_errors: f64,
    /// Entries of a batch call that fail alone.
    pub queue_partial: f64,
    /// Messages delivered again while they are leased.
    pub duplicates: f64,
    /// Object reads that fail with a 503.
    pub object_errors: f64,
    /// Object reads that are throttled.
    pub object_throttled: f64,
    /// Calls that take longer than they may.
    pub slow: f64,
    /// Bulks of which the store does only a part.
    pub store_partial: f64,
    /// Store calls that fail.
    pub store_errors: f64,
    /// Calls, of the store or the queue, that are done but answered with an error.
    pub lost_replies: f64,
    /// Store calls refused because it is overloaded.
    pub store_overload: f64,
    /// What services refuse, and when.
    pub refusals: Vec<Refusal>,
    /// The store fails over at this time, for this long.
    pub failover: Option<(Duration, Duration)>,
    /// The store is gone for good at this time.
    pub store_down: Option<Duration>,
    /// Batches larger than this run out of memory.
    pub memory: Option<usize>,
    /// Batches that break the engine until it is rebuilt.
    pub sticky: f64,
    /// After so many batches the engine stays broken.
    pub dead_after: Option<u32>,
    /// After so many batches the device is lost.
    pub lost_after: Option<u32>,
    /// After so many batches the engine does not answer.
    pub hang_after: Option<u32>,
    /// What befalls each device of the first workers; who comes later is on another machine.
    pub scripts: Vec<FaultScript>,
    /// So long after its start the first worker is told, by what watches the devices, that its machine is broken.
    pub reported: Option<Duration>,
    /// How long a batch takes.
    pub batch_time: Duration,
    /// How long a bulk takes.
    pub bulk_time: Duration,
    /// At which passes through a stage's handler a panic strikes.
    pub panics: BTreeMap<Stage, Vec<u32>>,
    /// Drains that are asked for: a signal, a Spot notice, a rebalance, a time limit.
    pub notices: Vec<DrainNotice>,
    /// Machines that are struck: (worker, at which of its steps, how).
    pub strikes: Vec<(usize, u32, HostFault)>,
    /// So often one of the machines that run is taken away.
    pub kill_every: Option<Duration>,
    /// Workers of a fleet; a laptop's one worker where there is none.
    pub fleet: Option<FleetSize>,
    /// After this time nothing goes wrong any more. On a laptop the first worker's end is the end of it.
    pub storm: Duration,
    /// Reads of objects that end early.
    pub truncated: f64,
    /// Galleries that somebody changes while their groups are saved.
    pub conflicts: f64,
    /// How long groups take to be saved.
    pub save_time: Duration,
    /// The store aborts a transaction that takes longer.
    pub transaction_limit: Option<Duration>,
    /// By how much the queue's clock runs faster than the workers'.
    pub drift: f64,
    /// The queue obeys receipts whose lease is over, and says that it obeys stale ones, as SQS does.
    pub lenient: bool,
    /// Messages that come back once after they were deleted.
    pub copies: f64,
    /// A bug in the workers.
    pub planted_bug: Option<PlantedBug>,
    /// Changes to the settings.
    pub tune: fn(&mut Settings),
}

impl Scenario {
    /// Nothing goes wrong with `count` images of two faces.
    pub fn calm(count: usize) -> Self {
        Self {
            images: vec![ImageKind::Faces(2); count],
            records: 1,
            told_twice: 0.0,
            stored: BTreeSet::new(),
            overwritten: BTreeMap::new(),
            visibility: Duration::from_secs(30),
            devices: 1,
            queue_errors: 0.0,
            queue_partial: 0.0,
            duplicates: 0.0,
            object_errors: 0.0,
            object_throttled: 0.0,
            slow: 0.0,
            store_partial: 0.0,
            store_errors: 0.0,
            lost_replies: 0.0,
            store_overload: 0.0,
            refusals: Vec::new(),
            failover: None,
            store_down: None,
            memory: None,
            sticky: 0.0,
            dead_after: None,
            lost_after: None,
            hang_after: None,
            scripts: Vec::new(),
            reported: None,
            batch_time: Duration::from_millis(100),
            bulk_time: Duration::from_millis(10),
            panics: BTreeMap::new(),
            notices: Vec::new(),
            strikes: Vec::new(),
            kill_every: None,
            fleet: None,
            storm: Duration::from_secs(60),
            truncated: 0.0,
            conflicts: 0.0,
            save_time: Duration::ZERO,
            transaction_limit: None,
            drift: 0.0,
            lenient: false,
            copies: 0.0,
            planted_bug: None,
            tune: |_| {},
        }
    }

    /// The same images in a world where nothing goes wrong any more.
    pub(crate) fn calmed(&self) -> Self {
        Self {
            images: self.images.clone(),
            stored: self.stored.clone(),
            overwritten: self.overwritten.clone(),
            visibility: self.visibility,
            devices: self.devices,
            fleet: self.fleet,
            planted_bug: self.planted_bug,
            tune: self.tune,
            ..Self::calm(0)
        }
    }

    /// Whether an earlier run has stored faces of this image.
    pub(super) fn has_stored(&self, number: usize) -> bool {
        self.stored.contains(&number) && matches!(self.images.get(number), Some(ImageKind::Faces(1..)))
    }

    /// The version of an image that its key has at a time.
    pub(super) fn version(&self, number: usize, now: Duration) -> u8 {
        let overwritten = self.overwritten.get(&number).is_some_and(|at| self.fleet.is_none() || now >= *at);
        u8::from(overwritten)
    }

    /// When a fleet's key got the version that it has at a time: in whole seconds, as S3 says it. A file's time says nothing.
    pub(super) fn modified_ms(&self, number: usize, now: Duration) -> Option<i64> {
        let since = self.overwritten.get(&number).filter(|at| now >= **at).map_or(0, Duration::as_secs);
        self.fleet.map(|_| i64::try_from(since).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// Workers that run side by side.
    pub(super) fn slots(&self) -> usize {
        self.fleet.map_or(1, |fleet| fleet.detectors + fleet.groupers)
    }

    /// What befalls the machine of `worker` at a step of it.
    pub(super) fn strike(&self, worker: usize, step: u32) -> Option<HostFault> {
        self.strikes.iter().find(|(who, at, _)| (*who, *at) == (worker, step)).map(|(.., strike)| *strike)
    }

    /// What befalls a device of `worker`.
    pub(super) fn script(&self, worker: usize, device: usize) -> FaultScript {
        let script = self.scripts.get(device).filter(|_| worker < self.slots());
        script.cloned().unwrap_or_default()
    }

    /// Whether an actor of `worker` panics. Only the first workers' do: who comes later has been mended.
    pub(super) fn panics_at(&self, worker: usize, stage: Stage, pass: u32) -> bool {
        worker < self.slots() && self.panics.get(&stage).is_some_and(|at| at.contains(&pass))
    }

    /// Whether a worker that lives keeps every lease: nothing lies between it and the queue, and none of its actors dies.
    pub(super) fn keeps_leases(&self) -> bool {
        let between = self.queue_errors + self.queue_partial + self.slow + self.lost_replies;
        between == 0.0 && self.panics.is_empty()
    }
}

/// Workers of a fleet that run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetSize {
    /// That find faces.
    pub detectors: usize,
    /// That group galleries.
    pub groupers: usize,
}

/// A drain that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainNotice {
    /// Of which worker, in the order in which they start.
    pub worker: usize,
    /// So long after its start.
    pub at: Duration,
    /// How.
    pub mode: Mode,
    /// How long it may take.
    pub deadline: Duration,
}

/// What befalls a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFault {
    /// It is gone at once.
    Kill,
    /// It stands still for so long.
    Freeze(Duration),
}
