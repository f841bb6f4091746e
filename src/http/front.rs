//! Recognition behind the web front, wherever it happens.

use std::sync::Arc;

use super::served::Served;
use muster_telemetry::Extra;
use muster_worker::recognition::Recognizer;

/// What is taken of photos.
#[derive(Clone, Copy, Debug)]
pub struct PhotoLimits {
    /// Bytes of one.
    pub bytes: usize,
    /// Photos of one enrolment.
    pub photos: usize,
}

/// What every service has.
pub struct Front {
    /// Knows whose faces are in a photo.
    pub recognizer: Arc<dyn Recognizer>,
    /// What is taken.
    pub limits: PhotoLimits,
    /// What is measured beside the pipeline.
    pub extra: Box<dyn Fn() -> Extra + Send + Sync>,
    /// What was served.
    pub served: Arc<Served>,
}

impl Front {
    /// What is measured beside the pipeline, with what was served.
    pub fn told(&self) -> Extra {
        Extra { answers: self.served.answers(), callers: Some(self.served.waiting()), ..(self.extra)() }
    }
}
