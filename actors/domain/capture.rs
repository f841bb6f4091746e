//! How a photo came about: when it was taken, and what its picture looks like as a whole.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// No place on earth is further from UTC than this, in minutes.
const MOST_OFFSET: i16 = 14 * 60;

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

impl Capture {
    /// Completes what is stored of a photo with what its place says. A time inside the file wins over
    /// one in its name.
    pub fn new(taken: Option<Taken>, picture: Option<PictureHash>, bucket: &str, key: &str) -> Self {
        Self { taken: taken.or_else(|| Taken::from_name(key)), picture, series: SeriesPlace::from_key(bucket, key) }
    }
}

/// When a photo was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taken {
    /// Milliseconds since the start of 1970 on the clock of the place.
    pub local_ms: i64,
    /// How far that clock is ahead of UTC, in minutes, where it is known.
    pub offset_minutes: Option<i16>,
}

/// A date and a time of day as a camera writes them, not yet checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockTime {
    /// Year, of four digits.
    pub year: u32,
    /// Month, from 1.
    pub month: u32,
    /// Day of the month, from 1.
    pub day: u32,
    /// Hour, 0 to 23.
    pub hour: u32,
    /// Minute, 0 to 59.
    pub minute: u32,
    /// Second, 0 to 59.
    pub second: u32,
    /// Milliseconds, 0 to 999.
    pub millisecond: u32,
}

impl Taken {
    /// Checks a date and a time of day; an offset in minutes that is beyond 14 hours is left out.
    ///
    /// `None` for what is no date or no time, for a year before 1970, and for midnight to the
    /// millisecond, which programs write where they know the date alone.
    pub fn new(clock: ClockTime, offset_minutes: Option<i16>) -> Option<Self> {
        let ClockTime { year, month, day, hour, minute, second, millisecond } = clock;
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days_of_month = match month {
            2 => 28 + u32::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let is_date = (1970..=9999).contains(&year) && (1..=days_of_month).contains(&day);
        let is_time = hour < 24 && minute < 60 && second < 60 && millisecond < 1000;
        let of_day =
            i64::from(((hour.min(23) * 60 + minute.min(59)) * 60 + second.min(59)) * 1000 + millisecond.min(999));
        if !is_date || !is_time || of_day == 0 {
            return None;
        }
        let local_ms = days_since_1970(year, month, day) * DAY_MS + of_day;
        Some(Self { local_ms, offset_minutes: offset_minutes.filter(|minutes| minutes.abs() <= MOST_OFFSET) })
    }

    /// Milliseconds between two photos. Where either zone is unknown both are taken for the same.
    pub fn distance_ms(&self, other: &Self) -> u64 {
        let utc = |taken: &Self| Some(taken.local_ms.saturating_sub(i64::from(taken.offset_minutes?) * 60_000));
        match (utc(self), utc(other)) {
            (Some(a), Some(b)) => a.abs_diff(b),
            _ => self.local_ms.abs_diff(other.local_ms),
        }
    }
}

/// Days from the start of 1970 to a date of the Gregorian calendar, whose year begins in March
/// here, so that a leap day is the last of a year.
/// <https://howardhinnant.github.io/date_algorithms.html>
fn days_since_1970(year: u32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// Year, month and day of a number of days since the start of 1970.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes ISO 8601: `2020-07-06T10:10:10.123+02:00`, without the offset where it is not known.
impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_of(self.local_ms.div_euclid(DAY_MS));
        let of_day = self.local_ms.rem_euclid(DAY_MS);
        let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if of_day % 1000 != 0 {
            write!(f, ".{:03}", of_day % 1000)?;
        }
        if let Some(offset) = self.offset_minutes {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
            write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)?;
        }
        Ok(())
    }
}

/// Bits in which the hashes of one picture differ at most (docs/captures.md has what was measured)...
const MOST_BITS: u32 = 2;
/// ...and how far its times are apart at most, in milliseconds: some programs drop the parts of a second.
const MOST_APART_MS: u64 = 1_000;

/// Whether two photos are one picture, in another size or encoding: their hashes are near, and their times agree where
/// both are known.
pub fn is_one_picture(a: (PictureHash, Option<Taken>), b: (PictureHash, Option<Taken>)) -> bool {
    a.0.distance(b.0) <= MOST_BITS && a.1.zip(b.1).is_none_or(|(a, b)| a.distance_ms(&b) <= MOST_APART_MS)
}

