//! Traces of arrivals: within their limits, and read back as they are written.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use muster_actors::scaler::trace::{ArrivalTrace, ArrivalTraceError};

/// 31 days, and the most images of a trace.
const LIMITS: (u64, u64) = (31 * 24 * 3600, 1_000_000_000);

/// Bytes as a file of `second,images`.
pub fn trace(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<ArrivalTrace>() {
        Ok(trace) => {
            assert!(trace.last() <= LIMITS.0 && (1..=LIMITS.1).contains(&trace.images()));
            assert!(trace.at(trace.last()) > 0 && trace.at(trace.last() + 1) == 0);
            let mut written = "second,images\n".to_owned();
            let mut images = 0;
            let seconds = text.lines().filter_map(|line| line.split_once(',')?.0.trim().parse().ok());
            for second in seconds.collect::<BTreeSet<u64>>() {
                images += trace.at(second);
                // Writing to a String cannot fail.
                let _ = writeln!(written, "{second},{}", trace.at(second));
            }
            assert_eq!(images, trace.images());
            assert_eq!(written.parse(), Ok(trace));
        }
        Err(ArrivalTraceError::Line(line)) => assert!((1..=text.lines().count()).contains(&line)),
        Err(ArrivalTraceError::TooLarge | ArrivalTraceError::Empty) => {}
    }
}
