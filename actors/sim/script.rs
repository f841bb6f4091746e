//! The script of a device's faults.

use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// What befalls a device when it is asked for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceFault {
    /// This batch does not fit its memory.
    OutOfMemory,
    /// Its engine is broken until it is rebuilt.
    Sticky,
    /// Its engine's thread is gone until it is rebuilt.
    Gone,
    /// Its engine is broken, and a rebuild mends nothing.
    Dead,
    /// Its engine is broken and cannot be rebuilt.
    Unloadable,
    /// It is lost.
    CallLoss,
    /// It does not answer.
    Hang,
    /// It answers for one image too few.
    Miscount,
    /// It takes so much longer.
    Slow(Duration),
}

impl DeviceFault {
    /// Whether it outlasts the batch.
    pub(super) fn stays(self) -> bool {
        match self {
            Self::Sticky | Self::Gone | Self::Dead | Self::Unloadable | Self::CallLoss => true,
            Self::OutOfMemory | Self::Hang | Self::Miscount | Self::Slow(_) => false,
        }
    }

    /// Whether an engine that it breaks may be rebuilt and fail with the same image again, by chance or because it stays broken.
    pub(super) fn may_blame_an_image(self) -> bool {
        match self {
            Self::OutOfMemory | Self::Sticky | Self::Gone | Self::Dead | Self::Unloadable => true,
            Self::CallLoss | Self::Hang | Self::Miscount | Self::Slow(_) => false,
        }
    }
}

/// The faults of one device, in data. The empty script is a device without faults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultScript {
    /// What it says that its memory has room for.
    pub room: Option<usize>,
    /// From when on its memory holds so many images and no more: other tenants of the card come and leave.
    pub memory: Vec<(Duration, Option<usize>)>,
    /// What befalls which batch, counted from 0.
    pub batches: Vec<(u64, DeviceFault)>,
    /// What befalls batches with an image that begins with these eight bytes, a number, every time.
    pub images: Vec<(u64, DeviceFault)>,
    /// What befalls any batch with which probability.
    pub chances: Vec<(f64, DeviceFault)>,
    /// What chance follows from.
    pub seed: u64,
}

impl FaultScript {
    /// This befalls batch `batch`.
    pub fn new(batch: u64, fault: DeviceFault) -> Self {
        Self { batches: vec![(batch, fault)], ..Self::default() }
    }

    /// This befalls every batch with image `image`.
    pub fn with(image: u64, fault: DeviceFault) -> Self {
        Self { images: vec![(image, fault)], ..Self::default() }
    }

    /// Every fault in it that may strike.
    pub(super) fn faults(&self) -> impl Iterator<Item = DeviceFault> {
        let batches = self.batches.iter().chain(&self.images).map(|(_, fault)| *fault);
        batches.chain(self.chances.iter().map(|(_, fault)| *fault))
    }

    /// Images that its memory holds after so long.
    pub(super) fn memory(&self, after: Duration) -> Option<usize> {
        self.memory.iter().rfind(|(from, _)| *from <= after).and_then(|(_, most)| *most)
    }

    /// Something that befalls one device of several.
    pub(super) fn random(rng: &mut ChaCha8Rng) -> Self {
        let mut script = Self { seed: rng.random(), ..Self::default() };
        let seconds = |rng: &mut ChaCha8Rng| Duration::from_millis(rng.random_range(0..10_000));
        match rng.random_range(0..6) {
            0 => script.batches.push((rng.random_range(0..12), DeviceFault::Dead)),
            1 => script.batches.push((rng.random_range(0..12), DeviceFault::Unloadable)),
            2 => script.chances.push((rng.random_range(0.01..0.2), DeviceFault::Gone)),
            3 => {
                let come = seconds(rng);
                let leave = come + seconds(rng);
                script.memory = vec![(come, Some(rng.random_range(1..4))), (leave, None)];
                script.room = Some(rng.random_range(1..8));
            }
            _ => script.batches.push((rng.random_range(0..12), DeviceFault::CallLoss)),
        }
        script
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_was_said_of_it_last() {
        let at = Duration::from_secs;
        let script =
            FaultScript { memory: vec![(at(2), Some(3)), (at(5), None), (at(7), Some(1))], ..FaultScript::default() };
        for (after, most) in [(0, None), (2, Some(3)), (4, Some(3)), (5, None), (7, Some(1)), (99, Some(1))] {
            assert_eq!(script.memory(at(after)), most, "after {after} s");
        }
    }
}
