//! Traces of arriving images: built-in ones, and traces from a file. Pure functions.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The number of arriving images by second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrivalTrace(BTreeMap<u64, u64>);

/// Names of the built-in traces.
pub const NAMES: [&str; 6] = ["burst-1500", "burst-100k", "burst-1m", "steady-30", "diurnal", "trickle"];

const HOUR: u64 = 3600;
/// Longest trace in seconds: 31 days.
const LONGEST: u64 = 31 * 24 * HOUR;
/// Most images of a trace.
const MOST: u64 = 1_000_000_000;

/// Errors of parsing a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArrivalTraceError {
    /// A line is malformed.
    #[error("line {0}: wanted is second,images")]
    Line(usize),
    /// The trace is too long, or has too many images.
    #[error("a trace has at most {LONGEST} seconds and {MOST} images")]
    TooLarge,
    /// The trace has no images.
    #[error("no image arrives")]
    Empty,
}

impl ArrivalTrace {
    /// Returns a built-in trace by its name.
    pub fn named(name: &str) -> Option<Self> {
        let each = |seconds: u64, at: &dyn Fn(u64) -> f64| {
            let mut owed = 0.0;
            let arrivals = (0..seconds).filter_map(|second| {
                owed += at(second);
                let whole = owed.floor();
                owed -= whole;
                (whole > 0.0).then_some((second, whole as u64))
            });
            Self(arrivals.collect())
        };
        let burst = |images| Self(BTreeMap::from([(0, images)]));
        Some(match name {
            "burst-1500" => burst(1_500),
            "burst-100k" => burst(100_000),
            "burst-1m" => burst(1_000_000),
            // Two hours of 30 images a second.
            "steady-30" => each(2 * HOUR, &|_| 30.0),
            // A day between nothing at midnight and 60 images a second at noon.
            "diurnal" => each(24 * HOUR, &|second| {
                30.0 * (1.0 - (second as f64 / (24 * HOUR) as f64 * std::f64::consts::TAU).cos())
            }),
            // Six hours of an image every 97 seconds.
            "trickle" => Self((0..6 * HOUR).step_by(97).map(|second| (second, 1)).collect()),
            _ => return None,
        })
    }

    /// Returns the number of images that arrive in a second.
    pub fn at(&self, second: u64) -> u64 {
        self.0.get(&second).copied().unwrap_or(0)
    }

    /// Returns the second in which the last image arrives.
    pub fn last(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(second, _)| *second)
    }

    /// Returns the number of all images.
    pub fn images(&self) -> u64 {
        self.0.values().sum()
    }
}

impl FromStr for ArrivalTrace {
    type Err = ArrivalTraceError;

    /// Parses lines of `second,images`; a header and empty lines are skipped.
    fn from_str(text: &str) -> Result<Self, ArrivalTraceError> {
        let mut arrivals = BTreeMap::<u64, u64>::new();
        let mut images = 0u64;
        for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
            if line.is_empty() || (number == 1 && line.starts_with(char::is_alphabetic)) {
                continue;
            }
            let (second, count) = line.split_once(',').ok_or(ArrivalTraceError::Line(number))?;
            let parse = |text: &str| text.trim().parse::<u64>().map_err(|_| ArrivalTraceError::Line(number));
            let (second, count) = (parse(second)?, parse(count)?);
            images = images.saturating_add(count);
            if second > LONGEST || images > MOST {
                return Err(ArrivalTraceError::TooLarge);
            }
            *arrivals.entry(second).or_default() += count;
        }
        arrivals.retain(|_, count| *count > 0);
        if arrivals.is_empty() { Err(ArrivalTraceError::Empty) } else { Ok(Self(arrivals)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_trace_has_the_images_that_its_name_says() {
        let images = NAMES.map(|name| (name, ArrivalTrace::named(name).unwrap().images()));
        assert_eq!(
            images[..4],
            [("burst-1500", 1_500), ("burst-100k", 100_000), ("burst-1m", 1_000_000), ("steady-30", 216_000)]
        );
        assert_eq!(images[5], ("trickle", 223));
        // Half of 60 a second for a day; the last fraction of an image does not arrive.
        assert!((2_591_999..=2_592_000).contains(&images[4].1), "{images:?}");
        assert_eq!(ArrivalTrace::named("none"), None);
    }

    #[test]
    fn a_trace_is_read_from_lines_and_what_is_none_is_named() {
        let trace: ArrivalTrace = "second,images\n0,5\n\n 60 , 7\n0,1\n".parse().unwrap();
        assert_eq!((trace.at(0), trace.at(60), trace.at(1), trace.last(), trace.images()), (6, 7, 0, 60, 13));
        for (text, error) in [
            ("", ArrivalTraceError::Empty),
            ("0,0", ArrivalTraceError::Empty),
            ("0,1\nsecond,images", ArrivalTraceError::Line(2)),
            ("0,1\n5", ArrivalTraceError::Line(2)),
            ("-1,1", ArrivalTraceError::Line(1)),
            ("99999999999,1", ArrivalTraceError::TooLarge),
            ("0,999999999999", ArrivalTraceError::TooLarge),
        ] {
            assert_eq!(text.parse::<ArrivalTrace>(), Err(error), "{text}");
        }
    }
}
