//! Rewrites ONNX graphs before a runtime reads them. Nothing is ever written to disk: model files stay as their
//! authors published them, so their checksums can be pinned.
//!
//! Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::Embedder;
use super::prelu;
use super::runtime::Provider;
use super::wire::{Field, Value, WireError, fields, put_bytes, put_varint, varint};

/// What to change in a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Takes weights off the list of graph inputs, so that a runtime may treat them as constants and fold them.
    pub fold_weights: bool,
    /// Frees the batch dimension (axis 0) of inputs and outputs, and forgets inferred shapes.
    pub free_batch: bool,
    /// Also frees height and width (axes 2 and 3 of four) of inputs, and every axis but the last of outputs.
    pub free_size: bool,
    /// Turns constant Reshape targets `[1, …]` into `[0, …]`, which keeps the batch the input had.
    pub batch_reshapes: bool,
    /// Writes PRelu as operators with fast kernels on the CPU; see [`prelu`].
    pub split_prelu: bool,
}

impl Rewrite {
    /// For a detector on ONNX Runtime's own kernels: its input changes shape from image to image.
    pub fn of_detector() -> Self {
        Self { fold_weights: true, free_batch: true, free_size: true, batch_reshapes: false, split_prelu: true }
    }

    /// For an embedder. OpenVINO compiles for one shape, and has a kernel for PRelu.
    pub fn of_embedder(spec: &Embedder, provider: Provider) -> Self {
        let cpu = provider != Provider::OpenVino;
        Self {
            fold_weights: true,
            free_batch: cpu,
            free_size: false,
            batch_reshapes: cpu && spec.batch_reshapes,
            split_prelu: cpu,
        }
    }
}

/// A graph could not be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Not protobuf.
    #[error("not an ONNX file: {0}")]
    Wire(#[from] WireError),
    /// Protobuf, but without a graph.
    #[error("not an ONNX file: it holds no graph")]
    NoGraph,
}

/// Field numbers of `ModelProto`, `GraphProto`, `NodeProto`, `TensorProto` and the types of values.
pub(super) mod number {
    pub const MODEL_GRAPH: u64 = 7;
    pub const GRAPH_NODE: u64 = 1;
    pub const GRAPH_INITIALIZER: u64 = 5;
    pub const GRAPH_INPUT: u64 = 11;
    pub const GRAPH_OUTPUT: u64 = 12;
    pub const GRAPH_VALUE_INFO: u64 = 13;
    pub const NODE_INPUT: u64 = 1;
    pub const NODE_OUTPUT: u64 = 2;
    pub const NODE_NAME: u64 = 3;
    pub const NODE_OP: u64 = 4;
    pub const NODE_ATTRIBUTE: u64 = 5;
    pub const TENSOR_DIMS: u64 = 1;
    pub const TENSOR_TYPE: u64 = 2;
    pub const TENSOR_FLOATS: u64 = 4;
    pub const TENSOR_INT64S: u64 = 7;
    pub const TENSOR_NAME: u64 = 8;
    pub const TENSOR_RAW: u64 = 9;
    pub const VALUE_NAME: u64 = 1;
    pub const VALUE_TYPE: u64 = 2;
    pub const TYPE_TENSOR: u64 = 1;
    pub const TENSOR_SHAPE: u64 = 2;
    pub const SHAPE_DIM: u64 = 1;
    pub const DIM_PARAM: u64 = 2;
}
use number::*;

/// The model with `rewrite` applied. Fields that are not understood are copied as they stand.
pub fn rewrite(model: &[u8], rewrite: &Rewrite) -> Result<Vec<u8>, GraphError> {
    let mut out = Vec::with_capacity(model.len() + 4096);
    let mut found = false;
    for field in fields(model) {
        let field = field?;
        if field.number == MODEL_GRAPH && matches!(field.value, Value::Bytes(_)) {
            found = true;
            put_bytes(&mut out, MODEL_GRAPH, &graph(field.bytes(), rewrite)?);
        } else {
            out.extend_from_slice(field.raw);
        }
    }
    if found { Ok(out) } else { Err(GraphError::NoGraph) }
}

