//! Pixels to faces.

use muster_actors::image::Pixels;
use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;

use super::graph::Rewrite;
use super::manifest::{Detector, DetectorKind};
use super::pack::Pack;
use super::session::{Model, Outputs, SessionOptions};
use super::tally::Tally;
use super::tensor::planes;
use crate::settings::Provider;
use crate::vision::Detection;
use crate::vision::detect::{HeadError, merge_passes, nms, scrfd, second_pass_side, yunet};
use crate::vision::letterbox;

/// Strides of both kinds of heads in pixels, in the order of their outputs.
const STRIDES: [u32; 3] = [8, 16, 32];

/// A detection model.
#[derive(Debug)]
pub struct DetectorModel {
    model: Model,
    spec: Detector,
    input: Vec<f32>,
}

impl DetectorModel {
    /// Loads the detector of a pack. It always runs on ONNX Runtime's own kernels: its input changes shape from image
    /// to image, which OpenVINO compiles for anew, and OpenVINO was measured no faster.
    pub fn load(environment: &Environment, pack: &Pack, threads: usize) -> Result<Self, EngineError> {
        let spec = pack.manifest().detector.clone();
        let options = SessionOptions { threads, provider: Provider::Cpu, rewrite: Rewrite::of_detector() };
        let model = Model::load(environment, &spec.file, &pack.read(&spec.file)?, options)?;
        let (outputs, heads) = (model.outputs().len(), Self::heads(spec.kind) * STRIDES.len());
        if outputs != heads {
            let fault = format!("{}: a detector of this kind has {heads} outputs, this has {outputs}", spec.file);
            return Err(EngineError::Misconfigured(fault));
        }
        Ok(Self { model, spec, input: Vec::new() })
    }

    /// Counts its runs in `tally`.
    pub fn counted(mut self, tally: &Tally) -> Self {
        self.model.count_in(tally.clone());
        self
    }

    fn heads(kind: DetectorKind) -> usize {
        match kind {
            DetectorKind::Yunet => 4,
            DetectorKind::Scrfd => 3,
        }
    }

    /// Faces by descending score, in pixels of `pixels`: what a pass at the detector's side and a small pass for faces
    /// that fill the frame found.
    pub fn find(&mut self, pixels: &Pixels) -> Result<Vec<Detection>, EngineError> {
        let main = letterbox::fit(pixels, self.spec.side);
        let mut found = self.pass(&main.pixels)?;
        if let Some(side) = second_pass_side(main.pixels.width, main.pixels.height) {
            let small = letterbox::fit(&main.pixels, side);
            let second = self.pass(&small.pixels)?;
            let second = second.iter().map(|face| face.scaled(1.0 / small.scale)).collect();
            found = merge_passes(found, second, self.spec.nms);
        } else {
            found = nms(found, self.spec.nms);
        }
        Ok(found.iter().map(|face| face.scaled(1.0 / main.scale)).collect())
    }

    /// One run: faces before suppression, in pixels of `pixels`, whose sides are multiples of 32.
    pub fn pass(&mut self, pixels: &Pixels) -> Result<Vec<Detection>, EngineError> {
        let Self { model, spec, input } = self;
        input.clear();
        planes(pixels, spec.normalisation(), input);
        let names = model.outputs().to_vec();
        let (width, height) = (pixels.width, pixels.height);
        model.run([1, 3, height as usize, width as usize], input, |outputs| {
            let heads = Heads { outputs, names: &names };
            let decoded = match spec.kind {
                DetectorKind::Yunet => yunet::decode(&heads.yunet()?, width, height, spec.min_score),
                DetectorKind::Scrfd => scrfd::decode(&heads.scrfd()?, width, height, spec.min_score),
            };
            decoded.map_err(|error: HeadError| EngineError::Misconfigured(format!("{}: {error}", spec.file)))
        })
    }
}

/// Outputs by position: both kinds list one head after the other, three strides each.
struct Heads<'a, 'o> {
    outputs: &'a Outputs<'o>,
    names: &'a [String],
}

impl Heads<'_, '_> {
    fn get(&self, head: usize, level: usize) -> Result<&[f32], EngineError> {
        let name = self.names.get(head * STRIDES.len() + level).map_or("", String::as_str);
        Ok(self.outputs.tensor(name)?.1)
    }

    fn yunet(&self) -> Result<Vec<yunet::Level<'_>>, EngineError> {
        let level = |(level, &stride): (usize, &u32)| {
            let [cls, obj, bbox, kps] = [0, 1, 2, 3].map(|head| self.get(head, level));
            Ok(yunet::Level { stride, cls: cls?, obj: obj?, bbox: bbox?, kps: kps? })
        };
        STRIDES.iter().enumerate().map(level).collect()
    }

    fn scrfd(&self) -> Result<Vec<scrfd::Level<'_>>, EngineError> {
        let level = |(level, &stride): (usize, &u32)| {
            let [score, bbox, kps] = [0, 1, 2].map(|head| self.get(head, level));
            Ok(scrfd::Level { stride, score: score?, bbox: bbox?, kps: kps? })
        };
        STRIDES.iter().enumerate().map(level).collect()
    }
}
