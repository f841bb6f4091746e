//! The source and the measured parity of a pack that was derived from another.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::graph::int8::QuantizationTarget;

/// The precision of a model's computations.
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
    /// Returns the word for a pack's name.
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

/// How well a derived pack agrees with its source, on photos that it was not calibrated with.
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
    /// How well each groups people, where labelled photos were given: source, then product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<[GroupingScores; 2]>,
    /// Pairwise F of source and product, by which packs of older releases were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grouping: Option<[f64; 2]>,
}

/// How well a pack groups labelled faces (docs/evaluation.md).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupingScores {
    /// B-cubed F, 0 to 1.
    pub b_cubed_f: f64,
    /// Groups with labelled faces of two photos or more.
    pub groups: usize,
    /// Those of them that hold labelled faces of two people or more.
    pub mixed_groups: usize,
}

impl GroupingScores {
    /// The share of groups that are mixed; 0 where there are no groups.
    pub fn mixed_share(&self) -> f64 {
        self.mixed_groups as f64 / self.groups.max(1) as f64
    }
}

/// The origin of a pack that was derived from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedPack {
    /// The pack it was made from: name and version.
    pub of: String,
    /// Precision of its computations.
    pub precision: Precision,
    /// Runtime that it is made for, where it computes in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<QuantizationTarget>,
    /// Execution target on which it was judged: cpu, cuda.
    pub judged: String,
    /// How well it agrees with that pack.
    pub parity: Parity,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_an_older_release_are_read_and_new_ones_are_written_beside_their_own_name() {
        let old = "faces = 120\ncosine_mean = 0.99\ncosine_p1 = 0.98\nphotos = 60\nagreement = 1.0\n";
        let read = |text: &str| toml::from_str::<Parity>(text).unwrap();
        assert_eq!(read(&format!("{old}grouping = [1.0, 0.99]\n")).grouping, Some([1.0, 0.99]));
        let scores = |b_cubed_f| GroupingScores { b_cubed_f, groups: 10, mixed_groups: 1 };
        let new = Parity { people: Some([scores(0.9), scores(0.8)]), ..read(old) };
        assert_eq!(read(&toml::to_string_pretty(&new).unwrap()), new);
    }
}
