//! The measured accuracy and speed of a pack, for users who choose one.

use serde::{Deserialize, Serialize};

/// The accuracy of a pack on labelled faces. Figures that were not measured are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// Accuracy of groups of adults' faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown: Option<GroupAccuracy>,
    /// Accuracy of pairs of children's faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub young: Option<PairAccuracy>,
    /// Accuracy of pairs of a child's and an adult's face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub young_to_grown: Option<PairAccuracy>,
}

/// The quality of a pack's groups on a labelled library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupAccuracy {
    /// B-cubed F (docs/evaluation.md), 0 to 1.
    pub b_cubed_f: f64,
    /// Description of the labelled faces.
    pub set: String,
}

/// The accuracy with which pairs of one person's faces are told from pairs of two people's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairAccuracy {
    /// Share of the pairs of one person that are accepted, 0 to 1, at the similarity at which
    /// `false_accept_rate` of the pairs of two people are.
    pub true_accept_rate: f64,
    /// Share of the pairs of two people that are accepted, 0 to 1.
    pub false_accept_rate: f64,
    /// Description of the labelled faces.
    pub set: String,
}

/// The speed of a pack compared with the default pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// Photos per second, as a multiple of the default pack's on the same processor.
    pub relative: f64,
    /// Explanation of how the figure was found.
    pub found: String,
}

impl Accuracy {
    /// Returns what is wrong, in one sentence.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let share = |value: &f64| (0.0..=1.0).contains(value);
        let pairs = [&self.young, &self.young_to_grown];
        let pairs_fit = |pairs: &PairAccuracy| [pairs.true_accept_rate, pairs.false_accept_rate].iter().all(share);
        let holds = self.grown.as_ref().is_none_or(|groups| share(&groups.b_cubed_f))
            && pairs.into_iter().flatten().all(pairs_fit);
        (!holds).then_some("the figures of [accuracy] must be 0 to 1")
    }
}

impl Speed {
    /// Returns what is wrong, in one sentence.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let holds = self.relative.is_finite() && self.relative > 0.0;
        (!holds).then_some("speed.relative must be above 0")
    }
}
