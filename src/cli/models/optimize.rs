//! `muster models optimize`.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::ModelsError;
use crate::cli::values;
use muster_config::{Provider, Settings};
use muster_inference::onnx::derived_pack::{Parity, Precision};
use muster_inference::onnx::execution_target::ExecutionTarget;
use muster_inference::onnx::graph::int8::QuantizationTarget;
use muster_inference::onnx::home::Home;
use muster_inference::onnx::lanes::{batch_on_a_card, first_place};
use muster_inference::onnx::pack::{DEFAULT_PACK, Pack};
use muster_inference::optimize::{OptimizeOptions, OptimizeOutcome, make};

/// A product that was made and refused (`EX_DATAERR`): its figures are printed.
const REFUSED: u8 = 65;

/// Arguments of `muster models optimize`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Args {
    /// The pack to make it from.
    #[arg(default_value = DEFAULT_PACK)]
    pack: String,
    /// In which numbers it computes: half for cards, int8 for processors.
    #[arg(long, value_enum)]
    precision: values::Precision,
    /// Who runs a pack in bytes; without it, processors like this one.
    #[arg(long, value_enum)]
    target: Option<values::Target>,
    /// Your own photos, at least 60 with 200 faces: every second one is calibrated with, the others judge.
    #[arg(long, value_name = "DIR")]
    photos: PathBuf,
    /// Photos in a folder for each person: whether the product groups people as well is judged by
    /// them, as `muster evaluate` does.
    #[arg(long, value_name = "DIR")]
    labelled: Option<PathBuf>,
    /// What it is called; without it, the pack's name and the precision.
    #[arg(long)]
    name: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(&self, settings: &Settings, home: &Home, out: &mut dyn Write) -> Result<u8, ModelsError> {
        let pack = Pack::open(&self.pack, home)?;
        pack.verify()?;
        let precision = Precision::from(self.precision);
        let name = self.name.clone().unwrap_or_else(|| format!("{}-{}", pack.manifest().name, precision));
        let target = self.target.map_or_else(QuantizationTarget::here, QuantizationTarget::from);
        // What is for cards is judged on one, where there is one.
        let place = match (precision, target, settings.models.provider) {
            (Precision::Half, ..)
            | (Precision::Int8, QuantizationTarget::TensorRt, _)
            | (Precision::Float, _, Provider::TensorRt) => first_place(&settings.models, home)?,
            (Precision::Float | Precision::Int8, ..) => ExecutionTarget::Cpu,
        };
        let order = OptimizeOptions {
            precision,
            target,
            frames: if place.card().is_some() { batch_on_a_card(settings.pipeline.batch) } else { 1 },
            place,
            photos: self.photos.clone(),
            labelled: self.labelled.clone(),
            name: name.clone(),
        };
        let made = make(&pack, home, &order, |text| eprintln!("{text}"))?;
        if self.json {
            let OptimizeOutcome { parity, failures, folder, bytes: [source, product] } = &made;
            let line = json!({
                "name": name, "of": pack.id(), "precision": precision, "judged": order.place.name(), "kept": folder, "refused": failures,
                "bytes": { "source": source, "product": product }, "parity": parity,
            });
            writeln!(out, "{line}")?;
        } else {
            write!(out, "{}", text(&made, &name, &pack.id()))?;
        }
        Ok(if made.failures.is_empty() { 0 } else { REFUSED })
    }
}

fn text(made: &OptimizeOutcome, name: &str, of: &str) -> String {
    let OptimizeOutcome { parity, failures, folder, bytes: [source, product] } = made;
    let Parity { faces, cosine_mean, cosine_p1, photos, agreement, people, grouping: _ } = parity;
    let megabytes = |bytes: &u64| *bytes as f64 / 1e6;
    let mut text = format!(
        "{name}, made from {of}: {:.1} MB instead of {:.1}\n\
         same faces, {faces} compared: cosine {cosine_mean:.4} in the mean, all but one in a hundred at least {cosine_p1:.4}\n\
         same detections in {photos} photos: {:.2} % of the faces\n",
        megabytes(product),
        megabytes(source),
        agreement * 100.0,
    );
    text += &match people {
        Some([before, after]) => format!(
            "same people: B-cubed F {:.4}, {} of {} groups mixed; with {of} {:.4}, {} of {}\n",
            after.b_cubed_f, after.mixed_groups, after.groups, before.b_cubed_f, before.mixed_groups, before.groups,
        ),
        None => String::from("same people: not judged, give photos in one folder a person (--labelled DIR)\n"),
    };
    match folder {
        Some(folder) => {
            text += &format!(
                "kept in {}\nto use it: muster index PHOTOS --model {name}; to time it: muster models bench {} {name}\n",
                folder.display(),
                of.split('@').next().unwrap_or(of),
            );
        }
        None => {
            text += "refused, and not kept:\n";
            failures.iter().for_each(|failure| text += &format!("  {failure}\n"));
        }
    }
    text
}
