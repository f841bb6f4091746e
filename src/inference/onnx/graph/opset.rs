//! Raises a model to operator set 13, the first in which quantisation has one scale for each channel.
//!
//! Most operators only gained element types from set 11 to 13, so a file that uses them is valid as it is. Operators
//! that changed are rewritten, or refused where that is not certain. Source: the changelog of ONNX,
//! <https://github.com/onnx/onnx/blob/main/docs/Changelog.md>.

use std::collections::BTreeMap;

use super::model::{Model, ModelError};
use super::node::Node;
use super::number::*;
use super::weight::Weight;

/// The first operator set with an axis in `DequantizeLinear`.
pub(crate) const PER_CHANNEL: u64 = 13;
/// Version of the format that came with it.
const IR: u64 = 7;
/// Oldest operator set from which the lists below start.
const OLDEST: u64 = 11;

/// Operators whose nodes mean the same in set 11 and in set 13.
const SAME: &str = "Abs Add AveragePool BatchNormalization Cast Ceil Clip Concat ConstantOfShape Conv ConvTranspose Constant \
    DepthToSpace Div Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements Gemm GlobalAveragePool \
    GlobalMaxPool Greater HardSigmoid Identity InstanceNormalization LeakyRelu Less Log MatMul Max MaxPool \
    Mean Min Mul Neg NonMaxSuppression PRelu Pad Pow Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean \
    ReduceMin ReduceProd ReduceSumSquare Relu Reshape Selu Shape Sigmoid Sign Slice Softplus SpaceToDepth \
    Sqrt Sub Sum Tanh Tile TopK Transpose Where";
/// Operators whose list attribute became their second input in set 13.
const LISTS: &[(&str, &str)] = &[("ReduceSum", "axes"), ("Split", "split"), ("Squeeze", "axes"), ("Unsqueeze", "axes")];

/// Raises the operator set to 13 where it is 11 or 12.
///
/// # Errors
/// [`ModelError::Opset`] below 11; [`ModelError::Changed`] for an operator that may have another meaning in set 13.
pub fn raise(model: &mut Model<'_>) -> Result<(), ModelError> {
    match model.opset {
        PER_CHANNEL.. => return Ok(()),
        OLDEST.. => {}
        older => return Err(ModelError::Opset(older)),
    }
    let ranks = ranks(model)?;
    let mut lists = Vec::new();
    for node in model.nodes.iter_mut().filter(|node| node.is_standard()) {
        let changed = || Err(ModelError::Changed(node.op.clone()));
        match node.op.as_str() {
            // The ratio became an input; it is not needed at inference.
            "Dropout" if node.inputs.len() == 1 => node.attributes.clear(),
            // Before, it flattened all axes from this one on, which is the same only for the last axis.
            "Softmax" | "LogSoftmax" | "Hardmax" => {
                let (axis, rank) = (node.int("axis")?.unwrap_or(1), ranks.get(node.input(0).unwrap_or_default()));
                let last = rank.is_some_and(|rank| axis + 1 == *rank as i64);
                if axis != -1 && !last {
                    return changed();
                }
                node.attributes = vec![super::node::Attribute::of_int("axis", -1)];
            }
            "Resize" if node.bytes("coordinate_transformation_mode", ATTRIBUTE_S)? == Some(b"tf_half_pixel_for_nn") => {
                return changed();
            }
            "Resize" => {}
            op if SAME.split_whitespace().any(|same| same == op) => {}
            op => match LISTS.iter().find(|(name, _)| *name == op) {
                Some((_, attribute)) => lists.extend(list_as_input(node, attribute)?),
                None => return changed(),
            },
        }
    }
    lists.into_iter().for_each(|weight| drop(model.add(weight)));
    model.opset = PER_CHANNEL;
    model.ir = model.ir.max(IR);
    Ok(())
}

