//! Exports metrics once a minute, and once more when a drain ends.

use parking_lot::Mutex;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::emf::EmfWriter;
use super::meters::OtlpMeters;
use super::metrics::MetricSource;

/// Interval of exports.
pub const PERIOD: Duration = Duration::from_secs(60);

/// The exporters of the samples of one source.
pub(crate) struct MetricExporters {
    source: MetricSource,
    emf: Option<Mutex<EmfWriter>>,
    meters: Option<Mutex<OtlpMeters>>,
}

impl MetricExporters {
    /// Creates exporters for the formats that are given.
    pub fn new(source: MetricSource, emf: Option<EmfWriter>, meters: Option<OtlpMeters>) -> Self {
        Self { source, emf: emf.map(Mutex::new), meters: meters.map(Mutex::new) }
    }

    /// Sends the current samples, waits until they are sent, and tells whether they were.
    pub fn send(&self) -> bool {
        let mut all = true;
        let samples = self.source.samples();
        if let Some(emf) = &self.emf {
            let mut emf = emf.lock();
            let text: String =
                emf.tell(samples.clone(), SystemTime::now()).iter().flat_map(|line| [line, "\n"]).collect();
            // If standard output is closed, the metrics are lost and the work goes on.
            all &= std::io::stdout().lock().write_all(text.as_bytes()).is_ok();
        }
        if let Some(meters) = &self.meters {
            let sent = meters.lock().send(samples);
            if let Err(error) = sent {
                tracing::debug!(%error, "telemetry.lose");
                all = false;
            }
        }
        all
    }

    /// Sends once a minute until the future is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut clock = tokio::time::interval(PERIOD);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick comes at once and is skipped.
        clock.tick().await;
        loop {
            clock.tick().await;
            let exporters = Arc::clone(&self);
            // A send that panics loses one round, and the clock goes on.
            let _ = tokio::task::spawn_blocking(move || exporters.send()).await;
        }
    }
}
