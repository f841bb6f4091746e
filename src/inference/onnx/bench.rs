//! Measures how long one run of each model of a pack takes on one execution target.

use std::time::{Duration, Instant};

use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;
use serde::{Deserialize, Serialize};

use super::execution_target::ExecutionTarget;
use super::graph::Rewrite;
use super::home::Home;
use super::pack::Pack;
use super::runtime::{environment, library};
use super::session::{Model, SessionOptions};
use super::tally::TensorRuns;

/// One measurement of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchRow {
    /// Name and version of the pack.
    pub pack: String,
    /// Precision of the pack's computations; float where it was not derived from another.
    pub precision: String,
    /// The model's file.
    pub model: String,
    /// Name of the execution target.
    pub provider: String,
    /// Threads within one operator.
    pub threads: usize,
    /// Shape of the input: batch, channels, height, width.
    pub shape: [usize; 4],
    /// Number of timed runs after warming up.
    pub runs: usize,
    /// Median time of a run, in milliseconds.
    pub milliseconds: f64,
    /// Shortest time of a run, in milliseconds, in which nothing else disturbed it.
    pub shortest: f64,
    /// Images or faces per second at the median.
    pub items_a_second: f64,
    /// Time until the session was ready, in milliseconds.
    pub load_milliseconds: f64,
    /// Time of the first run at this shape, in milliseconds, which includes what is compiled, chosen or allocated for
    /// it.
    pub first_milliseconds: f64,
}

/// Shapes at which a detector is timed: landscape photos, square photos, and the second pass.
const DETECTOR: [[usize; 4]; 3] = [[1, 3, 480, 640], [1, 3, 640, 640], [1, 3, 128, 160]];
const BATCHES: [usize; 4] = [1, 2, 8, 32];
/// Images in a run of a detector on a card.
const IMAGES: [usize; 3] = [1, 8, 32];
const MAX_RUNS: usize = 200;
const BUDGET: Duration = Duration::from_secs(2);

/// Times every model of a pack as the engine runs it, at the shapes in `tensors`, or otherwise at a few common ones.
///
/// # Errors
/// [`EngineError`] when the runtime or a model cannot be loaded, or a run fails.
pub fn models(
    pack: &Pack,
    home: &Home,
    place: &ExecutionTarget,
    threads: usize,
    tensors: Option<&[TensorRuns]>,
) -> Result<Vec<BenchRow>, EngineError> {
    let environment = environment(&library(place, home)?)?;
    let (detector, embedder) = (&pack.manifest().detector, &pack.manifest().embedder);
    let side = embedder.side as usize;
    let batches: &[usize] = if *place == ExecutionTarget::OpenVino { &[1] } else { &BATCHES };
    let faces: Vec<[usize; 4]> = batches.iter().map(|batch| [*batch, 3, side, side]).collect();
    let images: Vec<[usize; 4]> = match place.card() {
        None => DETECTOR.to_vec(),
        Some(_) => IMAGES.iter().flat_map(|images| DETECTOR.map(|[_, c, h, w]| [*images, c, h, w])).collect(),
    };
    let shapes = |file: &str, usual: &[[usize; 4]]| match tensors {
        None => usual.iter().map(|shape| (*shape, MAX_RUNS)).collect(),
        Some(tensors) => {
            let of_file = tensors.iter().filter(|runs| runs.model == file);
            of_file.map(|runs| (runs.shape, runs.count.clamp(5, 40) as usize)).collect::<Vec<_>>()
        }
    };
    // Detectors run on the target that `DetectorModel::load` chooses.
    let detecting = if place.card().is_some() { place.clone() } else { ExecutionTarget::Cpu };
    let largest =
        |shapes: &[[usize; 4]]| shapes.iter().copied().max_by_key(|s| s.iter().product::<usize>()).unwrap_or([1; 4]);
    let range = |least: [usize; 4], shapes: &[[usize; 4]]| [least, largest(shapes), largest(shapes)];
    let mut rows = Vec::new();
    for (file, place, rewrite, usual, least) in [
        (&detector.file, &detecting, Rewrite::of_detector(&detecting), &images, [1, 3, 32, 32]),
        (&embedder.file, place, Rewrite::of_embedder(embedder, place), &faces, [1, 3, side, side]),
    ] {
        let options = SessionOptions { threads, place: place.clone(), rewrite, range: range(least, usual) };
        let bytes = pack.read(file)?;
        rows.extend(
            TimedModel { environment: &environment, pack, file, bytes: &bytes }.run(&options, &shapes(file, usual))?,
        );
    }
    Ok(rows)
}

/// A model that is being timed.
struct TimedModel<'a> {
    environment: &'a Environment,
    pack: &'a Pack,
    file: &'a str,
    bytes: &'a [u8],
}

impl TimedModel<'_> {
    fn run(&self, options: &SessionOptions, shapes: &[([usize; 4], usize)]) -> Result<Vec<BenchRow>, EngineError> {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let started = Instant::now();
        let mut model = Model::load(self.environment, self.file, self.bytes, options)?;
        let load = started.elapsed();
        let time = |&(shape, most): &([usize; 4], usize)| {
            // The values cover the whole range of a byte; a constant input would favour kernels that skip zeros.
            let input: Vec<f32> =
                (0..shape.iter().product()).map(|i: usize| ((i * 2_654_435_761) >> 7 & 0xff) as f32).collect();
            let mut run = || {
                let started = Instant::now();
                model.run(shape, &input, |_| Ok(())).map(|()| started.elapsed())
            };
            let first = run()?;
            for _ in 0..2 {
                run()?;
            }
            let (started, mut times) = (Instant::now(), Vec::new());
            while times.len() < most && (started.elapsed() < BUDGET || times.len() < 5) {
                times.push(run()?);
            }
            times.sort();
            let median = times[times.len() / 2];
            Ok(BenchRow {
                pack: self.pack.id(),
                precision: self.pack.manifest().precision().to_string(),
                model: self.file.to_owned(),
                provider: options.place.name().to_owned(),
                threads: options.threads,
                shape,
                runs: times.len(),
                milliseconds: milliseconds(median),
                shortest: milliseconds(times[0]),
                items_a_second: shape[0] as f64 / median.as_secs_f64().max(1e-9),
                load_milliseconds: milliseconds(load),
                first_milliseconds: milliseconds(first),
            })
        };
        shapes.iter().map(time).collect()
    }
}
