//! Decides whether a derived pack may replace its source. Pure functions.

use crate::onnx::derived_pack::{Parity, Precision};
use crate::onnx::execution_target::ExecutionTarget;

/// The figures that a derived pack must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ParityGate {
    /// Least mean cosine between the two embeddings of a face.
    pub cosine_mean: f64,
    /// Least cosine that all faces but one in a hundred reach.
    pub cosine_p1: f64,
    /// Least agreement of the detectors, 0 to 1.
    pub agreement: f64,
    /// Most by which B-cubed F of the groups may fall, and the share of mixed groups may rise.
    pub grouping_loss: f64,
}

/// Fewest faces from which a figure for one in a hundred can be computed.
pub(crate) const LEAST_FACES: usize = 100;
/// Fewest photos from which a detector can be judged.
pub(crate) const LEAST_PHOTOS: usize = 30;

impl ParityGate {
    /// Returns the figures for a precision on an execution target; TensorRT always computes in half precision. A cosine
    /// of 0.99 changes a similarity of 0.38, which separates pairs of one and of two people, by 0.02 at most in the
    /// mean: a tenth of the distance between the two kinds of pairs (docs/grouping.md).
    pub fn new(precision: Precision, place: &ExecutionTarget) -> Self {
        match (precision, place) {
            (Precision::Float, ExecutionTarget::Cpu | ExecutionTarget::OpenVino | ExecutionTarget::Cuda(_)) => {
                Self { cosine_mean: 0.999_99, cosine_p1: 0.9999, agreement: 0.999, grouping_loss: 0.001 }
            }
            (Precision::Float, ExecutionTarget::TensorRt(..)) | (Precision::Half, _) => {
                Self { cosine_mean: 0.999, cosine_p1: 0.99, agreement: 0.99, grouping_loss: 0.005 }
            }
            (Precision::Int8, _) => Self { cosine_mean: 0.99, cosine_p1: 0.97, agreement: 0.98, grouping_loss: 0.01 },
        }
    }

    /// Lists the figures that are not reached; empty where the derived pack passes.
    pub fn failures(&self, parity: &Parity) -> Vec<String> {
        let mut failures = Vec::new();
        let mut least = |what: &str, found: f64, wanted: f64| {
            if found.is_nan() || found < wanted {
                failures.push(format!("{what} is {found:.4}, and {wanted} is needed"));
            }
        };
        least("faces compared", parity.faces as f64, LEAST_FACES as f64);
        least("photos compared", parity.photos as f64, LEAST_PHOTOS as f64);
        least("mean cosine", parity.cosine_mean, self.cosine_mean);
        least("cosine of all but one face in a hundred", parity.cosine_p1, self.cosine_p1);
        least("agreement of the detectors", parity.agreement, self.agreement);
        if let Some([source, product]) = &parity.people {
            let (loss, before, after) = (self.grouping_loss, source.b_cubed_f, product.b_cubed_f);
            if after < before - loss {
                failures.push(format!(
                    "B-cubed F of the groups is {after:.4}, of the source's {before:.4}: it may fall by {loss}"
                ));
            }
            if product.mixed_share() > source.mixed_share() + loss {
                failures.push(format!(
                    "{} of {} groups are mixed, of the source's {} of {}: their share may rise by {loss}",
                    product.mixed_groups, product.groups, source.mixed_groups, source.groups
                ));
            }
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::onnx::derived_pack::GroupingScores;
    use crate::onnx::engine_cache::TensorRtCache;
    use crate::onnx::execution_target::CardTarget;

    #[test]
    fn a_product_passes_only_where_every_figure_does() {
        let people = |b_cubed_f, mixed_groups| GroupingScores { b_cubed_f, groups: 40, mixed_groups };
        let good = Parity {
            faces: 200,
            cosine_mean: 0.995,
            cosine_p1: 0.98,
            photos: 60,
            agreement: 0.99,
            people: Some([people(0.95, 1), people(0.945, 1)]),
            grouping: None,
        };
        let int8 = ParityGate::new(Precision::Int8, &ExecutionTarget::Cpu);
        assert_eq!(int8.failures(&good), [""; 0]);
        assert_eq!(int8.failures(&Parity { people: None, ..good.clone() }), [""; 0]);
        for (bad, part) in [
            (Parity { faces: 99, ..good.clone() }, "faces compared is 99"),
            (Parity { photos: 3, ..good.clone() }, "photos compared is 3"),
            (Parity { cosine_mean: 0.98, ..good.clone() }, "mean cosine is 0.9800, and 0.99 is needed"),
            (Parity { cosine_p1: 0.9, ..good.clone() }, "one face in a hundred is 0.9000"),
            (Parity { cosine_p1: f64::NAN, ..good.clone() }, "one face in a hundred is NaN"),
            (Parity { agreement: 0.9, ..good.clone() }, "agreement"),
            (Parity { people: Some([people(0.95, 1), people(0.93, 1)]), ..good.clone() }, "groups is 0.9300"),
            (Parity { people: Some([people(0.95, 1), people(0.95, 2)]), ..good.clone() }, "2 of 40 groups are mixed"),
        ] {
            let failures = int8.failures(&bad);
            assert!(failures.len() == 1 && failures[0].contains(part), "{failures:?}");
        }
        let half = ParityGate::new(Precision::Half, &ExecutionTarget::Cpu);
        assert_eq!(half.failures(&good).len(), 2, "half is held to more");
        let engines = TensorRtCache { folder: PathBuf::new(), compute: (7, 5), driver: 12_080 };
        let tensorrt = ExecutionTarget::TensorRt(CardTarget { ordinal: 0, limit: 0 }, engines);
        assert_eq!(ParityGate::new(Precision::Float, &tensorrt), half, "TensorRT computes in half precision");
        assert_ne!(ParityGate::new(Precision::Float, &ExecutionTarget::Cpu), half);
    }
}
