//! The counters behind [`Progress`]. All actors share them, so the crash of an actor loses none.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::domain::face::Face;
use crate::domain::image::{ImageState, Locator, Rejection};
use crate::flow::progress::{Progress, Rejected, Stage, StageProgress};

/// The work that was done when a lease was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// An image was stored in this state.
    Image(ImageState),
    /// A gallery was grouped.
    Gallery,
    /// The record of a deleted image was removed, or the image was found to exist after all.
    Removal,
}

/// The way in which a lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LeaseOutcome {
    /// The result was stored and the message acknowledged.
    Acked(Done),
    /// The message went to the dead-letter queue.
    Rejected(Rejection),
    /// The message was given back.
    Released,
    /// The lease ended before the work did.
    LeaseLost,
}

/// Shared counters.
#[derive(Clone, Debug)]
pub(crate) struct RunStats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    max_rejections: usize,
    progress: Mutex<Progress>,
}

impl RunStats {
    /// Creates counters at zero, which list at most `max_rejections` rejected images.
    pub(crate) fn new(max_rejections: usize) -> Self {
        let stages = Stage::ALL.into_iter().map(|stage| (stage, StageProgress::default())).collect();
        let progress = Mutex::new(Progress { stages, ..Progress::default() });
        Self(Arc::new(Inner { started: Instant::now(), max_rejections, progress }))
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.progress.lock()
    }

    /// Returns a copy of all counters.
    pub(crate) fn progress(&self) -> Progress {
        let mut progress = self.lock().clone();
        progress.seconds = self.0.started.elapsed().as_secs_f64();
        progress
    }

    /// Changes the counters.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock());
    }

    /// Changes the counters of one stage.
    pub(crate) fn stage(&self, stage: Stage, change: impl FnOnce(&mut StageProgress)) {
        change(self.lock().stages.entry(stage).or_default());
    }

    /// Returns the number of devices that were lost so far.
    pub(crate) fn devices_lost(&self) -> u64 {
        self.lock().devices_lost
    }

    /// Sets the number of items that wait in a stage's queue.
    pub(crate) fn waiting(&self, stage: Stage, waiting: usize) {
        self.stage(stage, |s| s.waiting = waiting);
    }

    /// Counts `items` as being worked on until the returned timer is dropped.
    pub(crate) fn begin(&self, stage: Stage, items: usize) -> StageTimer {
        self.stage(stage, |s| s.in_flight += items);
        StageTimer { stats: self.clone(), stage, items, since: Instant::now(), done: false }
    }

    /// Counts faces that were written, with their quality.
    pub(crate) fn faces(&self, faces: &[Face]) {
        let mut progress = self.lock();
        progress.faces += faces.len() as u64;
        faces.iter().for_each(|face| progress.quality.record(face));
    }

    /// Counts an image or gallery by how its lease ended.
    pub(crate) fn ended(&self, locator: Option<Locator>, fate: LeaseOutcome) {
        let mut progress = self.lock();
        let counts = &mut progress.counts;
        match fate {
            LeaseOutcome::Acked(Done::Image(ImageState::Indexed)) => counts.indexed += 1,
            LeaseOutcome::Acked(Done::Image(ImageState::NoFaces)) => counts.no_faces += 1,
            LeaseOutcome::Acked(Done::Image(ImageState::LowQuality)) => counts.low_quality += 1,
            // A rejected image is never acked: it goes to the dead letters.
            LeaseOutcome::Acked(Done::Image(ImageState::Rejected)) => counts.rejected += 1,
            LeaseOutcome::Acked(Done::Gallery) => counts.grouped += 1,
            LeaseOutcome::Acked(Done::Removal) => counts.removed += 1,
            LeaseOutcome::Released => counts.released += 1,
            LeaseOutcome::LeaseLost => counts.lease_lost += 1,
            LeaseOutcome::Rejected(rejection) => {
                counts.rejected += 1;
                *progress.reasons.entry(rejection.reason).or_default() += 1;
                if progress.rejections.len() < self.0.max_rejections {
                    progress.rejections.push(Rejected { locator, rejection });
                } else {
                    progress.rejections_omitted += 1;
                }
            }
        }
    }
}

/// Measures a piece of work on some items of a stage. When it is dropped, also by a panic, the
/// items are no longer counted as in flight.
#[derive(Debug)]
pub(crate) struct StageTimer {
    stats: RunStats,
    stage: Stage,
    items: usize,
    since: Instant,
    done: bool,
}

impl StageTimer {
    /// Records that the work succeeded and handled `bytes` bytes, and returns how long it took.
    pub(crate) fn done(mut self, bytes: u64) -> Duration {
        self.done = true;
        let items = self.items as u64;
        self.stats.stage(self.stage, |s| {
            s.done += items;
            s.bytes += bytes;
        });
        self.since.elapsed()
    }

    /// Records that the work ended, without counting its items: the caller counts them one by one.
    pub(crate) fn took_place(mut self) {
        self.done = true;
    }

    /// Records that the work failed.
    pub(crate) fn failed(self) {
        self.stats.stage(self.stage, |s| s.errors += 1);
    }
}

impl Drop for StageTimer {
    fn drop(&mut self) {
        let seconds = self.since.elapsed().as_secs_f64();
        self.stats.stage(self.stage, |s| {
            s.in_flight = s.in_flight.saturating_sub(self.items);
            s.busy_seconds += seconds;
            if self.done {
                s.seconds.record(seconds);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::image::RejectReason;

    #[test]
    fn only_work_that_was_done_has_a_duration() {
        let stats = RunStats::new(1);
        stats.begin(Stage::Decoder, 1).done(10);
        stats.begin(Stage::Decoder, 1).failed();
        drop(stats.begin(Stage::Decoder, 1));
        stats.begin(Stage::Writer, 3).took_place();
        let progress = stats.progress();
        let of = |stage| &progress.stages[&stage];
        assert_eq!((of(Stage::Decoder).seconds.count(), of(Stage::Writer).seconds.count()), (1, 1));
        assert_eq!((of(Stage::Decoder).done, of(Stage::Writer).done, of(Stage::Writer).in_flight), (1, 0, 0));
    }

    #[test]
    fn every_rejection_is_counted_by_its_reason_also_those_not_listed() {
        let stats = RunStats::new(1);
        for reason in [RejectReason::Empty, RejectReason::Empty, RejectReason::Corrupt] {
            stats.ended(None, LeaseOutcome::Rejected(Rejection::new(reason, "")));
        }
        let progress = stats.progress();
        assert_eq!(
            progress.reasons.into_iter().collect::<Vec<_>>(),
            [(RejectReason::Empty, 2), (RejectReason::Corrupt, 1)]
        );
        assert_eq!((progress.rejections.len(), progress.rejections_omitted), (1, 2));
    }
}
