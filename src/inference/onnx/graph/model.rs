//! A model that can be edited: its graph is taken apart, and all fields that are not understood are kept as they are.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::super::wire::{Value, WireError, fields, put_bytes, put_number};
use super::node::Node;
use super::number::*;
use super::weight::Weight;

/// Largest file in bytes, which is the limit of protobuf for a message; it is checked before the file is read.
const MAX_BYTES: usize = 1 << 31;
/// Most parts (nodes, weights, inputs and outputs together). An empty one takes two bytes of a file, and a hundred of
/// memory.
const MAX_PARTS: usize = 1 << 16;

/// The reason why a model cannot be edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The bytes are not protobuf.
    #[error("not an ONNX file: {0}")]
    Wire(#[from] WireError),
    /// The bytes are protobuf without a graph.
    #[error("not an ONNX file: it holds no graph")]
    NoGraph,
    /// A name is not UTF-8.
    #[error("a name in the model is not text")]
    NotText,
    /// The model has more bytes or parts than a model of this kind can have.
    #[error("the model has more than {0} {1}")]
    TooMany(usize, &'static str),
    /// A weight does not have as many elements as its shape says.
    #[error("weight {0}: its data does not have the length of its shape")]
    Length(String),
    /// Weights are in another file.
    #[error("the model keeps weights in another file")]
    External,
    /// The graph has a branch or a loop.
    #[error("the model has a graph within a node, which is not rewritten")]
    Nested,
    /// Quantisation cannot start from this operator set.
    #[error("the model's operator set is {0}; 11 or later is needed")]
    Opset(u64),
    /// An operator has another meaning in operator set 13.
    #[error("operator {0} is not the same in operator set 13")]
    Changed(String),
    /// An activation was not calibrated.
    #[error("no range was observed of {0}")]
    NoRange(String),
    /// Two nodes make the same value.
    #[error("{0} is made twice")]
    Twice(String),
    /// A value does not come before the node that reads it.
    #[error("node {0} reads what no node before it makes")]
    Order(String),
}

/// Decodes a name of the model.
pub(super) fn text(bytes: &[u8]) -> Result<String, ModelError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ModelError::NotText)
}

/// An input or output of a graph, with its `ValueInfoProto`.
#[derive(Clone, Debug)]
pub(crate) struct ValueInfo<'a> {
    /// Name of the value.
    pub name: String,
    /// Element type, a `TensorProto.DataType`; 0 where it is not given.
    pub kind: u64,
    message: Cow<'a, [u8]>,
}

impl<'a> ValueInfo<'a> {
    fn read(message: &'a [u8]) -> Result<Self, ModelError> {
        let tensor = super::text(super::text(message, VALUE_TYPE)?, TYPE_TENSOR)?;
        let mut kind = 0;
        for field in fields(tensor) {
            if let (TENSOR_ELEMENT, Value::Varint(value)) = field.map(|field| (field.number, field.value))? {
                kind = value;
            }
        }
        Ok(Self { name: text(super::text(message, VALUE_NAME)?)?, kind, message: message.into() })
    }

    /// Creates a float32 output of any shape.
    pub(crate) fn of_floats(name: &str) -> Self {
        let (mut tensor, mut kind, mut message) = (Vec::new(), Vec::new(), Vec::new());
        put_number(&mut tensor, TENSOR_ELEMENT, KIND_FLOAT);
        put_bytes(&mut kind, TYPE_TENSOR, &tensor);
        put_bytes(&mut message, VALUE_NAME, name.as_bytes());
        put_bytes(&mut message, VALUE_TYPE, &kind);
        Self { name: name.to_string(), kind: KIND_FLOAT, message: message.into() }
    }
}

