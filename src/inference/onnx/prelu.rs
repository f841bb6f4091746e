//! Rewrites PRelu as operators that have fast kernels on the CPU.
//!
//! ONNX Runtime has no blocked (NCHWc) kernel for PRelu, so each PRelu costs a conversion to plain layout and back;
//! besides, the plain kernel of 1.32 is slow (22 of 38 ms of SFace). If `s` is the slope of a channel, then
//!
//! ```text
//! PRelu(x) = Relu(x) + (-s) · Relu(-1 · x)
//! ```
//!
//! where the two products are depthwise 1×1 convolutions, whose blocked kernels include the Relu and the sum. For
//! finite x both sides are equal to the last bit, because one of the terms is always zero.

use std::collections::BTreeMap;

use super::graph::Node;
use super::graph::number::*;
use super::wire::{Value, WireError, fields, put_bytes, put_number, varint};

/// ONNX's number of the element type float32 (`TensorProto.FLOAT`).
const FLOAT: u64 = 1;
/// `AttributeProto.INT` and `.INTS`.
const ATTRIBUTE_INT: u64 = 2;
const ATTRIBUTE_INTS: u64 = 7;

/// Returns the graph fields (weights and nodes) that replace each PRelu, by its position among the nodes. Only a PRelu
/// with one constant slope for each channel, after a convolution or a batch normalisation, is replaced.
pub(super) fn splits<'a>(
    nodes: &[Node<'a>],
    weights: &BTreeMap<&'a [u8], &'a [u8]>,
) -> Result<BTreeMap<usize, Vec<u8>>, WireError> {
    let mut producers = BTreeMap::new();
    for node in nodes {
        for output in &node.outputs {
            producers.insert(*output, node.op);
        }
    }
    let mut splits = BTreeMap::new();
    for (position, node) in nodes.iter().enumerate() {
        let (b"PRelu", [x, slope], [y]) = (node.op, &node.inputs[..], &node.outputs[..]) else { continue };
        let images = matches!(producers.get(x), Some(&(b"Conv" | b"BatchNormalization")));
        if let (true, Some(tensor)) = (images, weights.get(slope))
            && let Some(slopes) = slopes(tensor)?
        {
            splits.insert(position, split(x, y, &slopes));
        }
    }
    Ok(splits)
}

/// Returns the slopes of a float tensor of shape `[C, 1, 1]` or `[1, C, 1, 1]` with C > 1; `None` for another shape.
fn slopes(tensor: &[u8]) -> Result<Option<Vec<f32>>, WireError> {
    let (mut dims, mut floats, mut kind) = (Vec::new(), Vec::new(), 0);
    for field in fields(tensor) {
        let field = field?;
        match (field.number, field.value) {
            (TENSOR_DIMS, Value::Varint(dim)) => dims.push(dim),
            (TENSOR_DIMS, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    dims.push(varint(&mut packed)?);
                }
            }
            (TENSOR_TYPE, Value::Varint(value)) => kind = value,
            // Unpacked floats do not occur, because the schema says packed.
            (TENSOR_FLOATS | TENSOR_RAW, Value::Bytes(bytes)) => {
                floats.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            }
            _ => {}
        }
    }
    let channels = match dims[..] {
        [channels, 1, 1] | [1, channels, 1, 1] => channels,
        _ => 0,
    };
    Ok((kind == FLOAT && channels > 1 && floats.len() as u64 == channels).then_some(floats))
}

fn split(x: &[u8], y: &[u8], slopes: &[f32]) -> Vec<u8> {
    let name = |suffix: &str| [y, b"/prelu/", suffix.as_bytes()].concat();
    let (positive, mirrored, negative, scaled) = (name("positive"), name("mirrored"), name("negative"), name("scaled"));
    let (minus_one, minus_slope) = (name("minus_one"), name("minus_slope"));
    let mut out = Vec::new();
    put_bytes(&mut out, GRAPH_INITIALIZER, &weights(&minus_one, slopes.iter().map(|_| -1.0)));
    put_bytes(&mut out, GRAPH_INITIALIZER, &weights(&minus_slope, slopes.iter().map(|slope| -slope)));
    let channels = slopes.len() as u64;
    put_bytes(&mut out, GRAPH_NODE, &node("Relu", &[x], &positive, None));
    put_bytes(&mut out, GRAPH_NODE, &node("Conv", &[x, &minus_one], &mirrored, Some(channels)));
    put_bytes(&mut out, GRAPH_NODE, &node("Relu", &[&mirrored], &negative, None));
    put_bytes(&mut out, GRAPH_NODE, &node("Conv", &[&negative, &minus_slope], &scaled, Some(channels)));
    put_bytes(&mut out, GRAPH_NODE, &node("Add", &[&positive, &scaled], y, None));
    out
}

/// Encodes a float tensor of shape `[C, 1, 1, 1]`, the weights of a depthwise 1×1 convolution.
fn weights(name: &[u8], values: impl ExactSizeIterator<Item = f32>) -> Vec<u8> {
    let mut out = Vec::new();
    for dim in [values.len() as u64, 1, 1, 1] {
        put_number(&mut out, TENSOR_DIMS, dim);
    }
    put_number(&mut out, TENSOR_TYPE, FLOAT);
    put_bytes(&mut out, TENSOR_NAME, name);
    put_bytes(&mut out, TENSOR_RAW, &values.flat_map(f32::to_le_bytes).collect::<Vec<_>>());
    out
}

/// Encodes a node; with `groups`, it has the attributes of a depthwise 1×1 convolution.
fn node(op: &str, inputs: &[&[u8]], output: &[u8], groups: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    inputs.iter().for_each(|input| put_bytes(&mut out, NODE_INPUT, input));
    put_bytes(&mut out, NODE_OUTPUT, output);
    put_bytes(&mut out, NODE_NAME, output);
    put_bytes(&mut out, NODE_OP, op.as_bytes());
    if let Some(groups) = groups {
        put_bytes(&mut out, NODE_ATTRIBUTE, &attribute("group", ATTRIBUTE_INT, 3, &[groups]));
        put_bytes(&mut out, NODE_ATTRIBUTE, &attribute("kernel_shape", ATTRIBUTE_INTS, 8, &[1, 1]));
    }
    out
}

/// Encodes an `AttributeProto`: name 1, type 20, and its numbers in field `values_field`.
fn attribute(name: &str, kind: u64, values_field: u64, values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, name.as_bytes());
    values.iter().for_each(|value| put_number(&mut out, values_field, *value));
    put_number(&mut out, 20, kind);
    out
}
