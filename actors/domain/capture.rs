//! How a photo came about: when it was taken, and what its picture looks like as a whole.

use serde::{Deserialize, Serialize};

/// What is known of a photo beside its faces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Capture {
    /// When it was taken, where it says so.
    pub taken: Option<Taken>,
    /// What the whole picture looks like.
    pub picture: Option<PictureHash>,
    /// Its place in a numbered series, from its name.
    pub series: Option<SeriesPlace>,
}

/// When a photo was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taken {
    /// Milliseconds since the start of 1970 on the clock of the place.
    pub local_ms: i64,
    /// How far that clock is ahead of UTC, in minutes, where it is known.
    pub offset_minutes: Option<i16>,
}

impl Taken {
    /// Milliseconds between two photos. Where either zone is unknown both are taken for the same.
    pub fn distance_ms(&self, other: &Self) -> u64 {
        let utc = |taken: &Self| Some(taken.local_ms.saturating_sub(i64::from(taken.offset_minutes?) * 60_000));
        match (utc(self), utc(other)) {
            (Some(a), Some(b)) => a.abs_diff(b),
            _ => self.local_ms.abs_diff(other.local_ms),
        }
    }
}

/// 64 bits that are nearly the same for pictures that look the same: another size, another encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PictureHash(pub u64);

impl PictureHash {
    /// Number of bits in which two hashes differ, 0 to 64.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

/// A photo's place in a series: `picnic-07.jpg` is number 7 of the series `picnic-`, among those of its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeriesPlace {
    /// A digest of folder, name without the number, and ending.
    pub series: u64,
    /// The number.
    pub number: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_count_where_both_are_known() {
        let taken = |local_ms, offset_minutes| Taken { local_ms, offset_minutes };
        let hour = 3_600_000;
        let table = [
            (taken(hour, None), taken(3 * hour, None), 2 * hour as u64),
            (taken(hour, Some(60)), taken(3 * hour, Some(180)), 0),
            (taken(hour, Some(60)), taken(3 * hour, None), 2 * hour as u64),
            (taken(i64::MAX, Some(0)), taken(i64::MIN, Some(0)), u64::MAX),
        ];
        for (a, b, distance) in table {
            assert_eq!((a.distance_ms(&b), b.distance_ms(&a)), (distance, distance), "{a:?} {b:?}");
        }
    }
}
