//! What the name of a photo's file says: when it was taken, and its number in a series.

use std::ops::Range;

use crate::domain::capture::{ClockTime, SeriesPlace, Taken};
use crate::domain::image::digest;

/// Years in which a name's digits are believed to be a date.
const YEARS: std::ops::RangeInclusive<u32> = 1990..=2099;
/// A date and the time behind it are at most so many bytes apart: `" at "`.
const GAP: usize = 4;
/// A longer run of digits is an id, not a number.
const NUMBER_DIGITS: usize = 9;

/// The last part of a key.
fn name_of(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

/// The runs of ASCII digits of a text.
fn digit_runs(text: &str) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// A name and its runs of digits, from one of them on.
#[derive(Clone, Copy)]
struct Digits<'a> {
    name: &'a str,
    runs: &'a [Range<usize>],
}

impl<'a> Digits<'a> {
    /// Number of digits of the run at a place.
    fn width(&self, run: usize) -> usize {
        self.runs.get(run).map_or(0, Range::len)
    }

    /// The number that some digits of a run say.
    fn number(&self, run: usize, digits: Range<usize>) -> Option<u32> {
        self.name.get(self.runs.get(run)?.clone())?.get(digits)?.parse().ok()
    }

    /// What stands before the run at a place, up to the run before it.
    fn before(&self, run: usize) -> &'a str {
        let place = run.checked_sub(1).and_then(|last| Some(self.runs.get(last)?.end..self.runs.get(run)?.start));
        place.and_then(|place| self.name.get(place)).unwrap_or_default()
    }

    /// Whether three runs have these widths and one byte between each.
    fn is_triple(&self, from: usize, widths: &[std::ops::RangeInclusive<usize>; 3]) -> bool {
        let separated = |run: usize| self.before(run).len() == 1;
        widths.iter().enumerate().all(|(n, width)| width.contains(&self.width(from + n)))
            && separated(from + 1)
            && separated(from + 2)
    }

    /// The date at the beginning, and the place behind it: a run, and how many of its digits are
    /// used.
    fn date(&self) -> Option<([u32; 3], usize, usize)> {
        let (date, run, used) = match self.width(0) {
            8 => ([self.number(0, 0..4)?, self.number(0, 4..6)?, self.number(0, 6..8)?], 1, 0),
            14 | 17 => ([self.number(0, 0..4)?, self.number(0, 4..6)?, self.number(0, 6..8)?], 0, 8),
            4 if self.is_triple(0, &[4..=4, 2..=2, 2..=2]) => {
                ([self.number(0, 0..4)?, self.number(1, 0..2)?, self.number(2, 0..2)?], 3, 0)
            }
            _ => return None,
        };
        YEARS.contains(&date[0]).then_some((date, run, used))
    }

    /// The time of day at a place, in hours, minutes, seconds and milliseconds.
    fn time(&self, run: usize, used: usize) -> Option<[u32; 4]> {
        if used == 0 && !(1..=GAP).contains(&self.before(run).len()) {
            return None;
        }
        let width = self.width(run).checked_sub(used)?;
        let part = |from: usize| self.number(run, used + from..used + from + 2);
        match width {
            6 => Some([part(0)?, part(2)?, part(4)?, 0]),
            9 => Some([part(0)?, part(2)?, part(4)?, self.number(run, used + 6..used + 9)?]),
            1 | 2 if self.is_triple(run, &[1..=2, 2..=2, 2..=2]) => {
                let hour = self.number(run, 0..width)?;
                let hour = match self.is_afternoon(run + 2) {
                    Some(afternoon) if (1..=12).contains(&hour) => hour % 12 + if afternoon { 12 } else { 0 },
                    None if width == 2 => hour,
                    Some(_) | None => return None,
                };
                Some([hour, self.number(run + 1, 0..2)?, self.number(run + 2, 0..2)?, 0])
            }
            _ => None,
        }
    }

    /// Whether a run is followed by `PM` or `AM`; `None` for a clock of 24 hours.
    fn is_afternoon(&self, run: usize) -> Option<bool> {
        let rest = self.runs.get(run).and_then(|run| self.name.get(run.end..))?.trim_start();
        let half = rest.get(..2)?;
        let ends = rest.chars().nth(2).is_none_or(|next| !next.is_alphanumeric());
        match half {
            _ if !ends => None,
            _ if half.eq_ignore_ascii_case("pm") => Some(true),
            _ if half.eq_ignore_ascii_case("am") => Some(false),
            _ => None,
        }
    }

    fn taken(&self) -> Option<Taken> {
        let (date, run, used) = self.date()?;
        let ([year, month, day], [hour, minute, second, millisecond]) = (date, self.time(run, used)?);
        // Pixel phones name their photos by the time in UTC, everybody else by the clock of the
        // place.
        let is_utc = self.name.starts_with("PXL_");
        Taken::new(ClockTime { year, month, day, hour, minute, second, millisecond }, is_utc.then_some(0))
    }
}

impl Taken {
    /// Reads the time in a file's name, as phones and messengers write it:
    /// `IMG_20200706_101010.jpg`, `2020-07-06 10.10.10.jpg`. A date alone is none.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name_of(name);
        let runs = digit_runs(name);
        (0..runs.len()).find_map(|first| Digits { name, runs: runs.get(first..)? }.taken())
    }
}

