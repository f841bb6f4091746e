//! Fakes of objects, decoder and engines. The content of an image follows from its number alone.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::face::{BBox, Quality};
use crate::domain::image::{Frame, Locator, Pixels, RejectReason, Rejection};
use crate::errors::Class;
use crate::ports::decoder::{DecodeError, Decoder};
use crate::ports::engine::{Analysis, Engine, EngineError, FoundFace};
use crate::ports::objects::{Object, Objects, ObjectsError};
use crate::sim::host::Host;
use crate::sim::refusal::RefusedCall;
use crate::sim::scenario::ImageKind;
use crate::sim::world::{Injected, number};

/// Objects, decoder and engine in one.
#[derive(Clone)]
pub(crate) struct SimImages {
    host: Host,
    broken: Arc<AtomicBool>,
    batches: Arc<AtomicU32>,
}

/// One of four people, as a unit vector.
fn person(number: usize, face: u8) -> Vec<f32> {
    let who = (number + usize::from(face)) % 4;
    (0..4).map(|axis| if axis == who { 1.0 } else { 0.0 }).collect()
}

/// The faces that every engine finds in a version of image `number`.
pub(super) fn faces(number: usize, kind: ImageKind, version: u8) -> Vec<FoundFace> {
    let count = match kind {
        ImageKind::Faces(count) => count,
        _ => 1,
    };
    let face = |n: u8| FoundFace {
        bbox: BBox { x: f32::from(n) * 50.0, y: number as f32, width: 40.0 + f32::from(version), height: 40.0 },
        landmarks: [[0.0; 2]; 5],
        quality: Quality { overall: 0.5, ..Quality::default() },
        embedding: person(number, n + version),
        thumbnail: vec![n; 8],
    };
    (0..count).map(face).collect()
}

impl SimImages {
    /// On a machine, with a device of its own, sound.
    pub(crate) fn new(host: &Host) -> Self {
        Self { host: host.clone(), broken: Arc::default(), batches: Arc::default() }
    }

    fn kind(&self, number: usize) -> ImageKind {
        self.host.world.look(|s| s.images.get(number).copied().unwrap_or(ImageKind::Missing))
    }

    /// The bytes of an image are its number and its version, in four bytes each.
    async fn object(&self, locator: &Locator) -> Result<Object, ObjectsError> {
        let world = &self.host.world;
        self.host.step().await;
        world.latency(Duration::from_millis(40)).await;
        self.host.step().await;
        let failed = |class| ObjectsError::Failed { class, message: String::from("simulated") };
        if world.chance(|s| s.object_errors) {
            return Err(failed(Class::Transient));
        }
        if world.chance(|s| s.object_throttled) {
            return Err(failed(Class::Throttled { retry_after: None }));
        }
        if let Some(answer) = self.host.refused(RefusedCall::Get) {
            return Err(failed(answer.class()));
        }
        let number = number(locator);
        if self.kind(number) == ImageKind::Missing {
            return Err(ObjectsError::Rejected(Rejection::new(RejectReason::Missing, "simulated")));
        }
        let version = world.version(number);
        let bytes = Bytes::copy_from_slice(&(number as u64 | u64::from(version) << 32).to_le_bytes());
        let etag = format!("{number} v{version}");
        Ok(Object { size: bytes.len() as u64, etag, modified_ms: world.modified_ms(number), bytes })
    }
}

