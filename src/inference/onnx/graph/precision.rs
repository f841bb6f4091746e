//! Decides which nodes of a graph run in FP16.
//!
//! Micikevicius et al., "Mixed Precision Training" (2018), give the limits: FP16 has numbers up to 65504, eleven bits
//! of precision from 2^-14 on, and nothing below 2^-25. Operators that add up many numbers or squares stay in float32.

use std::collections::{BTreeMap, BTreeSet};

use half::f16;

use super::model::{Model, ModelError};
use super::number::KIND_FLOAT;

/// Operators that run in FP16.
const HALF: &str = "Abs Add AveragePool Clip Conv ConvTranspose Elu Erf Gelu Gemm GlobalMaxPool HardSigmoid HardSwish \
    LeakyRelu MatMul Max MaxPool Min Mul Neg PRelu Relu Resize Selu Sigmoid Softplus Softsign Sub Tanh \
    Upsample";

/// Operators that stay in float32, with the reason. Operators in neither list stay in float32 as well.
const FLOAT: &[(&str, &str)] = &[
    ("BatchNormalization", "a variance below 6e-8 is zero in FP16"),
    ("CumSum", "adds up an axis"),
    ("Exp", "passes 65504 from 11.1 on"),
    ("GlobalAveragePool", "adds up an image"),
    ("GroupNormalization", "adds up squares"),
    ("InstanceNormalization", "adds up squares"),
    ("LayerNormalization", "adds up squares"),
    ("Log", "has no argument below 6e-8"),
    ("LogSoftmax", "adds up exponentials"),
    ("LpNormalization", "adds up squares"),
    ("NonMaxSuppression", "a box past pixel 2048 is not exact"),
    ("Pow", "a square passes 65504 from 256 on"),
    ("Range", "whole numbers past 2048 are not exact"),
    ("Reciprocal", "passes 65504 below 1.5e-5"),
    ("ReduceL1", "adds up an axis"),
    ("ReduceL2", "adds up squares"),
    ("ReduceLogSum", "adds up an axis"),
    ("ReduceLogSumExp", "adds up exponentials"),
    ("ReduceMean", "adds up an axis"),
    ("ReduceProd", "multiplies an axis"),
    ("ReduceSum", "adds up an axis"),
    ("ReduceSumSquare", "adds up squares"),
    ("Softmax", "adds up exponentials"),
    ("Sqrt", "its argument is a sum of squares"),
    ("TopK", "numbers that differ become equal"),
];

/// Operators that only move numbers, or whose precision is that of their input; they stay in float32 if the input does.
const FOLLOW: &str = "Concat DepthToSpace Div Dropout Expand Flatten Gather Identity Pad Reshape Slice SpaceToDepth Split \
    Squeeze Tile Transpose Unsqueeze Where";

/// Pairs of operators: the first stays in float32 if the second reads its output. They belong to a layer normalisation,
/// which runtimes fuse into one operator if no cast stands within.
const BEFORE: &[(&str, &str)] = &[("Sub", "Pow"), ("Add", "Sqrt")];

/// A weight whose largest number is below this stays in float32, because in FP16 it would lose bits of precision.
const SMALLEST: f32 = 1.0 / 8192.0;

