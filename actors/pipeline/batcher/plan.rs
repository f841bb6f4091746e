//! Decides when a batch is closed: by count, by pixels or by age. All functions are pure.

use std::time::Duration;

/// The limits at which a batch is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Images in a batch.
    pub count: usize,
    /// Pixels in a batch; an image with more runs alone.
    pub pixels: u64,
    /// Longest time that an image waits for others.
    pub age: Duration,
}

/// An image in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Number of decoded pixels.
    pub pixels: u64,
    /// Whether the image must run alone.
    pub suspect: bool,
    /// How long it has waited.
    pub waited: Duration,
}

/// The next step of the Batcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// No image waits.
    Empty,
    /// Hand over this number of images from the front of the queue.
    Take(usize),
    /// Plan again after this time.
    Wait(Duration),
}

/// Plans the next batch for a device that wants up to `want` images. With `flush` no more images will come, so what
/// there is goes out at once.
pub fn plan(queue: impl IntoIterator<Item = Candidate>, limits: &BatchLimits, want: usize, flush: bool) -> Plan {
    let most = want.min(limits.count).max(1);
    let (mut taken, mut pixels, mut oldest) = (0, 0u64, Duration::ZERO);
    for candidate in queue {
        pixels = pixels.saturating_add(candidate.pixels);
        // A suspect closes the batch before it, and runs as a batch of its own.
        if taken > 0 && (candidate.suspect || pixels > limits.pixels) {
            return Plan::Take(taken);
        }
        taken += 1;
        oldest = oldest.max(candidate.waited);
        if taken == most || candidate.suspect || pixels >= limits.pixels {
            return Plan::Take(taken);
        }
    }
    match taken {
        0 => Plan::Empty,
        taken if flush || oldest >= limits.age => Plan::Take(taken),
        _ => Plan::Wait(limits.age - oldest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BatchLimits = BatchLimits { count: 4, pixels: 100, age: Duration::from_millis(50) };

    fn image(pixels: u64, waited: u64) -> Candidate {
        Candidate { pixels, suspect: false, waited: Duration::from_millis(waited) }
    }

    #[test]
    fn a_batch_is_closed_by_count_pixels_age_suspects_or_a_flush() {
        let suspect = Candidate { suspect: true, ..image(1, 0) };
        let wait = |ms| Plan::Wait(Duration::from_millis(ms));
        for (name, queue, want, flush, expected) in [
            ("nothing waits", vec![], 4, true, Plan::Empty),
            ("by count", vec![image(1, 0); 9], 9, false, Plan::Take(4)),
            ("by what the device wants", vec![image(1, 0); 9], 2, false, Plan::Take(2)),
            ("a device that wants none gets one", vec![image(1, 0); 9], 0, false, Plan::Take(1)),
            ("by pixels, exactly", vec![image(50, 0); 9], 4, false, Plan::Take(2)),
            ("by pixels, the next is too many", vec![image(40, 0); 9], 4, false, Plan::Take(2)),
            ("a huge image runs alone", vec![image(1_000, 0), image(1, 0)], 4, false, Plan::Take(1)),
            ("too few and young", vec![image(1, 20), image(1, 0)], 4, false, wait(30)),
            ("too few and old", vec![image(1, 50), image(1, 0)], 4, false, Plan::Take(2)),
            ("too few and nothing more comes", vec![image(1, 0)], 4, true, Plan::Take(1)),
            ("a suspect runs alone", vec![suspect, image(1, 0)], 4, false, Plan::Take(1)),
            ("a suspect closes what is before it", vec![image(1, 0), suspect], 4, false, Plan::Take(1)),
        ] {
            assert_eq!(plan(queue, &LIMITS, want, flush), expected, "{name}");
        }
    }
}
