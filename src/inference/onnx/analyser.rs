//! What a device does with frames: detect, align, look again, embed, judge. Blocking; lives on the model's thread.

use std::sync::Arc;

use muster_actors::domain::image::{Frame, Pixels, Rejection};
use muster_actors::ports::engine::{Analysis, EngineError, FoundFace};
use ort::environment::Environment;

use super::cut::{Cut, cut, in_frame};
use super::detector::DetectorModel;
use super::embedder::{Embedded, EmbedderModel};
use super::engine::Options;
use super::face_rule::FaceRule;
use super::pack::Pack;
use super::tally::Tally;
use muster_vision::Detection;
use muster_vision::quality::{Thresholds, assess};
use muster_vision::second_look::views;

/// The models of one device, and what to do with them.
pub(crate) struct Analyser {
    detector: DetectorModel,
    embedder: EmbedderModel,
    /// When a detection is a face; `None` where nothing is known of that.
    rule: Option<FaceRule>,
    thresholds: Thresholds,
    max_faces: usize,
    crop_scale: f32,
}

/// The detector's scores for the views of one face; empty where it was not looked at again.
type Scores = Vec<f32>;

/// Most faces an image in one run of the embedder.
pub const FACES: usize = 4;

impl Analyser {
    /// Loads the models of a pack.
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

    /// One analysis a frame, in order. Faces of all frames are embedded together.
    pub fn analyse(&mut self, frames: &[Arc<Frame>]) -> Result<Vec<Analysis>, EngineError> {
        let detected = self.detect(frames)?;
        let cuts = frames.iter().zip(&detected).map(|(frame, faces)| cut(frame, faces, self.crop_scale));
        let cuts: Vec<Result<Vec<Cut>, Rejection>> = cuts.collect();
        let mut scores = self.look_again(frames, &cuts)?.into_iter();
        let crops: Vec<&Pixels> = cuts.iter().flatten().flatten().map(|cut| &cut.crop).collect();
        // A batch that was halved because memory ran out must need less of it here too.
        let mut embedded = self.embedder.embed(&crops, frames.len() * FACES)?.into_iter();
        let mut finish = |cuts: Vec<Cut>| {
            let each = cuts.into_iter().zip(&mut embedded).zip(&mut scores);
            each.map(|((cut, vector), scores)| self.finish(cut, vector, &scores)).collect()
        };
        Ok(cuts.into_iter().map(|cuts| cuts.map(&mut finish)).collect())
    }

    /// Runs both models on `images` made-up images, each with as many faces as a run takes.
    pub fn warm(&mut self, images: usize) -> Result<(), EngineError> {
        let (picture, face) = (picture(self.detector.side()), picture(self.embedder.side()));
        self.detector.find_all(&vec![&picture; images])?;
        self.embedder.embed(&vec![face; images * FACES], images * FACES)?;
        Ok(())
    }

    /// Of each frame the faces by descending score, in pixels of the full image.
    fn detect(&mut self, frames: &[Arc<Frame>]) -> Result<Vec<Vec<Detection>>, EngineError> {
        let found = self.detector.find_all(&frames.iter().map(|frame| &frame.pixels).collect::<Vec<_>>())?;
        let faces = frames.iter().zip(found).map(|(frame, mut faces)| {
            faces.truncate(self.max_faces);
            faces.iter().map(|face| face.scaled(1.0 / frame.scale)).collect()
        });
        Ok(faces.collect())
    }

    /// What the detector says on a second look at the faces that it is not sure of: one entry a cut, in order.
    fn look_again(
        &mut self,
        frames: &[Arc<Frame>],
        cuts: &[Result<Vec<Cut>, Rejection>],
    ) -> Result<Vec<Scores>, EngineError> {
        let all = frames.iter().zip(cuts).flat_map(|(frame, cuts)| cuts.iter().flatten().map(move |cut| (frame, cut)));
        let all: Vec<(&Arc<Frame>, &Cut)> = all.collect();
        let mut scores = vec![Scores::new(); all.len()];
        let Some(rule) = self.rule else { return Ok(scores) };
        let doubted: Vec<usize> = (0..all.len()).filter(|at| rule.doubts(all[*at].1.face.score)).collect();
        // Two views of one size have fewer pixels than a frame at the detector's side, so no run
        // needs more memory than theirs.
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

    fn finish(&self, cut: Cut, vector: Embedded, scores: &[f32]) -> FoundFace {
        let Cut { face: Detection { bbox, landmarks, score }, crop, thumbnail } = cut;
        let quality = assess(&crop, &bbox, &landmarks, score, vector.norm, &self.thresholds);
        let quality = quality.with_face(self.rule.map_or(1.0, |rule| rule.probability(scores, vector.norm)));
        FoundFace { bbox, landmarks, quality, embedding: vector.embedding, thumbnail }
    }
}

/// A made-up picture.
fn picture(side: u32) -> Pixels {
    let data = (0..side * side * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    Pixels { width: side, height: side, data }
}