/// 64 bits that are nearly the same for pictures that look the same: another size, another
/// encoding. Shown, and written in JSON, as 16 hexadecimal digits: not every reader of JSON has
/// whole numbers of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PictureHash(pub u64);

impl fmt::Display for PictureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text of a picture hash is something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a picture hash is 16 hexadecimal digits")]
pub struct PictureHashError;

impl FromStr for PictureHash {
    type Err = PictureHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A sign is not a hexadecimal digit, whatever Rust's parser says.
        if text.len() != 16 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(PictureHashError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| PictureHashError)
    }
}

impl Serialize for PictureHash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PictureHash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

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

    fn clock(date: [u32; 3], time: [u32; 4]) -> ClockTime {
        let ([year, month, day], [hour, minute, second, millisecond]) = (date, time);
        ClockTime { year, month, day, hour, minute, second, millisecond }
    }

    #[test]
    fn a_time_is_written_as_it_was_read() {
        for (date, time, offset, text) in [
            ([2020, 7, 6], [10, 10, 10, 123], Some(120), "2020-07-06T10:10:10.123+02:00"),
            ([2020, 2, 29], [23, 59, 59, 0], None, "2020-02-29T23:59:59"),
            ([2000, 2, 29], [0, 0, 0, 1], Some(-570), "2000-02-29T00:00:00.001-09:30"),
            ([1970, 1, 1], [0, 0, 1, 0], Some(0), "1970-01-01T00:00:01+00:00"),
            ([1999, 12, 31], [1, 2, 3, 40], Some(-30), "1999-12-31T01:02:03.040-00:30"),
            ([9999, 12, 31], [23, 59, 59, 999], Some(15 * 60), "9999-12-31T23:59:59.999"),
        ] {
            assert_eq!(Taken::new(clock(date, time), offset).unwrap().to_string(), text);
        }
        let known = Taken::new(clock([2020, 7, 6], [10, 10, 10, 0]), None).unwrap();
        assert_eq!(known.local_ms, 1_594_030_210_000);
        let (mut days, mut date) = (0, (1970, 1, 1));
        while date.0 < 2405 {
            assert_eq!(date_of(days), date);
            assert_eq!(days_since_1970(date.0 as u32, date.1 as u32, date.2 as u32), days);
            days += 1;
            let next = [(date.0, date.1, date.2 + 1), (date.0, date.1 + 1, 1), (date.0 + 1, 1, 1)];
            let is_date = |&(year, month, day): &(i64, i64, i64)| {
                Taken::new(clock([year as u32, month as u32, day as u32], [1, 0, 0, 0]), None).is_some()
            };
            date = next.into_iter().find(is_date).unwrap();
        }
        for local_ms in [i64::MIN, -1, i64::MAX] {
            assert!(!Taken { local_ms, offset_minutes: Some(i16::MIN) }.to_string().is_empty());
        }
    }

    #[test]
    fn nonsense_is_no_time() {
        for (date, time) in [
            ([0, 0, 0], [0, 0, 0, 0]),
            ([1969, 12, 31], [10, 0, 0, 0]),
            ([2020, 13, 1], [10, 0, 0, 0]),
            ([2020, 0, 1], [10, 0, 0, 0]),
            ([2020, 4, 31], [10, 0, 0, 0]),
            ([2021, 2, 29], [10, 0, 0, 0]),
            ([2100, 2, 29], [10, 0, 0, 0]),
            ([10_000, 1, 1], [10, 0, 0, 0]),
            ([2020, 1, 1], [24, 0, 0, 0]),
            ([2020, 1, 1], [10, 60, 0, 0]),
            ([2020, 1, 1], [10, 0, 60, 0]),
            ([2020, 1, 1], [10, 0, 0, 1000]),
            ([2020, 1, 1], [0, 0, 0, 0]),
            ([u32::MAX; 3], [u32::MAX; 4]),
        ] {
            assert_eq!(Taken::new(clock(date, time), None), None, "{date:?} {time:?}");
        }
    }

    #[test]
    fn a_hash_is_16_digits_in_json() {
        let hash = PictureHash(u64::MAX - 1);
        assert_eq!(serde_json::to_string(&hash).unwrap(), "\"fffffffffffffffe\"");
        assert_eq!(serde_json::from_str::<PictureHash>("\"fffffffffffffffe\"").unwrap(), hash);
        for text in ["", "1", "+ffffffffffffffe", "fffffffffffffffff", "gggggggggggggggg"] {
            assert_eq!(text.parse::<PictureHash>(), Err(PictureHashError), "{text}");
        }
    }
}