fn graph(message: &[u8], rewrite: &Rewrite) -> Result<Vec<u8>, GraphError> {
    let parts: Vec<Field<'_>> = fields(message).collect::<Result<_, _>>()?;
    let mut weights = BTreeMap::new();
    for part in parts.iter().filter(|part| part.number == GRAPH_INITIALIZER) {
        weights.insert(text(part.bytes(), TENSOR_NAME)?, part.bytes());
    }
    let nodes = parts.iter().filter(|part| part.number == GRAPH_NODE).map(|part| Node::read(part.bytes()));
    let nodes: Vec<Node<'_>> = nodes.collect::<Result<_, _>>()?;
    let targets = if rewrite.batch_reshapes { reshape_targets(&nodes) } else { BTreeSet::new() };
    let mut splits = if rewrite.split_prelu { prelu::splits(&nodes, &weights)? } else { BTreeMap::new() };

    let mut out = Vec::with_capacity(message.len() + 4096);
    let mut node = 0;
    for part in &parts {
        match part.number {
            GRAPH_NODE => {
                match splits.remove(&node) {
                    Some(split) => out.extend_from_slice(&split),
                    None => out.extend_from_slice(part.raw),
                }
                node += 1;
            }
            GRAPH_INPUT => {
                let name = text(part.bytes(), VALUE_NAME)?;
                let is_weight = weights.contains_key(name);
                if !(rewrite.fold_weights && is_weight) {
                    let axes = if is_weight { Axes::Keep } else { Axes::of_input(rewrite) };
                    put_bytes(&mut out, GRAPH_INPUT, &value_info(part.bytes(), axes)?);
                }
            }
            GRAPH_OUTPUT => put_bytes(&mut out, GRAPH_OUTPUT, &value_info(part.bytes(), Axes::of_output(rewrite))?),
            GRAPH_VALUE_INFO if rewrite.free_batch || rewrite.free_size => {}
            GRAPH_INITIALIZER if targets.contains(text(part.bytes(), TENSOR_NAME)?) => {
                put_bytes(&mut out, GRAPH_INITIALIZER, &free_target(part.bytes())?);
            }
            _ => out.extend_from_slice(part.raw),
        }
    }
    Ok(out)
}

/// A node, as far as rewriting needs it.
#[derive(Clone, Debug, Default)]
pub(super) struct Node<'a> {
    pub inputs: Vec<&'a [u8]>,
    pub outputs: Vec<&'a [u8]>,
    pub op: &'a [u8],
}

impl<'a> Node<'a> {
    fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut node = Self::default();
        for field in fields(message) {
            let field = field?;
            match field.number {
                NODE_INPUT => node.inputs.push(field.bytes()),
                NODE_OUTPUT => node.outputs.push(field.bytes()),
                NODE_OP => node.op = field.bytes(),
                _ => {}
            }
        }
        Ok(node)
    }
}

/// The bytes of the last field `number` of a message: how protobuf reads a repeated singular field.
fn text(message: &[u8], number: u64) -> Result<&[u8], WireError> {
    let mut found: &[u8] = &[];
    for field in fields(message) {
        let field = field?;
        if field.number == number {
            found = field.bytes();
        }
    }
    Ok(found)
}

/// Which axes of a value lose their fixed length.
#[derive(Clone, Copy, PartialEq)]
enum Axes {
    Keep,
    Batch,
    BatchAndSize,
    AllButLast,
}

impl Axes {
    fn of_input(rewrite: &Rewrite) -> Self {
        match (rewrite.free_size, rewrite.free_batch) {
            (true, _) => Self::BatchAndSize,
            (false, true) => Self::Batch,
            (false, false) => Self::Keep,
        }
    }

