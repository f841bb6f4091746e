//! Runs steady work for a long time, and tells whether a worker's memory, open files, threads or backlog grow.
//!
//! The same images are sent again and again, so that the stored data does not grow. A worker that grows nevertheless
//! has a leak.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::sleep;

use super::ChaosError;
use super::plot;
use super::site::Site;
use super::workers::{WorkerKind, WorkerSlot};
use super::workload::Workload;

const SAMPLE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(200);
const GRACE: Duration = Duration::from_secs(30);
/// Share of the time in which caches, pools and the allocator's arenas fill.
const WARM_UP: f64 = 0.3;
/// Growth after the warm-up that counts as a leak.
pub(crate) const MOST_GROWTH: f64 = 0.02;

/// The resources that a worker holds at one time.
#[derive(Clone, Debug, Serialize)]
pub struct ResourceSample {
    /// Seconds since the start.
    pub at: f64,
    /// Name of the worker.
    pub who: String,
    /// Resident memory in KiB.
    pub resident: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Number of threads.
    pub threads: u64,
    /// Messages that wait in its queue.
    pub lag: u64,
}

/// A measure that can grow, with its name.
pub(crate) type Measure = (&'static str, fn(&ResourceSample) -> u64);
const RESIDENT: &str = "resident KiB";
/// Share of its first mean by which memory may not grow, whether steadily or at once.
const LEAP: f64 = 0.2;
/// All measures of a worker that a soak compares.
pub(crate) const MEASURES: [Measure; 4] = [
    (RESIDENT, |vital| vital.resident),
    ("open files", |vital| vital.files),
    ("threads", |vital| vital.threads),
    ("messages that wait", |vital| vital.lag),
];

/// Growth of one measure of a worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Name of the worker.
    pub who: String,
    /// Name of the measure.
    pub what: &'static str,
    /// Means of the four quarters after the warm-up.
    pub means: [f64; 4],
}

impl Growth {
    /// Returns the steady growth as a share of the first mean. A leak grows from each quarter to the next; a thread or
    /// a connection that was opened once and is kept grows once. A difference of one file, thread or message is no
    /// growth.
    pub fn part(&self) -> f64 {
        let steps = self.means.windows(2).map(|pair| pair[1] - pair[0]);
        let steady = 3.0 * steps.fold(f64::INFINITY, f64::min);
        let (first, all) = (self.means[0].max(1.0), self.means[3] - self.means[0]);
        // No single allocation of a worker takes that much memory.
        let grew = if self.what == RESIDENT && all > LEAP * first { all } else { steady };
        if grew < 1.0 { 0.0 } else { grew / first }
    }
}

/// The result of a soak, as it is written to `soak.json`.
#[derive(Debug, Serialize)]
pub struct SoakReport {
    /// Length in seconds.
    pub seconds: f64,
    /// Number of messages that were sent.
    pub sent: usize,
    /// All samples, in the order of time.
    pub vitals: Vec<ResourceSample>,
    /// Growth of each worker's measures.
    pub growth: Vec<Growth>,
    /// Workers that ended before the end.
    pub ended: Vec<String>,
}

