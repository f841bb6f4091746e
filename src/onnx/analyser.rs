//! What a device does with frames: detect, align, embed, judge. Blocking; lives on the model's thread.

use std::sync::Arc;

use muster_actors::face::{BBox, Landmarks};
use muster_actors::image::{Frame, Pixels, Rejection};
use muster_actors::ports::engine::{Analysis, EngineError, FoundFace};
use ort::environment::Environment;

use super::detector::DetectorModel;
use super::embedder::{Embedded, EmbedderModel};
use super::engine::Options;
use super::pack::Pack;
use super::tally::Tally;
use crate::vision::decode::{Region, closer_region};
use crate::vision::quality::{Thresholds, assess};
use crate::vision::{Detection, align, thumbnail};

/// The models of one device, and what to do with them.
pub struct Analyser {
    detector: DetectorModel,
    embedder: EmbedderModel,
    thresholds: Thresholds,
    max_faces: usize,
    crop_scale: f32,
}

/// Room around a face in parts of its longer side: what the aligned crop and the thumbnail reach past the box.
const MARGIN: f32 = 0.6;

/// A face before it is embedded.
struct Aligned {
    bbox: BBox,
    landmarks: Landmarks,
    score: f32,
    thumbnail: Vec<u8>,
}

impl Analyser {
    /// Loads the models of a pack.
    pub fn load(environment: &Environment, pack: &Pack, options: &Options, tally: &Tally) -> Result<Self, EngineError> {
        let Options { threads, provider, chunk, .. } = *options;
        Ok(Self {
            detector: DetectorModel::load(environment, pack, threads)?.counted(tally),
            embedder: EmbedderModel::load(environment, pack, provider, threads, chunk)?.counted(tally),
            thresholds: options.thresholds,
            max_faces: options.max_faces,
            crop_scale: options.crop_scale,
        })
    }

    /// One analysis a frame, in order. Faces of all frames are embedded together.
    pub fn analyse(&mut self, frames: &[Arc<Frame>]) -> Result<Vec<Analysis>, EngineError> {
        let (mut found, mut crops) = (Vec::with_capacity(frames.len()), Vec::new());
        for frame in frames {
            let detections = self.detect(frame)?;
            let before = crops.len();
            found.push(self.align(frame, &detections, &mut crops).inspect_err(|_| crops.truncate(before)));
        }
        let mut embedded = self.embedder.embed(&crops)?.into_iter().zip(&crops);
        let mut finish = |faces: Vec<Aligned>| {
            faces.into_iter().zip(&mut embedded).map(|(face, (vector, crop))| self.finish(face, vector, crop)).collect()
        };
        Ok(found.into_iter().map(|faces| faces.map(&mut finish)).collect())
    }

    /// Faces by descending score, in pixels of the full image.
    fn detect(&mut self, frame: &Frame) -> Result<Vec<Detection>, EngineError> {
        let mut faces = self.detector.find(&frame.pixels)?;
        faces.truncate(self.max_faces);
        let full = 1.0 / frame.scale;
        Ok(faces.iter().map(|face| face.scaled(full)).collect())
    }

    /// Cuts every face out. Where some would be magnified although the image has more pixels, the part of the image
    /// that holds them is decoded again, once. Faces whose points are no face's are dropped.
    fn align(&self, frame: &Frame, faces: &[Detection], crops: &mut Vec<Pixels>) -> Result<Vec<Aligned>, Rejection> {
        let scale = frame.scale;
        let wanted = |face: &Detection| (self.crop_scale / align::scale(&face.landmarks)).min(1.0);
        // A decode that adds less than a twentieth is not worth its time.
        let is_short = |face: &&Detection| scale * 1.05 < wanted(face);
        let short: Vec<&Detection> = faces.iter().filter(is_short).collect();
        let region = match short.iter().map(|face| around(&face.bbox)).reduce(union) {
            Some(part) => {
                let scale = short.iter().map(|face| wanted(face)).fold(0.0, f32::max);
                Some(closer_region(frame, scale, &part)?)
            }
            None => None,
        };
        let mut aligned = Vec::with_capacity(faces.len());
        for face in faces {
            let source = match &region {
                Some(region) if is_short(&face) => Source::of_region(region),
                _ => Source { pixels: &frame.pixels, x: 0.0, y: 0.0, scale },
            };
            if let Some(crop) = align::to_template(source.pixels, &face.landmarks.map(|point| source.local(point))) {
                crops.push(crop);
                let thumbnail = thumbnail::jpeg(source.pixels, &source.local_box(&face.bbox));
                let Detection { bbox, landmarks, score } = *face;
                aligned.push(Aligned { bbox, landmarks, score, thumbnail });
            }
        }
        Ok(aligned)
    }

    fn finish(&self, face: Aligned, vector: Embedded, crop: &Pixels) -> FoundFace {
        let Aligned { bbox, landmarks, score, thumbnail } = face;
        let quality = assess(crop, &bbox, &landmarks, score, vector.norm, &self.thresholds);
        FoundFace { bbox, landmarks, quality, embedding: vector.embedding, thumbnail }
    }
}

/// Pixels with their place in the full image.
struct Source<'a> {
    pixels: &'a Pixels,
    x: f32,
    y: f32,
    scale: f32,
}

impl<'a> Source<'a> {
    fn of_region(region: &'a Region) -> Self {
        Self { pixels: &region.pixels, x: region.x as f32, y: region.y as f32, scale: region.scale }
    }

    /// A point of the full image in these pixels; whole coordinates are the centres of pixels.
    fn local(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [(x + 0.5) * self.scale - 0.5 - self.x, (y + 0.5) * self.scale - 0.5 - self.y]
    }

    fn local_box(&self, bbox: &BBox) -> BBox {
        let (x, y) = (bbox.x * self.scale - self.x, bbox.y * self.scale - self.y);
        BBox { x, y, width: bbox.width * self.scale, height: bbox.height * self.scale }
    }
}

fn around(bbox: &BBox) -> BBox {
    let margin = bbox.width.max(bbox.height) * MARGIN;
    let (width, height) = (bbox.width + 2.0 * margin, bbox.height + 2.0 * margin);
    BBox { x: bbox.x - margin, y: bbox.y - margin, width, height }
}

fn union(a: BBox, b: BBox) -> BBox {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
    BBox { x, y, width: right - x, height: bottom - y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_keeps_its_place_at_any_scale_and_offset() {
        let pixels = Pixels { width: 1, height: 1, data: vec![0; 3] };
        let table = [(1.0, 0.0, [7.0, 9.0]), (0.5, 0.0, [3.25, 4.25]), (0.5, 2.0, [1.25, 2.25])];
        for (scale, offset, expected) in table {
            let source = Source { pixels: &pixels, x: offset, y: offset, scale };
            assert_eq!(source.local([7.0, 9.0]), expected);
        }
    }

    #[test]
    fn the_union_holds_both_faces_with_room() {
        let face = |x: f32, y: f32| BBox { x, y, width: 10.0, height: 20.0 };
        let both = union(around(&face(0.0, 0.0)), around(&face(50.0, 30.0)));
        assert_eq!(both, BBox { x: -12.0, y: -12.0, width: 84.0, height: 74.0 });
    }
}