/// The number of the image that these bytes begin.
pub(super) fn read(bytes: &[u8]) -> usize {
    bytes.iter().take(4).rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// The version of the image that these bytes are.
fn version(bytes: &[u8]) -> u8 {
    bytes.get(4).copied().unwrap_or(0)
}

#[async_trait]
impl Objects for SimImages {
    async fn get(&self, locator: &Locator, _limit: u64) -> Result<Object, ObjectsError> {
        let mut object = self.object(locator).await?;
        if self.host.world.chance(|s| s.truncated) {
            // The connection broke, and nobody noticed.
            object.bytes.truncate(self.host.world.below(object.bytes.len()));
        }
        Ok(object)
    }

    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError> {
        let mut object = self.object(locator).await?;
        object.bytes.truncate(bytes as usize);
        Ok(object)
    }
}

impl SimImages {
    fn frame(&self, source: Bytes) -> Result<Frame, Rejection> {
        if self.kind(read(&source)) == ImageKind::Corrupt {
            return Err(Rejection::new(RejectReason::Corrupt, "simulated"));
        }
        let pixels = Pixels { width: 4, height: 4, data: vec![0; 48] };
        Ok(Frame { pixels, scale: 1.0, width: 400, height: 400, orientation: 1, taken: None, picture: None, source })
    }
}

impl Decoder for SimImages {
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError> {
        match self.kind(read(&source)) {
            ImageKind::DecoderPanic => resume_unwind(Box::new(Injected)),
            ImageKind::DecoderAbort => {
                self.host.die("the decoder aborts");
                Err(DecodeError::Failed(String::from("the worker is dead")))
            }
            _ => Ok(self.frame(source)?),
        }
    }

    fn judge_header(&self, head: &[u8]) -> Option<f32> {
        match self.kind(read(head)) {
            ImageKind::Poor => Some(0.1),
            ImageKind::Faces(0) => None,
            _ => Some(0.9),
        }
    }

    fn judge_thumbnail(&self, thumbnail: &[u8]) -> Option<f32> {
        self.judge_header(thumbnail)
    }
}

#[async_trait]
impl Engine for SimImages {
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError> {
        let (host, world) = (&self.host, &self.host.world);
        host.step().await;
        let (time, memory, dead, lost, hang) =
            world.look(|s| (s.batch_time, s.memory, s.dead_after, s.lost_after, s.hang_after));
        let ran = self.batches.fetch_add(1, Ordering::Relaxed);
        let numbers: Vec<usize> = frames.iter().map(|frame| read(&frame.source)).collect();
        world.note(|| format!("engine.analyse {numbers:?}"));
        world.analysed(numbers.len());
        world.latency(time).await;
        host.step().await;
        let kinds: Vec<ImageKind> = numbers.iter().map(|number| self.kind(*number)).collect();
        if hang.is_some_and(|after| ran >= after) {
            host.allow(83, true);
            std::future::pending::<()>().await;
        }
        if lost.is_some_and(|after| ran >= after) {
            host.allow(82, true);
            return Err(EngineError::DeviceLost(String::from("simulated")));
        }
        let poison = kinds.contains(&ImageKind::Poison);
        let dead = dead.is_some_and(|after| ran >= after);
        if poison || dead || world.chance(|s| s.sticky) {
            self.broken.store(true, Ordering::Relaxed);
        }
        if self.broken.load(Ordering::Relaxed) {
            host.allow(84, dead);
            return Err(if ran.is_multiple_of(2) {
                EngineError::Gone
            } else {
                EngineError::Sticky("simulated".into())
            });
        }
        if memory.is_some_and(|most| frames.len() > most) || kinds.contains(&ImageKind::Huge) {
            return Err(EngineError::OutOfMemory(String::from("simulated")));
        }
        let found = |(frame, kind): (&Arc<Frame>, ImageKind)| faces(read(&frame.source), kind, version(&frame.source));
        Ok(frames.iter().zip(kinds).map(|pair| Ok(found(pair))).collect())
    }

    async fn rebuild(&self) -> Result<(), EngineError> {
        self.host.step().await;
        self.host.world.latency(Duration::from_millis(200)).await;
        self.host.world.note(|| String::from("engine.rebuild"));
        self.broken.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// The decoder in a process of its own.
pub(crate) struct IsolatedImages(pub SimImages);

impl Decoder for IsolatedImages {
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError> {
        match self.0.kind(read(&source)) {
            ImageKind::DecoderPanic | ImageKind::DecoderAbort => {
                Err(Rejection::new(RejectReason::Crashed, "simulated").into())
            }
            _ => Ok(self.0.frame(source)?),
        }
    }

    fn judge_header(&self, head: &[u8]) -> Option<f32> {
        self.0.judge_header(head)
    }

    fn judge_thumbnail(&self, thumbnail: &[u8]) -> Option<f32> {
        self.0.judge_thumbnail(thumbnail)
    }
}
