//! Derives a smaller or faster pack from another, and keeps it only if it finds the same faces and groups the same
//! people.

mod calibrate;
mod draft;
mod error;
pub mod gate;
mod parity;
mod people;
mod samples;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_actors::domain::image::Pixels;
use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;

use self::draft::DerivedPackDraft;
pub use self::error::OptimizeError;
use self::gate::ParityGate;
use self::parity::{agreement, cosine, mean_and_p1};
use self::samples::{SamplePhoto, halves};
use crate::onnx::analyser::{Analyser, FACES};
use crate::onnx::derived_pack::{GroupingScores, Parity, Precision};
use crate::onnx::detector::DetectorModel;
use crate::onnx::embedder::{Embedded, EmbedderModel};
use crate::onnx::engine::Options;
use crate::onnx::execution_target::ExecutionTarget;
use crate::onnx::graph::int8::QuantizationTarget;
use crate::onnx::graph::{Rewrite, half, int8, rewrite};
use crate::onnx::home::Home;
use crate::onnx::manifest::{Manifest, is_plain};
use crate::onnx::pack::Pack;
use crate::onnx::runtime::{environment, library};
use crate::onnx::tally::Tally;
use muster_vision::decode::{Limits, VisionDecoder};

/// Options of deriving a pack.
#[derive(Clone, Debug)]
pub struct OptimizeOptions {
    /// Precision of its computations.
    pub precision: Precision,
    /// Runtime for a pack that computes in bytes.
    pub target: QuantizationTarget,
    /// Execution target on which the derived pack is judged.
    pub place: ExecutionTarget,
    /// Images in one run on it, as in a lane, so that the engine that TensorRT compiles for the judgement also serves
    /// the lanes.
    pub frames: usize,
    /// Folder of photos for calibration and judgement.
    pub photos: PathBuf,
    /// Folder of labelled photos, with a folder for each person.
    pub labelled: Option<PathBuf>,
    /// Name of the derived pack.
    pub name: String,
}

/// The result of deriving a pack.
#[derive(Clone, Debug)]
pub struct OptimizeOutcome {
    /// Agreement with its source.
    pub parity: Parity,
    /// Figures that it does not reach; if there are any, it was not kept.
    pub failures: Vec<String>,
    /// Its folder, if it was kept.
    pub folder: Option<PathBuf>,
    /// Bytes of the source's models, and of the derived ones.
    pub bytes: [u64; 2],
}

/// Derives a pack, judges it, and keeps it if it passes.
///
/// # Errors
/// [`OptimizeError`] when the name is taken, the source, the photos or a model cannot be used, or the pack cannot be
/// written.
pub fn make(
    pack: &Pack,
    home: &Home,
    order: &OptimizeOptions,
    mut told: impl FnMut(&str),
) -> Result<OptimizeOutcome, OptimizeError> {
    let target = home.models().join(&order.name);
    if !is_plain(&order.name) {
        return Err(OptimizeError::Taken(order.name.clone()));
    }
    let there = Pack::open(&order.name, home);
    let is_product = there.as_ref().is_ok_and(|pack| pack.manifest().product.is_some());
    if !is_product && (there.is_ok() || target.exists()) {
        return Err(OptimizeError::Taken(order.name.clone()));
    }
    let environment = environment(&library(&order.place, home)?)?;
    let mut source = PackModels::load(&environment, pack, &ExecutionTarget::Cpu, 1)?;
    let photos = samples::read(&order.photos, &mut source.detector, progress(&order.photos, &mut told))?;
    let faces: usize = photos.iter().map(|photo| photo.cuts.len()).sum();
    if photos.len() < 2 * gate::LEAST_PHOTOS || faces < 2 * gate::LEAST_FACES {
        return Err(OptimizeError::TooFew { folder: order.photos.clone(), photos: photos.len(), faces });
    }
    let (calibrating, judging) = halves(&photos);
    told(&format!("{} photos with {faces} faces; making {}", photos.len(), order.name));
    let files = convert(&environment, pack, order, &calibrating)?;
    let draft = DerivedPackDraft::write(home, pack, order, &files)?;
    let written = Pack::open(&draft.folder().display().to_string(), home)?;
    let mut product = PackModels::load(&environment, &written, &order.place, order.frames)?;
    told("comparing");
    let parity = compare(pack, &mut source, &mut product, &judging)?;
    drop((source, product));
    let mut people = |pack: &Pack, place: &ExecutionTarget, frames: usize| {
        let judge = |folder| judge(&environment, pack, place, frames, folder, progress(folder, &mut told));
        order.labelled.as_deref().map(judge).transpose()
    };
    let people = people(pack, &ExecutionTarget::Cpu, 1)?.zip(people(&written, &order.place, order.frames)?);
    let parity = Parity { people: people.map(|(source, product)| [source, product]), ..parity };
    let failures = ParityGate::new(order.precision, &order.place).failures(&parity);
    let of_source = pack.manifest().files.iter().map(|file| file.bytes).sum();
    let bytes = [of_source, files.values().map(|bytes| bytes.len() as u64).sum()];
    let folder = failures.is_empty().then(|| draft.keep(&target, &parity)).transpose()?;
    Ok(OptimizeOutcome { parity, failures, folder, bytes })
}

