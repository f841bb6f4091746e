//! Finds the face in a box that somebody drew in a photo.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use muster_actors::domain::face::BBox;
use muster_actors::domain::image::Rejection;
use muster_actors::ports::decoder::{DecodeError, Decoder};
use muster_actors::ports::engine::{Engine, EngineError, FoundFace};
use muster_config::Settings;
use muster_inference::onnx::pack::Pack;
use muster_inference::pipeline;

/// Decodes a photo and lets an engine look at a box of it.
#[derive(Clone)]
pub struct FaceFinder {
    decoder: Arc<dyn Decoder>,
    engine: Arc<dyn Engine>,
    model: String,
    most_bytes: u64,
}

/// Why there is no face in a box.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FindFaceError {
    /// The photo's file cannot be read.
    #[error("{} cannot be read: {message}", .path.display())]
    Unread {
        /// The photo.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// The file is no photo that can be decoded.
    #[error("{} cannot be decoded: {rejection}", .path.display())]
    Rejected {
        /// The photo.
        path: PathBuf,
        /// Why.
        rejection: Rejection,
    },
    /// The photo has another size than when it was indexed.
    #[error("{} has changed since it was indexed: run `muster index` first", .0.display())]
    Changed(PathBuf),
    /// The box cannot hold a face.
    #[error(
        "no face can be in this box: its middle has to lie in the photo ({width} x {height} pixels), and its sides have to \
         have 12 pixels or more"
    )]
    NoRoom {
        /// Width of the upright photo in pixels.
        width: u32,
        /// Height of the upright photo in pixels.
        height: u32,
    },
    /// The models failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl FaceFinder {
    /// Makes a finder over an engine that runs the models of `pack`.
    pub fn new(settings: &Settings, pack: &Pack, engine: Arc<dyn Engine>) -> Self {
        let (decoder, _) = pipeline::decoders(settings, pack);
        Self { decoder, engine, model: pack.id(), most_bytes: settings.limits.image_megabytes << 20 }
    }

    /// Returns the id of its models.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Finds the face in a box, in pixels of the upright photo, which is `size` (width, height) pixels large.
    ///
    /// # Errors
    /// The photo cannot be read or decoded, or has another size; the box can hold no face; the models failed.
    pub async fn find(&self, path: &Path, size: (u32, u32), drawn: BBox) -> Result<FoundFace, FindFaceError> {
        let (owned, decoder, most) = (path.to_path_buf(), Arc::clone(&self.decoder), self.most_bytes);
        let decode = move || {
            let unread = |message: String| FindFaceError::Unread { path: owned.clone(), message };
            let bytes = read(&owned, most).map_err(|error| unread(error.to_string()))?;
            decoder.decode(bytes).map_err(|error| match error {
                DecodeError::Rejected(rejection) => FindFaceError::Rejected { path: owned.clone(), rejection },
                DecodeError::Failed(message) => unread(message),
            })
        };
        let decoded = tokio::task::spawn_blocking(decode).await;
        let frame = decoded.map_err(|error| EngineError::Sticky(error.to_string()))??;
        if (frame.width, frame.height) != size {
            return Err(FindFaceError::Changed(path.to_path_buf()));
        }
        let (width, height) = size;
        self.engine.face_in(Arc::new(frame), drawn).await?.ok_or(FindFaceError::NoRoom { width, height })
    }
}

/// Reads a file of at most `most` bytes.
fn read(path: &Path, most: u64) -> std::io::Result<Bytes> {
    use std::io::Read;
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(std::io::Error::other("the file is larger than limits.image_megabytes"));
    }
    Ok(bytes.into())
}
