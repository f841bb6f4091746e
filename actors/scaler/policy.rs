//! Decides how many workers a queue needs, and which jobs to submit for them. Pure functions.
//!
//! ```text
//! W    = visible + delayed, and where that is something and no worker is active: + in flight
//! want = clamp(ceil(W / (rate · max(T − boot, 60 s))), W > 0 ? 1 : 0, cap)      boot only from zero
//! submit when active = 0 or want − active ≥ max(1, want / 10)
//! ```
//! Workers are never killed to scale in: one that finds its queue empty leaves.

use std::time::Duration;

use serde::Serialize;

use crate::ports::fleet::{ARRAY, JobQueue, JobShape};
use crate::ports::queue_metrics::Depth;
use crate::scaler::workers::Workers;

/// Shortest time in seconds that a plan gives a worker to drain its share, however near the target is.
const SHORTEST: f64 = 60.0;
/// Messages of one more worker under [`Policy::Threshold`].
const STEP: u64 = 1_000;
/// Workers of one array under [`Policy::Threshold`].
const STEPS: u64 = 10;
/// Workers under [`Policy::PerMessage`].
const MESSAGES: u64 = 19;

/// One call of SubmitJob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Queue of the job.
    pub line: JobQueue,
    /// Shape of the job.
    pub job: JobShape,
}

/// The speed of workers, and the time in which they shall drain the queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throughput {
    /// Images a second and worker.
    pub rate: f64,
    /// Time in which the queue shall be drained.
    pub target: Duration,
    /// Time from a submission until a worker works.
    pub boot: Duration,
}

/// The policy that decides how many workers there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// As many workers as drain the queue in time.
    DrainTime(Throughput),
    /// One where anything waits, an array of one for each thousand messages, ten at most. As the service before did it: an array
    /// of one is asked for too, which AWS Batch refuses.
    Threshold,
    /// One for each message, nineteen at most.
    PerMessage,
}

/// Computes how many workers drain the waiting messages in time.
fn want(pace: &Throughput, waiting: u64, active: u64, cap: u64) -> u64 {
    let boot = if active == 0 { pace.boot } else { Duration::ZERO };
    let time = pace.target.saturating_sub(boot).as_secs_f64().max(SHORTEST);
    // With an unknown rate, or one that was measured as zero, the cap is used.
    let share = (pace.rate * time).max(f64::MIN_POSITIVE);
    ((waiting as f64 / share).ceil() as u64).clamp(1.min(cap), cap)
}

/// The inputs of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyInput {
    /// Depth of the queue.
    pub depth: Depth,
    /// Workers that were asked for or are at work.
    pub active: Workers,
    /// Most workers of each queue.
    pub caps: Workers,
    /// Number of Spot workers so far, where the Spot market has given none for long.
    pub starving: Option<u64>,
}

/// The reason of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanReason {
    /// Nothing waits.
    Empty,
    /// Nothing can be received: workers that are gone hold the remaining messages until their leases end.
    Held,
    /// There are enough workers.
    Enough,
    /// A few more workers are needed, too few for a call.
    Few,
    /// More workers are needed, and the caps allow none.
    Full,
    /// More workers are needed.
    Needed,
    /// More workers are needed, and the Spot market has none.
    Starving,
}

/// The decision of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalingPlan {
    /// Number of workers that the queue needs.
    pub want: u64,
    /// Jobs to submit now.
    pub calls: Vec<Submission>,
    /// Why.
    pub why: PlanReason,
}

