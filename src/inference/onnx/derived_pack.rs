//! The origin of a pack that was derived from another, and how well it agrees with that one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::graph::int8::QuantizationTarget;

/// The precision of a model's computations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits, with folded constants, fused operators and a free batch dimension. It gives the same results, and a
    /// session loads faster.
    Float,
    /// 16 bits, except for operators that need more; for cards.
    Half,
    /// 8 bits, scaled by the values that the model had on the user's photos; for processors.
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

/// The agreement of a derived pack with its source, on photos with which it was not calibrated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// Number of faces whose embeddings were compared.
    pub faces: usize,
    /// Mean cosine between the two embeddings of a face, -1 to 1.
    pub cosine_mean: f64,
    /// Cosine below which one face in a hundred falls, -1 to 1.
    pub cosine_p1: f64,
    /// Number of photos in which the detectors were compared.
    pub photos: usize,
    /// Share of the faces that both detectors found, among those that either found, 0 to 1.
    pub agreement: f64,
    /// Scores of the source's and of the derived pack's grouping, where labelled photos were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<[GroupingScores; 2]>,
    /// Pairwise F of both, by which older releases judged packs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grouping: Option<[f64; 2]>,
}

/// The scores of a pack's grouping of labelled faces (docs/evaluation.md).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupingScores {
    /// B-cubed F, 0 to 1.
    pub b_cubed_f: f64,
    /// Number of groups with labelled faces from two photos or more.
    pub groups: usize,
    /// Number of those groups that hold labelled faces of two people or more.
    pub mixed_groups: usize,
}

impl GroupingScores {
    /// Returns the share of groups that are mixed, 0 to 1; 0 where there are no groups.
    pub fn mixed_share(&self) -> f64 {
        self.mixed_groups as f64 / self.groups.max(1) as f64
    }
}

/// The origin of a pack that was derived from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedPack {
    /// Name and version of the source.
    pub of: String,
    /// Precision of its computations.
    pub precision: Precision,
    /// Runtime for which it is made, where it computes in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<QuantizationTarget>,
    /// Execution target on which it was judged: cpu, cuda.
    pub judged: String,
    /// Agreement with the source.
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
