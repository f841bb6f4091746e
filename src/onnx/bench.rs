//! How long one run of each model of a pack takes on this machine.

use std::time::{Duration, Instant};

use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;
use serde::Serialize;

use super::graph::Rewrite;
use super::home::Home;
use super::pack::Pack;
use super::runtime::{environment, library};
use super::session::{Model, SessionOptions};
use super::tally::TensorRuns;
use crate::settings::Provider;

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The model's file.
    pub model: String,
    /// Who executed it.
    pub provider: String,
    /// Threads within one operation.
    pub threads: usize,
    /// Batch, channels, height, width.
    pub shape: [usize; 4],
    /// How often it ran after warming up.
    pub runs: usize,
    /// Median time of a run.
    pub milliseconds: f64,
    /// Shortest time of a run: what it takes when nothing else does.
    pub shortest: f64,
    /// Time until the session was ready.
    pub load_milliseconds: f64,
}

/// Shapes that a detector is timed at: what it sees of landscape photos, of squares, and in the second pass.
const DETECTOR: [[usize; 4]; 3] = [[1, 3, 480, 640], [1, 3, 640, 640], [1, 3, 128, 160]];
const BATCHES: [usize; 4] = [1, 2, 8, 32];
const MAX_RUNS: usize = 200;
const BUDGET: Duration = Duration::from_secs(2);

/// Times every model of the pack as the engine runs it: on the tensors given, or else on a few common ones.
pub fn models(
    pack: &Pack,
    home: &Home,
    provider: Provider,
    threads: usize,
    tensors: Option<&[TensorRuns]>,
) -> Result<Vec<Row>, EngineError> {
    let provider = provider.resolve(home);
    let environment = environment(&library(provider, home)?)?;
    let (detector, embedder) = (&pack.manifest().detector, &pack.manifest().embedder);
    let side = embedder.side as usize;
    let batches: &[usize] = if provider == Provider::OpenVino { &[1] } else { &BATCHES };
    let faces: Vec<[usize; 4]> = batches.iter().map(|batch| [*batch, 3, side, side]).collect();
    let shapes = |file: &str, usual: &[[usize; 4]]| match tensors {
        None => usual.iter().map(|shape| (*shape, MAX_RUNS)).collect(),
        Some(tensors) => {
            let of_file = tensors.iter().filter(|runs| runs.model == file);
            of_file.map(|runs| (runs.shape, runs.count.clamp(5, 40) as usize)).collect::<Vec<_>>()
        }
    };
    let on_cpu = SessionOptions { threads, provider: Provider::Cpu, rewrite: Rewrite::of_detector() };
    let embedding = SessionOptions { threads, provider, rewrite: Rewrite::of_embedder(embedder, provider) };
    let mut rows = Vec::new();
    for (file, options, usual) in [(&detector.file, on_cpu, &DETECTOR[..]), (&embedder.file, embedding, &faces[..])] {
        time(&environment, file, &pack.read(file)?, options, &shapes(file, usual), &mut rows)?;
    }
    Ok(rows)
}

fn time(
    environment: &Environment,
    file: &str,
    bytes: &[u8],
    options: SessionOptions,
    shapes: &[([usize; 4], usize)],
    rows: &mut Vec<Row>,
) -> Result<(), EngineError> {
    let started = Instant::now();
    let mut model = Model::load(environment, file, bytes, options)?;
    let load = started.elapsed();
    for &(shape, most) in shapes {
        // Values all over the range of a byte; a constant input would flatter kernels that skip zeros.
        let input: Vec<f32> =
            (0..shape.iter().product()).map(|i: usize| ((i * 2_654_435_761) >> 7 & 0xff) as f32).collect();
        let mut run = || {
            let started = Instant::now();
            model.run(shape, &input, |_| Ok(())).map(|()| started.elapsed())
        };
        for _ in 0..3 {
            run()?;
        }
        let (started, mut times) = (Instant::now(), Vec::new());
        while times.len() < most && (started.elapsed() < BUDGET || times.len() < 5) {
            times.push(run()?);
        }
        times.sort();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        rows.push(Row {
            model: file.to_string(),
            provider: format!("{:?}", options.provider).to_lowercase(),
            threads: options.threads,
            shape,
            runs: times.len(),
            milliseconds: milliseconds(times[times.len() / 2]),
            shortest: milliseconds(times[0]),
            load_milliseconds: milliseconds(load),
        });
    }
    Ok(())
}
