//! The report of a run: its verdict, its timeline and the durations of drains.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::ChaosError;
use super::audit::Audit;
use super::chaos_run::RunOutcome;
use super::plot;

/// One event of the timeline.
#[derive(Clone, Debug, Serialize)]
pub struct TimelineEvent {
    /// Seconds since the first message.
    pub at: f64,
    /// Name of the worker, or `services`.
    pub who: String,
    /// Description of the event.
    pub what: String,
}

/// Messages and workers at one time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Seconds since the first message.
    pub at: f64,
    /// Messages that no worker holds.
    pub waiting: u64,
    /// Messages that a worker holds, or held when it died.
    pub held: u64,
    /// Workers that live.
    pub workers: usize,
}

/// Durations of drains.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Drains {
    /// Seconds from the notice to the end, for each drain that ended by itself. Workers poll for notices every five
    /// seconds.
    pub clean: Vec<f64>,
    /// Number of drains that another fault cut short.
    pub cut: usize,
    /// Number of drains that outlasted the grace period.
    pub overdue: usize,
}

impl Drains {
    /// Returns the duration in seconds that a share (0 to 1) of the drains stays within; 0 without any.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.clean.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).ceil() as usize).copied().unwrap_or(0.0)
    }

    /// Renders a histogram of drains by whole seconds.
    fn histogram(&self) -> String {
        let mut text = String::new();
        let most = self.clean.iter().fold(0.0_f64, |most, took| most.max(*took)) as usize;
        for second in 0..=most {
            let count = self.clean.iter().filter(|took| **took as usize == second).count();
            let _ = writeln!(text, "  {second:>3} s {count:>5} {}", "#".repeat(count.min(100)));
        }
        text
    }
}

/// The whole report, as it is written to `report.json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Seed of the schedule.
    pub seed: u64,
    /// Number of workers that detect.
    pub workers: usize,
    /// Seconds that a message is leased for.
    pub lease_seconds: u64,
    /// Number of faults that ended a worker.
    pub kills: usize,
    /// Seconds from the first message to the last.
    pub seconds: f64,
    /// The audit of databases and queues.
    pub audit: Audit,
    /// The audit of an undisturbed run, where one was made.
    pub undisturbed: Option<Audit>,
    /// Ends of workers that the error table does not explain.
    pub strange: Vec<String>,
    /// Durations of drains.
    pub drains: Drains,
    /// Events of the timeline, in their order.
    pub moments: Vec<TimelineEvent>,
    /// Samples of the queue and the workers, one each second.
    pub samples: Vec<Sample>,
}

impl Report {
    /// Builds the report of a run, with the audit of the same work without faults where that was made.
    pub fn new(
        seed: u64,
        workers: usize,
        lease_seconds: u64,
        outcome: RunOutcome,
        audit: Audit,
        calm: Option<Audit>,
    ) -> Self {
        let RunOutcome { moments, samples, drains, kills, strange, seconds } = outcome;
        let undisturbed = calm;
        Self { seed, workers, lease_seconds, kills, seconds, audit, undisturbed, strange, drains, moments, samples }
    }

    /// Lists everything that the run found wrong.
    pub fn faults(&self) -> Vec<String> {
        let Audit { lost, doubled, misjudged, fingerprint, .. } = &self.audit;
        let mut faults: Vec<String> = lost.iter().map(|one| format!("lost: {one}")).collect();
        faults.extend(doubled.iter().map(|one| format!("doubled: {one}")));
        faults.extend(misjudged.iter().map(|one| format!("misjudged: {one}")));
        faults.extend(self.strange.iter().map(|end| format!("a strange end: {end}")));
        if let Some(calm) = self.undisturbed.as_ref().filter(|calm| calm.fingerprint != *fingerprint) {
            faults.push(format!("the databases hold {fingerprint}, and {} undisturbed", calm.fingerprint));
        }
        if self.drains.overdue > 0 {
            faults.push(format!("{} drains outlasted the grace", self.drains.overdue));
        }
        faults
    }

    /// Renders the report as text.
    pub fn text(&self, timeline: bool) -> String {
        let mut text = String::new();
        if timeline {
            for TimelineEvent { at, who, what } in &self.moments {
                let _ = writeln!(text, "{at:9.1} s  {who:<9} {what}");
            }
        }
        let Audit { sent, stored, dead, repeated_letters, lost, doubled, misjudged, fingerprint } = &self.audit;
        let _ = writeln!(
            text,
            "seed {}: {} kills in {:.0} s, {} workers",
            self.seed, self.kills, self.seconds, self.workers
        );
        let _ =
            writeln!(text, "sent {sent}: stored {stored}, dead-lettered {dead} ({repeated_letters} letters repeated)");
        let _ = writeln!(text, "lost {}, doubled {}, misjudged {}", lost.len(), doubled.len(), misjudged.len());
        let same = match &self.undisturbed {
            Some(calm) if calm.fingerprint == *fingerprint => "as undisturbed",
            Some(_) => "NOT as undisturbed",
            None => "not compared",
        };
        let _ = writeln!(text, "databases {}: {same}", &fingerprint[..fingerprint.len().min(16)]);
        let drains = &self.drains;
        if !drains.clean.is_empty() {
            let [middle, late, last] = [0.5, 0.99, 1.0].map(|share| drains.quantile(share));
            let count = drains.clean.len();
            let _ = writeln!(
                text,
                "drains {count}, cut by another blow {}: median {middle:.1} s, p99 {late:.1} s, most {last:.1} s",
                drains.cut
            );
            text.push_str(&drains.histogram());
        }
        let faults = self.faults();
        for fault in faults.iter().take(20) {
            let _ = writeln!(text, "{fault}");
        }
        let verdict = if faults.is_empty() {
            "nothing lost, nothing doubled".to_owned()
        } else {
            format!("{} FAULTS", faults.len())
        };
        let _ = writeln!(text, "verdict: {verdict}");
        text
    }

    /// Writes `report.json`, `timeline.txt` and `report.html` into a folder.
    ///
    /// # Errors
    /// [`ChaosError::Io`] when the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), ChaosError> {
        let failed = || ChaosError::io(folder.display().to_string());
        std::fs::create_dir_all(folder).map_err(failed())?;
        let json = serde_json::to_string_pretty(self).map_err(|error| failed()(error.into()))?;
        std::fs::write(folder.join("report.json"), json).map_err(failed())?;
        std::fs::write(folder.join("timeline.txt"), self.text(true)).map_err(failed())?;
        std::fs::write(folder.join("report.html"), plot::page(self)).map_err(failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_value_that_so_many_stay_within() {
        let drains = Drains { clean: (1..=100).map(f64::from).rev().collect(), ..Drains::default() };
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| drains.quantile(share)), [1.0, 51.0, 100.0, 100.0]);
        assert_eq!(Drains::default().quantile(0.5), 0.0);
    }
}
