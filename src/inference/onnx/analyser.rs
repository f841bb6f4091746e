//! Analyses frames on a device: it detects faces, aligns them, scores doubtful ones again, embeds them and measures
//! their quality. It blocks, and runs on the model's thread.

use std::sync::Arc;

use muster_actors::domain::face::BBox;
use muster_actors::domain::image::{Frame, Pixels, Rejection};
use muster_actors::ports::engine::{Analysis, EngineError, FoundFace};
use ort::environment::Environment;

use super::detector::DetectorModel;
use super::drawn_face;
use super::embedder::{Embedded, EmbedderModel};
use super::engine::Options;
use super::face_crop::{FaceCrop, crop_faces, in_frame};
use super::face_rule::FaceRule;
use super::pack::Pack;
use super::tally::Tally;
use muster_vision::Detection;
use muster_vision::quality::{Thresholds, assess};
use muster_vision::second_look::views;

/// The models of one device, which analyse frames.
pub(crate) struct Analyser {
    detector: DetectorModel,
    embedder: EmbedderModel,
    /// The rule that decides whether a detection is a face; `None` where the pack has none.
    rule: Option<FaceRule>,
    thresholds: Thresholds,
    max_faces: usize,
    crop_scale: f32,
}

/// The detector's scores for the views of one face, each 0 to 1; empty where the face was not scored again.
type Scores = Vec<f32>;

/// Most faces per image in one run of the embedder.
pub const FACES: usize = 4;
/// Least score of a detection in a box that somebody drew: a person says that a face is there.
const WEAK: f32 = 0.2;

impl Analyser {
    /// Loads the models of a pack.
    ///
    /// # Errors
    /// [`EngineError`] when a model is missing or wrong, or the device fails.
    pub fn load(environment: &Environment, pack: &Pack, options: &Options, tally: &Tally) -> Result<Self, EngineError> {
        let Options { threads, ref place, frames, faces, .. } = *options;
        Ok(Self {
            detector: DetectorModel::load(environment, pack, place, threads, frames)?.counted(tally),
            embedder: EmbedderModel::load(environment, pack, place, threads, faces)?.counted(tally),
            rule: pack.manifest().face_rule(),
            thresholds: options.thresholds,
            max_faces: options.max_faces,
            crop_scale: options.crop_scale,
        })
    }

    /// Analyses frames, and returns one result for each, in order. The faces of all frames are embedded together.
    ///
    /// # Errors
    /// [`EngineError`] when a run fails; it concerns all frames. A frame that cannot be analysed alone has a rejection
    /// in its result.
    pub fn analyse(&mut self, frames: &[Arc<Frame>]) -> Result<Vec<Analysis>, EngineError> {
        let detected = self.detect(frames)?;
        let cuts = frames.iter().zip(&detected).map(|(frame, faces)| crop_faces(frame, faces, self.crop_scale));
        let cuts: Vec<Result<Vec<FaceCrop>, Rejection>> = cuts.collect();
        let mut scores = self.look_again(frames, &cuts)?.into_iter();
        let crops: Vec<&Pixels> = cuts.iter().flatten().flatten().map(|cut| &cut.crop).collect();
        // A batch that was halved because memory ran out must also embed fewer faces at once.
        let mut embedded = self.embedder.embed(&crops, frames.len() * FACES)?.into_iter();
        let mut finish = |cuts: Vec<FaceCrop>| {
            let each = cuts.into_iter().zip(&mut embedded).zip(&mut scores);
            each.map(|((cut, vector), scores)| self.finish(cut, vector, &scores)).collect()
        };
        Ok(cuts.into_iter().map(|cuts| cuts.map(&mut finish)).collect())
    }

