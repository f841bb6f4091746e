//! How many workers a queue wants, and which jobs to submit for them. Pure.
//!
//! ```text
//! W    = visible + delayed (+ in flight when no worker is active)
//! want = clamp(ceil(W / (rate · max(T − boot, 60 s))), W > 0 ? 1 : 0, cap)      boot only from zero
//! submit when active = 0 or want − active ≥ max(1, want / 10)
//! ```
//! Workers are never killed to scale in: one that finds its queue empty leaves.

use std::time::Duration;

/// AWS Batch: an array has 2 to 10,000 children (AWS Batch User Guide, "Array jobs").
pub const ARRAY: std::ops::RangeInclusive<u64> = 2..=10_000;
/// However near the target is, no worker is asked to drain its share in less.
const SHORTEST: f64 = 60.0;
/// Messages of one more worker under [`Policy::Threshold`].
const STEP: u64 = 1_000;
/// Workers of one array under [`Policy::Threshold`].
const STEPS: u64 = 10;
/// Workers under [`Policy::PerMessage`].
const MESSAGES: u64 = 19;

/// What waits in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that become visible later.
    pub delayed: u64,
    /// Messages that somebody has received.
    pub in_flight: u64,
}

/// Where a job is submitted: the first has the machines that are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Line {
    /// The queue of the preferred machines.
    Primary,
    /// The queue of all others.
    Secondary,
}

/// Workers that are asked for or at work: jobs in every state that is not an end, children of arrays counted one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active {
    /// In the primary queue.
    pub primary: u64,
    /// In the secondary queue.
    pub secondary: u64,
}

impl Active {
    /// In both.
    pub fn total(self) -> u64 {
        self.primary + self.secondary
    }
}

/// What is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// One worker.
    Plain,
    /// So many, as children of one array.
    Array(u64),
}

impl Job {
    /// How many workers it starts.
    pub fn workers(self) -> u64 {
        match self {
            Self::Plain => 1,
            Self::Array(size) => size,
        }
    }

    /// Whether AWS Batch takes it.
    pub fn is_legal(self) -> bool {
        match self {
            Self::Plain => true,
            Self::Array(size) => ARRAY.contains(&size),
        }
    }
}

/// One call of SubmitJob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Where.
    pub line: Line,
    /// What.
    pub job: Job,
}

/// Workers at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// In the primary queue.
    pub primary: u64,
    /// In the secondary queue.
    pub secondary: u64,
}

/// How fast workers are, and how fast they shall be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Images a second and worker.
    pub rate: f64,
    /// Time in which what waits shall be done.
    pub target: Duration,
    /// Time from a submission until a worker works.
    pub boot: Duration,
}

/// Which rule decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// As many as drain the queue in time.
    DrainTime(Pace),
    /// One where anything waits, an array of one for each thousand messages, ten at most. As the service before did it: an array
    /// of one is asked for too, which AWS Batch refuses.
    Threshold,
    /// One for each message, nineteen at most.
    PerMessage,
}

/// Workers that a queue wants.
fn want(pace: &Pace, depth: Depth, active: u64, cap: u64) -> u64 {
    let waiting = depth.visible + depth.delayed + if active == 0 { depth.in_flight } else { 0 };
    if waiting == 0 {
        return 0;
    }
    let boot = if active == 0 { pace.boot } else { Duration::ZERO };
    let time = pace.target.saturating_sub(boot).as_secs_f64().max(SHORTEST);
    // A rate that is not known yet, or measured as nothing, asks for the cap.
    let share = (pace.rate * time).max(f64::MIN_POSITIVE);
    ((waiting as f64 / share).ceil() as u64).clamp(1.min(cap), cap)
}

/// What to submit now.
pub fn plan(policy: &Policy, depth: Depth, active: Active, caps: Caps) -> Vec<Submission> {
    let (total, cap) = (active.total(), caps.primary + caps.secondary);
    match policy {
        Policy::DrainTime(pace) => {
            let want = want(pace, depth, total, cap);
            let more = want.saturating_sub(total);
            if more > 0 && (total == 0 || more >= (want / 10).max(1)) { place(more, active, caps) } else { Vec::new() }
        }
        Policy::Threshold if depth.visible > STEP => {
            let job = Job::Array((depth.visible / STEP).min(STEPS));
            vec![Submission { line: Line::Primary, job }]
        }
        Policy::Threshold if depth.visible > 0 && total == 0 => {
            vec![Submission { line: Line::Primary, job: Job::Plain }]
        }
        Policy::Threshold => Vec::new(),
        Policy::PerMessage => {
            let more = depth.visible.min(MESSAGES).saturating_sub(total);
            (0..more).map(|_| Submission { line: Line::Primary, job: Job::Plain }).collect()
        }
    }
}

/// Places workers: as many as the primary queue takes, then the secondary; in as few calls as AWS Batch allows.
fn place(more: u64, active: Active, caps: Caps) -> Vec<Submission> {
    let first = more.min(caps.primary.saturating_sub(active.primary));
    let second = (more - first).min(caps.secondary.saturating_sub(active.secondary));
    let calls = |line, workers| jobs(workers).into_iter().map(move |job| Submission { line, job });
    calls(Line::Primary, first).chain(calls(Line::Secondary, second)).collect()
}

