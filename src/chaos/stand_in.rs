//! Provides the pack `stand-in`, which finds faces without a model, for tests with many images. Its faces follow from
//! an image's pixels alone, and its faults from a file that the run writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::face::{BBox, Quality};
use muster_actors::domain::image::Frame;
use muster_actors::ports::decoder::{DecodeError, Decoder};
use muster_actors::ports::engine::{Analysis, Engine, EngineError, FoundFace};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Name of the pack.
pub const PACK: &str = "stand-in";
/// Grouping threshold of the pack. Faces of one person have a similarity above 0.8, faces of two people about 0.
pub const SIMILARITY: f32 = 0.5;
/// Environment variable with the path of an engine's fault file.
pub(crate) const FAULT: &str = "MUSTER_CHAOS_FAULT";
/// Ending of an image that kills the process that decodes it.
pub const ABORT: &[u8] = b"muster-chaos-abort";

const DIMENSIONS: usize = 128;
const PEOPLE: u64 = 40;
/// Time that an image takes, in a batch or alone.
const PACE: Duration = Duration::from_millis(4);

/// An engine that needs no model and fails on request.
#[derive(Debug)]
pub struct StandInEngine {
    fault: Option<PathBuf>,
    broken: AtomicBool,
}

/// A fault of a device, as its fault file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFault {
    /// Batches of more images than this run out of memory.
    Memory(usize),
    /// The device fails until it is rebuilt.
    Sticky,
    /// The device fails for good.
    Dead,
    /// The device is lost.
    Lost,
    /// The device does not answer.
    Hang,
}

impl DeviceFault {
    /// Renders the fault as the file holds it.
    pub fn text(self) -> String {
        match self {
            Self::Memory(most) => format!("memory {most}"),
            Self::Sticky => "sticky".into(),
            Self::Dead => "dead".into(),
            Self::Lost => "lost".into(),
            Self::Hang => "hang".into(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(match words.next()? {
            "memory" => Self::Memory(words.next()?.parse().ok()?),
            "sticky" => Self::Sticky,
            "dead" => Self::Dead,
            "lost" => Self::Lost,
            "hang" => Self::Hang,
            _ => return None,
        })
    }
}

impl StandInEngine {
    /// Creates an engine whose fault file is named by the variable [`FAULT`].
    pub fn from_env() -> Arc<dyn Engine> {
        Arc::new(Self { fault: std::env::var_os(FAULT).map(PathBuf::from), broken: AtomicBool::new(false) })
    }

    fn fault(&self) -> Option<DeviceFault> {
        DeviceFault::parse(&std::fs::read_to_string(self.fault.as_ref()?).ok()?)
    }
}

/// Computes a unit vector of 128 numbers near that of a person.
fn embedding(person: u64, off: &mut ChaCha8Rng) -> Vec<f32> {
    let mut face = ChaCha8Rng::seed_from_u64(person);
    let mut vector: Vec<f32> =
        (0..DIMENSIONS).map(|_| face.random_range(-1.0..1.0f32) + off.random_range(-0.2..0.2f32)).collect();
    let norm = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|part| *part /= norm);
    vector
}

/// Returns up to two faces, of people that follow from the pixels.
fn faces(frame: &Frame) -> Vec<FoundFace> {
    let hash = blake3::hash(&frame.pixels.data);
    let mut rng = ChaCha8Rng::from_seed(*hash.as_bytes());
    let count = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2][rng.random_range(0..10)];
    let (width, height) = (frame.width as f32, frame.height as f32);
    let mut face = |n: u8| FoundFace {
        bbox: BBox { x: width * (0.1 + 0.4 * f32::from(n)), y: height * 0.2, width: width * 0.3, height: height * 0.4 },
        landmarks: [[0.5; 2]; 5],
        quality: Quality { overall: 0.8, size: width * 0.3, ..Quality::default() },
        embedding: {
            let person = rng.random_range(0..PEOPLE);
            embedding(person, &mut rng)
        },
        thumbnail: vec![n; 64],
    };
    (0..count).map(&mut face).collect()
}

#[async_trait]
impl Engine for StandInEngine {
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError> {
        tokio::time::sleep(PACE * u32::try_from(frames.len()).unwrap_or(1)).await;
        let said = || String::from("chaos");
        match self.fault() {
            Some(DeviceFault::Memory(most)) if frames.len() > most => return Err(EngineError::OutOfMemory(said())),
            Some(DeviceFault::Sticky | DeviceFault::Dead) => self.broken.store(true, Ordering::Relaxed),
            Some(DeviceFault::Lost) => return Err(EngineError::DeviceLost(said())),
            Some(DeviceFault::Hang) => std::future::pending().await,
            Some(DeviceFault::Memory(_)) | None => {}
        }
        if self.broken.load(Ordering::Relaxed) {
            return Err(EngineError::Sticky(said()));
        }
        Ok(frames.iter().map(|frame| Ok(faces(frame))).collect())
    }

    async fn rebuild(&self) -> Result<(), EngineError> {
        if self.fault() != Some(DeviceFault::Dead) {
            self.broken.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A decoder that aborts the process on images that end with [`ABORT`].
pub struct AbortingDecoder(pub Arc<dyn Decoder>);

impl Decoder for AbortingDecoder {
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError> {
        if source.ends_with(ABORT) {
            std::process::abort();
        }
        self.0.decode(source)
    }

    fn judge_header(&self, head: &[u8]) -> Option<f32> {
        self.0.judge_header(head)
    }

    fn judge_thumbnail(&self, thumbnail: &[u8]) -> Option<f32> {
        self.0.judge_thumbnail(thumbnail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_actors::domain::image::Pixels;

    #[test]
    fn the_same_pixels_have_the_same_faces_of_unit_length() {
        let frame = |byte| {
            let pixels = Pixels { width: 2, height: 1, data: vec![byte; 6] };
            Frame {
                pixels,
                scale: 1.0,
                width: 200,
                height: 100,
                orientation: 1,
                taken: None,
                picture: None,
                source: Bytes::new(),
            }
        };
        let all: Vec<_> = (0..100).flat_map(|byte| faces(&frame(byte))).collect();
        assert!((30..100).contains(&all.len()), "{}", all.len());
        assert_eq!(all, (0..100).flat_map(|byte| faces(&frame(byte))).collect::<Vec<_>>());
        for face in all {
            let norm: f32 = face.embedding.iter().map(|part| part * part).sum();
            assert!((norm - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn a_fault_is_read_as_it_was_written() {
        for fault in
            [DeviceFault::Memory(3), DeviceFault::Sticky, DeviceFault::Dead, DeviceFault::Lost, DeviceFault::Hang]
        {
            assert_eq!(DeviceFault::parse(&fault.text()), Some(fault));
        }
        assert_eq!(DeviceFault::parse(""), None);
    }
}
