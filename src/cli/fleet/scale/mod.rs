//! `muster scale` starts as many workers as the queues need.

mod live;
mod plot;
mod simulate;
mod tick_reporter;

use std::process::ExitCode;

use crate::cli::{CliError, Logging};
use muster_config::{Layers, Origin};

/// Arguments of `muster scale`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without an argument it looks at the queues again and again ([scale] in the settings) and starts workers; nobody is stopped:
workers leave when their queue stays empty. Several may run at once, only one submits at a time.

TRACE is a file with lines of `second,images`, or one of burst-1500, burst-100k, burst-1m, steady-30, diurnal, trickle.
Rate, boot, target and caps come from the settings: MUSTER_SCALE__RATE=35 muster scale --simulate …

Examples:
  muster scale --dry-run
  muster scale --fleet local
  muster scale --simulate burst-100k
  muster scale --simulate arrivals.csv --interruptions 0.1 --plot scale.svg")]
pub struct Args {
    /// Where workers run
    #[arg(long, value_name = "FLEET", value_parser = ["batch", "ecs", "local"])]
    fleet: Option<String>,
    /// Which rule decides
    #[arg(long, value_name = "POLICY", value_parser = ["drain-time", "threshold", "per-message"])]
    policy: Option<String>,
    /// Look once and do what follows
    #[arg(long)]
    once: bool,
    /// Look once, and say what would follow and why
    #[arg(long, conflicts_with = "once")]
    dry_run: bool,
    #[command(flatten)]
    simulate: simulate::Simulation,
    /// Print JSON: a line for each look and each worker, or the outcome of the simulation
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs it.
    pub fn run(self, mut layers: Layers, logging: Logging) -> Result<ExitCode, CliError> {
        if let Some(fleet) = &self.fleet {
            layers.set("scale.fleet", fleet.clone().into(), Origin::Flag("--fleet"))?;
        }
        if let Some(policy) = &self.policy {
            layers.set("scale.policy", policy.clone().into(), Origin::Flag("--policy"))?;
        }
        logging.start();
        let settings = layers.settings()?;
        if self.simulate.asked() {
            return self.simulate.run(&settings, self.json);
        }
        let how = match (self.once, self.dry_run) {
            (true, _) => live::TickMode::Once,
            (_, true) => live::TickMode::DryRun,
            (false, false) => live::TickMode::Loop,
        };
        live::run(&settings, layers.path(), how, self.json)
    }
}
