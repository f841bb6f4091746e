//! A node (`NodeProto`) that can be edited.

use std::borrow::Cow;

use super::super::wire::{Value, fields, put_bytes, put_number, varint};
use super::model::{ModelError, text};
use super::number::*;

/// A node: an operator at its place in a graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node<'a> {
    /// Name, which may be empty.
    pub name: String,
    /// Operator, such as `Conv`.
    pub op: String,
    /// Domain of the operator; empty for ONNX's own.
    pub domain: String,
    /// Names of the inputs; an empty name stands for an input that is left out.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Attributes of the node.
    pub attributes: Vec<Attribute<'a>>,
    rest: Vec<u8>,
}

/// An attribute, kept as its `AttributeProto`.
#[derive(Clone, Debug)]
pub(crate) struct Attribute<'a> {
    /// Name of the attribute.
    pub name: String,
    message: Cow<'a, [u8]>,
}

impl<'a> Attribute<'a> {
    fn read(message: &'a [u8]) -> Result<Self, ModelError> {
        let mut name = String::new();
        for field in fields(message) {
            let field = field?;
            match field.number {
                ATTRIBUTE_NAME => name = text(field.bytes())?,
                // Branches and loops are not supported.
                ATTRIBUTE_G | ATTRIBUTE_GRAPHS => return Err(ModelError::Nested),
                _ => {}
            }
        }
        Ok(Self { name, message: Cow::Borrowed(message) })
    }

    /// Creates an attribute with one whole number.
    pub(crate) fn of_int(name: &str, value: i64) -> Self {
        Self::of_numbers(name, ATTRIBUTE_I, ATTRIBUTE_TYPE_INT, &[value])
    }

    /// Creates an attribute with a list of whole numbers.
    pub(crate) fn of_ints(name: &str, values: &[i64]) -> Self {
        Self::of_numbers(name, ATTRIBUTE_INTS, ATTRIBUTE_TYPE_INTS, values)
    }

    fn of_numbers(name: &str, field: u64, kind: u64, values: &[i64]) -> Self {
        let mut message = Vec::new();
        put_bytes(&mut message, ATTRIBUTE_NAME, name.as_bytes());
        values.iter().for_each(|value| put_number(&mut message, field, *value as u64));
        put_number(&mut message, ATTRIBUTE_TYPE, kind);
        Self { name: name.to_string(), message: Cow::Owned(message) }
    }
}

impl<'a> Node<'a> {
    /// Reads a `NodeProto`.
    ///
    /// # Errors
    /// [`ModelError::Nested`] when an attribute contains a graph; other variants when the bytes are
    /// not a node.
    pub fn read(message: &'a [u8]) -> Result<Self, ModelError> {
        let mut node = Self::default();
        for field in fields(message) {
            let field = field?;
            match field.number {
                NODE_INPUT => node.inputs.push(text(field.bytes())?),
                NODE_OUTPUT => node.outputs.push(text(field.bytes())?),
                NODE_NAME => node.name = text(field.bytes())?,
                NODE_OP => node.op = text(field.bytes())?,
                NODE_DOMAIN => node.domain = text(field.bytes())?,
                NODE_ATTRIBUTE => node.attributes.push(Attribute::read(field.bytes())?),
                _ => node.rest.extend_from_slice(field.raw),
            }
        }
        Ok(node)
    }

    /// Creates a node of one of ONNX's own operators, with one output whose name it takes.
    pub fn new(op: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute<'a>>) -> Self {
        let inputs = inputs.iter().map(|input| (*input).to_string()).collect();
        let (name, op, outputs) = (output.to_string(), op.to_string(), vec![output.to_string()]);
        Self { name, op, inputs, outputs, attributes, ..Self::default() }
    }

    /// Returns whether it is the operator `op` of ONNX's own domain.
    pub fn is(&self, op: &str) -> bool {
        self.op == op && self.is_standard()
    }

    /// Returns whether its operator is one of ONNX's own.
    pub(crate) fn is_standard(&self) -> bool {
        matches!(self.domain.as_str(), "" | "ai.onnx")
    }

    /// Returns the name of input `position`, where it has one.
    pub fn input(&self, position: usize) -> Option<&str> {
        self.inputs.get(position).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Returns the name of its first output; empty where it has none.
    pub fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }

