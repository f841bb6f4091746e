//! `muster models bench`.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::ModelsError;
use crate::cli::values::Provider;
use muster_config::{Models, Settings};
use muster_inference::onnx::bench::{self, BenchRow};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::lanes::first_place;
use muster_inference::onnx::pack::{DEFAULT_PACK, Pack};
use muster_inference::onnx::plot;
use muster_inference::onnx::tally::TensorRuns;

/// Arguments of `muster models bench`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Args {
    /// Names of packs, or folders of your own.
    #[arg(default_value = DEFAULT_PACK)]
    packs: Vec<String>,
    /// Who executes the models; may be repeated.
    #[arg(long, value_enum, default_value = "cpu")]
    provider: Vec<Provider>,
    /// Threads within one operation.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Times these tensors: a file with `stages.device.tensors` of what `muster index --json` printed.
    #[arg(long, value_name = "FILE")]
    tensors: Option<PathBuf>,
    /// Draws what was measured into an SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Prints one JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(&self, settings: &Settings, home: &Home, out: &mut dyn Write) -> Result<(), ModelsError> {
        let rows = match (&self.packs[..], &self.provider[..]) {
            ([pack], [provider]) => self.here(pack, *provider, settings, home)?,
            // A process holds one ONNX Runtime, and a start is cold only in a new process.
            (packs, providers) => {
                let mut rows = Vec::new();
                for pack in packs {
                    for provider in providers {
                        rows.extend(self.apart(pack, *provider)?);
                    }
                }
                rows
            }
        };
        if let Some(path) = &self.plot {
            let drawn = fs::write(path, plot::svg(&rows));
            drawn.map_err(|error| ModelsError::Bench(format!("{}: {error}", path.display())))?;
        }
        if self.json { print_lines(&rows, out) } else { print_table(&rows, out) }
    }

    fn here(
        &self,
        pack: &str,
        provider: Provider,
        settings: &Settings,
        home: &Home,
    ) -> Result<Vec<BenchRow>, ModelsError> {
        let pack = Pack::open(pack, home)?;
        let tensors = self.tensors.as_deref().map(read_tensors).transpose()?;
        let place = first_place(&Models { provider: provider.into(), ..settings.models.clone() }, home)?;
        Ok(bench::models(&pack, home, &place, usize::from(self.threads), tensors.as_deref())?)
    }

    fn apart(&self, pack: &str, provider: Provider) -> Result<Vec<BenchRow>, ModelsError> {
        let failed = |text: String| ModelsError::Bench(format!("{pack} on {provider:?}: {text}"));
        let mut command = Command::new(std::env::current_exe().map_err(|error| failed(error.to_string()))?);
        command.args(["models", "bench", pack, "--json", "--threads", &self.threads.to_string(), "--provider"]);
        command
            .arg(clap::ValueEnum::to_possible_value(&provider).map_or_else(String::new, |v| v.get_name().to_owned()));
        if let Some(tensors) = &self.tensors {
            command.arg("--tensors").arg(tensors);
        }
        let done = command.stderr(Stdio::inherit()).output().map_err(|error| failed(error.to_string()))?;
        if !done.status.success() {
            return Err(failed(done.status.to_string()));
        }
        let lines = String::from_utf8_lossy(&done.stdout).into_owned();
        lines.lines().map(|line| serde_json::from_str(line).map_err(|error| failed(error.to_string()))).collect()
    }
}

fn read_tensors(path: &Path) -> Result<Vec<TensorRuns>, ModelsError> {
    let tensors = File::open(path).and_then(|file| Ok(serde_json::from_reader(BufReader::new(file))?));
    tensors.map_err(|source| ModelsError::Tensors { path: path.to_path_buf(), source })
}

fn print_table(rows: &[BenchRow], out: &mut dyn Write) -> Result<(), ModelsError> {
    writeln!(
        out,
        "{:<20} {:<9} {:<38} {:<9} {:>7} {:>14} {:>9} {:>10} {:>10} {:>9} {:>9}",
        "pack",
        "precision",
        "model",
        "provider",
        "threads",
        "input",
        "ms",
        "ms an item",
        "items/s",
        "load ms",
        "first ms"
    )?;
    for row in rows {
        let [batch, _, height, width] = row.shape;
        let input = format!("{batch}x{width}x{height}");
        let each = row.milliseconds / batch as f64;
        let BenchRow { pack, precision, model, provider, threads, .. } = row;
        writeln!(
            out,
            "{pack:<20} {precision:<9} {model:<38} {provider:<9} {threads:>7} {input:>14} {:>9.2} {each:>10.2} {:>10.1} {:>9.0} {:>9.1}",
            row.milliseconds, row.items_a_second, row.load_milliseconds, row.first_milliseconds
        )?;
    }
    Ok(())
}

fn print_lines(rows: &[BenchRow], out: &mut dyn Write) -> Result<(), ModelsError> {
    for row in rows {
        writeln!(out, "{}", json!(row))?;
    }
    Ok(())
}