/// Returns for each node the reason why it stays in float32; `None` for a node that runs in FP16.
///
/// # Errors
/// [`ModelError`] when a weight cannot be read.
pub fn reasons(model: &Model<'_>, kinds: &BTreeMap<String, u64>) -> Result<Vec<Option<&'static str>>, ModelError> {
    let readers = model.readers();
    let mut misfits = BTreeSet::new();
    for (name, weight) in &model.weights {
        if weight.floats()?.is_some_and(|values| !fit(&values)) {
            misfits.insert(name.as_str());
        }
    }
    // Values that are float32 because the node that makes them is.
    let mut floats: BTreeSet<&str> = BTreeSet::new();
    let mut reasons = Vec::new();
    for node in &model.nodes {
        let reads = |values: &BTreeSet<&str>| node.inputs.iter().any(|name| values.contains(name.as_str()));
        let before = |next: &str| {
            let readers = readers.get(node.output()).into_iter().flatten();
            readers.filter_map(|at| model.nodes.get(*at)).any(|reader| reader.is(next))
        };
        let op = node.op.as_str();
        let reason = match FLOAT.iter().find(|(float, _)| *float == op) {
            Some((_, why)) => Some(*why),
            None if !node.is_standard() => Some("is not one of ONNX's own"),
            None if BEFORE.iter().any(|(first, next)| *first == op && before(next)) => {
                Some("belongs to a layer normalisation")
            }
            None if reads(&misfits) => Some("has a weight beyond FP16"),
            None if listed(FOLLOW, op) => reads(&floats).then_some("takes what is in float32"),
            None => (!listed(HALF, op)).then_some("is not known to run in FP16"),
        };
        if reason.is_some() {
            let made = node.outputs.iter().map(String::as_str);
            floats.extend(made.filter(|name| kinds.get(*name) == Some(&KIND_FLOAT)));
        }
        reasons.push(reason);
    }
    Ok(reasons)
}

/// Returns whether an operator is in a list.
fn listed(list: &str, op: &str) -> bool {
    list.split_whitespace().any(|listed| listed == op)
}

/// Returns whether FP16 can hold a weight: all numbers are within its range, and the largest one keeps all its bits.
fn fit(values: &[f32]) -> bool {
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let finite = values.iter().all(|value| value.abs() <= f16::MAX.to_f32());
    finite && (largest == 0.0 || largest >= SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::super::kinds::kinds;
    use super::super::model::ValueInfo;
    use super::super::node::Node;
    use super::super::weight::Weight;
    use super::*;

    #[test]
    fn weights_that_fit() {
        let table: [(&[f32], bool); 8] = [
            (&[], true),
            (&[0.0, -0.0], true),
            (&[1.0, 1e-12], true),
            (&[65504.0, -65504.0], true),
            (&[65505.0], false),
            (&[1e-12], false),
            (&[1.0, f32::INFINITY], false),
            (&[f32::NAN], false),
        ];
        for (values, expected) in table {
            assert_eq!(fit(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_list_has_each_operator_once() {
        let mut all: Vec<&str> = HALF.split_whitespace().chain(FOLLOW.split_whitespace()).collect();
        all.extend(FLOAT.iter().map(|(op, _)| *op));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn nodes_by_operator_weight_and_neighbour() {
        let mut foreign = Node::new("Relu", &["scaled"], "foreign", Vec::new());
        foreign.domain = "other".into();
        let nodes = vec![
            (Node::new("Relu", &["x"], "relu", Vec::new()), true),
            (Node::new("Mul", &["relu", "tiny"], "small", Vec::new()), false),
            // A layer normalisation: float32 from its mean to its quotient.
            (Node::new("ReduceMean", &["relu"], "mean", Vec::new()), false),
            (Node::new("Sub", &["relu", "mean"], "centred", Vec::new()), false),
            (Node::new("Pow", &["centred", "two"], "squared", Vec::new()), false),
            (Node::new("ReduceMean", &["squared"], "variance", Vec::new()), false),
            (Node::new("Add", &["variance", "two"], "sum", Vec::new()), false),
            (Node::new("Sqrt", &["sum"], "root", Vec::new()), false),
            (Node::new("Div", &["centred", "root"], "normal", Vec::new()), false),
            (Node::new("Mul", &["normal", "two"], "scaled", Vec::new()), true),
            (Node::new("Transpose", &["root"], "turned", Vec::new()), false),
            (Node::new("Transpose", &["scaled"], "other", Vec::new()), true),
            (Node::new("NotKnown", &["scaled"], "unknown", Vec::new()), false),
            (foreign, false),
        ];
        let (nodes, expected): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        let mut model = Model { nodes, inputs: vec![ValueInfo::of_floats("x")], ..Model::default() };
        model.add(Weight::of_floats("tiny", &[], &[1e-9]));
        model.add(Weight::of_floats("two", &[], &[2.0]));
        let found = reasons(&model, &kinds(&model).unwrap()).unwrap();
        for ((node, found), expected) in model.nodes.iter().zip(found).zip(expected) {
            assert_eq!(found.is_none(), expected, "{}: {found:?}", node.output());
        }
    }
}
