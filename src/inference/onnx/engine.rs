//! The engine port over ONNX Runtime, on a processor or on a card.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use muster_actors::domain::face::BBox;
use muster_actors::domain::image::Frame;
use muster_actors::ports::engine::{Analysis, Engine, EngineError, FoundFace};

use super::analyser::Analyser;
use super::batch_size;
use super::execution_target::ExecutionTarget;
use super::home::Home;
use super::pack::Pack;
use super::runtime::{environment, library};
use super::tally::Tally;
use super::thread::ModelThread;
use muster_vision::quality::Thresholds;

/// How an engine works.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where the models run.
    pub place: ExecutionTarget,
    /// Threads within one operation. One engine a core beats one engine with threads.
    pub threads: usize,
    /// Where quality turns from good to bad.
    pub thresholds: Thresholds,
    /// Of an image with more faces than this, those with the best scores are kept.
    pub max_faces: usize,
    /// Frames in one run of the detector.
    pub frames: usize,
    /// Faces in one run of the embedder. On a CPU more than one gains nothing, and one makes a face's vector
    /// independent of its neighbours to the last bit: results do not depend on how images were batched.
    pub faces: usize,
    /// Pixels of the image per pixel of the aligned crop below which a face is cut from a larger decode, where
    /// the image has more pixels.
    pub crop_scale: f32,
    /// Lanes that share the card.
    pub lanes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            place: ExecutionTarget::Cpu,
            threads: 1,
            thresholds: Thresholds::default(),
            max_faces: 500,
            frames: 1,
            faces: 1,
            crop_scale: 1.0,
            lanes: 1,
        }
    }
}

/// One lane: its models on their own thread.
pub struct OnnxEngine {
    thread: ModelThread<Analyser>,
    room: Arc<OnceLock<Option<usize>>>,
}

impl OnnxEngine {
    /// Loads the models of `pack` on a thread of their own; their runs are counted in `tally`. Blocks until they are ready (tenths
    /// of a second; on a card seconds, as two runs are made to learn how many images its memory holds).
    ///
    /// Fails as [`EngineError::Misconfigured`] where the runtime library or a model is missing or wrong; the message
    /// says how to mend it.
    pub fn start(pack: &Pack, home: &Home, options: Options, tally: Tally) -> Result<Self, EngineError> {
        let environment = environment(&library(&options.place, home)?)?;
        let (pack, room) = (pack.clone(), Arc::new(OnceLock::new()));
        let measured = Arc::clone(&room);
        let load = move || {
            let mut analyser = Analyser::load(&environment, &pack, &options, &tally)?;
            if let (Some(card), None) = (options.place.card(), measured.get()) {
                let room = batch_size::measure(&mut analyser, card.ordinal, options.frames, options.lanes)?;
                // The thread loads one thing at a time: nobody was quicker.
                let _ = measured.set(room);
            }
            Ok(analyser)
        };
        Ok(Self { thread: ModelThread::start("muster-model", load)?, room })
    }

    /// Ends the thread. Every later call is answered [`EngineError::Gone`] until a rebuild.
    pub async fn stop(&self) {
        self.thread.stop().await;
    }
}

#[async_trait]
impl Engine for OnnxEngine {
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError> {
        self.thread.call(move |analyser| analyser.analyse(&frames)).await
    }

    async fn face_in(&self, frame: Arc<Frame>, drawn: BBox) -> Result<Option<FoundFace>, EngineError> {
        self.thread.call(move |analyser| analyser.face_in(&frame, &drawn)).await
    }

    async fn rebuild(&self) -> Result<(), EngineError> {
        self.thread.rebuild().await
    }

    fn max_batch_size(&self) -> Option<usize> {
        self.room.get().copied().flatten()
    }
}
