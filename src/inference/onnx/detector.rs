//! Detects faces in pixels.

use std::collections::BTreeMap;

use muster_actors::domain::image::Pixels;
use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;

use super::execution_target::ExecutionTarget;
use super::graph::Rewrite;
use super::manifest::{Detector, DetectorKind};
use super::pack::Pack;
use super::session::{Model, Outputs, SessionOptions};
use super::tally::Tally;
use super::tensor::planes;
use muster_vision::Detection;
use muster_vision::detect::{HeadError, merge_passes, nms, scrfd, second_pass_side, yunet};
use muster_vision::letterbox::{self, Letterbox};
use muster_vision::second_look::View;

/// Strides of both kinds of detectors in pixels, in the order of their outputs.
const STRIDES: [u32; 3] = [8, 16, 32];

/// A loaded detection model.
#[derive(Debug)]
pub struct DetectorModel {
    model: Model,
    spec: Detector,
    chunk: usize,
    input: Vec<f32>,
}

impl DetectorModel {
    /// Loads the detector of a pack. It takes up to `chunk` images of one size in one run, if its graph allows that.
    ///
    /// On a processor it always uses ONNX Runtime's own kernels. Its input changes shape from image to image, and
    /// OpenVINO would compile it for each shape; besides, OpenVINO was not faster in measurements.
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
        let spec = pack.manifest().detector.clone();
        let place = if place.card().is_some() { place.clone() } else { ExecutionTarget::Cpu };
        let model =
            Model::load(environment, &spec.file, &pack.read(&spec.file)?, &options(&spec, place, threads, chunk))?;
        let (outputs, heads) = (model.outputs().len(), Self::heads(spec.kind) * STRIDES.len());
        if outputs != heads {
            let fault = format!("{}: a detector of this kind has {heads} outputs, this has {outputs}", spec.file);
            return Err(EngineError::Misconfigured(fault));
        }
        let mut detector = Self { model, spec, chunk: 1, input: Vec::new() };
        if chunk > 1 {
            match detector.takes_batches()? {
                true => detector.chunk = chunk,
                false => tracing::info!(model = detector.spec.file, "models.detector: one image a run"),
            }
        }
        Ok(detector)
    }

    /// Tells whether two images in one run give the same results as each alone. Exported models differ: some mix the
    /// images of a batch, and some cannot take two.
    fn takes_batches(&mut self) -> Result<bool, EngineError> {
        let noise = |seed: u32| {
            let data = (0..64 * 64 * 3u32).map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            Pixels { width: 64, height: 64, data }
        };
        let images = [noise(1), noise(77)];
        let mut run = |images: &[&Pixels]| self.run(images, |_, heads| heads.all());
        let (first, second) = (run(&[&images[0]])?, run(&[&images[1]])?);
        let together = match run(&[&images[0], &images[1]]) {
            Err(EngineError::Misconfigured(_) | EngineError::Sticky(_)) => return Ok(false),
            other => other?,
        };
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
        Ok(match (&together[..], &first[..], &second[..]) {
            // In half precision two runs on one image differ a little, but less than runs on two images.
            ([a, b], [first], [second]) => {
                a.len() == first.len()
                    && b.len() == second.len()
                    && apart(a, first).max(apart(b, second)) <= 0.1 * apart(first, second)
            }
            _ => false,
        })
    }

    /// Returns the longest side of its input in pixels.
    pub fn side(&self) -> u32 {
        self.spec.side
    }

    /// Makes the model count its runs in `tally`.
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

    /// Detects the faces of one image, as [`Self::find_all`] does.
    ///
    /// # Errors
    /// [`EngineError`] when a run fails.
    pub fn find(&mut self, pixels: &Pixels) -> Result<Vec<Detection>, EngineError> {
        Ok(self.find_all(&[pixels])?.pop().unwrap_or_default())
    }

    /// Detects the faces of each image, by descending score and in pixels of the image. It merges a pass at the
    /// detector's side with a small pass for faces that fill the image.
    ///
    /// # Errors
    /// [`EngineError`] when a run fails; it concerns all images.
    pub fn find_all(&mut self, images: &[&Pixels]) -> Result<Vec<Vec<Detection>>, EngineError> {
        self.find_from(images, self.spec.min_score)
    }

    /// As [`Self::find_all`], with another least score, 0 to 1, than the pack's.
    pub fn find_from(&mut self, images: &[&Pixels], least: f32) -> Result<Vec<Vec<Detection>>, EngineError> {
        let main: Vec<Letterbox> = images.iter().map(|pixels| letterbox::fit(pixels, self.spec.side)).collect();
        let second = |main: &Letterbox| {
            let side = second_pass_side(main.pixels.width, main.pixels.height)?;
            Some(letterbox::fit(&main.pixels, side))
        };
        let small: Vec<Option<Letterbox>> = main.iter().map(second).collect();
        let found = self.passes(&main.iter().map(|boxed| &boxed.pixels).collect::<Vec<_>>(), least)?;
        let mut again =
            self.passes(&small.iter().flatten().map(|boxed| &boxed.pixels).collect::<Vec<_>>(), least)?.into_iter();
        let merged = found.into_iter().zip(&main).zip(&small).map(|((found, main), small)| {
            let found = match small.as_ref().zip(small.as_ref().and_then(|_| again.next())) {
                Some((small, second)) => {
                    let second = second.iter().map(|face| face.scaled(1.0 / small.scale)).collect();
                    merge_passes(found, second, self.spec.nms)
                }
                None => nms(found, self.spec.nms),
            };
            found.iter().map(|face| face.scaled(1.0 / main.scale)).collect()
        });
        Ok(merged.collect())
    }

    /// Runs one pass, and returns faces before suppression, in pixels of `pixels`, whose sides must be multiples of 32.
    ///
    /// # Errors
    /// [`EngineError`] when the run fails.
    pub fn pass(&mut self, pixels: &Pixels) -> Result<Vec<Detection>, EngineError> {
        Ok(self.passes(&[pixels], self.spec.min_score)?.pop().unwrap_or_default())
    }

    /// Scores each view, in order, 0 to 1, as [`View::score`] does. Even the lowest scores count.
    ///
    /// # Errors
    /// [`EngineError`] when a run fails.
    pub fn score_views(&mut self, views: &[View]) -> Result<Vec<f32>, EngineError> {
        let found = self.passes(&views.iter().map(|view| &view.pixels).collect::<Vec<_>>(), 0.0)?;
        Ok(views.iter().zip(found).map(|(view, found)| view.score(&found)).collect())
    }

    /// Runs one pass over each image, in as few runs as their sizes and `chunk` allow. Returns the faces with at least
    /// `min_score` before suppression, in pixels of the image, whose sides must be multiples of 32.
    fn passes(&mut self, images: &[&Pixels], min_score: f32) -> Result<Vec<Vec<Detection>>, EngineError> {
        let mut sizes: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
        for (position, image) in images.iter().enumerate() {
            sizes.entry((image.width, image.height)).or_default().push(position);
        }
        let mut all = vec![Vec::new(); images.len()];
        let chunk = self.chunk;
        for positions in sizes.values().flat_map(|same| same.chunks(chunk)) {
            let run: Vec<&Pixels> = positions.iter().map(|position| images[*position]).collect();
            for (position, found) in
                positions.iter().zip(self.run(&run, |pixels, heads| heads.decode(pixels, min_score))?)
            {
                all[*position] = found;
            }
        }
        Ok(all)
    }

    /// Runs the model once over images of one size; `read` gets the heads of each.
    fn run<R>(
        &mut self,
        images: &[&Pixels],
        read: impl Fn(&Pixels, &Heads<'_, '_>) -> Result<R, EngineError>,
    ) -> Result<Vec<R>, EngineError> {
        let Self { model, spec, input, .. } = self;
        let Some(first) = images.first() else { return Ok(Vec::new()) };
        input.clear();
        images.iter().for_each(|pixels| planes(pixels, spec.normalisation(), input));
        let names = model.outputs().to_vec();
        let shape = [images.len(), 3, first.height as usize, first.width as usize];
        model.run(shape, input, |outputs| {
            let heads = |(of, pixels): (usize, &&Pixels)| {
                read(pixels, &Heads { outputs, names: &names, spec, images: images.len(), of })
            };
            images.iter().enumerate().map(heads).collect()
        })
    }
}