    /// Returns the message of attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&[u8]> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.message.as_ref())
    }

    /// Returns the whole number in attribute `name`.
    ///
    /// # Errors
    /// [`ModelError`] when the attribute is damaged.
    pub fn int(&self, name: &str) -> Result<Option<i64>, ModelError> {
        Ok(self.ints_of(name, ATTRIBUTE_I)?.and_then(|values| values.last().copied()))
    }

    /// Returns the list of whole numbers in attribute `name`.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, ModelError> {
        self.ints_of(name, ATTRIBUTE_INTS)
    }

    fn ints_of(&self, name: &str, number: u64) -> Result<Option<Vec<i64>>, ModelError> {
        let Some(message) = self.attribute(name) else { return Ok(None) };
        let mut values = Vec::new();
        for field in fields(message) {
            match field.map(|field| (field.number, field.value))? {
                (at, Value::Varint(value)) if at == number => values.push(value as i64),
                (at, Value::Bytes(mut packed)) if at == number => {
                    while !packed.is_empty() {
                        values.push(varint(&mut packed)? as i64);
                    }
                }
                _ => {}
            }
        }
        Ok(Some(values))
    }

    /// Returns the float32 in attribute `name`.
    ///
    /// # Errors
    /// [`ModelError`] when the attribute is damaged.
    pub fn float(&self, name: &str) -> Result<Option<f32>, ModelError> {
        let mut found = None;
        for field in fields(self.attribute(name).unwrap_or_default()) {
            let field = field?;
            if let (ATTRIBUTE_F, Value::Fixed, Some(bytes)) = (field.number, field.value, field.raw.last_chunk()) {
                found = Some(f32::from_le_bytes(*bytes));
            }
        }
        Ok(found)
    }

    /// Returns the bytes (a string, or a `TensorProto`) of field `number` of attribute `name`.
    ///
    /// # Errors
    /// [`ModelError`] when the attribute is damaged.
    pub fn bytes(&self, name: &str, number: u64) -> Result<Option<&[u8]>, ModelError> {
        let mut found = None;
        for field in fields(self.attribute(name).unwrap_or_default()) {
            let field = field?;
            if field.number == number {
                found = Some(field.bytes());
            }
        }
        Ok(found)
    }

    /// Returns its `NodeProto`.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.inputs.iter().for_each(|name| put_bytes(&mut out, NODE_INPUT, name.as_bytes()));
        self.outputs.iter().for_each(|name| put_bytes(&mut out, NODE_OUTPUT, name.as_bytes()));
        for (number, text) in [(NODE_NAME, &self.name), (NODE_OP, &self.op), (NODE_DOMAIN, &self.domain)] {
            if !text.is_empty() {
                put_bytes(&mut out, number, text.as_bytes());
            }
        }
        self.attributes.iter().for_each(|attribute| put_bytes(&mut out, NODE_ATTRIBUTE, &attribute.message));
        out.extend_from_slice(&self.rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let attributes = vec![Attribute::of_int("group", -3), Attribute::of_ints("pads", &[1, 2])];
        let written = Node::new("Conv", &["x", "", "b"], "y", attributes).write();
        let node = Node::read(&written).unwrap();
        assert_eq!((node.op.as_str(), node.output(), node.input(1), node.input(2)), ("Conv", "y", None, Some("b")));
        assert_eq!((node.int("group"), node.int("none")), (Ok(Some(-3)), Ok(None)));
        assert_eq!(node.ints("pads"), Ok(Some(vec![1, 2])));
        assert_eq!(node.write(), written);
    }

    #[test]
    fn floats_and_strings_of_attributes() {
        let mut attribute = Vec::new();
        put_bytes(&mut attribute, ATTRIBUTE_NAME, b"a");
        attribute.extend([(ATTRIBUTE_F << 3 | 5) as u8, 0, 0, 0, 0x40]);
        put_bytes(&mut attribute, ATTRIBUTE_S, b"nearest");
        let mut message = Vec::new();
        put_bytes(&mut message, NODE_ATTRIBUTE, &attribute);
        let node = Node::read(&message).unwrap();
        assert_eq!((node.float("a"), node.float("b")), (Ok(Some(2.0)), Ok(None)));
        assert_eq!(node.bytes("a", ATTRIBUTE_S), Ok(Some(&b"nearest"[..])));
    }

    #[test]
    fn a_graph_within_a_node_is_refused() {
        let (mut attribute, mut message) = (Vec::new(), Vec::new());
        put_bytes(&mut attribute, ATTRIBUTE_G, b"");
        put_bytes(&mut message, NODE_ATTRIBUTE, &attribute);
        assert_eq!(Node::read(&message).map(|_| ()), Err(ModelError::Nested));
    }
}
