//! Computes how many images a card's memory holds at once, from measured runs. Pure functions.

/// Share of the free memory that is used for planning. The rest is for the workspace that cuDNN takes at a shape that
/// was not tried, and for another process that grows a little.
const PLANNED: f64 = 0.8;

/// The memory that runs of two sizes left free on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryMeasurement {
    /// Free bytes after the smaller run.
    pub free_after_few: u64,
    /// Images in the smaller run.
    pub few: usize,
    /// Free bytes after the larger run.
    pub free_after_many: u64,
    /// Images in the larger run.
    pub many: usize,
}

impl MemoryMeasurement {
    /// Computes the bytes that each additional image takes. `None` where the runs cannot tell, because the arena
    /// already had memory for both.
    pub(crate) fn per_image(&self) -> Option<u64> {
        let images = u64::try_from(self.many.checked_sub(self.few)?).ok().filter(|images| *images > 0)?;
        let bytes = self.free_after_few.checked_sub(self.free_after_many)?;
        Some(bytes / images).filter(|bytes| *bytes > 0)
    }

    /// Computes the largest batch when `lanes` lanes share the card: that of the larger run, and as many additional
    /// images as the remaining memory holds.
    pub fn max_batch_size(&self, lanes: usize) -> Option<usize> {
        let each = self.per_image()?;
        let left = (self.free_after_many as f64 * PLANNED / lanes.max(1) as f64) as u64;
        Some(self.many + usize::try_from(left / each).unwrap_or(usize::MAX - self.many))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn room_is_what_fits_into_the_planned_part_of_the_free_memory() {
        let row = |few, after_few, many, after_many, lanes| {
            MemoryMeasurement { free_after_few: after_few * MB, few, free_after_many: after_many * MB, many }
                .max_batch_size(lanes)
        };
        // 7 images took 350 MB, 50 each; 80 % of 14,000 MB hold 224 more.
        assert_eq!(row(1, 14_350, 8, 14_000, 1), Some(8 + 224));
        assert_eq!(row(1, 14_350, 8, 14_000, 2), Some(8 + 112));
        // A full card: what ran fits.
        assert_eq!(row(1, 350, 8, 0, 1), Some(8));
        // The runs tell nothing: the same memory, more of it, or the same size.
        assert_eq!(row(1, 1000, 8, 1000, 1), None);
        assert_eq!(row(1, 1000, 8, 1200, 1), None);
        assert_eq!(row(8, 1000, 8, 900, 1), None);
        assert_eq!(row(8, 1000, 1, 900, 1), None);
        assert_eq!(row(1, 14_350, 8, 14_000, 0), Some(8 + 224));
    }
}
