//! Decides when results are written, and how many at once. All functions are pure.

use std::time::Duration;

use crate::pipeline::settings::WriterSettings;

/// The state of the results that wait to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub count: usize,
    pub bytes: usize,
    /// Time that the oldest result has waited.
    pub age: Duration,
    /// Whether no other image is on its way, so that waiting longer brings nothing.
    pub is_complete: bool,
    /// Whether the run is ending, so that nothing else is waited for.
    pub is_ending: bool,
}

impl Waiting {
    /// Returns the time until the buffer must be checked again; `None` where the results are to be written now.
    pub fn wait(&self, settings: &WriterSettings) -> Option<Duration> {
        let WriterSettings { count, bytes, age, complete_age, .. } = *settings;
        if self.is_ending || self.count >= count || self.bytes >= bytes {
            return None;
        }
        // No message tells the Writer that another image was given up and the buffer is complete, so it also checks in
        // between.
        let (left, look) = match self.is_complete {
            true => (complete_age.min(age).saturating_sub(self.age), Duration::MAX),
            false if complete_age.is_zero() => (age.saturating_sub(self.age), Duration::MAX),
            false => (age.saturating_sub(self.age), complete_age),
        };
        (!left.is_zero()).then(|| left.min(look))
    }
}

/// Returns how many of these results, given by their bytes and in order, one bulk takes: at least one.
pub(super) fn length(sizes: impl IntoIterator<Item = usize>, settings: &WriterSettings) -> usize {
    let mut bytes = 0_usize;
    let fitting = sizes.into_iter().take(settings.count).take_while(|size| {
        bytes = bytes.saturating_add(*size);
        bytes <= settings.bytes
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(complete_age: u64) -> WriterSettings {
        let of = Duration::from_millis;
        WriterSettings { count: 4, bytes: 100, age: of(500), complete_age: of(complete_age), at_once: 1 }
    }

    #[test]
    fn results_wait_for_others_until_they_are_many_large_old_or_all() {
        for (what, complete_age, count, bytes, age, is_complete, is_ending, wait) in [
            ("few and young", 0, 3, 99, 100, false, false, Some(400)),
            ("many", 100, 4, 0, 0, false, false, None),
            ("large", 100, 1, 100, 0, false, false, None),
            ("old", 100, 1, 1, 500, false, false, None),
            ("the run ends", 100, 1, 1, 0, false, true, None),
            ("all, at once", 0, 1, 1, 0, true, false, None),
            ("all, and others may follow", 100, 1, 1, 30, true, false, Some(70)),
            ("all, and old enough for that", 100, 1, 1, 100, true, false, None),
            ("not yet all: looked at in between", 100, 1, 1, 30, false, false, Some(100)),
            ("not yet all, and nearly old", 100, 1, 1, 460, false, false, Some(40)),
            ("all, with a longer wait for others than any", 900, 1, 1, 100, true, false, Some(400)),
        ] {
            let waiting = Waiting { count, bytes, age: Duration::from_millis(age), is_complete, is_ending };
            assert_eq!(waiting.wait(&settings(complete_age)), wait.map(Duration::from_millis), "{what}");
        }
    }

    #[test]
    fn a_bulk_is_bounded_by_count_and_by_bytes() {
        for (sizes, expected) in [
            (&[10; 9][..], 4),
            (&[60, 40, 1], 2),
            // Crowds that came while all bulks were on their way.
            (&[70, 70, 70], 1),
            // A result that is larger than a bulk is written alone.
            (&[300, 1], 1),
            (&[1, 300], 1),
        ] {
            assert_eq!(length(sizes.iter().copied(), &settings(0)), expected, "{sizes:?}");
        }
    }
}
