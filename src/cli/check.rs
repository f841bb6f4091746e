//! `muster check` tries everything that muster needs, and says how to fix what is wrong.

use std::process::ExitCode;

use super::CliError;
use super::finding::{Finding, FindingState};
use super::models::lanes;
use super::print::print;
use muster_config::{Layers, Settings};
use muster_inference::gpu::cards::cuda;
use muster_inference::gpu::{Card, CardSelection};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::lanes::found;
use muster_inference::onnx::pack::Pack;
use muster_inference::onnx::plan::{ExecutionPlan, NoCardReason, plan};
use muster_inference::onnx::runtime;
use muster_vision::decode::heif;

/// Arguments of `muster check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look at this library too
    #[arg(long, value_name = "DIR", env = "MUSTER_LIBRARY")]
    library: Option<std::path::PathBuf>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(&self, layers: &Layers) -> Result<ExitCode, CliError> {
        let findings = self.findings(layers);
        print(|out| {
            if self.json {
                return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?);
            }
            for finding in &findings {
                let state = match finding.state {
                    FindingState::Ok => "ok",
                    FindingState::Missing => "missing",
                    FindingState::Broken => "BROKEN",
                };
                writeln!(out, "{:<8} {:<18} {}", state, finding.what, finding.detail)?;
                if let Some(mend) = &finding.mend {
                    writeln!(out, "{:<27} to mend it: {mend}", "")?;
                }
            }
            Ok(())
        })?;
        Ok(ExitCode::from(findings.iter().map(|finding| finding.code).find(|code| *code != 0).unwrap_or(0)))
    }

    fn findings(&self, layers: &Layers) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut settings = match layers.settings() {
            Ok(settings) => settings,
            Err(error) => return vec![Finding::broken("settings", &error, "correct what is named", 78)],
        };
        findings.push(Finding::ok("settings", "valid"));
        let home = match Home::from_env() {
            Ok(home) => home,
            Err(error) => return vec![Finding::broken("home", &error, "set MUSTER_HOME", 78)],
        };
        #[cfg(feature = "cloud")]
        let brought = super::fleet::bring(&mut settings, &home);
        #[cfg(not(feature = "cloud"))]
        let brought = Ok::<_, CliError>(());
        match brought {
            Ok(()) => models(&mut settings, &home, &mut findings),
            Err(error) => {
                let mend = "correct models.pack, or upload the pack";
                findings.push(Finding::broken("models", &error, mend, error.exit_code()));
            }
        }
        findings.push(match heif::is_installed() {
            Ok(()) => Finding::ok("heic", "libheif is installed"),
            Err(error) => {
                Finding::lacking("heic", &error.to_string(), "apt-get install libheif1 (only HEIC photos need it)")
            }
        });
        #[cfg(feature = "cloud")]
        if super::fleet::check::is_fleet(&settings) {
            findings.extend(super::fleet::check::findings(&settings));
        }
        if let Some(given) = &self.library {
            findings.push(library(given));
        }
        findings
    }
}

/// Cards, runtime, models and lanes.
fn models(settings: &mut Settings, home: &Home, findings: &mut Vec<Finding>) {
    let pull = format!("muster models pull {}", settings.models.pack);
    let choice = CardSelection::parse(&settings.models.devices);
    let found = found(settings.models.provider, &choice, home);
    match plan(settings.models.provider, &choice, &found) {
        Ok(plan) => {
            findings.push(cards(&plan));
            findings.push(match runtime::of_build(plan.build(), home) {
                Ok(path) => Finding::ok("runtime", path.display().to_string()),
                Err(error) => Finding::broken("runtime", &error, plan.build().mend(), 66),
            });
        }
        Err(error) => findings.push(Finding::broken("cards", &error, "correct models.devices", 78)),
    }
    match Pack::open(&settings.models.pack, home).and_then(|pack| pack.verify().map(|()| pack)) {
        Ok(pack) => {
            findings.push(Finding::ok("models", format!("{}, every sha256 as pinned", pack.id())));
            if findings.iter().all(|finding| finding.code == 0) {
                findings.push(match lanes(settings, &pack, home, usize::MAX) {
                    Ok(lanes) => {
                        let (count, place, batch) = (lanes.engines().len(), lanes.place(), settings.pipeline.batch);
                        Finding::ok("lanes", format!("{count} on {place}, batches of {batch} images at most"))
                    }
                    Err(error) => Finding::broken("lanes", &error, &pull, 66),
                });
            }
        }
        Err(error) => findings.push(Finding::broken("models", &error, &pull, 66)),
    }
}

/// The cards that are used, or why the models run on the processor.
fn cards(plan: &ExecutionPlan) -> Finding {
    match &plan.without {
        None if plan.cards.is_empty() => Finding::ok("cards", "none is asked for: the models run on the CPU"),
        Some(NoCardReason::AsUsual(reason)) => Finding::ok("cards", format!("the models run on the CPU: {reason}")),
        Some(NoCardReason::Warn(reason)) => {
            let mend = "see docs/gpu.md; MUSTER_DEVICES=cpu asks for none";
            Finding::lacking("cards", &format!("the models run on the CPU: {reason}"), mend)
        }
        None => {
            let each = plan.cards.iter().map(|card| {
                let Card { ordinal, name, compute: (major, minor), free, total, .. } = card;
                let gib = |bytes: &u64| *bytes as f64 / f64::from(1 << 30);
                format!("{ordinal}: {name} ({major}.{minor}), {:.1} of {:.1} GiB free", gib(free), gib(total))
            });
            let driver = plan.cards.first().map_or_else(String::new, |card| cuda(card.driver));
            Finding::ok("cards", format!("{}; the driver knows CUDA {driver}", each.collect::<Vec<_>>().join(", ")))
        }
    }
}

fn library(given: &std::path::Path) -> Finding {
    use muster_library::{Library, LibraryError};
    let opened = Library::find(Some(given)).and_then(|folder| Library::open(&folder));
    match opened {
        Ok(library) => Finding::ok("library", library.folder().display().to_string()),
        Err(error @ LibraryError::Locked { .. }) => Finding::ok("library", error.to_string()),
        Err(error) => Finding::broken("library", &error, "see the message", CliError::from(error.clone()).exit_code()),
    }
}
