//! Finds the element type of every value of a graph, as far as casts need it: which values are float32.

use std::collections::BTreeMap;

use super::super::wire::{Value, fields};
use super::model::{Model, ModelError};
use super::node::Node;
use super::number::*;

/// Operators whose first output has a fixed type, whatever their inputs are.
const OWN: &[(&str, u64)] = &[
    ("Shape", KIND_INT64),
    ("Size", KIND_INT64),
    ("NonZero", KIND_INT64),
    ("ArgMax", KIND_INT64),
    ("ArgMin", KIND_INT64),
    ("NonMaxSuppression", KIND_INT64),
    ("Equal", KIND_BOOL),
    ("Greater", KIND_BOOL),
    ("GreaterOrEqual", KIND_BOOL),
    ("Less", KIND_BOOL),
    ("LessOrEqual", KIND_BOOL),
    ("Not", KIND_BOOL),
    ("And", KIND_BOOL),
    ("Or", KIND_BOOL),
    ("Xor", KIND_BOOL),
    ("IsNaN", KIND_BOOL),
    ("IsInf", KIND_BOOL),
];

/// Returns the element type (`TensorProto.DataType`) of every value; 0 where it is unknown.
///
/// # Errors
/// [`ModelError::Order`] when a node stands before one whose output it reads; [`ModelError::Twice`] when two nodes make
/// the same value.
pub fn kinds(model: &Model<'_>) -> Result<BTreeMap<String, u64>, ModelError> {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    kinds.extend(model.weights.iter().map(|(name, weight)| (name.clone(), weight.kind)));
    kinds.extend(model.inputs.iter().map(|port| (port.name.clone(), port.kind)));
    for node in &model.nodes {
        let mut read = Vec::new();
        for name in &node.inputs {
            let kind = if name.is_empty() { Some(&0) } else { kinds.get(name) };
            read.push(*kind.ok_or_else(|| ModelError::Order(node.name.clone()))?);
        }
        let first = made(node, &read)?;
        for (position, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let kind = match (position, node.op.as_str()) {
                (1, "TopK" | "MaxPool") => KIND_INT64,
                (1, "Dropout") => KIND_BOOL,
                _ => first,
            };
            if kinds.insert(name.clone(), kind).is_some() {
                return Err(ModelError::Twice(name.clone()));
            }
        }
    }
    Ok(kinds)
}

/// Returns the type of a node's first output.
fn made(node: &Node<'_>, read: &[u64]) -> Result<u64, ModelError> {
    let of = |input: usize| read.get(input).copied().unwrap_or(0);
    // Operators of other domains mostly have the type of their input.
    if !node.is_standard() {
        return Ok(of(0));
    }
    if let Some((_, kind)) = OWN.iter().find(|(op, _)| *op == node.op) {
        return Ok(*kind);
    }
    Ok(match node.op.as_str() {
        "Cast" => node.int("to")?.map_or(0, |kind| kind as u64),
        "Constant" | "ConstantOfShape" => match node.bytes("value", ATTRIBUTE_T)? {
            Some(tensor) => tensor_kind(tensor)?,
            None if node.op == "ConstantOfShape" || node.float("value_float")?.is_some() => KIND_FLOAT,
            None => 0,
        },
        // The type is that of the zero point; without one it is uint8.
        "QuantizeLinear" if of(2) == 0 => KIND_UINT8,
        "QuantizeLinear" | "OneHot" => of(2),
        "DequantizeLinear" | "Where" => of(1),
        _ => of(0),
    })
}

fn tensor_kind(tensor: &[u8]) -> Result<u64, ModelError> {
    let mut kind = 0;
    for field in fields(tensor) {
        if let (TENSOR_TYPE, Value::Varint(value)) = field.map(|field| (field.number, field.value))? {
            kind = value;
        }
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::super::model::ValueInfo;
    use super::super::node::Attribute;
    use super::*;

    #[test]
    fn types_follow_the_operators() {
        let nodes = vec![
            Node::new("Relu", &["x"], "float", Vec::new()),
            Node::new("Shape", &["float"], "shape", Vec::new()),
            Node::new("Gather", &["shape", "shape"], "length", Vec::new()),
            Node::new("Cast", &["length"], "cast", vec![Attribute::of_int("to", 1)]),
            Node::new("Greater", &["float", "cast"], "mask", Vec::new()),
            Node::new("Where", &["mask", "float", "cast"], "chosen", Vec::new()),
            Node::new("QuantizeLinear", &["chosen", "cast"], "bytes", Vec::new()),
            Node::new("DequantizeLinear", &["bytes", "cast"], "back", Vec::new()),
        ];
        let model = Model { nodes, inputs: vec![ValueInfo::of_floats("x")], ..Model::default() };
        let kinds = kinds(&model).unwrap();
        let table = [
            ("float", KIND_FLOAT),
            ("shape", KIND_INT64),
            ("length", KIND_INT64),
            ("cast", KIND_FLOAT),
            ("mask", KIND_BOOL),
            ("chosen", KIND_FLOAT),
            ("bytes", KIND_UINT8),
            ("back", KIND_FLOAT),
        ];
        for (name, expected) in table {
            assert_eq!(kinds[name], expected, "{name}");
        }
    }

    #[test]
    fn a_value_that_nothing_or_two_nodes_make_is_an_error() {
        let model = Model { nodes: vec![Node::new("Relu", &["x"], "y", Vec::new())], ..Model::default() };
        assert_eq!(kinds(&model), Err(ModelError::Order("y".into())));
        let model = Model { inputs: vec![ValueInfo::of_floats("x"), ValueInfo::of_floats("y")], ..model };
        assert_eq!(kinds(&model), Err(ModelError::Twice("y".into())));
    }
}
