//! When images arrive: built-in shapes, and traces from a file. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;

/// Images by the second in which they arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(BTreeMap<u64, u64>);

/// Traces that have a name.
pub const NAMES: [&str; 6] = ["burst-1500", "burst-100k", "burst-1m", "steady-30", "diurnal", "trickle"];

const HOUR: u64 = 3600;
/// No trace is longer: 31 days.
const LONGEST: u64 = 31 * 24 * HOUR;
/// No trace has more images.
const MOST: u64 = 1_000_000_000;

/// Why a text is no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A line that is none.
    #[error("line {0}: wanted is second,images")]
    Line(usize),
    /// Too long or too many.
    #[error("a trace has at most {LONGEST} seconds and {MOST} images")]
    TooLarge,
    /// Nothing arrives.
    #[error("no image arrives")]
    Empty,
}

impl Trace {
    /// A built-in trace.
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

    /// Images that arrive in a second.
    pub fn at(&self, second: u64) -> u64 {
        self.0.get(&second).copied().unwrap_or(0)
    }

    /// The second in which the last arrives.
    pub fn last(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(second, _)| *second)
    }

    /// All images.
    pub fn images(&self) -> u64 {
        self.0.values().sum()
    }
}

impl FromStr for Trace {
    type Err = TraceError;

    /// Lines of `second,images`; a first line of words and empty lines are passed over.
    fn from_str(text: &str) -> Result<Self, TraceError> {
        let mut arrivals = BTreeMap::<u64, u64>::new();
        let mut images = 0u64;
        for (number, line) in text.lines().enumerate().map(|(number, line)| (number + 1, line.trim())) {
            if line.is_empty() || (number == 1 && line.starts_with(char::is_alphabetic)) {
                continue;
            }
            let (second, count) = line.split_once(',').ok_or(TraceError::Line(number))?;
            let parse = |text: &str| text.trim().parse::<u64>().map_err(|_| TraceError::Line(number));
            let (second, count) = (parse(second)?, parse(count)?);
            images = images.saturating_add(count);
            if second > LONGEST || images > MOST {
                return Err(TraceError::TooLarge);
            }
            *arrivals.entry(second).or_default() += count;
        }
        arrivals.retain(|_, count| *count > 0);
        if arrivals.is_empty() { Err(TraceError::Empty) } else { Ok(Self(arrivals)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_trace_has_the_images_that_its_name_says() {
        let images = NAMES.map(|name| (name, Trace::named(name).unwrap().images()));
        assert_eq!(
            images[..4],
            [("burst-1500", 1_500), ("burst-100k", 100_000), ("burst-1m", 1_000_000), ("steady-30", 216_000)]
        );
        assert_eq!(images[5], ("trickle", 223));
        // Half of 60 a second for a day; the last fraction of an image does not arrive.
        assert!((2_591_999..=2_592_000).contains(&images[4].1), "{images:?}");
        assert_eq!(Trace::named("none"), None);
    }

    #[test]
    fn a_trace_is_read_from_lines_and_what_is_none_is_named() {
        let trace: Trace = "second,images\n0,5\n\n 60 , 7\n0,1\n".parse().unwrap();
        assert_eq!((trace.at(0), trace.at(60), trace.at(1), trace.last(), trace.images()), (6, 7, 0, 60, 13));
        for (text, error) in [
            ("", TraceError::Empty),
            ("0,0", TraceError::Empty),
            ("0,1\nsecond,images", TraceError::Line(2)),
            ("0,1\n5", TraceError::Line(2)),
            ("-1,1", TraceError::Line(1)),
            ("99999999999,1", TraceError::TooLarge),
            ("0,999999999999", TraceError::TooLarge),
        ] {
            assert_eq!(text.parse::<Trace>(), Err(error), "{text}");
        }
    }
}
