//! `muster cutover` moves work from an ECS service to Batch jobs, a share of the images at a time, and back.

use std::io::Write;
use std::process::ExitCode;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use clap::Subcommand;
use muster_actors::cutover::record::RecordError;
use muster_actors::cutover::trigger::{RollbackTrigger, TriggerReading};
use muster_actors::domain::cutover_state::{AuditEntry, CutoverCommand, CutoverState};

use crate::cli::print::print;
use crate::cli::signal::Signals;
use crate::cli::text::printable;
use crate::cli::{CliError, Logging};
use muster_config::{Layers, Origin};
use muster_telemetry::Telemetry;
use muster_worker::fleet::{Cutover, CutoverReport, FleetError};

/// Entries of the trail that are shown.
const SHOWN: usize = 10;

/// What to do.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
S3 notifies the queue cutover.intake. `watch` sends each message on to the queue of its side: cutover.ecs, or queues.images for
the percentage that goes to Batch. It rolls back by itself when a limit of [cutover] is passed. docs/cutover.md tells the day.")]
pub enum Command {
    /// Show the percentage, the queues, every figure beside its limit and the last changes
    Status(Status),
    /// Send this percentage of the images to Batch: 0, 10, 25, 50, 75 or 100
    Set(Set),
    /// Send messages on to their sides, watch, and roll back when a limit is passed; until SIGTERM
    Watch(Watch),
    /// Send all images to ECS, and what waits in Batch's queue too
    Rollback(Rollback),
}

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `set`.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Percentage of the images
    percent: u8,
    /// Over a step, before the dwell is over, or after it was rolled back by itself
    #[arg(long)]
    force: bool,
    /// Why, for the trail
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Arguments of `watch`.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// Go on to the next step by itself (cutover.advance)
    #[arg(long)]
    auto: bool,
}

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub struct Rollback {
    /// Why, for the trail
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

impl Command {
    /// Runs it.
    pub fn run(self, layers: &mut Layers, logging: Logging) -> Result<ExitCode, CliError> {
        if let Self::Watch(Watch { auto: true }) = &self {
            layers.set("cutover.advance", true.into(), Origin::Flag("--auto"))?;
        }
        let settings = layers.settings()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        match self {
            Self::Watch(_) => {
                let telemetry = Telemetry::start(&settings, "cutover")?;
                logging.of_a_fleet().start_traced(&telemetry);
                let signals = Signals::listen()?;
                runtime.block_on(async {
                    let watch = Cutover::new(settings).await?.watch()?;
                    tracing::info!(rules = ?watch.rules(), "cutover.watch");
                    let counts = watch.run(signals.asked()).await?;
                    tracing::info!(ecs = counts.ecs, batch = counts.batch, moved = counts.moved, "cutover.stopped");
                    Ok::<_, FleetError>(())
                })?;
            }
            Self::Status(Status { json }) => {
                logging.start();
                let look = runtime.block_on(async { Cutover::new(settings).await?.look().await })?;
                print(|out| {
                    if json {
                        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&look)?)?);
                    }
                    tell(&look, out)
                })?;
            }
            Self::Set(Set { percent, force, reason }) => {
                logging.start();
                let wish = CutoverCommand::Set { to: percent, force };
                changed(runtime.block_on(async { Cutover::new(settings).await?.change(wish, reason).await }))?;
            }
            Self::Rollback(Rollback { reason }) => {
                logging.start();
                changed(
                    runtime.block_on(async {
                        Cutover::new(settings).await?.change(CutoverCommand::RollBack, reason).await
                    }),
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn changed(end: Result<CutoverState, FleetError>) -> Result<(), CliError> {
    let state = end.map_err(|error| match error {
        FleetError::Cutover(RecordError::Refused(refused)) => CliError::Refused(refused.to_string()),
        error => error.into(),
    })?;
    let before = state.trail.last().map_or(0, |entry| entry.from);
    print(|out| Ok(writeln!(out, "{} % of the images go to Batch, {before} % before.", state.percent)?))
}

/// A moment as people read it.
fn moment(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
    DateTime::from_secs(seconds).fmt(Format::DateTime).unwrap_or_else(|_| milliseconds.to_string())
}

fn tell(look: &CutoverReport, out: &mut dyn Write) -> Result<(), CliError> {
    let CutoverReport { state, next, dwell_left_seconds, queues, images, tasks, readings } = look;
    let since = if state.revision == 0 { String::new() } else { format!(", since {}", moment(state.since)) };
    writeln!(out, "{} % of the images go to Batch{since} (revision {})", state.percent, state.revision)?;
    match (&state.held, next) {
        (Some(why), _) => writeln!(out, "rolled back by itself: {}", printable(why))?,
        (None, None) => writeln!(out, "this is the last step")?,
        (None, Some(next)) if *dwell_left_seconds > 0 => {
            writeln!(out, "the next step is {next} %, in {dwell_left_seconds} s")?;
        }
        (None, Some(next)) => writeln!(out, "the next step is {next} %")?,
    }
    writeln!(out, "\n{:<14} {:>10} {:>10} {:>10}  name", "queue", "visible", "in flight", "delayed")?;
    for (what, name, depth) in queues {
        let counts = depth.map_or(["?".to_owned(), "?".to_owned(), "?".to_owned()], |depth| {
            [depth.visible, depth.in_flight, depth.delayed].map(|count| count.to_string())
        });
        writeln!(out, "{what:<14} {:>10} {:>10} {:>10}  {}", counts[0], counts[1], counts[2], printable(name))?;
    }
    let known = |count: &Option<u64>| count.map_or_else(|| "not known".to_owned(), |count| count.to_string());
    writeln!(out, "\nimages in the window: Batch {}, ECS {}", known(&images.0), known(&images.1))?;
    writeln!(out, "tasks of the ECS service: {}", known(tasks))?;
    writeln!(out, "{:<32} {:>12} {:>12}", "figure", "seen", "limit")?;
    for reading in readings {
        writeln!(
            out,
            "{:<32} {:>12} {:>12}{}",
            label(reading.trigger),
            seen(reading),
            limit(reading),
            if reading.is_over() { "  passed" } else { "" }
        )?;
    }
    writeln!(out, "\nlast changes")?;
    for AuditEntry { at, by, what, from, to, why, .. } in state.trail.iter().rev().take(SHOWN) {
        let why = if why.is_empty() { String::new() } else { format!(": {}", printable(why)) };
        writeln!(out, "{}  {from:>3} % to {to:>3} %, {} by {}{why}", moment(*at), what.as_str(), printable(by))?;
    }
    Ok(())
}

fn label(trigger: RollbackTrigger) -> &'static str {
    match trigger {
        RollbackTrigger::FailureRatio => "rejected beyond ECS's share",
        RollbackTrigger::P99 => "p99 of an image, seconds",
        RollbackTrigger::QueueAge => "wait in the queue, seconds at most",
        RollbackTrigger::DeadLetters => "dead letters since the step",
        RollbackTrigger::Cost => "dollars a thousand images",
        RollbackTrigger::Interruptions => "Spot interruptions",
    }
}

fn seen(reading: &TriggerReading) -> String {
    reading.figure.map_or_else(|| "not known".to_owned(), |figure| format!("{figure:.3}"))
}

fn limit(reading: &TriggerReading) -> String {
    if reading.limit > 0.0 { reading.limit.to_string() } else { "off".to_owned() }
}
