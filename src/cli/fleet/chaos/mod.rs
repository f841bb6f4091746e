//! `muster chaos` shows that workers lose nothing and do nothing twice while they are disturbed.

mod run_args;
pub mod soak;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::cli::CliError;
use crate::cli::print::{print, say};
use muster_chaos::ChaosError;
use muster_chaos::audit::{Audit, audit};
use muster_chaos::chaos_run::{self, RunOutcome, RunSpec};
use muster_chaos::plan::{FaultEvent, FaultMix, plan};
use muster_chaos::report::Report;
use muster_chaos::site::Site;
use muster_chaos::stand_in::{self, AbortingDecoder, StandInEngine};
use muster_chaos::workload::Workload;
use muster_inference::substitute::Substitute;
use run_args::{FOUND, RunArgs, program};

/// Seconds of a run for each kill, where no length is given.
const SECONDS_PER_KILL: f64 = 1.5;

/// Registers the pack without models, so that settings can name it.
pub fn register_stand_in() {
    muster_inference::substitute::register(Substitute {
        name: stand_in::PACK,
        similarity: stand_in::SIMILARITY,
        engine: StandInEngine::from_env,
        decoder: |decoder| Arc::new(AbortingDecoder(decoder)),
        decoder_option: "--marked",
    });
}

/// Arguments of `muster chaos`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Starts MongoDB, Redis and SQS and S3 of its own (--servers), workers as processes over them, and sends messages for real photos;
a device that needs no model stands in for the engine. Workers are killed, stopped, told to end, starved; services are cut off,
slowed, restarted. In the end every message must be accounted for once, and the databases must be as an undisturbed run leaves
them. The same seed gives the same schedule.

Exit codes: 0 nothing lost and nothing doubled, 1 a fault was found, 81 the run could not be made.

Examples:
  muster chaos --kills 200 --messages 5000 --seed 7 --report chaos/
  muster chaos --minutes 30 --kills 100 --workers 6
  muster chaos --kills 100 --only-drains
  muster chaos --messages 20000 --bad 100 --kills 0 --no-compare")]
pub struct Args {
    /// Length of the storm in minutes [default: 1.5 s a kill]
    #[arg(long)]
    minutes: Option<f64>,
    /// Everything random follows from it [default: by the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Blows that end a worker
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// Workers that detect, side by side; two more group
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Messages, one an image
    #[arg(long, default_value_t = 1_000)]
    messages: usize,
    /// Of which bad: half of them kill the process that decodes them
    #[arg(long, default_value_t = 0)]
    bad: usize,
    /// Seconds that a message is leased for
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=600))]
    lease: u64,
    /// Only signals and notices that a worker drains at
    #[arg(long)]
    only_drains: bool,
    /// Do not run the same work undisturbed afterwards
    #[arg(long)]
    no_compare: bool,
    #[command(flatten)]
    place: RunArgs,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

impl Args {
    /// Executes the run and prints its report.
    pub fn run(self) -> Result<ExitCode, CliError> {
        let report = runtime()?.block_on(self.make())?;
        report.write(&self.place.report)?;
        print(|out| {
            let text = if self.json { serde_json::to_string(&report)? + "\n" } else { report.text(false) };
            write!(out, "{text}")?;
            say(&self.place.report.join("report.html").display().to_string());
            Ok(())
        })?;
        Ok(if report.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
    }

    async fn make(&self) -> Result<Report, ChaosError> {
        let by_the_clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let seed = self.seed.unwrap_or_else(by_the_clock);
        let seconds = self.minutes.map_or(self.kills as f64 * SECONDS_PER_KILL, |minutes| minutes * 60.0);
        let (length, workers) = (Duration::from_secs_f64(seconds.max(1.0)), usize::from(self.workers));
        say(&format!("seed {seed}: {} messages, {} kills in {seconds:.0} s", self.messages, self.kills));
        let (servers, program) = (self.place.start().await?, program()?);
        let storm = self.place.site(&servers, "storm", self.lease).await?;
        let load = Workload::upload(&storm, &self.place.photos, self.messages, self.bad).await?;
        let events = plan(&FaultMix {
            seed,
            length,
            kills: self.kills,
            workers: workers + chaos_run::GROUPERS,
            only_drains: self.only_drains,
        });
        let run = async |site: &Site, events: Vec<FaultEvent>, length| -> Result<(RunOutcome, Audit), ChaosError> {
            let program = program.clone();
            let outcome = chaos_run::execute(&RunSpec { site, load: &load, events, length, workers, program }).await?;
            Ok((outcome, audit(site, &load).await?))
        };
        let (outcome, audited) = run(&storm, events, length).await?;
        let calm = if self.no_compare {
            None
        } else {
            say("the same work undisturbed, to compare");
            let calm = self.place.site(&servers, "calm", self.lease).await?;
            Some(run(&calm, Vec::new(), Duration::ZERO).await?.1)
        };
        Ok(Report::new(seed, workers, self.lease, outcome, audited, calm))
    }
}