/// Plans the jobs to submit now.
pub fn plan(policy: &Policy, situation: PolicyInput) -> ScalingPlan {
    // The two older policies know no caps and no fallback.
    let PolicyInput { depth, active, .. } = situation;
    let total = active.total();
    let primary = |job| Submission { line: JobQueue::Primary, job };
    let (want, calls) = match policy {
        Policy::DrainTime(pace) => return drain_time(pace, situation),
        Policy::Threshold if depth.visible > STEP => {
            let size = (depth.visible / STEP).min(STEPS);
            (size, vec![primary(JobShape::Array(size))])
        }
        Policy::Threshold if depth.visible > 0 && total == 0 => (1, vec![primary(JobShape::Plain)]),
        Policy::Threshold => (depth.visible.min(1), Vec::new()),
        Policy::PerMessage => {
            let want = depth.visible.min(MESSAGES);
            (want, vec![primary(JobShape::Plain); usize::try_from(want.saturating_sub(total)).unwrap_or(0)])
        }
    };
    let why = match (depth.visible, calls.is_empty()) {
        (0, _) => PlanReason::Empty,
        (_, true) => PlanReason::Enough,
        (_, false) => PlanReason::Needed,
    };
    ScalingPlan { want, calls, why }
}

fn drain_time(pace: &Throughput, PolicyInput { depth, active, caps, starving }: PolicyInput) -> ScalingPlan {
    // Workers that wait for machines that do not come do not help, and still count towards the caps.
    let (working, cap, lines): (_, _, &[JobQueue]) = match starving {
        Some(given) => (given + active.fallback, given + caps.fallback, &[JobQueue::Fallback]),
        None => (active.total(), caps.spot(), &[JobQueue::Primary, JobQueue::Secondary]),
    };
    if depth.visible + depth.delayed == 0 {
        // In-flight messages alone do not cause a scale-out: those of dead workers cannot be received before their leases end.
        let why = if depth.in_flight > 0 && working == 0 { PlanReason::Held } else { PlanReason::Empty };
        return ScalingPlan { want: 0, calls: Vec::new(), why };
    }
    let waiting = depth.visible + depth.delayed + if working == 0 { depth.in_flight } else { 0 };
    let want = want(pace, waiting, working, cap);
    let more = want.saturating_sub(working);
    let worth = working == 0 || more >= (want / 10).max(1);
    let calls = if worth { place(more, lines, active, caps) } else { Vec::new() };
    let why = match starving {
        _ if more == 0 && working < cap => PlanReason::Enough,
        _ if more == 0 => PlanReason::Full,
        _ if !worth => PlanReason::Few,
        _ if calls.is_empty() => PlanReason::Full,
        Some(_) => PlanReason::Starving,
        None => PlanReason::Needed,
    };
    ScalingPlan { want, calls, why }
}

/// Returns those of the calls that the caps allow, for policies that know no caps themselves.
pub fn within(calls: Vec<Submission>, mut active: Workers, caps: Workers) -> Vec<Submission> {
    let mut allowed = Vec::new();
    for Submission { line, job } in calls {
        let here = job.workers().min(caps.of(line).saturating_sub(active.of(line)));
        active.add(line, here);
        allowed.extend(jobs(here).into_iter().map(|job| Submission { line, job }));
    }
    allowed
}

/// Distributes workers over the queues, each up to its cap, in as few calls as AWS Batch allows.
fn place(mut more: u64, lines: &[JobQueue], active: Workers, caps: Workers) -> Vec<Submission> {
    let mut calls = Vec::new();
    for &line in lines {
        let here = more.min(caps.of(line).saturating_sub(active.of(line)));
        calls.extend(jobs(here).into_iter().map(|job| Submission { line, job }));
        more -= here;
    }
    calls
}

