//! The renewal of leases while they are held, and the detection of leases that were lost.

use std::time::Duration;

use tokio::time::Instant;

use super::{Entry, Inner, LeaseTable, State};
use crate::ports::queue::{Handle, SettleOutcome};

impl LeaseTable {
    /// Returns up to `max` leases that are older than `age`, and marks them as being renewed. A lease that was held
    /// longer than the bound is not renewed any more, because whatever holds it may hold it for ever. A lease whose
    /// message is to be given back is not renewed either: it gives the message back by running out.
    pub(crate) fn take_stale(&self, age: Duration, max: usize) -> Vec<(u64, Handle)> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        self.expire(&mut inner, now);
        let mut stale = Vec::new();
        for (id, entry) in &mut inner.entries {
            let settling = matches!(entry.state, State::Settling { .. });
            if now - entry.opened >= self.rules.bound {
                continue;
            }
            let held = !entry.lost && !settling && !entry.state.releases();
            if stale.len() < max && held && !entry.renewing && now - entry.renewed >= age {
                entry.renewing = true;
                stale.push((*id, entry.handle.clone()));
            }
        }
        stale
    }

    /// Records the outcome of a renewal of entry `id` by a call that began at `asked`.
    pub(crate) fn renewed(&self, id: u64, asked: Instant, settled: &SettleOutcome) {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.entries.get_mut(&id) else { return };
        entry.renewing = false;
        if matches!(entry.state, State::Due { .. }) {
            // A release may have waited for this renewal.
            self.due.notify_one();
        }
        match settled {
            SettleOutcome::Done => {
                entry.renewed = asked;
                entry.expires = asked + self.rules.visibility;
            }
            SettleOutcome::LeaseLost if matches!(entry.state, State::Settling { .. }) => {}
            SettleOutcome::LeaseLost => self.lose(&mut inner, id),
            SettleOutcome::Failed(_) => {}
        }
    }

    fn lose(&self, inner: &mut Inner, id: u64) {
        let Some(entry) = inner.entries.get_mut(&id) else { return };
        entry.lost = true;
        if entry.open == 0 {
            self.remove_lost(inner, id);
        }
    }

    /// Marks the leases as lost that ran out without a renewal, whatever the queue would say of them.
    pub(super) fn expire(&self, inner: &mut Inner, now: Instant) {
        let settling = |entry: &Entry| matches!(entry.state, State::Settling { .. });
        let gone: Vec<u64> = inner
            .entries
            .iter()
            .filter(|(_, entry)| !entry.lost && entry.expires <= now && !settling(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.lose(inner, id);
        }
    }

    /// Returns whether the lease of entry `id` is known to be lost.
    pub(crate) fn lost(&self, id: u64) -> bool {
        self.inner.lock().entries.get(&id).is_none_or(|entry| entry.lost)
    }
}
