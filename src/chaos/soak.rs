//! Steady work for a long time: does a worker's memory, its open files or its threads grow, does it fall behind?
//!
//! The same images are sent again and again, so that what is stored does not grow: whatever does is a leak.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::sleep;

use super::ChaosError;
use super::load::Load;
use super::plot;
use super::site::Site;
use super::workers::{Place, Role};

const SAMPLE: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(200);
const GRACE: Duration = Duration::from_secs(30);
/// The part of the time in which caches, pools and the allocator's arenas fill.
const WARM_UP: f64 = 0.3;
/// Growth after the warm-up that counts as a leak.
pub(crate) const MOST_GROWTH: f64 = 0.02;

/// What a worker holds at a time.
#[derive(Clone, Debug, Serialize)]
pub struct Vital {
    /// Seconds since the start.
    pub at: f64,
    /// Which worker.
    pub who: String,
    /// Resident memory in KiB.
    pub resident: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Threads.
    pub threads: u64,
    /// Messages that wait in its queue.
    pub lag: u64,
}

/// What can grow: its name, and how it is read.
pub(crate) type Measure = (&'static str, fn(&Vital) -> u64);
const RESIDENT: &str = "resident KiB";
/// Growth of memory that is a fault however it came, in parts of what it was.
const LEAP: f64 = 0.2;
/// All that is measured.
pub(crate) const MEASURES: [Measure; 4] = [
    (RESIDENT, |vital| vital.resident),
    ("open files", |vital| vital.files),
    ("threads", |vital| vital.threads),
    ("messages that wait", |vital| vital.lag),
];

/// How much something grew.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Which worker.
    pub who: String,
    /// What.
    pub what: &'static str,
    /// Its mean in each quarter of what comes after the warm-up.
    pub means: [f64; 4],
}

impl Growth {
    /// What it grew by steadily, in parts of the first mean. A leak grows from each quarter to the next; what was wanted once and is
    /// kept, a thread or a connection more while the machine was busy, grows once. One file, thread or message more or less is no
    /// growth.
    pub fn part(&self) -> f64 {
        let steps = self.means.windows(2).map(|pair| pair[1] - pair[0]);
        let steady = 3.0 * steps.fold(f64::INFINITY, f64::min);
        let (first, all) = (self.means[0].max(1.0), self.means[3] - self.means[0]);
        // Nothing that is wanted once is so much memory.
        let grew = if self.what == RESIDENT && all > LEAP * first { all } else { steady };
        if grew < 1.0 { 0.0 } else { grew / first }
    }
}

/// What a soak came to.
#[derive(Debug, Serialize)]
pub struct Soak {
    /// How long.
    pub seconds: f64,
    /// Messages sent.
    pub sent: usize,
    /// Every sample.
    pub vitals: Vec<Vital>,
    /// What each worker's measures did.
    pub growth: Vec<Growth>,
    /// Workers that ended before the end.
    pub ended: Vec<String>,
}

/// How a worker's measures changed from quarter to quarter after the warm-up.
fn growth(vitals: &[Vital], who: &str, seconds: f64) -> Vec<Growth> {
    let start = seconds * WARM_UP;
    let quarter = (seconds - start) / 4.0;
    let own: Vec<&Vital> = vitals.iter().filter(|vital| vital.who == who).collect();
    let mean = |n: usize, value: fn(&Vital) -> u64| {
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

/// What the system says of a process; `None` when it is gone.
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
/// The servers fail.
pub async fn soak(site: &Site, load: &Load, rate: f64, length: Duration, program: &Path) -> Result<Soak, ChaosError> {
    let program = PathBuf::from(program);
    let mut places = vec![
        Place::open(site, Role::Detect, 0, program.clone()).await?,
        Place::open(site, Role::Group, 0, program).await?,
    ];
    let began = Instant::now();
    let (mut vitals, mut ended, mut sent, mut sampled) = (Vec::new(), Vec::new(), 0, began);
    while began.elapsed() < length {
        for place in &mut places {
            if let Some(end) = place.tick()? {
                ended.push(format!("{}: {}", place.name(), end.status));
            }
        }
        let due = (began.elapsed().as_secs_f64() * rate) as usize;
        while sent < due {
            let from = sent % load.wanted.len();
            let to = (from + due - sent).min(load.wanted.len()).min(from + 10);
            Load::send(site, &load.wanted[from..to]).await?;
            sent += to - from;
        }
        if sampled.elapsed() >= SAMPLE {
            sampled = Instant::now();
            let at = began.elapsed().as_secs_f64();
            for (place, queue) in places.iter().zip([&site.images, &site.galleries]) {
                let lag = site.depth(queue).await?.visible;
                let Some((resident, files, threads)) = place.pid().and_then(vital) else { continue };
                vitals.push(Vital { at, who: place.name().to_owned(), resident, files, threads, lag });
            }
        }
        sleep(TICK).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let growth = places.iter().flat_map(|place| growth(&vitals, place.name(), seconds)).collect();
    places.iter_mut().for_each(|place| place.close(GRACE));
    while !places.iter().all(Place::is_empty) {
        for place in &mut places {
            place.tick()?;
        }
        sleep(TICK).await;
    }
    Ok(Soak { seconds, sent, vitals, growth, ended })
}

impl Soak {
    /// Everything that is not as promised.
    pub fn faults(&self) -> Vec<String> {
        let grew = self.growth.iter().filter(|growth| growth.part() > MOST_GROWTH);
        let grew = grew.map(|Growth { who, what, means: [first, .., last] }| {
            format!("{who}: {what} grew from {first:.1} to {last:.1}")
        });
        grew.chain(self.ended.iter().map(|end| format!("ended early: {end}"))).collect()
    }

    /// For a person.
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
    /// The folder cannot be written to.
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
        let vital = |second: u64| Vital {
            at: second as f64,
            who: "w".into(),
            // Steep while it warms up, then flat; files leak one every hundred seconds; a busy moment wants ten threads more.
            resident: 1_000 + 100 * second.min(300),
            files: 10 + second / 100,
            threads: if second < 600 { 8 } else { 18 },
            lag: second % 2,
        };
        let vitals: Vec<Vital> = (0..1_000).map(vital).collect();
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