/// Returns jobs that together start this number of workers.
fn jobs(workers: u64) -> Vec<JobShape> {
    let largest = *ARRAY.end();
    let mut jobs = vec![JobShape::Array(largest); usize::try_from(workers / largest).unwrap_or(0)];
    match workers % largest {
        0 => {}
        1 => jobs.push(JobShape::Plain),
        rest => jobs.push(JobShape::Array(rest)),
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACE: Throughput =
        Throughput { rate: 20.0, target: Duration::from_secs(900), boot: Duration::from_secs(180) };
    const CAPS: Workers = Workers { primary: 4, secondary: 64, fallback: 16 };

    fn visible(visible: u64) -> Depth {
        Depth { visible, ..Depth::default() }
    }

    fn calls(policy: &Policy, depth: Depth, active: (u64, u64)) -> Vec<(JobQueue, JobShape)> {
        let active = Workers { primary: active.0, secondary: active.1, fallback: 0 };
        let plan = plan(policy, PolicyInput { depth, active, caps: CAPS, starving: None });
        plan.calls.into_iter().map(|call| (call.line, call.job)).collect()
    }

    #[test]
    fn as_many_workers_are_asked_for_as_drain_the_queue_in_time() {
        use JobQueue::{Primary as One, Secondary as Two};
        use JobShape::{Array, Plain};
        let policy = Policy::DrainTime(PACE);
        let (held, more) = (Depth { in_flight: 50_000, ..Depth::default() }, Depth { in_flight: 50_000, ..visible(1) });
        let later = Depth { delayed: 14_401, ..Depth::default() };
        for (name, depth, active, expected) in [
            ("nothing waits", visible(0), (0, 0), vec![]),
            ("one message is one worker, a plain job", visible(1), (0, 0), vec![(One, Plain)]),
            ("from zero the boot counts: 14,400 images in 720 s", visible(14_400), (0, 0), vec![(One, Plain)]),
            ("one image more", visible(14_401), (0, 0), vec![(One, Array(2))]),
            ("what is delayed counts", later, (0, 0), vec![(One, Array(2))]),
            ("what dead workers hold counts with what can be received", more, (0, 0), vec![(One, Array(4))]),
            ("alone it cannot be received yet", held, (0, 0), vec![]),
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
            let policy = Policy::DrainTime(Throughput { rate, ..PACE });
            assert_eq!(
                calls(&policy, visible(1), (0, 0)),
                [(JobQueue::Primary, JobShape::Array(4)), (JobQueue::Secondary, JobShape::Array(64))]
            );
        }
    }

    #[test]
    fn the_other_policies_are_what_they_were() {
        let one = |job| vec![(JobQueue::Primary, job)];
        for (depth, active, threshold, per_message) in [
            (0, 0, vec![], 0),
            (1, 0, one(JobShape::Plain), 1),
            (1_000, 0, one(JobShape::Plain), 19),
            (1_000, 1, vec![], 18),
            // An array of one, which AWS Batch refuses.
            (1_500, 0, one(JobShape::Array(1)), 19),
            (5_999, 3, one(JobShape::Array(5)), 16),
            (100_000, 19, one(JobShape::Array(10)), 0),
        ] {
            assert_eq!(calls(&Policy::Threshold, visible(depth), (active, 0)), threshold, "threshold {depth} {active}");
            let got = calls(&Policy::PerMessage, visible(depth), (active, 0));
            assert_eq!(got, vec![(JobQueue::Primary, JobShape::Plain); per_message], "per message {depth} {active}");
        }
    }

    #[test]
    fn where_spot_gives_nothing_machines_on_demand_are_asked_for() {
        let asked = |depth, given, fallback| {
            let active = Workers { primary: 4, secondary: 3, fallback };
            let plan = plan(
                &Policy::DrainTime(PACE),
                PolicyInput { depth: visible(depth), active, caps: CAPS, starving: Some(given) },
            );
            (plan.calls.into_iter().map(|call| (call.line, call.job)).collect::<Vec<_>>(), plan.why)
        };
        let calls = |job| vec![(JobQueue::Fallback, job)];
        for (name, depth, given, fallback, expected) in [
            ("in place of seven that wait", 100_000, 0, 0, (calls(JobShape::Array(7)), PlanReason::Starving)),
            ("those that Spot gave before count", 90_001, 5, 0, (calls(JobShape::Plain), PlanReason::Starving)),
            ("those on demand count", 100_000, 0, 6, (vec![], PlanReason::Enough)),
            ("up to their cap", 100_000_000, 0, 6, (calls(JobShape::Array(10)), PlanReason::Starving)),
            ("and no more", 100_000_000, 2, 16, (vec![], PlanReason::Full)),
            ("for nothing, nothing", 0, 0, 0, (vec![], PlanReason::Empty)),
        ] {
            assert_eq!(asked(depth, given, fallback), expected, "{name}");
        }
    }

    #[test]
    fn a_plan_says_why() {
        let held = Depth { in_flight: 1, ..Depth::default() };
        let situation = PolicyInput { depth: held, active: Workers::default(), caps: CAPS, starving: None };
        assert_eq!(plan(&Policy::DrainTime(PACE), situation).why, PlanReason::Held);
        let why = |depth, primary, secondary| {
            let active = Workers { primary, secondary, fallback: 0 };
            plan(&Policy::DrainTime(PACE), PolicyInput { depth: visible(depth), active, caps: CAPS, starving: None })
                .why
        };
        assert_eq!(why(0, 3, 0), PlanReason::Empty);
        assert_eq!(why(1, 1, 0), PlanReason::Enough);
        assert_eq!(why(540_000, 4, 25), PlanReason::Few);
        assert_eq!(why(1, 0, 0), PlanReason::Needed);
        assert_eq!(why(100_000_000, 4, 64), PlanReason::Full);
    }

    proptest! {
        #[test]
        fn the_caps_are_put_upon_every_rule_and_no_call_is_illegal(
            visible in 0u64..2_000_000, primary in 0u64..100, first in 0u64..100, rule in 0usize..3,
        ) {
            let policy = [Policy::DrainTime(PACE), Policy::Threshold, Policy::PerMessage][rule];
            let (active, caps) = (Workers { primary, ..Workers::default() }, Workers { primary: first, ..CAPS });
            let situation = PolicyInput { depth: Depth { visible, ..Depth::default() }, active, caps, starving: None };
            let calls = within(plan(&policy, situation).calls, active, caps);
            let more: u64 = calls.iter().filter(|call| call.line == JobQueue::Primary).map(|call| call.job.workers()).sum();
            prop_assert!(more == 0 || primary + more <= first, "{more} more than {primary}, {first} allowed");
            prop_assert!(calls.iter().all(|call| call.job.is_legal()), "{calls:?}");
        }

        #[test]
        fn no_depth_and_no_count_of_workers_makes_an_illegal_call(
            visible in 0u64..2_000_000, delayed in 0u64..2_000_000, in_flight in 0u64..120_000,
            primary in 0u64..30_000, secondary in 0u64..30_000,
            first in 0u64..30_000, second in 0u64..30_000,
            rate in prop_oneof![Just(0.0), 0.001..500.0],
            target in 0u64..20_000, boot in 0u64..2_000,
            fallback in 0u64..100, third in 0u64..100, starving in prop_oneof![Just(None), (0u64..100).prop_map(Some)],
        ) {
            let pace = Throughput { rate, target: Duration::from_secs(target), boot: Duration::from_secs(boot) };
            let (active, caps) =
                (Workers { primary, secondary, fallback }, Workers { primary: first, secondary: second, fallback: third });
            let depth = Depth { visible, delayed, in_flight };
            let ScalingPlan { calls, want, .. } = plan(&Policy::DrainTime(pace), PolicyInput { depth, active, caps, starving });
            for line in [JobQueue::Primary, JobQueue::Secondary, JobQueue::Fallback] {
                let more: u64 = calls.iter().filter(|call| call.line == line).map(|call| call.job.workers()).sum();
                let (cap, there) = (caps.of(line), active.of(line));
                prop_assert!(more == 0 || there + more <= cap, "{more} more than {there}, {cap} allowed");
            }
            prop_assert!(calls.iter().map(|call| call.job.workers()).sum::<u64>() <= want);
            prop_assert!(calls.iter().all(|call| (call.line == JobQueue::Fallback) == starving.is_some()));
            prop_assert!(calls.iter().all(|call| call.job.is_legal()), "{calls:?}");
            prop_assert!(calls.is_empty() || visible + delayed + in_flight > 0);
        }
    }
}