fn list_as_input(node: &mut Node<'_>, attribute: &str) -> Result<Option<Weight<'static>>, ModelError> {
    let Some(values) = node.ints(attribute)? else { return Ok(None) };
    node.attributes.retain(|other| other.name != attribute);
    let name = format!("{}/{attribute}", node.output());
    node.inputs.truncate(1);
    node.inputs.push(name.clone());
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(Some(Weight::made(name, &[values.len() as u64], KIND_INT64, data)))
}

/// Returns the number of axes of values, as far as it follows from the operators around them.
fn ranks(model: &Model<'_>) -> Result<BTreeMap<String, usize>, ModelError> {
    let mut ranks: BTreeMap<String, usize> = BTreeMap::new();
    ranks.extend(model.weights.iter().map(|(name, weight)| (name.clone(), weight.dims.len())));
    for node in &model.nodes {
        let of = |input: usize| node.input(input).and_then(|name| ranks.get(name)).copied();
        let listed = |name| node.ints(name).map(|list| list.map(|list| list.len()));
        // The rank of the result is the length of a constant list of axes or lengths.
        let length = |input: usize| {
            let list = node.input(input).and_then(|name| model.weights.get(name))?;
            list.dims.first().map(|length| *length as usize)
        };
        let rank = match node.op.as_str() {
            "Transpose" => listed("perm")?.or(of(0)),
            "Reshape" => length(1),
            "Expand" => of(0).zip(length(1)).map(|(a, b)| a.max(b)),
            "Squeeze" => of(0).zip(listed("axes")?).and_then(|(rank, axes)| rank.checked_sub(axes)),
            "Unsqueeze" => of(0).zip(listed("axes")?).map(|(rank, axes)| rank + axes),
            op if op.starts_with("Reduce") && node.int("keepdims")? != Some(0) => of(0),
            "Add" | "Sub" | "Mul" | "Div" => of(0).zip(of(1)).map(|(a, b)| a.max(b)),
            "MatMul" => of(0).zip(of(1)).filter(|(a, b)| *a > 1 && *b > 1).map(|(a, b)| a.max(b)),
            "Gemm" | "Flatten" => Some(2),
            "Conv" => of(1),
            "Relu" | "Sigmoid" | "Split" | "Slice" | "Softmax" | "Clip" | "Identity" | "Erf" | "Sqrt" => of(0),
            _ => None,
        };
        if let Some(rank) = rank {
            ranks.extend(node.outputs.iter().map(|name| (name.clone(), rank)));
        }
    }
    Ok(ranks)
}

#[cfg(test)]
mod tests {
    use super::super::node::Attribute;
    use super::*;

    fn raised(opset: u64, nodes: Vec<Node<'static>>) -> Result<Model<'static>, ModelError> {
        let mut model = Model { nodes, opset, ir: 6, ..Model::default() };
        raise(&mut model).map(|()| model)
    }

    #[test]
    fn what_is_the_same_stays_and_lists_become_inputs() {
        let nodes = vec![
            Node::new("Relu", &["x"], "r", Vec::new()),
            Node::new("Dropout", &["r"], "d", vec![Attribute::of_int("ratio", 1)]),
            Node::new("Squeeze", &["d"], "s", vec![Attribute::of_ints("axes", &[0, 2])]),
            Node::new("Softmax", &["s"], "y", vec![Attribute::of_int("axis", -1)]),
        ];
        let model = raised(11, nodes).unwrap();
        assert_eq!((model.opset, model.ir), (13, 7));
        assert!(model.nodes[1].attributes.is_empty());
        assert_eq!(model.nodes[2].inputs, ["d", "s/axes"]);
        let list = &model.weights["s/axes"];
        assert_eq!((list.kind, &list.dims[..]), (KIND_INT64, &[2][..]));
        assert!(list.write().ends_with(&[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn softmax_is_taken_where_its_axis_is_known_to_be_the_last() {
        for (axis, fits) in [(3, true), (2, false), (1, false)] {
            let nodes = vec![
                Node::new("Transpose", &["x"], "t", vec![Attribute::of_ints("perm", &[2, 0, 3, 1, 4])]),
                Node::new("Squeeze", &["t"], "s", vec![Attribute::of_ints("axes", &[0])]),
                Node::new("Mul", &["s", "s"], "m", Vec::new()),
                Node::new("Softmax", &["m"], "y", vec![Attribute::of_int("axis", axis)]),
            ];
            assert_eq!(raised(12, nodes).is_ok(), fits, "{axis}");
        }
        let unknown = vec![Node::new("Softmax", &["x"], "y", Vec::new())];
        assert_eq!(raised(11, unknown).map(|_| ()), Err(ModelError::Changed("Softmax".into())));
    }

    #[test]
    fn other_sets_and_unknown_operators() {
        let table = [
            (10, "Relu", Err(ModelError::Opset(10))),
            (11, "ArgMaximum", Err(ModelError::Changed("ArgMaximum".into()))),
            (11, "Upsample", Err(ModelError::Changed("Upsample".into()))),
            (17, "Upsample", Ok(17)),
        ];
        for (opset, op, expected) in table {
            let nodes = vec![Node::new(op, &["x"], "y", Vec::new())];
            assert_eq!(raised(opset, nodes).map(|model| model.opset), expected, "{op}");
        }
    }
}
