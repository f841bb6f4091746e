//! How long an image took, stage by stage.

use std::time::Duration;

/// How long an image took. A stage that it did not go through has no time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// In its queue, from when its message was sent: also while others had it before.
    pub waited: Option<Duration>,
    /// Judging its thumbnail, the read included.
    pub judge: Option<Duration>,
    /// Downloading, with retries.
    pub download: Option<Duration>,
    /// Decoding.
    pub decode: Option<Duration>,
    /// The batch that it was analysed in.
    pub analyse: Option<Duration>,
    /// From its receipt until its result was handed to the Writer: waiting included.
    pub total: Duration,
}