/// Computes how a worker's measures changed from quarter to quarter after the warm-up.
fn growth(vitals: &[ResourceSample], who: &str, seconds: f64) -> Vec<Growth> {
    let start = seconds * WARM_UP;
    let quarter = (seconds - start) / 4.0;
    let own: Vec<&ResourceSample> = vitals.iter().filter(|vital| vital.who == who).collect();
    let mean = |n: usize, value: fn(&ResourceSample) -> u64| {
        let from = start + n as f64 * quarter;
        let part = own.iter().filter(|vital| vital.at >= from && vital.at < from + quarter);
        let values: Vec<f64> = part.map(|vital| value(vital) as f64).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    let one = |(what, value): Measure| {
        let means = [0, 1, 2, 3].map(|n| mean(n, value));
        Growth { who: who.to_owned(), what, means }
    };
    MEASURES.map(one).to_vec()
}

/// Reads memory in KiB, open files and threads of a process; `None` when it has ended.
fn vital(pid: u32) -> Option<(u64, u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    Some((field("VmRSS")?, files, field("Threads")?))
}

/// Sends `rate` messages a second for `length` to one worker that detects and one that groups.
///
/// # Errors
/// [`ChaosError::Server`] when the servers fail, [`ChaosError::Io`] when a worker cannot be started.
pub async fn soak(
    site: &Site,
    load: &Workload,
    rate: f64,
    length: Duration,
    program: &Path,
) -> Result<SoakReport, ChaosError> {
    let program = PathBuf::from(program);
    let mut slots = vec![
        WorkerSlot::open(site, WorkerKind::Detect, 0, program.clone()).await?,
        WorkerSlot::open(site, WorkerKind::Group, 0, program).await?,
    ];
    let began = Instant::now();
    let (mut vitals, mut ended, mut sent, mut sampled) = (Vec::new(), Vec::new(), 0, began);
    while began.elapsed() < length {
        for slot in &mut slots {
            if let Some(end) = slot.tick()? {
                ended.push(format!("{}: {}", slot.name(), end.status));
            }
        }
        let due = (began.elapsed().as_secs_f64() * rate) as usize;
        while sent < due {
            let from = sent % load.images.len();
            let to = (from + due - sent).min(load.images.len()).min(from + 10);
            Workload::send(site, &load.images[from..to]).await?;
            sent += to - from;
        }
        if sampled.elapsed() >= SAMPLE {
            sampled = Instant::now();
            let at = began.elapsed().as_secs_f64();
            for (slot, queue) in slots.iter().zip([&site.images, &site.galleries]) {
                let lag = site.depth(queue).await?.visible;
                let Some((resident, files, threads)) = slot.pid().and_then(vital) else { continue };
                vitals.push(ResourceSample { at, who: slot.name().to_owned(), resident, files, threads, lag });
            }
        }
        sleep(TICK).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let growth = slots.iter().flat_map(|slot| growth(&vitals, slot.name(), seconds)).collect();
    slots.iter_mut().for_each(|slot| slot.close(GRACE));
    while !slots.iter().all(WorkerSlot::is_empty) {
        for slot in &mut slots {
            slot.tick()?;
        }
        sleep(TICK).await;
    }
    Ok(SoakReport { seconds, sent, vitals, growth, ended })
}

impl SoakReport {
    /// Lists every measure that grows and every worker that ended early.
    pub fn faults(&self) -> Vec<String> {
        let grew = self.growth.iter().filter(|growth| growth.part() > MOST_GROWTH);
        let grew = grew.map(|Growth { who, what, means: [first, .., last] }| {
            format!("{who}: {what} grew from {first:.1} to {last:.1}")
        });
        grew.chain(self.ended.iter().map(|end| format!("ended early: {end}"))).collect()
    }

    /// Renders the result as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{} messages in {:.0} s", self.sent, self.seconds);
        for growth in &self.growth {
            let Growth { who, what, means } = growth;
            let means = means.map(|mean| format!("{mean:>10.1}")).join(" ");
            let _ = writeln!(text, "{who:<8} {what:<18} {means}  {:+.2} %", growth.part() * 100.0);
        }
        let faults = self.faults();
        faults.iter().for_each(|fault| text.push_str(&format!("{fault}\n")));
        text.push_str(if faults.is_empty() { "verdict: nothing grows\n" } else { "verdict: FAULTS\n" });
        text
    }

    /// Writes `soak.json` and `soak.html` into a folder.
    ///
    /// # Errors
    /// [`ChaosError::Io`] when the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), ChaosError> {
        let failed = || ChaosError::io(folder.display().to_string());
        let json = serde_json::to_string(self).map_err(|error| failed()(error.into()))?;
        std::fs::write(folder.join("soak.json"), json).map_err(failed())?;
        std::fs::write(folder.join("soak.html"), plot::soak(self)).map_err(failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_goes_on_after_the_warm_up_and_not_what_was_wanted_once() {
        let vital = |second: u64| ResourceSample {
            at: second as f64,
            who: "w".into(),
            // Steep while it warms up, then flat; files leak one every hundred seconds; a busy moment wants ten threads
            // more.
            resident: 1_000 + 100 * second.min(300),
            files: 10 + second / 100,
            threads: if second < 600 { 8 } else { 18 },
            lag: second % 2,
        };
        let vitals: Vec<ResourceSample> = (0..1_000).map(vital).collect();
        let found = growth(&vitals, "w", 1_000.0);
        let parts: Vec<bool> = found.iter().map(|growth| growth.part() > MOST_GROWTH).collect();
        assert_eq!(parts, [false, true, false, false], "{found:?}");
        for (what, means, grows) in [
            (RESIDENT, [100.0, 100.0, 110.0, 110.0], false),
            (RESIDENT, [100.0, 100.0, 130.0, 160.0], true),
            (RESIDENT, [100.0, 103.0, 106.0, 109.0], true),
            ("threads", [8.0, 8.0, 13.0, 16.0], false),
        ] {
            let growth = Growth { who: "w".into(), what, means };
            assert_eq!(growth.part() > MOST_GROWTH, grows, "{growth:?}");
        }
    }
}
