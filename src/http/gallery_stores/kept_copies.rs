//! The copies among a gallery's photos, kept for a while: all photos are read to find them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_gallery::copies::Copies;

/// How many times as long as it took to find copies they are kept.
const KEPT_AS_LONG: u32 = 20;

/// The copies in one state of a gallery.
#[derive(Clone)]
pub(super) struct KeptCopies<State> {
    state: State,
    found: Arc<Copies>,
    /// Until when they do for a later state: while photos are indexed each second brings many.
    until: Instant,
}

impl<State: PartialEq> KeptCopies<State> {
    /// Copies that took so long to find.
    pub(super) fn new(state: State, found: Arc<Copies>, took: Duration) -> Self {
        Self { state, found, until: Instant::now() + took * KEPT_AS_LONG }
    }

    /// The copies, where they do for this state.
    pub(super) fn get(&self, state: &State) -> Option<Arc<Copies>> {
        (self.state == *state || Instant::now() < self.until).then(|| Arc::clone(&self.found))
    }
}
