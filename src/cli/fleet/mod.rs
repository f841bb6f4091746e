//! The commands of a fleet's workers.

#[cfg(feature = "chaos")]
pub mod chaos;
pub mod check;
mod cutover;
pub mod forget;
mod run;
mod scale;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::{CliError, Logging};
use muster_config::{Layers, Origin, Settings, WorkerRole};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::manifest::Manifest;
use muster_inference::onnx::pack::Pack;
use muster_worker::fleet::{self, FleetError};

/// Brings a model pack that lies in S3; from then on the settings name the folder where it is.
pub fn bring(settings: &mut Settings, home: &Home) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(folder) = runtime.block_on(fleet::bring(settings, &home.models()))? {
        settings.models.pack = folder.display().to_string();
    }
    Ok(())
}

/// The manifest of the pack that a fleet's workers use.
pub async fn manifest(settings: &Settings) -> Result<Manifest, CliError> {
    Ok(match fleet::manifest(settings).await? {
        Some(manifest) => manifest,
        None => Pack::open(&settings.models.pack, &Home::from_env()?)?.manifest().clone(),
    })
}

/// A worker of a fleet.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find the faces of the images that a queue names, until it stays empty
    Detect(Args),
    /// Group the galleries that a queue names, until it stays empty
    Group(Args),
    /// Answer the callers of a web tier (`muster serve` with queues): whose faces are in their photos
    Respond(Args),
    /// Detect, group or respond, as SERVICE_TYPE says
    Worker(Args),
    /// Move work from an ECS service to Batch jobs, a share at a time, and back
    #[command(subcommand)]
    Cutover(cutover::Command),
    /// Start as many workers as the queues want, or try policies on a trace of arrivals
    Scale(scale::Args),
    /// Kill workers and cut services off, and prove that nothing is lost and nothing done twice
    #[cfg(feature = "chaos")]
    Chaos(chaos::Args),
    /// Let workers run for a long time, and see whether anything grows
    #[cfg(feature = "chaos")]
    Soak(chaos::soak::Args),
}

/// Arguments of a worker.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Settings come from a file (--config), the environment and flags, in that order of strength; `muster config` shows them,
`muster check` tries them. SIGTERM hands back what is not on a device and ends with exit code 80.")]
pub struct Args {
    /// Stay when the queue is empty (ecs) or leave (batch)
    #[arg(long, value_name = "MODE", value_parser = ["auto", "batch", "ecs"])]
    mode: Option<String>,
    /// Model pack: open, edgeface, insightface-s, or a folder with a manifest
    #[arg(long, value_name = "PACK")]
    model: Option<String>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Runs the worker to its end.
    pub fn run(self, mut layers: Layers, logging: Logging) -> Result<ExitCode, CliError> {
        let (args, role) = match self {
            Self::Detect(args) => (args, Some(WorkerRole::Detection)),
            Self::Group(args) => (args, Some(WorkerRole::Grouping)),
            Self::Respond(args) => (args, Some(WorkerRole::Recognition)),
            Self::Worker(args) => (args, None),
            Self::Cutover(command) => return command.run(&mut layers, logging),
            Self::Scale(args) => return args.run(layers, logging),
            #[cfg(feature = "chaos")]
            Self::Chaos(args) => {
                logging.start();
                return args.run();
            }
            #[cfg(feature = "chaos")]
            Self::Soak(args) => {
                logging.start();
                return args.run();
            }
        };
        if let Some(mode) = &args.mode {
            layers.set("fleet.mode", mode.clone().into(), Origin::Flag("--mode"))?;
        }
        if let Some(pack) = &args.model {
            layers.set("models.pack", pack.clone().into(), Origin::Flag("--model"))?;
        }
        let settings = layers.settings()?;
        let role = match role {
            Some(role) => role,
            None => match settings.fleet.service.as_str() {
                "detection" => WorkerRole::Detection,
                "grouping" => WorkerRole::Grouping,
                "recognition" => WorkerRole::Recognition,
                other => return Err(FleetError::Service(other.to_owned()).into()),
            },
        };
        run::run(settings, role, logging, args.json)
    }
}
