//! Walks the roots for a queue, hands out what is new or changed, and takes out what is gone.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use muster_actors::domain::image::{ImageId, Locator, Rejection};

use super::{QueuedPhoto, Shared};
use crate::moves::{self, MovedPhoto, NewPhoto};
use crate::problems::{self, Problem};
use crate::removals::{self, GonePhoto};
use crate::repoint::{PhotoMove, repoint};
use crate::roots::{self, Root};
use crate::scan::{Scan, ScanOptions, ScanReport, ScanStep};
use crate::{LibraryError, SqliteFaces, key, view, write};

/// What a walk is about.
pub(super) struct Walker<'a> {
    pub(super) shared: &'a Shared,
    pub(super) store: &'a SqliteFaces,
    /// Absolute, without links, none inside another.
    pub(super) paths: &'a [PathBuf],
    pub(super) options: &'a ScanOptions,
}

/// What a walk met, until it is known what became of what it did not meet.
#[derive(Default)]
struct VisitedPhoto {
    waiting: Vec<QueuedPhoto>,
    /// Those of them that may be others which moved.
    arrivals: Vec<ArrivedPhoto>,
    /// Stored photos in whose places other files are.
    replaced: Vec<ImageId>,
    problems: Vec<(Locator, Rejection)>,
}

/// A photo that was not stored at its place.
struct ArrivedPhoto {
    /// Its place among those that wait.
    number: usize,
    /// Size and time, as [`moves::fingerprint`].
    etag: u64,
    /// Nothing was stored there.
    is_new: bool,
}

impl Walker<'_> {
    /// Walks to the end, or until the queue is dropped.
    pub(super) fn run(&self) -> Result<(), LibraryError> {
        let places = self.store.places().clone();
        let roots = self.store.look(|library| roots::look(library, self.paths))?;
        let mut scan = self.store.look(|library| Scan::prepare(library, &places, &roots, &self.options.model))?;
        let is_first = self.store.look(|library| view::is_empty(library.db()))?;
        let mut met = VisitedPhoto::default();
        let whole = scan.walk(|step| {
            self.take(step, &mut met);
            // Where nothing is stored, nothing can be gone: the first photos need not wait for the last.
            if is_first {
                met.arrivals.clear();
                self.hand_out(&mut met.waiting);
            }
            !self.shared.stop.load(Ordering::Relaxed)
        });
        if !whole {
            // Stopped on the way: what was not met may well be there.
            return Ok(());
        }
        let mut gone = self.store.look(|library| scan.gone(library))?;
        let moved = self.moved(&roots, &gone, &met)?;
        if self.shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let from: HashSet<ImageId> = moved.iter().map(|found| found.from).collect();
        gone.retain(|photo| !from.contains(&photo.id));
        let (gone, missing) = removals::divide(&places, &roots, scan.counts(), &gone, self.options.accept_removals);
        let paths = self.paths.to_vec();
        let settled = roots.iter().filter(|root| !missing.iter().any(|missing| missing.is_of(&places, root)));
        let settled: Vec<PathBuf> = settled.map(|root| root.path.clone()).collect();
        let problems = std::mem::take(&mut met.problems);
        let steps: Vec<PhotoMove> = moved.iter().map(MovedPhoto::step).collect();
        let removed = self.store.run(move |library| {
            problems::save(library.db_mut(), &places, &paths, &problems)?;
            roots::remember(library, &settled)?;
            if !steps.is_empty() {
                let whole = library.db_mut().transaction()?;
                repoint(&whole, &steps)?;
                whole.commit()?;
            }
            write::remove(library.db_mut(), &gone)
        });
        let removed = removed.wait()?;
        {
            let report = &mut self.shared.state().report;
            report.removed = removed as u64;
            report.missing = missing;
            self.settle(&moved, &mut met, report);
        }
        self.hand_out(&mut met.waiting);
        Ok(())
    }

    /// Photos that are others which are gone from their places.
    fn moved(&self, roots: &[Root], gone: &[GonePhoto], met: &VisitedPhoto) -> Result<Vec<MovedPhoto>, LibraryError> {
        let arrival = |newcomer: &ArrivedPhoto| {
            let message = met.waiting.get(newcomer.number)?;
            Some(NewPhoto { etag: newcomer.etag, bucket: message.bucket, key: &message.key })
        };
        let arrivals: Vec<NewPhoto<'_>> = met.arrivals.iter().filter_map(arrival).collect();
        let left: HashSet<ImageId> = gone.iter().map(|photo| photo.id).chain(met.replaced.iter().copied()).collect();
        let go_on = || !self.shared.stop.load(Ordering::Relaxed);
        self.store.look(|library| moves::find(library, roots, &left, &arrivals, &go_on))
    }

    /// Takes photos that moved from those that wait, unless they are to be looked at with another model.
    fn settle(&self, moved: &[MovedPhoto], met: &mut VisitedPhoto, report: &mut ScanReport) {
        let mut done = HashSet::new();
        for found in moved {
            let newcomer = &met.arrivals[found.arrival];
            report.moved += 1;
            *if newcomer.is_new { &mut report.new } else { &mut report.changed } -= 1;
            if found.model == self.options.model {
                report.unchanged += 1;
                done.insert(newcomer.number);
            } else {
                report.changed += 1;
            }
        }
        let mut number = 0..;
        met.waiting.retain(|_| number.next().is_none_or(|number| !done.contains(&number)));
    }

    /// Counts a step, and keeps what follows from it.
    fn take(&self, step: ScanStep, met: &mut VisitedPhoto) {
        let mut state = self.shared.state();
        let report = &mut state.report;
        report.found += u64::from(!matches!(step, ScanStep::Ignored | ScanStep::Problem(..) | ScanStep::Library(_)));
        let mut problem = |locator: Locator, rejection: Rejection| {
            let path = key::shown(&locator.bucket, &locator.key);
            report.problems.push(Problem { path, rejection: rejection.clone() });
            met.problems.push((locator, rejection));
        };
        match step {
            ScanStep::Unchanged => report.unchanged += 1,
            ScanStep::Forgotten => report.forgotten += 1,
            ScanStep::Ignored => report.ignored += 1,
            ScanStep::Problem(locator, rejection) => problem(locator, rejection),
            ScanStep::Unreadable(locator, rejection) => {
                problem(locator, rejection);
                report.unreadable += 1;
                report.kept += 1;
            }
            ScanStep::Library(locator) => report.other_libraries.push(key::shown(&locator.bucket, &locator.key)),
            ScanStep::New(locator, etag) => {
                report.new += 1;
                met.arrivals.push(ArrivedPhoto { number: met.waiting.len(), etag, is_new: true });
                met.waiting.push(QueuedPhoto::new(locator));
            }
            ScanStep::Replaced(locator, etag) => {
                report.changed += 1;
                met.replaced.push(locator.id());
                met.arrivals.push(ArrivedPhoto { number: met.waiting.len(), etag, is_new: false });
                met.waiting.push(QueuedPhoto::new(locator));
            }
            ScanStep::Changed(locator) => {
                report.changed += 1;
                met.waiting.push(QueuedPhoto::new(locator));
            }
        }
    }

    fn hand_out(&self, waiting: &mut Vec<QueuedPhoto>) {
        if !waiting.is_empty() {
            self.shared.state().ready.extend(waiting.drain(..));
            self.shared.changed.notify_waiters();
        }
    }
}
