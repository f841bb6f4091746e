//! Walks the roots for a queue, hands out what is new or changed, and takes out what is gone.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use muster_actors::domain::image::{Locator, Rejection};

use super::{Message, Shared};
use crate::problems::{self, Problem};
use crate::removals;
use crate::scan::{Scan, ScanOptions, Step};
use crate::{LibraryError, SqliteFaces, key, roots, view, write};

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
struct Met {
    waiting: Vec<Message>,
    problems: Vec<(Locator, Rejection)>,
}

impl Walker<'_> {
    /// Walks to the end, or until the queue is dropped.
    pub(super) fn run(&self) -> Result<(), LibraryError> {
        let places = self.store.places().clone();
        let roots = self.store.look(|library| roots::look(library, self.paths))?;
        let mut scan = self.store.look(|library| Scan::prepare(library, &places, &roots, &self.options.model))?;
        let is_first = self.store.look(|library| view::is_empty(library.db()))?;
        let mut met = Met::default();
        let whole = scan.walk(|step| {
            self.take(step, &mut met);
            // Where nothing is stored, nothing can be gone: the first photos need not wait for the last.
            if is_first {
                self.hand_out(&mut met.waiting);
            }
            !self.shared.stop.load(Ordering::Relaxed)
        });
        if !whole {
            // Stopped on the way: what was not met may well be there.
            return Ok(());
        }
        let gone = self.store.look(|library| scan.gone(library))?;
        let (gone, missing) = removals::divide(&places, &roots, scan.counts(), &gone, self.options.accept_removals);
        let paths = self.paths.to_vec();
        let settled = roots.iter().filter(|root| !missing.iter().any(|missing| missing.is_of(&places, root)));
        let settled: Vec<PathBuf> = settled.map(|root| root.path.clone()).collect();
        let problems = met.problems;
        let removed = self.store.run(move |library| {
            problems::save(library.db_mut(), &places, &paths, &problems)?;
            roots::remember(library, &settled)?;
            write::remove(library.db_mut(), &gone)
        });
        let removed = removed.wait()?;
        {
            let mut state = self.shared.state();
            state.report.removed = removed as u64;
            state.report.missing = missing;
        }
        self.hand_out(&mut met.waiting);
        Ok(())
    }

    /// Counts a step, and keeps what follows from it.
    fn take(&self, step: Step, met: &mut Met) {
        let mut state = self.shared.state();
        let report = &mut state.report;
        report.found += u64::from(!matches!(step, Step::Ignored | Step::Problem(..) | Step::Library(_)));
        let mut problem = |locator: Locator, rejection: Rejection| {
            let path = key::shown(&locator.bucket, &locator.key);
            report.problems.push(Problem { path, rejection: rejection.clone() });
            met.problems.push((locator, rejection));
        };
        match step {
            Step::Unchanged => report.unchanged += 1,
            Step::Forgotten => report.forgotten += 1,
            Step::Ignored => report.ignored += 1,
            Step::Problem(locator, rejection) => problem(locator, rejection),
            Step::Unreadable(locator, rejection) => {
                problem(locator, rejection);
                report.unreadable += 1;
                report.kept += 1;
            }
            Step::Library(locator) => report.other_libraries.push(key::shown(&locator.bucket, &locator.key)),
            Step::New(locator) => {
                report.new += 1;
                met.waiting.push(Message::new(locator));
            }
            Step::Changed(locator) => {
                report.changed += 1;
                met.waiting.push(Message::new(locator));
            }
        }
    }

    fn hand_out(&self, waiting: &mut Vec<Message>) {
        if !waiting.is_empty() {
            self.shared.state().ready.extend(waiting.drain(..));
            self.shared.changed.notify_waiters();
        }
    }
}
