//! `muster check`: tries everything muster needs and says how to mend what is wrong.

use std::process::ExitCode;

use super::CliError;
use super::finding::{Finding, State};
use super::models::lanes;
use super::print::print;
use crate::onnx::home::Home;
use crate::onnx::pack::Pack;
use crate::onnx::runtime;
use crate::settings::{Layers, Settings};
use crate::vision::decode::heif;

/// Arguments of `muster check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look at this library too
    #[cfg(feature = "local")]
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
                    State::Ok => "ok",
                    State::Missing => "missing",
                    State::Broken => "BROKEN",
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
        #[cfg_attr(not(feature = "cloud"), allow(unused_mut))]
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
            Ok(()) => models(&settings, &home, &mut findings),
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
        #[cfg(feature = "local")]
        if let Some(given) = &self.library {
            findings.push(library(given));
        }
        findings
    }
}

/// Runtime, models and lanes.
fn models(settings: &Settings, home: &Home, findings: &mut Vec<Finding>) {
    let pull = format!("muster models pull {}", settings.models.pack);
    findings.push(match runtime::library(settings.models.provider, home) {
        Ok(path) => Finding::ok("runtime", path.display().to_string()),
        Err(error) => Finding::broken("runtime", &error, &pull, 66),
    });
    match Pack::open(&settings.models.pack, home).and_then(|pack| pack.verify().map(|()| pack)) {
        Ok(pack) => {
            findings.push(Finding::ok("models", format!("{}, every sha256 as pinned", pack.id())));
            if findings.iter().all(|finding| finding.code == 0) {
                findings.push(match lanes(settings, &pack, home) {
                    Ok(lanes) => Finding::ok("lanes", format!("{} loaded", lanes.engines().len())),
                    Err(error) => Finding::broken("lanes", &error, &pull, 66),
                });
            }
        }
        Err(error) => findings.push(Finding::broken("models", &error, &pull, 66)),
    }
}

#[cfg(feature = "local")]
fn library(given: &std::path::Path) -> Finding {
    use crate::local::{Library, LibraryError};
    let opened = Library::find(Some(given)).and_then(|folder| Library::open(&folder));
    match opened {
        Ok(library) => Finding::ok("library", library.folder().display().to_string()),
        Err(error @ LibraryError::Locked { .. }) => Finding::ok("library", error.to_string()),
        Err(error) => Finding::broken("library", &error, "see the message", CliError::from(error.clone()).exit_code()),
    }
}
