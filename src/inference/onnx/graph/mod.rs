//! Rewrites ONNX graphs before a runtime reads them. The files of a pack stay as their authors published them, so that
//! their checksums can be pinned.
//!
//! [`rewrite`], which every model goes through when it is loaded, copies fields in a stream. So a model with branches
//! or unknown operators comes out unchanged except for the intended changes. The conversions for derived packs (`half`,
//! `int8`) take the graph apart (`model.rs`), and refuse what they do not understand.
//!
//! Field numbers are those of <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

mod axes;
mod channels;
pub mod half;
pub mod int8;
mod integers;
mod kinds;
mod leak;
mod model;
mod node;
mod norm;
pub(super) mod number;
mod opset;
mod precision;
pub mod range;
mod weight;

use std::collections::{BTreeMap, BTreeSet};

use self::axes::{Axes, value_info};
pub use self::model::ModelError;
use self::number::*;
use super::execution_target::ExecutionTarget;
use super::manifest::Embedder;
use super::prelu;
use super::wire::{Field, Value, WireError, fields, put_bytes, put_varint, varint};

/// The changes to a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Whether weights are removed from the list of graph inputs, so that a runtime may treat them as constants and
    /// fold them.
    pub fold_weights: bool,
    /// Whether the batch dimension (axis 0) of inputs and outputs is freed, and inferred shapes are dropped.
    pub free_batch: bool,
    /// Whether height and width (axes 2 and 3 of four) of inputs, and every axis but the last of outputs, are freed
    /// too.
    pub free_size: bool,
    /// Whether constant Reshape targets `[1, …]` become `[0, …]`, which keeps the batch of the input.
    pub batch_reshapes: bool,
    /// Whether PRelu is written as operators with fast kernels on the CPU (`prelu.rs`).
    pub split_prelu: bool,
}

impl Rewrite {
    /// Returns the changes for a detector, whose input changes shape from image to image.
    pub(crate) fn of_detector(place: &ExecutionTarget) -> Self {
        Self {
            fold_weights: true,
            free_batch: true,
            free_size: true,
            batch_reshapes: true,
            split_prelu: place.card().is_none(),
        }
    }

    /// Returns the changes for an embedder. OpenVINO compiles for one shape, so its batch stays fixed; OpenVINO and the
    /// cards have a kernel for PRelu.
    pub fn of_embedder(spec: &Embedder, place: &ExecutionTarget) -> Self {
        let free_batch = *place != ExecutionTarget::OpenVino;
        Self {
            fold_weights: true,
            free_batch,
            free_size: false,
            batch_reshapes: free_batch && spec.batch_reshapes,
            split_prelu: *place == ExecutionTarget::Cpu,
        }
    }
}

/// The reason why a graph could not be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The bytes are not protobuf.
    #[error("not an ONNX file: {0}")]
    Wire(#[from] WireError),
    /// The bytes are protobuf without a graph.
    #[error("not an ONNX file: it holds no graph")]
    NoGraph,
}

/// Returns the model with the changes in `rewrite`. Unknown fields are copied as they are.
///
/// # Errors
/// [`GraphError`] when the bytes are not protobuf or contain no graph.
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
    let all = |number| parts.iter().filter(move |part| part.number == number && matches!(part.value, Value::Bytes(_)));
    for part in all(GRAPH_INITIALIZER) {
        weights.insert(text(part.bytes(), TENSOR_NAME)?, part.bytes());
    }
    let nodes = all(GRAPH_NODE).map(|part| Node::read(part.bytes()));
    let nodes: Vec<Node<'_>> = nodes.collect::<Result<_, _>>()?;
    let targets = if rewrite.batch_reshapes { reshape_targets(&nodes) } else { BTreeSet::new() };
    let mut splits = if rewrite.split_prelu { prelu::splits(&nodes, &weights)? } else { BTreeMap::new() };

    let mut out = Vec::with_capacity(message.len() + 4096);
    let mut node = 0;
    for part in &parts {
        match part.number {
            _ if !matches!(part.value, Value::Bytes(_)) => out.extend_from_slice(part.raw),
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

/// Returns the name of a model's first input that is not a weight; `None` where it has none.
pub(crate) fn input_name(model: &[u8]) -> Result<Option<String>, GraphError> {
    let graph = text(model, MODEL_GRAPH)?;
    let (mut weights, mut inputs) = (BTreeSet::new(), Vec::new());
    for field in fields(graph) {
        let field = field?;
        match field.number {
            GRAPH_INITIALIZER => drop(weights.insert(text(field.bytes(), TENSOR_NAME)?)),
            GRAPH_INPUT => inputs.push(text(field.bytes(), VALUE_NAME)?),
            _ => {}
        }
    }
    let first = inputs.into_iter().find(|name| !weights.contains(name));
    Ok(first.map(|name| String::from_utf8_lossy(name).into_owned()))
}

/// A node, with the fields that rewriting needs.
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

/// Returns the bytes of the last field `number` of a message, which is how protobuf reads a repeated singular field.
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

/// Returns the names that serve only as targets of Reshape nodes.
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

/// Returns a Reshape target `[1, a, …]` as `[0, a, …]`, and any other tensor as it is.
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
mod tests;
