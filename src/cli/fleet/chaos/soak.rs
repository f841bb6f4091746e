//! `muster soak`: does anything grow?

use std::process::ExitCode;
use std::time::Duration;

use super::ground::{FOUND, Where, program};
use super::runtime;
use crate::cli::CliError;
use crate::cli::print::print;
use muster_chaos::load::Load;
use muster_chaos::soak::soak;

/// Images that are sent again and again.
const IMAGES: usize = 600;
/// Seconds of their leases.
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
    ground: Where,
}

impl Args {
    /// Makes the run.
    pub fn run(self) -> Result<ExitCode, CliError> {
        let soak = runtime()?.block_on(async {
            let ground = self.ground.start().await?;
            let site = self.ground.site(&ground, "soak", LEASE).await?;
            let load = Load::upload(&site, &self.ground.photos, IMAGES, 0).await?;
            let length = Duration::from_secs_f64(self.minutes.max(0.1) * 60.0);
            soak(&site, &load, self.rate, length, &program()?).await
        })?;
        soak.write(&self.ground.report)?;
        print(|out| {
            write!(out, "{}", soak.text())?;
            Ok(writeln!(out, "{}", self.ground.report.join("soak.html").display())?)
        })?;
        Ok(if soak.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
    }
}
