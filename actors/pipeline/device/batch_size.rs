//! Decides how many images a device takes at once: half as many after its memory ran out, and slowly more again. All
//! functions are pure.

/// The number of images in a device's next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSize {
    current: usize,
    max: usize,
    streak: u32,
    regrow_after: u32,
    patience: u32,
}

impl BatchSize {
    /// Creates the size for a device whose memory is estimated to hold `room` images; batches start there and may grow
    /// up to `max`. If there is no estimate they start at `max`. After the device ran out of memory, `regrow_after`
    /// full batches must succeed for each step up.
    pub(crate) fn new(room: Option<usize>, max: usize, regrow_after: u32) -> Self {
        let (max, regrow_after) = (max.max(1), regrow_after.max(1));
        let current = room.unwrap_or(max).clamp(1, max);
        Self { current, max, streak: 0, regrow_after, patience: regrow_after }
    }

    /// Returns the number of images in the next batch.
    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// Halves the size after a batch of `size` ran out of memory. Each time more batches must succeed before the size
    /// grows again, so that a device at its limit does not fail again and again.
    pub(crate) fn halve(&mut self, size: usize) {
        self.current = (size / 2).clamp(1, self.max);
        self.streak = 0;
        self.patience = self.patience.saturating_mul(2).min(self.regrow_after.saturating_mul(64));
    }

    /// Records that a batch of `size` succeeded. Only full batches show that a larger one may fit.
    pub(crate) fn succeeded(&mut self, size: usize) {
        if size < self.current || self.current == self.max {
            return;
        }
        self.streak += 1;
        if self.streak >= self.patience {
            self.current = (self.current + (self.current / 4).max(1)).min(self.max);
            self.streak = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_runs_out_halves_the_size_of_the_batch_that_failed() {
        for (max, failed, then) in [(8, 8, 4), (8, 5, 2), (8, 3, 1), (8, 1, 1), (1, 1, 1), (0, 0, 1), (8, 99, 8)] {
            let mut size = BatchSize::new(None, max, 4);
            size.halve(failed);
            assert_eq!(size.current(), then, "{failed} of {max}");
        }
    }

    #[test]
    fn the_first_batch_is_what_the_memory_has_room_for_within_the_setting() {
        for (room, max, first) in
            [(None, 8, 8), (Some(3), 8, 3), (Some(8), 8, 8), (Some(99), 8, 8), (Some(0), 8, 1), (Some(3), 0, 1)]
        {
            assert_eq!(BatchSize::new(room, max, 4).current(), first, "room for {room:?} of {max}");
        }
    }

    #[test]
    fn an_estimate_of_the_room_is_no_bound() {
        let mut size = BatchSize::new(Some(2), 4, 3);
        let mut sizes = Vec::new();
        for _ in 0..8 {
            sizes.push(size.current());
            size.succeeded(size.current());
        }
        assert_eq!(sizes, [2, 2, 2, 3, 3, 3, 4, 4]);
    }

    #[test]
    fn the_size_grows_back_slowly_by_full_batches_only_and_slower_after_each_failure() {
        let full = |size: &mut BatchSize| {
            let before = size.current();
            (1..).find(|_| {
                size.succeeded(before);
                size.current() > before
            })
        };
        let mut size = BatchSize::new(None, 8, 2);
        size.halve(8);
        (0..100).for_each(|_| size.succeeded(1));
        assert_eq!(size.current(), 4, "small batches say nothing");
        assert_eq!((full(&mut size), size.current()), (Some(4), 5));
        assert_eq!((full(&mut size), size.current()), (Some(4), 6));
        size.halve(6);
        assert_eq!((full(&mut size), size.current()), (Some(8), 4));
        (0..1_000).for_each(|_| size.succeeded(size.current()));
        assert_eq!(size.current(), 8, "never over the maximum");
    }
}