/// Reports now and then how many of a folder's files were read.
fn progress(folder: &Path, told: &mut impl FnMut(&str)) -> impl FnMut(usize, usize) {
    move |at, all| {
        if at % 100 == 0 || at == all {
            told(&format!("{}: {at} of {all} files", folder.display()));
        }
    }
}

/// Scores how well a pack groups the people of a folder of photos, with faces that it finds itself.
fn judge(
    environment: &Environment,
    pack: &Pack,
    place: &ExecutionTarget,
    frames: usize,
    folder: &Path,
    told: impl FnMut(usize, usize),
) -> Result<GroupingScores, OptimizeError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let faces = if place.card().is_some() { frames * FACES } else { 1 };
    let options = Options { place: place.clone(), threads, frames, faces, ..Options::default() };
    let mut analyser = Analyser::load(environment, pack, &options, &Tally::default())?;
    let Manifest { detector, grouping, .. } = pack.manifest();
    let decoder = VisionDecoder { limits: Limits::default(), side: detector.side };
    people::scores(&people::find(folder, &decoder, &mut analyser, told)?, &grouping.params())
}

/// The loaded models of a pack.
struct PackModels {
    detector: DetectorModel,
    embedder: EmbedderModel,
    /// Faces in one run.
    faces: usize,
}

impl PackModels {
    fn load(
        environment: &Environment,
        pack: &Pack,
        place: &ExecutionTarget,
        frames: usize,
    ) -> Result<Self, EngineError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let faces = if place.card().is_some() { frames * FACES } else { 1 };
        Ok(Self {
            detector: DetectorModel::load(environment, pack, place, threads, frames)?,
            embedder: EmbedderModel::load(environment, pack, place, threads, faces)?,
            faces,
        })
    }

    fn embed(&mut self, crops: &[&Pixels]) -> Result<Vec<Embedded>, EngineError> {
        self.embedder.embed(crops, self.faces)
    }
}

/// Number of products at the beginning of a model that stay in floats, because an error there affects all that follows.
const OPENING: usize = 2;

/// Converts each model and returns its bytes, by file.
fn convert(
    environment: &Environment,
    pack: &Pack,
    order: &OptimizeOptions,
    photos: &[&SamplePhoto],
) -> Result<BTreeMap<String, Vec<u8>>, OptimizeError> {
    let Manifest { detector, embedder, .. } = pack.manifest();
    let rewritten = |file: &str, how: &Rewrite| {
        let graph = |source| OptimizeError::Graph { file: file.to_owned(), source };
        rewrite(&pack.read(file)?, how).map_err(graph)
    };
    let model = |file: &str| {
        let file = file.to_owned();
        move |source| OptimizeError::Model { file, source }
    };
    // Cards have a kernel for PRelu, and quantisation splits PRelu in another way.
    let split_prelu = match order.precision {
        Precision::Float => true,
        Precision::Half | Precision::Int8 => false,
    };
    let detecting = Rewrite { split_prelu, ..Rewrite::of_detector(&ExecutionTarget::Cpu) };
    let embedding = Rewrite { split_prelu, ..Rewrite::of_embedder(embedder, &ExecutionTarget::Cpu) };
    let (found, embedded) = (rewritten(&detector.file, &detecting)?, rewritten(&embedder.file, &embedding)?);
    let [found, embedded] = match order.precision {
        Precision::Float => [found, embedded],
        Precision::Half => [
            half::to_half(&found).map_err(model(&detector.file))?,
            half::to_half(&embedded).map_err(model(&embedder.file))?,
        ],
        Precision::Int8 => {
            let crops = photos.iter().flat_map(|photo| photo.crops());
            let how = embedder.normalisation();
            let ranges = calibrate::ranges(environment, (&embedder.file, &embedded), crops, how)?;
            let keep = int8::opening(&embedded, OPENING).map_err(model(&embedder.file))?;
            let bytes = int8::quantize(&embedded, &ranges, &keep, order.target);
            // The detector is not quantised: it takes a small part of the time, and its boxes depend on the last digits
            // of its output.
            [found, bytes.map_err(model(&embedder.file))?]
        }
    };
    Ok([(detector.file.clone(), found), (embedder.file.clone(), embedded)].into())
}

fn compare(
    pack: &Pack,
    source: &mut PackModels,
    product: &mut PackModels,
    judging: &[&SamplePhoto],
) -> Result<Parity, OptimizeError> {
    let least = pack.manifest().detector.min_score;
    let (mut cosines, mut either, mut both) = (Vec::new(), 0, 0);
    for photo in judging {
        let found = product.detector.find(&photo.pixels)?;
        let (a, b) = agreement(&photo.faces, &found, least);
        (either, both) = (either + a, both + b);
        let crops = photo.crops();
        let pairs = source.embed(&crops)?.into_iter().zip(product.embed(&crops)?);
        cosines.extend(pairs.map(|(a, b)| cosine(&a.embedding, &b.embedding)));
    }
    let faces = cosines.len();
    let (cosine_mean, cosine_p1) = mean_and_p1(cosines);
    let agreement = if either == 0 { f64::NAN } else { both as f64 / either as f64 };
    Ok(Parity { faces, cosine_mean, cosine_p1, photos: judging.len(), agreement, people: None, grouping: None })
}
