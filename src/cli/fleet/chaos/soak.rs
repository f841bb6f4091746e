//! `muster soak` tells whether the resources of workers grow under steady work.

use std::process::ExitCode;
use std::time::Duration;

use super::run_args::{FOUND, RunArgs, program};
use super::runtime;
use crate::cli::CliError;
use crate::cli::print::print;
use muster_chaos::soak::soak;
use muster_chaos::workload::Workload;

/// Number of images, which are sent again and again.
const IMAGES: usize = 600;
/// Seconds of the messages' leases.
const LEASE: u64 = 60;

/// Arguments of `muster soak`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One worker that detects and one that groups get the same images again and again; a device that needs no model stands in for the
engine. Memory, open files, threads and messages that wait are sampled; the first three tenths of the time are a warm-up.

Exit codes: 0 nothing grows by more than 2 %, 1 something does, 81 the run could not be made.")]
pub struct Args {
    /// How long
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Messages a second
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    #[command(flatten)]
    place: RunArgs,
}

impl Args {
    /// Executes the soak and prints its result.
    pub fn run(self) -> Result<ExitCode, CliError> {
        let soak = runtime()?.block_on(async {
            let servers = self.place.start().await?;
            let site = self.place.site(&servers, "soak", LEASE).await?;
            let load = Workload::upload(&site, &self.place.photos, IMAGES, 0).await?;
            let length = Duration::from_secs_f64(self.minutes.max(0.1) * 60.0);
            soak(&site, &load, self.rate, length, &program()?).await
        })?;
        soak.write(&self.place.report)?;
        print(|out| {
            write!(out, "{}", soak.text())?;
            Ok(writeln!(out, "{}", self.place.report.join("soak.html").display())?)
        })?;
        Ok(if soak.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
    }
}
