//! `muster scale --simulate` simulates each scaling policy on a trace of arrivals.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use muster_actors::domain::cost::{Bill, Prices};
use muster_actors::scaler::simulate::{SimulationOutcome, SimulationRule, simulate};
use muster_actors::scaler::trace::{ArrivalTrace, NAMES};
use serde::Serialize;

use super::plot;
use crate::cli::CliError;
use crate::cli::print::{output, print};
use muster_config::{PolicyName, Settings};

/// Arguments of `muster scale --simulate`.
#[derive(Debug, clap::Args)]
pub struct Simulation {
    /// Try the policies on a trace of arrivals
    #[arg(long, value_name = "TRACE", conflicts_with_all = ["once", "dry_run", "fleet", "policy"])]
    simulate: Option<String>,
    /// Spot interruptions an hour and worker
    #[arg(long, value_name = "N", default_value_t = 0.05, requires = "simulate")]
    interruptions: f64,
    /// Seed of boot times and interruptions
    #[arg(long, value_name = "N", default_value_t = 1, requires = "simulate")]
    seed: u64,
    /// Write a plot of backlog and workers
    #[arg(long, value_name = "FILE.svg", requires = "simulate")]
    plot: Option<PathBuf>,
}

/// One rule's outcome.
#[derive(Debug, Serialize)]
pub struct Run {
    pub policy: &'static str,
    #[serde(flatten)]
    pub outcome: SimulationOutcome,
    /// Of machines and of requests; the service around the clock runs for whole days.
    pub dollars: f64,
    /// The same by what they are for.
    pub bill: Bill,
    /// Of a million such images.
    pub dollars_per_million: Option<f64>,
}

const DAY: f64 = 86_400.0;
const ALWAYS_ON: &str = "always-on";

/// All of it.
#[derive(Debug, Serialize)]
struct SimulationReport {
    trace: String,
    images: u64,
    policies: Vec<Run>,
}

impl Simulation {
    /// Whether a simulation is asked for.
    pub fn asked(&self) -> bool {
        self.simulate.is_some()
    }

    /// Runs every policy.
    pub fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, CliError> {
        let name = self.simulate.clone().unwrap_or_default();
        if !(0.0..=3600.0).contains(&self.interruptions) {
            return Err(CliError::Usage(format!("--interruptions is {}, allowed is 0 to 3600", self.interruptions)));
        }
        let trace = trace(&name)?;
        let report = self.report(settings, &name, &trace);
        if let Some(place) = &self.plot {
            // The service around the clock takes its time, and would squeeze the others.
            let policies = report.policies.iter().filter(|run| run.policy != ALWAYS_ON);
            let drawn = plot::draw(&report.trace, &policies.collect::<Vec<_>>())?;
            output(Some(place), |out| Ok(out.write_all(drawn.as_bytes())?))?;
        }
        print(|out| {
            if json { Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?) } else { table(&report, out) }
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, settings: &Settings, name: &str, trace: &ArrivalTrace) -> SimulationReport {
        let world = settings.world(self.interruptions, self.seed);
        let cost = &settings.cost;
        let run = |policy, outcome: SimulationOutcome, seconds: f64, prices: &Prices| {
            let bill = cost.usage(outcome.done, seconds).at(prices);
            let (dollars, dollars_per_million) = (bill.total(), bill.per_million(outcome.done));
            Run { policy, outcome, dollars, bill, dollars_per_million }
        };
        let mut policies: Vec<Run> = PolicyName::ALL
            .into_iter()
            .map(|policy| {
                let outcome = simulate(SimulationRule::Scaled(settings.scale.policy(policy)), trace, &world);
                let seconds = outcome.hours * 3600.0;
                run(policy.as_str(), outcome, seconds, &cost.spot())
            })
            .collect();
        let mut always_on = simulate(SimulationRule::AlwaysOn(cost.always_on), trace, &world);
        let days = (always_on.looks.last().map_or(0, |look| look.0) as f64 / DAY).ceil().max(1.0);
        always_on.hours = 24.0 * days * cost.always_on as f64;
        let seconds = always_on.hours * 3600.0;
        policies.push(run(ALWAYS_ON, always_on, seconds, &cost.on_demand()));
        SimulationReport { trace: name.to_owned(), images: trace.images(), policies }
    }
}

fn trace(name: &str) -> Result<ArrivalTrace, CliError> {
    if let Some(trace) = ArrivalTrace::named(name) {
        return Ok(trace);
    }
    let path = PathBuf::from(name);
    if !path.exists() {
        let named = NAMES.join(", ");
        return Err(CliError::Missing(format!("{name} is neither a file nor one of {named}")));
    }
    let text = std::fs::read_to_string(&path).map_err(|source| CliError::File { path, source })?;
    text.parse().map_err(|error| CliError::Usage(format!("{name}: {error}")))
}

fn table(report: &SimulationReport, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "{}: {} images", report.trace, report.images)?;
    writeln!(
        out,
        "{:<12} {:>10} {:>9} {:>8} {:>9} {:>6} {:>9} {:>12} {:>9} {:>10}",
        "policy",
        "drained s",
        "backlog",
        "workers",
        "GPU-hours",
        "empty",
        "rejected",
        "interrupted",
        "dollars",
        "a million"
    )?;
    for Run { policy, outcome, dollars, dollars_per_million, .. } in &report.policies {
        let drained = outcome.drained.map_or_else(|| "never".to_owned(), |seconds| seconds.to_string());
        let million = dollars_per_million.map_or_else(|| "-".to_owned(), |dollars| format!("{dollars:.2}"));
        writeln!(
            out,
            "{policy:<12} {drained:>10} {:>9} {:>8} {:>9.2} {:>6} {:>9} {:>12} {dollars:>9.2} {million:>10}",
            outcome.backlog, outcome.workers, outcome.hours, outcome.empty, outcome.rejected, outcome.interrupted,
        )?;
    }
    writeln!(out, "\na million images")?;
    for Run { policy, outcome, bill, .. } in report.policies.iter().filter(|run| run.outcome.done > 0) {
        let million = |dollars: f64| dollars / outcome.done as f64 * 1e6;
        let parts = bill.items().map(|(item, dollars)| format!("{item} {:.2}", million(dollars)));
        writeln!(out, "{policy:<12} {}", parts.join(", "))?;
    }
    Ok(())
}