    /// Finds the face in a box that somebody drew; see [`muster_actors::ports::engine::Engine::face_in`].
    pub fn face_in(&mut self, frame: &Arc<Frame>, drawn: &BBox) -> Result<Option<FoundFace>, EngineError> {
        if !drawn_face::can_hold_a_face(frame, drawn) {
            return Ok(None);
        }
        let seen = match drawn_face::closer(frame, drawn) {
            Some(region) => {
                drawn_face::best(&self.detector.find_from(&[&region.pixels], WEAK)?.concat(), &region, drawn)
            }
            None => None,
        };
        let expected = Detection { bbox: *drawn, landmarks: drawn_face::landmarks(drawn), score: 0.0 };
        let cuts = seen.into_iter().chain([expected]).map(|face| crop_faces(frame, &[face], self.crop_scale));
        let Some(cut) = cuts.flatten().flatten().next() else { return Ok(None) };
        let cuts = [Ok(vec![cut])];
        let scores = self.look_again(std::slice::from_ref(frame), &cuts)?.concat();
        let [Ok(cuts)] = cuts else { return Ok(None) };
        let crops: Vec<&Pixels> = cuts.iter().map(|cut| &cut.crop).collect();
        let vector = self.embedder.embed(&crops, FACES)?.pop();
        Ok(cuts.into_iter().next().zip(vector).map(|(cut, vector)| self.finish(cut, vector, &scores)))
    }

    /// Runs both models on `images` generated images, each with as many faces as a run takes.
    ///
    /// # Errors
    /// [`EngineError`] when a run fails.
    pub fn warm(&mut self, images: usize) -> Result<(), EngineError> {
        let (picture, face) = (picture(self.detector.side()), picture(self.embedder.side()));
        self.detector.find_all(&vec![&picture; images])?;
        self.embedder.embed(&vec![face; images * FACES], images * FACES)?;
        Ok(())
    }

    /// Detects the faces of each frame, by descending score, in pixels of the full image.
    fn detect(&mut self, frames: &[Arc<Frame>]) -> Result<Vec<Vec<Detection>>, EngineError> {
        let found = self.detector.find_all(&frames.iter().map(|frame| &frame.pixels).collect::<Vec<_>>())?;
        let faces = frames.iter().zip(found).map(|(frame, mut faces)| {
            faces.truncate(self.max_faces);
            faces.iter().map(|face| face.scaled(1.0 / frame.scale)).collect()
        });
        Ok(faces.collect())
    }

    /// Scores the faces again of which the detector is not sure. Returns one entry for each crop, in order.
    fn look_again(
        &mut self,
        frames: &[Arc<Frame>],
        cuts: &[Result<Vec<FaceCrop>, Rejection>],
    ) -> Result<Vec<Scores>, EngineError> {
        let all = frames.iter().zip(cuts).flat_map(|(frame, cuts)| cuts.iter().flatten().map(move |cut| (frame, cut)));
        let all: Vec<(&Arc<Frame>, &FaceCrop)> = all.collect();
        let mut scores = vec![Scores::new(); all.len()];
        let Some(rule) = self.rule else { return Ok(scores) };
        let doubted: Vec<usize> = (0..all.len()).filter(|at| rule.doubts(all[*at].1.face.score)).collect();
        // Two views of one size have fewer pixels than a frame at the detector's side, so a run over views needs no
        // more memory than one over frames.
        for some in doubted.chunks(frames.len().max(1)) {
            let (mut whose, mut seen) = (Vec::new(), Vec::new());
            for &at in some {
                let (frame, cut) = all[at];
                let views = views(&frame.pixels, &in_frame(frame, &cut.face)).unwrap_or_default();
                whose.extend(views.iter().map(|_| at));
                seen.extend(views);
            }
            for (at, score) in whose.into_iter().zip(self.detector.score_views(&seen)?) {
                scores[at].push(score);
            }
        }
        Ok(scores)
    }

    fn finish(&self, cut: FaceCrop, vector: Embedded, scores: &[f32]) -> FoundFace {
        let FaceCrop { face: Detection { bbox, landmarks, score }, crop, thumbnail } = cut;
        let quality = assess(&crop, &bbox, &landmarks, score, vector.norm, &self.thresholds);
        let quality = quality.with_face(self.rule.map_or(1.0, |rule| rule.probability(scores, vector.norm)));
        FoundFace { bbox, landmarks, quality, embedding: vector.embedding, thumbnail }
    }
}

/// Returns a generated picture.
fn picture(side: u32) -> Pixels {
    let data = (0..side * side * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    Pixels { width: side, height: side, data }
}