    fn of_output(rewrite: &Rewrite) -> Self {
        if rewrite.free_size { Self::AllButLast } else { Self::of_input(rewrite) }
    }

    /// The name that `axis` of `rank` gets, if it is freed. The empty name stands for an unknown length.
    fn freed(self, axis: usize, rank: usize) -> Option<&'static [u8]> {
        match (self, axis) {
            (Self::Batch | Self::BatchAndSize, 0) => Some(b"batch"),
            (Self::BatchAndSize, 2) if rank == 4 => Some(b"height"),
            (Self::BatchAndSize, 3) if rank == 4 => Some(b"width"),
            (Self::AllButLast, axis) if axis + 1 < rank => Some(b""),
            _ => None,
        }
    }
}

/// A `ValueInfoProto` with its axes freed.
fn value_info(message: &[u8], axes: Axes) -> Result<Vec<u8>, WireError> {
    if axes == Axes::Keep {
        return Ok(message.to_vec());
    }
    within(message, VALUE_TYPE, &|kind| {
        within(kind, TYPE_TENSOR, &|tensor| within(tensor, TENSOR_SHAPE, &|s| shape(s, axes)))
    })
}

/// Makes one message out of another.
type Change<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, WireError>;

/// Replaces every field `number` of a message by what `change` makes of it.
fn within(
    message: &[u8],
    number: u64,
    change: Change<'_>,
) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(message.len() + 16);
    for field in fields(message) {
        let field = field?;
        if field.number == number && matches!(field.value, Value::Bytes(_)) {
            put_bytes(&mut out, number, &change(field.bytes())?);
        } else {
            out.extend_from_slice(field.raw);
        }
    }
    Ok(out)
}

fn shape(message: &[u8], axes: Axes) -> Result<Vec<u8>, WireError> {
    let rank = fields(message).filter(|field| matches!(field, Ok(field) if field.number == SHAPE_DIM)).count();
    let (mut out, mut axis) = (Vec::new(), 0);
    for field in fields(message) {
        let field = field?;
        if field.number != SHAPE_DIM {
            out.extend_from_slice(field.raw);
            continue;
        }
        match axes.freed(axis, rank) {
            None => out.extend_from_slice(field.raw),
            Some(b"") => put_bytes(&mut out, SHAPE_DIM, &[]),
            Some(name) => {
                let mut dim = Vec::new();
                put_bytes(&mut dim, DIM_PARAM, name);
                put_bytes(&mut out, SHAPE_DIM, &dim);
            }
        }
        axis += 1;
    }
    Ok(out)
}

/// Names that serve only as the target of Reshape nodes.
fn reshape_targets<'a>(nodes: &[Node<'a>]) -> BTreeSet<&'a [u8]> {
    let (mut targets, mut others) = (BTreeSet::new(), BTreeSet::new());
    for node in nodes {
        for (position, input) in node.inputs.iter().enumerate() {
            let names = if node.op == b"Reshape" && position == 1 { &mut targets } else { &mut others };
            names.insert(*input);
        }
    }
    targets.difference(&others).copied().collect()
}

