//! The state that all routes share: the recogniser, limits of uploads, and metrics.

use std::sync::Arc;

use super::http_metrics::HttpMetrics;
use muster_telemetry::ProcessMetrics;
use muster_worker::recognition::Recognizer;

/// The largest upload that the service accepts.
#[derive(Clone, Copy, Debug)]
pub struct PhotoLimits {
    /// Bytes of one photo.
    pub bytes: usize,
    /// Number of photos in one enrolment.
    pub photos: usize,
}

/// State that every web service has, over a library as well as over a fleet.
pub struct AppState {
    /// Finds the faces in a photo and says whose they are.
    pub recognizer: Arc<dyn Recognizer>,
    /// Limits of uploads.
    pub limits: PhotoLimits,
    /// Reads the metrics of the process that the pipeline does not count.
    pub process: Box<dyn Fn() -> ProcessMetrics + Send + Sync>,
    /// Counts requests and answers.
    pub metrics: Arc<HttpMetrics>,
}

impl AppState {
    /// Reads the metrics of the process, with those of the web front.
    pub fn process_metrics(&self) -> ProcessMetrics {
        ProcessMetrics { answers: self.metrics.answers(), callers: Some(self.metrics.waiting()), ..(self.process)() }
    }
}
