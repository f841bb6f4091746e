//! Adjusts how many downloads and decodes run at once. It grows both when the devices wait for images, and shrinks both
//! when decoded images pile up.

use serde::{Deserialize, Serialize};

/// The number of downloads and decodes that may run at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Number of downloads that run in parallel.
    pub downloads: usize,
    /// Number of decodes that run in parallel.
    pub decodes: usize,
}

/// The range within which [`Limits`] may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Smallest limits; a 0 here counts as 1.
    pub least: Limits,
    /// Greatest limits.
    pub most: Limits,
}

impl Bounds {
    /// Returns `limits`, clamped to the bounds.
    pub fn clamp(&self, limits: Limits) -> Limits {
        let within = |value: usize, least: usize, most: usize| value.clamp(least.max(1), most.max(least).max(1));
        Limits {
            downloads: within(limits.downloads, self.least.downloads, self.most.downloads),
            decodes: within(limits.decodes, self.least.decodes, self.most.decodes),
        }
    }
}

/// The queues and devices of a pipeline at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Items that wait for a download.
    pub to_download: usize,
    /// Items that wait for a decode.
    pub to_decode: usize,
    /// Decoded items that wait for a device.
    pub ready: usize,
    /// Devices that wait for work.
    pub idle_devices: usize,
    /// Items that fill one batch.
    pub batch: usize,
}

/// Computes the next limits. When a device is idle and less than a batch is ready, the stage that holds it up grows by
/// a quarter; when too many items are ready, both shrink by an eighth. Growth is faster because an idle device costs
/// more than waiting images.
pub(crate) fn adjust(now: Limits, seen: Observed, bounds: &Bounds) -> Limits {
    let more = |n: usize| n + (n / 4).max(1);
    let less = |n: usize| n - (n / 8).max(1).min(n);
    let mut next = now;
    if seen.idle_devices > 0 && seen.ready < seen.batch {
        // When both queues have items, the one nearer to the device is the bottleneck.
        if seen.to_decode > 0 {
            next.decodes = more(now.decodes);
        } else if seen.to_download > 0 {
            next.downloads = more(now.downloads);
        }
    } else if seen.idle_devices == 0 && seen.ready > 4 * seen.batch.max(1) {
        next.decodes = less(now.decodes);
        next.downloads = less(now.downloads);
    } else if seen.to_decode > 4 * now.decodes {
        // Downloads run ahead of the decoders: their bytes only take up memory.
        next.downloads = less(now.downloads);
    }
    bounds.clamp(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { least: Limits { downloads: 2, decodes: 1 }, most: Limits { downloads: 32, decodes: 8 } };

    #[test]
    fn the_side_that_starves_the_device_grows_and_a_heap_shrinks_both() {
        let at = |downloads, decodes| Limits { downloads, decodes };
        let seen = |to_download, to_decode, ready, idle_devices| Observed {
            to_download,
            to_decode,
            ready,
            idle_devices,
            batch: 8,
        };
        for (name, now, seen, expected) in [
            ("starved, decodes wait", at(8, 4), seen(9, 5, 0, 1), at(8, 5)),
            ("starved, downloads wait", at(8, 4), seen(9, 0, 0, 1), at(10, 4)),
            ("starved, nothing waits", at(8, 4), seen(0, 0, 0, 1), at(8, 4)),
            ("idle, but a batch is ready", at(8, 4), seen(9, 5, 8, 1), at(8, 4)),
            ("busy and a heap is ready", at(16, 8), seen(9, 5, 33, 0), at(14, 7)),
            ("busy and just enough is ready", at(16, 8), seen(9, 5, 32, 0), at(16, 8)),
            ("downloads run ahead", at(16, 4), seen(0, 17, 0, 0), at(14, 4)),
            ("never above the bounds", at(32, 8), seen(9, 5, 0, 1), at(32, 8)),
            ("never below the bounds", at(2, 1), seen(0, 0, 99, 0), at(2, 1)),
            ("a start outside is brought in", at(0, 99), seen(0, 0, 0, 0), at(2, 8)),
        ] {
            assert_eq!(adjust(now, seen, &BOUNDS), expected, "{name}");
        }
    }
}
