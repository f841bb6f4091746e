//! What a pack was made from, where it is not as somebody published it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::graph::int8::Target;

/// In which numbers a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits, with constants folded, operators fused and the batch freed: the same results, and nothing left to do at a
    /// start.
    Float,
    /// 16 bits, but for operators that need more: for cards.
    Half,
    /// 8 bits, scaled by what the model saw of your photos: for processors.
    Int8,
}

impl Precision {
    /// As it is written in a pack's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Half => "half",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How well a product agrees with its source, on photos that it was not made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// Faces whose embeddings were compared.
    pub faces: usize,
    /// Mean cosine between a face's two embeddings.
    pub cosine_mean: f64,
    /// The cosine that one face in a hundred falls below.
    pub cosine_p1: f64,
    /// Photos in which the detectors were compared.
    pub photos: usize,
    /// Of the faces that either detector found, the part that both found.
    pub agreement: f64,
    /// F of the pairs of faces that are grouped together, against the people they are of: source, then product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grouping: Option<[f64; 2]>,
}

/// What a pack was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// The pack it was made from: name and version.
    pub of: String,
    /// In which numbers it computes.
    pub precision: Precision,
    /// Who runs it, where it computes in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Where it was judged: cpu, cuda.
    pub judged: String,
    /// How well it agrees with that pack.
    pub parity: Parity,
}
