//! Measures the ranges of a model's tensors on real photos.

use std::collections::BTreeMap;

use muster_actors::domain::image::Pixels;
use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;

use crate::onnx::execution_target::ExecutionTarget;
use crate::onnx::graph::int8::tapped;
use crate::onnx::graph::range::Range;
use crate::onnx::graph::{ModelError, Rewrite};
use crate::onnx::manifest::Normalisation;
use crate::onnx::session::{Model, SessionOptions};
use crate::onnx::tensor::planes;

/// Runs a model on all `inputs`, and returns the range of every tensor that can be quantised. The model is the one
/// before quantisation.
///
/// # Errors
/// [`EngineError`] when the model cannot be prepared, loaded or run.
pub fn ranges<'a>(
    environment: &Environment,
    (name, model): (&str, &[u8]),
    inputs: impl Iterator<Item = &'a Pixels>,
    how: Normalisation,
) -> Result<BTreeMap<String, Range>, EngineError> {
    let misfit = |error: ModelError| EngineError::Misconfigured(format!("{name}: {error}"));
    let (model, taps) = tapped(model).map_err(misfit)?;
    let options = SessionOptions {
        threads: 1,
        place: ExecutionTarget::Cpu,
        rewrite: Rewrite::default(),
        range: [[1, 3, 112, 112]; 3],
    };
    let mut model = Model::load(environment, name, &model, &options)?;
    let mut ranges: BTreeMap<String, Range> = BTreeMap::new();
    let mut data = Vec::new();
    for (seen, pixels) in inputs.enumerate() {
        data.clear();
        planes(pixels, how, &mut data);
        let shape = [1, 3, pixels.height as usize, pixels.width as usize];
        model.run(shape, &data, |outputs| {
            for tap in &taps {
                if let Some(range) = Range::from_values(outputs.tensor(tap)?.1) {
                    // The mean over photos is used, because one unusual photo changes it less than it changes the
                    // largest value.
                    let known = ranges.entry(tap.clone()).or_insert(range);
                    *known = known.toward(range, 1.0 / (seen + 1) as f32);
                }
            }
            Ok(())
        })?;
    }
    Ok(ranges)
}