/// A model that was taken apart. Inferred shapes are dropped, because an edit would make them wrong and runtimes infer
/// them again.
#[derive(Clone, Debug, Default)]
pub struct Model<'a> {
    /// Nodes; each comes after those whose outputs it reads.
    pub nodes: Vec<Node<'a>>,
    /// Weights by name.
    pub weights: BTreeMap<String, Weight<'a>>,
    /// Inputs; files from before 2019 list weights here as well.
    pub inputs: Vec<ValueInfo<'a>>,
    /// Outputs of the graph, with their types.
    pub outputs: Vec<ValueInfo<'a>>,
    /// Version of the format.
    pub ir: u64,
    /// Version of ONNX's own operators; 0 where the model does not say.
    pub opset: u64,
    /// Unknown fields of the model and of its graph.
    pub(super) rest: [Vec<u8>; 2],
}

impl<'a> Model<'a> {
    /// Takes a model apart.
    ///
    /// # Errors
    /// [`ModelError`] when the bytes are not a model, have too many parts, or contain a branch, a loop or weights in
    /// another file.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ModelError> {
        if bytes.len() > MAX_BYTES {
            return Err(ModelError::TooMany(MAX_BYTES, "bytes"));
        }
        let (mut model, mut graph) = (Self::default(), None);
        for field in fields(bytes) {
            let field = field?;
            match (field.number, field.value) {
                (MODEL_IR, Value::Varint(version)) => model.ir = version,
                (MODEL_GRAPH, Value::Bytes(message)) => graph = Some(message),
                (MODEL_OPSET, Value::Bytes(message)) if own_opset(message)?.is_some() => {
                    model.opset = own_opset(message)?.unwrap_or(model.opset);
                }
                _ => model.rest[0].extend_from_slice(field.raw),
            }
        }
        model.take_apart(graph.ok_or(ModelError::NoGraph)?)?;
        Ok(model)
    }

    fn take_apart(&mut self, graph: &'a [u8]) -> Result<(), ModelError> {
        let mut count = 0;
        for field in fields(graph) {
            let field = field?;
            match (field.number, field.value) {
                (GRAPH_NODE, Value::Bytes(message)) => self.nodes.push(Node::read(message)?),
                (GRAPH_INITIALIZER, Value::Bytes(message)) => {
                    let weight = Weight::read(message)?;
                    self.weights.insert(weight.name.clone(), weight);
                }
                (GRAPH_INPUT, Value::Bytes(message)) => self.inputs.push(ValueInfo::read(message)?),
                (GRAPH_OUTPUT, Value::Bytes(message)) => self.outputs.push(ValueInfo::read(message)?),
                (GRAPH_VALUE_INFO, _) => continue,
                _ => {
                    self.rest[1].extend_from_slice(field.raw);
                    continue;
                }
            }
            count += 1;
            if count > MAX_PARTS {
                return Err(ModelError::TooMany(MAX_PARTS, "parts"));
            }
        }
        Ok(())
    }

    /// Returns the model's bytes, without the weights that nothing reads any more.
    pub fn write(&self) -> Vec<u8> {
        let mut read: BTreeSet<&str> = self.nodes.iter().flat_map(|node| &node.inputs).map(String::as_str).collect();
        read.extend(self.outputs.iter().map(|port| port.name.as_str()));
        let mut graph = Vec::new();
        self.nodes.iter().for_each(|node| put_bytes(&mut graph, GRAPH_NODE, &node.write()));
        for weight in self.weights.values().filter(|weight| read.contains(weight.name.as_str())) {
            put_bytes(&mut graph, GRAPH_INITIALIZER, &weight.write());
        }
        self.inputs.iter().for_each(|port| put_bytes(&mut graph, GRAPH_INPUT, &port.message));
        self.outputs.iter().for_each(|port| put_bytes(&mut graph, GRAPH_OUTPUT, &port.message));
        graph.extend_from_slice(&self.rest[1]);

        let mut out = Vec::with_capacity(graph.len() + self.rest[0].len() + 64);
        if self.ir > 0 {
            put_number(&mut out, MODEL_IR, self.ir);
        }
        out.extend_from_slice(&self.rest[0]);
        put_bytes(&mut out, MODEL_GRAPH, &graph);
        if self.opset > 0 {
            let mut opset = Vec::new();
            put_number(&mut opset, OPSET_VERSION, self.opset);
            put_bytes(&mut out, MODEL_OPSET, &opset);
        }
        out
    }

    /// Removes weights from the list of inputs, because no caller may replace them once they are rewritten.
    pub fn fold_weights(&mut self) {
        self.inputs.retain(|port| !self.weights.contains_key(&port.name));
    }

    /// Adds a weight and returns its name.
    pub fn add(&mut self, weight: Weight<'a>) -> String {
        let name = weight.name.clone();
        self.weights.insert(name.clone(), weight);
        name
    }

    /// Returns the elements of the float32 weight `name`; `None` where there is no such weight.
    ///
    /// # Errors
    /// [`ModelError`] when it does not have as many elements as its shape says, or cannot be read.
    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, ModelError> {
        self.weights.get(name).map_or(Ok(None), Weight::floats)
    }

    /// Returns the positions of the nodes that read each value. An output of the graph counts as read by
    /// [`usize::MAX`].
    pub fn readers(&self) -> BTreeMap<String, Vec<usize>> {
        let mut readers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|name| readers.entry(name.clone()).or_default().push(at));
        }
        self.outputs.iter().for_each(|port| readers.entry(port.name.clone()).or_default().push(usize::MAX));
        readers
    }

    /// Returns the position of the node that makes each value.
    pub(crate) fn makers(&self) -> BTreeMap<String, usize> {
        let made = self.nodes.iter().enumerate();
        made.flat_map(|(at, node)| node.outputs.iter().map(move |name| (name.clone(), at))).collect()
    }
}

