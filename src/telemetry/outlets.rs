//! What goes out by the clock: once a minute, and once more when a drain ends.

use parking_lot::Mutex;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::emf::Emf;
use super::meters::Meters;
use super::metrics::Source;

/// Between two rounds.
pub const PERIOD: Duration = Duration::from_secs(60);

/// The ways out of the samples of one source.
pub(crate) struct Outlets {
    source: Source,
    emf: Option<Mutex<Emf>>,
    meters: Option<Mutex<Meters>>,
}

impl Outlets {
    /// The ways that are given.
    pub fn new(source: Source, emf: Option<Emf>, meters: Option<Meters>) -> Self {
        Self { source, emf: emf.map(Mutex::new), meters: meters.map(Mutex::new) }
    }

    /// Sends what there is to say now, and waits until it is sent. Says whether it was.
    pub fn send(&self) -> bool {
        let mut all = true;
        let samples = self.source.samples();
        if let Some(emf) = &self.emf {
            let mut emf = emf.lock();
            let text: String =
                emf.tell(samples.clone(), SystemTime::now()).iter().flat_map(|line| [line, "\n"]).collect();
            // A closed standard output takes no metrics; the work goes on.
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

    /// Sends by the clock, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut clock = tokio::time::interval(PERIOD);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once.
        clock.tick().await;
        loop {
            clock.tick().await;
            let outlets = Arc::clone(&self);
            // A send that panics loses one round, not the clock.
            let _ = tokio::task::spawn_blocking(move || outlets.send()).await;
        }
    }
}
