//! A pack without models, supplied by another crate. Chaos runs use it because they need many images and faults on
//! demand, not real faces.

use std::fmt;
use std::sync::{Arc, OnceLock};

use muster_actors::ports::decoder::Decoder;
use muster_actors::ports::engine::Engine;

/// A pack whose engine and decoder are created outside of this crate. In all other respects it is like the default
/// pack.
pub struct Substitute {
    /// Name of the pack in the settings.
    pub name: &'static str,
    /// Similarity, -1 to 1, from which two of its faces may be one person.
    pub similarity: f32,
    /// Creates the engine of its one lane.
    pub engine: fn() -> Arc<dyn Engine>,
    /// Wraps the decoder of images.
    pub decoder: fn(Arc<dyn Decoder>) -> Arc<dyn Decoder>,
    /// Option by which an isolated decoder wraps its own decoder in the same way.
    pub decoder_option: &'static str,
}

impl fmt::Debug for Substitute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Substitute").field("name", &self.name).finish_non_exhaustive()
    }
}

static REGISTERED: OnceLock<Substitute> = OnceLock::new();

/// Registers a substitute for this process. Only the first call has an effect.
pub fn register(substitute: Substitute) {
    // The program registers one before it opens a pack; a second call changes nothing.
    let _ = REGISTERED.set(substitute);
}

/// Finds the substitute of this name.
pub(crate) fn named(name: &str) -> Option<&'static Substitute> {
    REGISTERED.get().filter(|substitute| substitute.name == name)
}
