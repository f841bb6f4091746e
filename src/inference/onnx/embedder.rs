//! Computes the embeddings of aligned faces.

use std::borrow::Borrow;

use muster_actors::domain::image::Pixels;
use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;

use super::execution_target::ExecutionTarget;
use super::graph::Rewrite;
use super::manifest::Embedder;
use super::pack::Pack;
use super::session::{Model, SessionOptions};
use super::tally::Tally;
use super::tensor::planes;

/// A loaded embedding model.
#[derive(Debug)]
pub struct EmbedderModel {
    model: Model,
    spec: Embedder,
    chunk: usize,
    input: Vec<f32>,
}

/// The embedding of a face.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// Vector of unit length; all zero where the model's output had no finite length.
    pub embedding: Vec<f32>,
    /// Length of the model's output before it was normalised.
    pub norm: f32,
}

impl EmbedderModel {
    /// Loads the embedder of a pack. It takes up to `chunk` faces in one run.
    ///
    /// OpenVINO compiles for one shape, so there faces run one by one.
    ///
    /// # Errors
    /// [`EngineError`] when the model is missing, does not fit the manifest or cannot be run.
    pub fn load(
        environment: &Environment,
        pack: &Pack,
        place: &ExecutionTarget,
        threads: usize,
        chunk: usize,
    ) -> Result<Self, EngineError> {
        let spec = pack.manifest().embedder.clone();
        let chunk = if *place == ExecutionTarget::OpenVino { 1 } else { chunk.max(1) };
        let side = spec.side as usize;
        let options = SessionOptions {
            threads,
            place: place.clone(),
            rewrite: Rewrite::of_embedder(&spec, place),
            range: [1, chunk.div_ceil(4), chunk.next_power_of_two()].map(|faces| [faces, 3, side, side]),
        };
        let model = Model::load(environment, &spec.file, &pack.read(&spec.file)?, &options)?;
        Ok(Self { model, spec, chunk, input: Vec::new() })
    }

    /// Gives the model's tensors fixed places in memory, as [`Model::staged`] does.
    pub fn staged(mut self) -> Self {
        self.model = self.model.staged();
        self
    }

    /// Returns the side of its square input in pixels.
    pub fn side(&self) -> u32 {
        self.spec.side
    }

    /// Makes the model count its runs in `tally`.
    pub fn counted(mut self, tally: &Tally) -> Self {
        self.model.count_in(tally.clone());
        self
    }

    /// Computes one embedding for each face, in order. Every face has `side` × `side` pixels, and no run takes more
    /// than `most` faces.
    ///
    /// # Errors
    /// [`EngineError`] when a run fails or gives vectors of another length than the manifest says.
    pub fn embed<P: Borrow<Pixels>>(&mut self, faces: &[P], most: usize) -> Result<Vec<Embedded>, EngineError> {
        let mut all = Vec::with_capacity(faces.len());
        for faces in faces.chunks(self.chunk.min(most.max(1))) {
            self.run(faces, &mut all)?;
        }
        Ok(all)
    }

    fn run<P: Borrow<Pixels>>(&mut self, faces: &[P], all: &mut Vec<Embedded>) -> Result<(), EngineError> {
        let Self { model, spec, input, .. } = self;
        let (side, dimensions) = (spec.side as usize, spec.dimensions as usize);
        input.clear();
        faces.iter().for_each(|face| planes(face.borrow(), spec.normalisation(), input));
        model.run([faces.len(), 3, side, side], input, |outputs| {
            let (shape, values) = outputs.only()?;
            if values.len() != faces.len() * dimensions {
                let fault = format!("{}: its output is {shape:?}, not [{}, {dimensions}]", spec.file, faces.len());
                return Err(EngineError::Misconfigured(fault));
            }
            all.extend(values.chunks_exact(dimensions).map(normalised));
            Ok(())
        })
    }
}

fn normalised(raw: &[f32]) -> Embedded {
    let norm = raw.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let scale = if norm > 0.0 && norm.is_finite() { 1.0 / norm } else { 0.0 };
    let unit = |value: &f32| if scale > 0.0 { (f64::from(*value) * scale) as f32 } else { 0.0 };
    Embedded { embedding: raw.iter().map(unit).collect(), norm: norm as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_get_unit_length_and_keep_their_norm() {
        assert_eq!(normalised(&[3.0, 4.0]), Embedded { embedding: vec![0.6, 0.8], norm: 5.0 });
        assert_eq!(normalised(&[0.0, 0.0]), Embedded { embedding: vec![0.0, 0.0], norm: 0.0 });
        assert_eq!(normalised(&[f32::INFINITY, 1.0]).embedding, [0.0, 0.0]);
    }
}
