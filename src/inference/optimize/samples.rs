//! The user's own photos as models see them, for calibrating and judging a derived pack.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use muster_actors::domain::image::{Frame, Pixels};
use muster_actors::ports::engine::EngineError;
use walkdir::WalkDir;

use crate::onnx::detector::DetectorModel;
use crate::onnx::engine::Options;
use crate::onnx::face_crop::{FaceCrop, crop_faces};
use muster_vision::decode::{Limits, VisionDecoder};
use muster_vision::letterbox::Letterbox;
use muster_vision::{Detection, letterbox};

/// Smallest side of a face, in pixels of the image, whose crop is worth embedding.
const LEAST_SIDE: f32 = 24.0;

/// A photo with the faces that the source's detector found.
#[derive(Clone, Debug)]
pub struct SamplePhoto {
    /// The detector's input.
    pub pixels: Pixels,
    /// Faces that the source's detector found, in those pixels.
    pub faces: Vec<Detection>,
    /// Crops of the faces that are large enough.
    pub cuts: Vec<FaceCrop>,
}

impl SamplePhoto {
    /// Returns the crops of its faces, the input of an embedder.
    pub fn crops(&self) -> Vec<&Pixels> {
        self.cuts.iter().map(|cut| &cut.crop).collect()
    }
}

/// Most photos with faces that are kept.
pub const WITH_FACES: usize = 400;
/// Most photos without faces that are kept; a detector must find none in them.
const WITHOUT: usize = 100;
/// Most files that are read.
const FILES: usize = 4_000;

/// Lists the files below a folder, in the order of a hash of their names.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let files = WalkDir::new(folder).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    let hashed = |path: PathBuf| {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        (*blake3::hash(name.as_bytes()).as_bytes(), path)
    };
    let mut files: Vec<([u8; 32], PathBuf)> = files.map(walkdir::DirEntry::into_path).map(hashed).collect();
    files.sort();
    files.truncate(FILES);
    files.into_iter().map(|(_, path)| path).collect()
}

/// Reads photos of a folder, which a hash of their names selects: the same folder gives the same photos, from all parts
/// of it. `told` is called with the number of files that were read, and of all files.
///
/// # Errors
/// [`EngineError`] when the detector fails.
pub fn read(
    folder: &Path,
    detector: &mut DetectorModel,
    mut told: impl FnMut(usize, usize),
) -> Result<Vec<SamplePhoto>, EngineError> {
    let files = files(folder);
    let decoder = VisionDecoder { limits: Limits::default(), side: detector.side() };
    let (mut photos, mut without) = (Vec::new(), 0);
    for (at, path) in files.iter().enumerate() {
        told(at + 1, files.len());
        if photos.len() - without == WITH_FACES {
            break;
        }
        // Files that are not photos, or cannot be read, are skipped.
        let Some(frame) = photo(path, &decoder) else { continue };
        let sample = sample(&frame, detector)?;
        if sample.faces.is_empty() {
            if without == WITHOUT {
                continue;
            }
            without += 1;
        }
        photos.push(sample);
    }
    Ok(photos)
}

/// Decodes a file; `None` where it is not a photo, or cannot be read.
pub fn photo(path: &Path, decoder: &VisionDecoder) -> Option<Frame> {
    let size = path.metadata().ok()?.len();
    let bytes = (size <= decoder.limits.bytes).then(|| std::fs::read(path).ok())??;
    decoder.decode(Bytes::from(bytes)).ok()
}

fn sample(frame: &Frame, detector: &mut DetectorModel) -> Result<SamplePhoto, EngineError> {
    let Letterbox { pixels, scale } = letterbox::fit(&frame.pixels, detector.side());
    let faces = detector.find(&pixels)?;
    let full = |face: &Detection| face.scaled(1.0 / (scale * frame.scale));
    let large = |face: &Detection| face.bbox.width.min(face.bbox.height) >= LEAST_SIDE;
    let large: Vec<Detection> = faces.iter().map(full).filter(large).collect();
    // If a part cannot be decoded again, indexing would reject the photo, so it has no faces to compare.
    let cuts = crop_faces(frame, &large, Options::default().crop_scale).unwrap_or_default();
    Ok(SamplePhoto { pixels, faces, cuts })
}

/// Splits the photos in halves: one calibrates the pack and the other judges it, because photos that calibrated a pack
/// cannot judge it.
pub fn halves(photos: &[SamplePhoto]) -> (Vec<&SamplePhoto>, Vec<&SamplePhoto>) {
    let of = |rest| photos.iter().skip(rest).step_by(2).collect();
    (of(0), of(1))
}