/// Jobs that together start so many workers.
fn jobs(workers: u64) -> Vec<Job> {
    let largest = *ARRAY.end();
    let mut jobs = vec![Job::Array(largest); usize::try_from(workers / largest).unwrap_or(0)];
    match workers % largest {
        0 => {}
        1 => jobs.push(Job::Plain),
        rest => jobs.push(Job::Array(rest)),
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACE: Pace = Pace { rate: 20.0, target: Duration::from_secs(900), boot: Duration::from_secs(180) };
    const CAPS: Caps = Caps { primary: 4, secondary: 64 };

    fn visible(visible: u64) -> Depth {
        Depth { visible, ..Depth::default() }
    }

    fn calls(policy: &Policy, depth: Depth, active: (u64, u64)) -> Vec<(Line, Job)> {
        let active = Active { primary: active.0, secondary: active.1 };
        plan(policy, depth, active, CAPS).into_iter().map(|call| (call.line, call.job)).collect()
    }

    #[test]
    fn as_many_workers_are_asked_for_as_drain_the_queue_in_time() {
        use Job::{Array, Plain};
        use Line::{Primary as One, Secondary as Two};
        let policy = Policy::DrainTime(PACE);
        let held = Depth { in_flight: 50_000, ..Depth::default() };
        let later = Depth { delayed: 14_401, ..Depth::default() };
        for (name, depth, active, expected) in [
            ("nothing waits", visible(0), (0, 0), vec![]),
            ("one message is one worker, a plain job", visible(1), (0, 0), vec![(One, Plain)]),
            ("from zero the boot counts: 14,400 images in 720 s", visible(14_400), (0, 0), vec![(One, Plain)]),
            ("one image more", visible(14_401), (0, 0), vec![(One, Array(2))]),
            ("what is delayed counts", later, (0, 0), vec![(One, Array(2))]),
            ("what dead workers hold counts", held, (0, 0), vec![(One, Array(4))]),
            ("what workers hold does not", held, (1, 0), vec![]),
            ("the rest goes to the others, alone", visible(72_000), (0, 0), vec![(One, Array(4)), (Two, Plain)]),
            ("or as an array", visible(100_000), (0, 0), vec![(One, Array(4)), (Two, Array(3))]),
            ("with workers there is no boot: 18,000 each", visible(90_000), (4, 1), vec![]),
            ("one more of six is a tenth", visible(90_001), (4, 1), vec![(Two, Plain)]),
            ("one more of thirty is not worth a call", visible(540_000), (4, 25), vec![]),
            ("never more than the caps", visible(100_000_000), (4, 60), vec![]),
            ("up to the caps", visible(100_000_000), (4, 50), vec![(Two, Array(14))]),
        ] {
            assert_eq!(calls(&policy, depth, active), expected, "{name}");
        }
    }

    #[test]
    fn a_rate_that_is_not_known_asks_for_the_caps_and_no_more() {
        for rate in [0.0, f64::MIN_POSITIVE] {
            let policy = Policy::DrainTime(Pace { rate, ..PACE });
            assert_eq!(
                calls(&policy, visible(1), (0, 0)),
                [(Line::Primary, Job::Array(4)), (Line::Secondary, Job::Array(64))]
            );
        }
    }

    #[test]
    fn the_other_policies_are_what_they_were() {
        let one = |job| vec![(Line::Primary, job)];
        for (depth, active, threshold, per_message) in [
            (0, 0, vec![], 0),
            (1, 0, one(Job::Plain), 1),
            (1_000, 0, one(Job::Plain), 19),
            (1_000, 1, vec![], 18),
            // An array of one, which AWS Batch refuses.
            (1_500, 0, one(Job::Array(1)), 19),
            (5_999, 3, one(Job::Array(5)), 16),
            (100_000, 19, one(Job::Array(10)), 0),
        ] {
            assert_eq!(calls(&Policy::Threshold, visible(depth), (active, 0)), threshold, "threshold {depth} {active}");
            let got = calls(&Policy::PerMessage, visible(depth), (active, 0));
            assert_eq!(got, vec![(Line::Primary, Job::Plain); per_message], "per message {depth} {active}");
        }
    }

    proptest! {
        #[test]
        fn no_depth_and_no_count_of_workers_makes_an_illegal_call(
            visible in 0u64..2_000_000, delayed in 0u64..2_000_000, in_flight in 0u64..120_000,
            primary in 0u64..30_000, secondary in 0u64..30_000,
            first in 0u64..30_000, second in 0u64..30_000,
            rate in prop_oneof![Just(0.0), 0.001..500.0],
            target in 0u64..20_000, boot in 0u64..2_000,
        ) {
            let pace = Pace { rate, target: Duration::from_secs(target), boot: Duration::from_secs(boot) };
            let (active, caps) = (Active { primary, secondary }, Caps { primary: first, secondary: second });
            let calls = plan(&Policy::DrainTime(pace), Depth { visible, delayed, in_flight }, active, caps);
            for (line, cap, there) in [(Line::Primary, first, primary), (Line::Secondary, second, secondary)] {
                let more: u64 = calls.iter().filter(|call| call.line == line).map(|call| call.job.workers()).sum();
                prop_assert!(more == 0 || there + more <= cap, "{more} more than {there}, {cap} allowed");
            }
            prop_assert!(calls.iter().all(|call| call.job.is_legal()), "{calls:?}");
            prop_assert!(calls.is_empty() || visible + delayed + in_flight > 0);
        }
    }
}
