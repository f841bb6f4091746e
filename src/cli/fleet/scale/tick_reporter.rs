//! Reports the ticks of a scaler to a person or a program.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Instant;

use muster_actors::ports::fleet::JobOrder;
use muster_actors::ports::fleet::JobQueue;
use muster_actors::ports::fleet::JobShape;
use muster_actors::ports::queue_metrics::Depth;
use muster_actors::scaler::policy::PlanReason;
use muster_actors::scaler::stuck::StuckWorkers;
use muster_actors::scaler::submitter::{ScalerTick, ScalerTickError};
use parking_lot::Mutex;
use serde_json::json;

use crate::cli::print::print_lines;
use muster_config::ScaledService;
use muster_worker::fleet::{WorkerEvent, WorkerListener};

/// Writes reports as lines to standard output.
#[derive(Clone)]
pub struct TickReporter {
    json: bool,
    since: Instant,
    /// The last line of each service; a line that is the same is not written again.
    last: Arc<Mutex<[String; 2]>>,
}

impl TickReporter {
    /// Creates a reporter of JSON, or of text for people.
    pub fn new(json: bool) -> Self {
        Self { json, since: Instant::now(), last: Arc::default() }
    }

    fn write(&self, line: &str) {
        let seconds = self.since.elapsed().as_secs_f64();
        // The reader may have closed the pipe; the work goes on.
        let _ = print_lines(|out| match self.json {
            true => Ok(writeln!(out, "{line}")?),
            false => Ok(writeln!(out, "{seconds:>7.1} s  {line}")?),
        });
    }

    /// Reports a tick.
    pub fn look(&self, service: ScaledService, looked: &Result<ScalerTick, ScalerTickError>, dry: bool) {
        let name = service.as_str();
        if self.json {
            let line = match looked {
                Ok(look) => json!({ "service": name, "look": look, "dry_run": dry }),
                Err(error) => json!({ "service": name, "error": error.to_string() }),
            };
            return self.write(&line.to_string());
        }
        let text = match looked {
            Ok(look) => told(look, dry),
            Err(error) => format!("no look: {error}"),
        };
        let mut last = self.last.lock();
        let last = &mut last[usize::from(service == ScaledService::Grouping)];
        if *last != text {
            text.lines().for_each(|line| self.write(&format!("{name:<9}  {line}")));
            *last = text;
        }
    }

    /// Hears of workers on this machine.
    pub fn hear(&self) -> WorkerListener {
        let teller = self.clone();
        Arc::new(move |event| teller.event(&event))
    }

    fn event(&self, event: &WorkerEvent) {
        let line = match event {
            WorkerEvent::Started { name, pid } if self.json => json!({ "worker": name, "started": pid }).to_string(),
            WorkerEvent::Ended { name, status, summary } if self.json => {
                json!({ "worker": name, "code": status.code(), "signal": status.signal(), "summary": summary })
                    .to_string()
            }
            WorkerEvent::Started { name, pid } => format!("worker     {name} started, process {pid}"),
            WorkerEvent::Ended { name, status, summary } => {
                let count = |key: &str| summary.as_ref().and_then(|summary| summary[key].as_u64());
                let did = count("fetched").map_or_else(String::new, |fetched| format!(", {fetched} fetched"));
                format!("worker     {name} ended, {status}{did}")
            }
        };
        self.write(&line);
    }
}

fn told(look: &ScalerTick, dry: bool) -> String {
    let Depth { visible, delayed, in_flight } = look.depth;
    let (active, working) = (look.tally.active.total(), look.tally.working.total());
    let rate = look.rate.map_or_else(String::new, |rate| format!(" at {rate:.1}/s"));
    let mut text = format!(
        "{visible} wait, {delayed} later, {in_flight} held; {active} workers, {working} at work; wanted {}{rate}: {}",
        look.want,
        why(look.why)
    );
    for order in &look.orders {
        let failed = look.failed.iter().find(|(name, _)| *name == order.name);
        text.push_str(&match failed {
            Some((_, error)) => format!("\n{} failed: {error}", submitted(order)),
            None if dry => format!("\nwould submit {}", submitted(order)),
            None => format!("\nsubmitted {}", submitted(order)),
        });
    }
    for name in &look.tally.vanished {
        text.push_str(&format!("\n{name} was asked for and never came"));
    }
    for StuckWorkers { cause, workers, seconds, reason, mend } in &look.tally.stuck {
        let reason = reason.as_deref().unwrap_or("the fleet gives no reason");
        let minutes = seconds / 60;
        text.push_str(&format!("\n{workers} wait for {minutes} min ({cause:?}: {reason}): {mend}"));
    }
    text
}

fn why(why: PlanReason) -> &'static str {
    match why {
        PlanReason::Empty => "nothing waits",
        PlanReason::Held => "what is left is held by workers that are gone, until its lease is over",
        PlanReason::Enough => "enough",
        PlanReason::Few => "a few more are not worth a call",
        PlanReason::Full => "no more are allowed",
        PlanReason::Needed => "more are needed",
        PlanReason::Starving => "the Spot market gives none, on demand then",
    }
}

fn submitted(order: &JobOrder) -> String {
    let line = match order.line {
        JobQueue::Primary => "primary",
        JobQueue::Secondary => "secondary",
        JobQueue::Fallback => "on demand",
    };
    match order.job() {
        JobShape::Plain => format!("{} ({line}, one worker)", order.name),
        JobShape::Array(size) => format!("{} ({line}, an array of {size})", order.name),
    }
}
