//! Finds the folder in which TensorRT keeps the compiled engine of a model. Pure functions.
//!
//! A compiled engine fits one model, one range of shapes, one kind of card and one version of everything below.
//! TensorRT checks some of that and compiles again, but it does not notice another model. So each engine has a folder
//! of its own, and a change of any part leads to another folder.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

/// The folder in which TensorRT keeps the engines of one kind of card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorRtCache {
    /// The folder of all engines.
    pub folder: PathBuf,
    /// Compute capability of the card, major and minor.
    pub compute: (u32, u32),
    /// CUDA version of the driver, as in [`Card::driver`](crate::gpu::cards::Card::driver).
    pub driver: u32,
}

/// A model with the shapes of its inputs, for which an engine is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineProfile {
    /// The model's input.
    pub input: String,
    /// sha256 of the model as it is given to the runtime.
    pub model: [u8; 32],
    /// Smallest, usual and largest input: batch, channels, height, width.
    pub range: [[usize; 4]; 3],
}

impl EngineProfile {
    /// Creates the profile of a model from its bytes after they were rewritten.
    pub fn new(input: &str, model: &[u8], range: [[usize; 4]; 3]) -> Self {
        Self { input: input.to_owned(), model: Sha256::digest(model).into(), range }
    }

    /// Formats the three shapes as TensorRT reads them: `input:1x3x112x112`.
    pub fn shapes(&self) -> [String; 3] {
        self.range.map(|shape| {
            let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
            format!("{}:{}", self.input, sides.join("x"))
        })
    }

    /// Returns the folder of the engine.
    pub fn folder(&self, engines: &TensorRtCache) -> PathBuf {
        let TensorRtCache { folder, compute: (major, minor), driver } = engines;
        let model: String = self.model[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let range = Sha256::digest(self.shapes().join(" "));
        let range: String = range[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        folder.join(format!("{model}-sm{major}{minor}-cuda{driver}-half-{range}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_makes_an_engine_useless_leads_to_another_folder() {
        let engines = TensorRtCache { folder: PathBuf::from("/e"), compute: (7, 5), driver: 12_080 };
        let range = [[1, 3, 112, 112], [8, 3, 112, 112], [32, 3, 112, 112]];
        let profile = EngineProfile::new("data", b"model", range);
        let mut folders = vec![
            profile.folder(&engines),
            profile.folder(&TensorRtCache { compute: (8, 6), ..engines.clone() }),
            profile.folder(&TensorRtCache { driver: 12_090, ..engines.clone() }),
            EngineProfile::new("data", b"another", range).folder(&engines),
            EngineProfile::new("input", b"model", range).folder(&engines),
            EngineProfile::new("data", b"model", [range[0], range[1], [16, 3, 112, 112]]).folder(&engines),
        ];
        assert_eq!(folders[0], EngineProfile::new("data", b"model", range).folder(&engines), "the same again");
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), 6, "{folders:?}");
        assert_eq!(profile.shapes()[1], "data:8x3x112x112");
    }
}