/// Returns the options for inputs with the shapes of letterboxed images.
fn options(spec: &Detector, place: ExecutionTarget, threads: usize, chunk: usize) -> SessionOptions {
    let side = spec.side as usize;
    let rewrite = Rewrite::of_detector(&place);
    let most = chunk.next_power_of_two();
    let range = [[1, 3, 32, 32], [most, 3, side * 3 / 4 / 32 * 32, side], [most, 3, side, side]];
    SessionOptions { threads, place, rewrite, range }
}

/// The outputs for one image of a run, by position. Both kinds of detectors list one head after the other, with three
/// strides each.
struct Heads<'a, 'o> {
    outputs: &'a Outputs<'o>,
    names: &'a [String],
    spec: &'a Detector,
    /// Number of images in the run.
    images: usize,
    /// Position of the image in the run.
    of: usize,
}

impl Heads<'_, '_> {
    fn get(&self, head: usize, level: usize) -> Result<&[f32], EngineError> {
        let name = self.names.get(head * STRIDES.len() + level).map_or("", String::as_str);
        let values = self.outputs.tensor(name)?.1;
        let each = values.len() / self.images;
        Ok(values.get(self.of * each..(self.of + 1) * each).unwrap_or_default())
    }

    /// Returns every value of every head.
    fn all(&self) -> Result<Vec<f32>, EngineError> {
        let mut all = Vec::new();
        for position in 0..self.names.len() {
            all.extend_from_slice(self.get(position / STRIDES.len(), position % STRIDES.len())?);
        }
        Ok(all)
    }

    fn decode(&self, pixels: &Pixels, min_score: f32) -> Result<Vec<Detection>, EngineError> {
        let (width, height, spec) = (pixels.width, pixels.height, self.spec);
        let decoded = match spec.kind {
            DetectorKind::Yunet => yunet::decode(&self.yunet()?, width, height, min_score),
            DetectorKind::Scrfd => scrfd::decode(&self.scrfd()?, width, height, min_score),
        };
        decoded.map_err(|error: HeadError| EngineError::Misconfigured(format!("{}: {error}", spec.file)))
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