/// Returns the version in an `OperatorSetIdProto` of ONNX's own operators; `None` for another domain.
fn own_opset(message: &[u8]) -> Result<Option<u64>, ModelError> {
    let mut version = 0;
    for field in fields(message) {
        if let (OPSET_VERSION, Value::Varint(value)) = field.map(|field| (field.number, field.value))? {
            version = value;
        }
    }
    Ok(matches!(super::text(message, OPSET_DOMAIN)?, b"" | b"ai.onnx").then_some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_and_the_rest_copied() {
        let mut model = Model { opset: 11, ir: 6, ..Model::default() };
        model.nodes.push(Node::new("Mul", &["x", "w"], "y", Vec::new()));
        model.add(Weight::of_floats("w", &[1], &[2.0]));
        model.add(Weight::of_floats("unread", &[1], &[3.0]));
        model.inputs.extend([ValueInfo::of_floats("x"), ValueInfo::of_floats("w")]);
        model.outputs.push(ValueInfo::of_floats("y"));
        put_bytes(&mut model.rest[0], 2, b"author");
        put_bytes(&mut model.rest[0], MODEL_OPSET, b"\x0a\x05other\x10\x07");
        put_bytes(&mut model.rest[1], 2, b"name");
        let bytes = model.write();

        let mut read = Model::read(&bytes).unwrap();
        assert_eq!((read.opset, read.ir, read.inputs[0].kind), (11, 6, KIND_FLOAT));
        assert_eq!(read.rest, model.rest);
        assert_eq!(read.floats("w"), Ok(Some(vec![2.0])));
        assert_eq!(read.weights.len(), 1);
        assert_eq!(read.write(), bytes);
        read.fold_weights();
        assert_eq!(read.inputs.len(), 1);
    }

    #[test]
    fn what_is_no_model_is_a_typed_error() {
        let graph = |parts: &[u8]| {
            let mut out = Vec::new();
            put_bytes(&mut out, MODEL_GRAPH, parts);
            out
        };
        let many: Vec<u8> = [0x0a, 0].repeat(MAX_PARTS + 1);
        let table: [(Vec<u8>, ModelError); 4] = [
            (Vec::new(), ModelError::NoGraph),
            (vec![0xff; 12], ModelError::Wire(WireError::LongVarint)),
            // A node whose only input has a name that is not text.
            (graph(&[0x0a, 3, 0x0a, 1, 0xff]), ModelError::NotText),
            (graph(&many), ModelError::TooMany(MAX_PARTS, "parts")),
        ];
        for (bytes, expected) in table {
            assert_eq!(Model::read(&bytes).map(|_| ()), Err(expected));
        }
    }
}