/// A Reshape target `[1, a, …]` as `[0, a, …]`; any other tensor as it stands.
fn free_target(message: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(message.len());
    let mut seen = false;
    for field in fields(message) {
        let field = field?;
        match (field.number, field.value) {
            (TENSOR_RAW, Value::Bytes(raw)) if raw.len() > 8 && raw[..8] == 1i64.to_le_bytes() => {
                put_bytes(&mut out, TENSOR_RAW, &[&[0; 8], &raw[8..]].concat());
            }
            (TENSOR_INT64S, Value::Bytes(mut packed)) if !seen && packed.len() > 1 => {
                seen = true;
                let first = varint(&mut packed)?;
                let mut data = Vec::new();
                put_varint(&mut data, if first == 1 { 0 } else { first });
                data.extend_from_slice(packed);
                put_bytes(&mut out, TENSOR_INT64S, &data);
            }
            (TENSOR_INT64S, Value::Varint(1)) if !seen => {
                seen = true;
                super::wire::put_number(&mut out, TENSOR_INT64S, 0);
            }
            (TENSOR_INT64S, _) => {
                seen = true;
                out.extend_from_slice(field.raw);
            }
            _ => out.extend_from_slice(field.raw),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::wire::put_number;
    use super::*;

    fn message(parts: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        parts.iter().for_each(|(number, bytes)| put_bytes(&mut out, *number, bytes));
        out
    }

    fn value(name: &str, dims: &[u64]) -> Vec<u8> {
        let mut shape = Vec::new();
        for dim in dims {
            let mut length = Vec::new();
            put_number(&mut length, 1, *dim);
            put_bytes(&mut shape, SHAPE_DIM, &length);
        }
        let tensor = message(&[(TENSOR_SHAPE, &shape)]);
        message(&[(VALUE_NAME, name.as_bytes()), (VALUE_TYPE, &message(&[(TYPE_TENSOR, &tensor)]))])
    }

    fn dims(value: &[u8]) -> Vec<String> {
        let shape = [VALUE_TYPE, TYPE_TENSOR, TENSOR_SHAPE].iter().fold(value, |at, number| text(at, *number).unwrap());
        let dim = |field: Field<'_>| match fields(field.bytes()).next() {
            None => "?".to_string(),
            Some(Ok(Field { value: Value::Varint(length), .. })) => length.to_string(),
            Some(field) => String::from_utf8(field.unwrap().bytes().to_vec()).unwrap(),
        };
        fields(shape).map(|field| dim(field.unwrap())).collect()
    }

    fn int64s(name: &str, values: &[i64], raw: bool) -> Vec<u8> {
        let mut out = message(&[(TENSOR_NAME, name.as_bytes())]);
        if raw {
            put_bytes(&mut out, TENSOR_RAW, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
        } else {
            let mut packed = Vec::new();
            values.iter().for_each(|v| put_varint(&mut packed, *v as u64));
            put_bytes(&mut out, TENSOR_INT64S, &packed);
        }
        out
    }

    fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
        let mut out = Vec::new();
        inputs.iter().for_each(|input| put_bytes(&mut out, NODE_INPUT, input.as_bytes()));
        put_bytes(&mut out, NODE_OUTPUT, output.as_bytes());
        put_bytes(&mut out, NODE_OP, op.as_bytes());
        out
    }

    fn model(graph: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        put_number(&mut out, 1, 6);
        put_bytes(&mut out, MODEL_GRAPH, &message(graph));
        put_bytes(&mut out, 99, b"unknown");
        out
    }

    fn graph_of(model: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let graph = text(model, MODEL_GRAPH).unwrap();
        fields(graph).map(|field| field.map(|field| (field.number, field.bytes().to_vec())).unwrap()).collect()
    }

    #[test]
    fn nothing_asked_nothing_changed() {
        let weight = int64s("w", &[1, 2], true);
        let before = model(&[(GRAPH_INPUT, &value("w", &[2])), (GRAPH_INITIALIZER, &weight), (GRAPH_VALUE_INFO, b"")]);
        assert_eq!(rewrite(&before, &Rewrite::default()).unwrap(), before);
    }

    #[test]
    fn weights_leave_the_inputs_and_sizes_are_freed() {
        let weight = int64s("w", &[1, 2], true);
        let before = model(&[
            (GRAPH_INPUT, &value("x", &[1, 3, 640, 640])),
            (GRAPH_INPUT, &value("w", &[2])),
            (GRAPH_INITIALIZER, &weight),
            (GRAPH_VALUE_INFO, &value("t", &[1, 3])),
            (GRAPH_OUTPUT, &value("y", &[1, 6400, 4])),
        ]);
        let asked = Rewrite { fold_weights: true, free_size: true, ..Rewrite::default() };
        let after = graph_of(&rewrite(&before, &asked).unwrap());
        assert_eq!(after.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [11, 5, 12]);
        assert_eq!(dims(&after[0].1), ["batch", "3", "height", "width"]);
        assert_eq!(after[1].1, weight);
        assert_eq!(dims(&after[2].1), ["?", "?", "4"]);
        let asked = Rewrite { free_batch: true, ..Rewrite::default() };
        let after = graph_of(&rewrite(&before, &asked).unwrap());
        assert_eq!(dims(&after[0].1), ["batch", "3", "640", "640"]);
        assert_eq!(dims(&after[1].1), ["2"], "a weight keeps its shape");
        assert_eq!(dims(&after[3].1), ["batch", "6400", "4"]);
    }

    #[test]
    fn reshape_targets_keep_the_batch_and_other_weights_stay() {
        for raw in [true, false] {
            let (target, shared) = (int64s("target", &[1, 196, -1], raw), int64s("shared", &[1, 5], raw));
            let before = model(&[
                (GRAPH_NODE, &node("Reshape", &["x", "target"], "a")),
                (GRAPH_NODE, &node("Reshape", &["x", "shared"], "b")),
                (GRAPH_NODE, &node("Add", &["x", "shared"], "c")),
                (GRAPH_INITIALIZER, &target),
                (GRAPH_INITIALIZER, &shared),
            ]);
            let asked = Rewrite { batch_reshapes: true, ..Rewrite::default() };
            let after = graph_of(&rewrite(&before, &asked).unwrap());
            assert_eq!(after[3].1, int64s("target", &[0, 196, -1], raw));
            assert_eq!(after[4].1, shared);
        }
    }

    #[test]
    fn prelu_is_split_only_after_a_convolution() {
        let mut slope = message(&[(TENSOR_NAME, b"s"), (TENSOR_RAW, &[0u8; 8])]);
        [(TENSOR_DIMS, 2), (TENSOR_DIMS, 1), (TENSOR_DIMS, 1), (TENSOR_TYPE, 1)]
            .iter()
            .for_each(|(number, value)| put_number(&mut slope, *number, *value));
        let before = model(&[
            (GRAPH_NODE, &node("Conv", &["x"], "c")),
            (GRAPH_NODE, &node("PRelu", &["c", "s"], "a")),
            (GRAPH_NODE, &node("PRelu", &["x", "s"], "b")),
            (GRAPH_INITIALIZER, &slope),
        ]);
        let asked = Rewrite { split_prelu: true, ..Rewrite::default() };
        let after = graph_of(&rewrite(&before, &asked).unwrap());
        let ops = |wanted: &[u8]| after.iter().filter(|(n, b)| *n == 1 && Node::read(b).unwrap().op == wanted).count();
        assert_eq!((ops(b"Conv"), ops(b"Relu"), ops(b"Add"), ops(b"PRelu")), (3, 2, 1, 1));
    }

    #[test]
    fn bad_bytes_are_typed_errors() {
        let asked =
            Rewrite { fold_weights: true, free_batch: true, free_size: true, batch_reshapes: true, split_prelu: true };
        assert_eq!(rewrite(b"", &asked), Err(GraphError::NoGraph));
        assert!(matches!(rewrite(b"<html>", &asked), Err(GraphError::Wire(_))));
        let whole = model(&[
            (GRAPH_INPUT, &value("x", &[1, 3, 640, 640])),
            (GRAPH_NODE, &node("Reshape", &["x", "t"], "a")),
            (GRAPH_INITIALIZER, &int64s("t", &[1, 5], false)),
        ]);
        // Every byte wrong in turn, every length cut: an answer, never a panic.
        for at in 0..whole.len() {
            let _ = rewrite(&whole[..at], &asked);
            for bit in 0..8 {
                let mut bad = whole.clone();
                bad[at] ^= 1 << bit;
                let _ = rewrite(&bad, &asked);
            }
        }
    }
}