impl SeriesPlace {
    /// Takes the last digits of a file's name as its number in a series of the same folder. `None`
    /// where there are none, or more than nine, which are an id.
    pub fn from_key(bucket: &str, key: &str) -> Option<Self> {
        let name = name_of(key);
        let folder = key.strip_suffix(name).unwrap_or_default();
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let run = digit_runs(stem).pop().filter(|run| run.len() <= NUMBER_DIGITS)?;
        let (before, after) = (stem.get(..run.start)?, stem.get(run.end..)?);
        let ending = ending.to_lowercase();
        let parts = [bucket, folder, before, after, &ending].map(str::as_bytes);
        let series = digest("series", &parts).first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
        Some(Self { series, number: stem.get(run)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_says_when_where_it_has_a_date_and_a_time() {
        for (name, expected) in [
            ("IMG_20200706_101010.jpg", "2020-07-06T10:10:10"),
            ("IMG_20200706_101010123.jpg", "2020-07-06T10:10:10.123"),
            ("PXL_20200706_101112345.jpg", "2020-07-06T10:11:12.345+00:00"),
            ("PXL_20200706_101112345.PORTRAIT.jpg", "2020-07-06T10:11:12.345+00:00"),
            ("VID_20200706_101010.jpg", "2020-07-06T10:10:10"),
            ("MVIMG_20200706_101010.jpg", "2020-07-06T10:10:10"),
            ("20200706_101010.jpg", "2020-07-06T10:10:10"),
            ("20200706_101010(1).jpg", "2020-07-06T10:10:10"),
            ("trip/2020/20200706_101010-EFFECTS.jpg", "2020-07-06T10:10:10"),
            ("2020-07-06 10.10.10.jpg", "2020-07-06T10:10:10"),
            ("2020-07-06 10.10.10-2.jpg", "2020-07-06T10:10:10"),
            ("Screenshot_20200706-101010.png", "2020-07-06T10:10:10"),
            ("Screenshot_20200706-101010_Maps.png", "2020-07-06T10:10:10"),
            ("Screenshot_2020-07-06-10-10-10.png", "2020-07-06T10:10:10"),
            ("Screen Shot 2020-07-06 at 1.05.09 PM.png", "2020-07-06T13:05:09"),
            ("Screenshot 2020-07-06 at 12.05.09\u{202f}AM.png", "2020-07-06T00:05:09"),
            ("signal-2020-07-06-101010.jpg", "2020-07-06T10:10:10"),
            ("signal-2020-07-06-10-10-10-123.jpg", "2020-07-06T10:10:10"),
            ("Photo 2020-07-06, 10 10 10.jpg", "2020-07-06T10:10:10"),
            ("WhatsApp Image 2020-07-06 at 10.10.10.jpeg", "2020-07-06T10:10:10"),
            ("photo_2020-07-06_10-10-10.jpg", "2020-07-06T10:10:10"),
            ("20200706101010.jpg", "2020-07-06T10:10:10"),
            ("20200706101010123.jpg", "2020-07-06T10:10:10.123"),
            ("12_IMG_20200706_101010.jpg", "2020-07-06T10:10:10"),
        ] {
            assert_eq!(Taken::from_name(name).map(|taken| taken.to_string()).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_date_alone_and_other_numbers_say_nothing() {
        for name in [
            "",
            "IMG_0001.jpg",
            "DSC01234.jpg",
            "IMG-20200706-WA0001.jpg",
            "20200706.jpg",
            "2020-07-06.jpg",
            "2020-07-06 (12).jpg",
            "20200706_000000.jpg",
            "20201306_101010.jpg",
            "20200732_101010.jpg",
            "20200706_241010.jpg",
            "20200706_106010.jpg",
            "18200706_101010.jpg",
            "120200706_101010.jpg",
            "20200706_1010101.jpg",
            "20200706_10101.jpg",
            "20200706 and then 101010.jpg",
            "2020-07-06 1.05.09.png",
            "2020-07-06 13.05.09 PM.png",
            "2020-07-06 0.05.09 AM.png",
            "10202007061010101.jpg",
            "20200706_101010/IMG_1.jpg",
            "２０２００７０６_101010.jpg",
        ] {
            assert_eq!(Taken::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_series_is_a_folder_and_a_name_without_its_last_number() {
        let place = |key: &str| SeriesPlace::from_key("photos", key);
        let number = |key: &str| place(key).map(|place| place.number);
        let series = |key: &str| place(key).map(|place| place.series);
        for (key, expected) in [
            ("a/picnic-07.jpg", Some(7)),
            ("IMG_0123.JPG", Some(123)),
            ("picnic (3).jpg", Some(3)),
            ("2020/IMG_20200706_101010.jpg", Some(101_010)),
            ("999999999.jpg", Some(999_999_999)),
            ("1000000000.jpg", None),
            ("5/picnic.jpg", None),
            ("picnic.mp4", None),
            ("", None),
        ] {
            assert_eq!(number(key), expected, "{key}");
        }
        for same in ["a/picnic-7.jpg", "a/picnic-0008.JPG"] {
            assert_eq!(series("a/picnic-07.jpg"), series(same), "{same}");
        }
        for other in [
            "b/picnic-07.jpg",
            "a/picnic_07.jpg",
            "a/picnic-07.png",
            "a/picnic-07b.jpg",
            "picnic-07.jpg",
            "a/p1-07.jpg",
        ] {
            assert_ne!(series("a/picnic-07.jpg"), series(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_name_is_too_strange(name in ".{0,40}", digits in "[0-9 ._-]{0,40}[ap]?m?") {
            for name in [name, digits] {
                let _ = (Taken::from_name(&name), SeriesPlace::from_key("", &name));
            }
        }
    }
}
