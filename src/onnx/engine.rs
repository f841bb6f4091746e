//! The engine port over ONNX Runtime on a CPU.

use std::sync::Arc;

use async_trait::async_trait;
use muster_actors::image::Frame;
use muster_actors::ports::engine::{Analysis, Engine, EngineError};

use super::analyser::Analyser;
use super::home::Home;
use super::pack::Pack;
use super::runtime::{environment, library};
use super::tally::Tally;
use super::thread::ModelThread;
use crate::settings::Provider;
use crate::vision::quality::Thresholds;

/// How an engine works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Threads within one operation. One engine a core beats one engine with threads.
    pub threads: usize,
    /// Who executes the models.
    pub provider: Provider,
    /// Where quality turns from good to bad.
    pub thresholds: Thresholds,
    /// Of an image with more faces than this, those with the best scores are kept.
    pub max_faces: usize,
    /// Faces in one run of the embedder. On a CPU more than one gains nothing, and one makes a face's vector
    /// independent of its neighbours to the last bit: results do not depend on how images were batched.
    pub chunk: usize,
    /// Pixels of the image per pixel of the aligned crop below which a face is cut from a larger decode, where
    /// the image has more pixels.
    pub crop_scale: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 1,
            provider: Provider::Auto,
            thresholds: Thresholds::default(),
            max_faces: 500,
            chunk: 1,
            crop_scale: 1.0,
        }
    }
}

/// One lane of a CPU: its models on their own thread.
pub struct OnnxEngine {
    thread: ModelThread<Analyser>,
}

impl OnnxEngine {
    /// Loads the models of `pack` on a thread of their own; their runs are counted in `tally`. Blocks until they are ready (tenths of a second).
    ///
    /// Fails as [`EngineError::Misconfigured`] where the runtime library or a model is missing or wrong; the message
    /// says how to mend it.
    pub fn start(pack: &Pack, home: &Home, options: Options, tally: Tally) -> Result<Self, EngineError> {
        let options = Options { provider: options.provider.resolve(home), ..options };
        let environment = environment(&library(options.provider, home)?)?;
        let pack = pack.clone();
        let load = move || Analyser::load(&environment, &pack, &options, &tally);
        Ok(Self { thread: ModelThread::start("muster-model", load)? })
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

    async fn rebuild(&self) -> Result<(), EngineError> {
        self.thread.rebuild().await
    }
}
