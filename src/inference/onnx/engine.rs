//! Implements the port `Engine` with ONNX Runtime, on a processor or on a card.

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

/// The options of an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Execution target of the models.
    pub place: ExecutionTarget,
    /// Threads within one operator. One engine for each core is faster than one engine with threads.
    pub threads: usize,
    /// Thresholds of the quality measures.
    pub thresholds: Thresholds,
    /// Most faces of an image; of more, those with the best scores are kept.
    pub max_faces: usize,
    /// Frames in one run of the detector.
    pub frames: usize,
    /// Faces in one run of the embedder. On a processor it should be 1: more gain nothing, and with 1 a face's vector
    /// does not depend on its neighbours to the last bit, so results do not depend on how images were batched.
    pub faces: usize,
    /// Scale, in pixels of the image per pixel of the aligned crop, below which a face is cut from a larger decode,
    /// where the image has more pixels.
    pub crop_scale: f32,
    /// Number of lanes that share the card.
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

/// One lane: the models on a thread of their own.
pub struct OnnxEngine {
    thread: ModelThread<Analyser>,
    room: Arc<OnceLock<Option<usize>>>,
}

impl OnnxEngine {
    /// Loads the models of `pack` on a thread of their own, and counts their runs in `tally`. It blocks until they are
    /// ready: tenths of a second, or seconds on a card, where two runs measure how many images its memory holds.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] when the runtime library or a model is missing or wrong, with the remedy in its
    /// message; other variants when the device fails.
    pub fn start(pack: &Pack, home: &Home, options: Options, tally: Tally) -> Result<Self, EngineError> {
        let environment = environment(&library(&options.place, home)?)?;
        let (pack, room) = (pack.clone(), Arc::new(OnceLock::new()));
        let measured = Arc::clone(&room);
        let load = move || {
            let mut analyser = Analyser::load(&environment, &pack, &options, &tally)?;
            if let (Some(card), None) = (options.place.card(), measured.get()) {
                let room = batch_size::measure(&mut analyser, card.ordinal, options.frames, options.lanes)?;
                // The thread loads one set of models at a time, so no other has set it.
                let _ = measured.set(room);
            }
            Ok(analyser)
        };
        Ok(Self { thread: ModelThread::start("muster-model", load)?, room })
    }

    /// Ends the thread. Later calls fail with [`EngineError::Gone`] until a rebuild.
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
