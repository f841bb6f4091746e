//! Converts a model to FP16: weights and activations take half the bytes, and inputs and outputs stay in float32.
//! `precision.rs` decides which other nodes stay in float32, and why.

use std::collections::{BTreeMap, BTreeSet};

use half::f16;

use super::kinds::kinds;
use super::model::{Model, ModelError};
use super::node::{Attribute, Node};
use super::norm::fold_norms;
use super::number::*;
use super::precision::reasons;
use super::weight::Weight;

/// Operators of which only the first input is in FP16; their other inputs are float32 by definition.
const FIRST_ONLY: &[&str] = &["Resize", "Upsample"];

/// Converts weights and activations to FP16, except where that loses more than FP16's own rounding.
///
/// Batch normalisations are first folded into the weights before them. Inputs and outputs keep their names and types,
/// with casts after and before them. A value is cast once, however many nodes read it, and never back and forth.
///
/// # Errors
/// [`ModelError`] when the bytes are not a model, or a node contains a graph of its own.
pub fn to_half(model: &[u8]) -> Result<Vec<u8>, ModelError> {
    let mut model = Model::read(model)?;
    model.fold_weights();
    fold_norms(&mut model)?;
    let kinds = kinds(&model)?;
    let halves: Vec<bool> = reasons(&model, &kinds)?.iter().map(Option::is_none).collect();
    let mut made: BTreeMap<String, bool> = BTreeMap::new();
    for (node, half) in model.nodes.iter().zip(&halves) {
        made.extend(node.outputs.iter().map(|name| (name.clone(), *half && kinds.get(name) == Some(&KIND_FLOAT))));
    }
    let given: BTreeSet<String> = model.outputs.iter().map(|port| port.name.clone()).collect();
    let mut out = Casts { kinds, made, given, cast: BTreeSet::new(), nodes: Vec::new() };
    for (node, half) in std::mem::take(&mut model.nodes).into_iter().zip(halves) {
        out.put(&mut model, node, half)?;
    }
    model.nodes = out.nodes;
    Ok(model.write())
}

/// Nodes in their new precision, with casts between them.
struct Casts<'a> {
    kinds: BTreeMap<String, u64>,
    /// Whether each value that a node makes is in FP16.
    made: BTreeMap<String, bool>,
    /// Outputs of the graph.
    given: BTreeSet<String>,
    /// Values that were cast already.
    cast: BTreeSet<String>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Casts<'a> {
    fn put(&mut self, model: &mut Model<'a>, mut node: Node<'a>, half: bool) -> Result<(), ModelError> {
        for position in 0..node.inputs.len() {
            let name = node.inputs[position].clone();
            let float = self.kinds.get(&name) == Some(&KIND_FLOAT);
            let wanted = half && !(position > 0 && FIRST_ONLY.contains(&node.op.as_str()));
            if float {
                node.inputs[position] = self.read(model, name, wanted)?;
            }
        }
        let mut outputs = Vec::new();
        for name in &mut node.outputs {
            if self.made.get(name) == Some(&true) && self.given.contains(name) {
                outputs.push(name.clone());
                *name = halved(name);
            }
        }
        self.nodes.push(node);
        outputs.iter().for_each(|name| self.nodes.push(cast(&halved(name), name, KIND_FLOAT)));
        Ok(())
    }

    /// Returns the name under which the value `name` is read in FP16 (`half`) or float32.
    fn read(&mut self, model: &mut Model<'a>, name: String, half: bool) -> Result<String, ModelError> {
        let made = self.made.get(&name).copied().unwrap_or(false);
        let given = self.given.contains(&name);
        let (target, kind) = match (made, half) {
            (true, true) if given => return Ok(halved(&name)),
            // An output of the graph is cast after the node that makes it.
            (true, false) if given => return Ok(name),
            (true, true) | (false, false) => return Ok(name),
            (true, false) => (format!("{name}/float"), KIND_FLOAT),
            (false, true) => (halved(&name), KIND_HALF),
        };
        if !self.cast.insert(target.clone()) {
            return Ok(target);
        }
        if let Some(values) = model.floats(&name)? {
            let dims = model.weights.get(&name).map(|weight| weight.dims.clone()).unwrap_or_default();
            let data = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
            model.add(Weight::made(&target, &dims, KIND_HALF, data));
        } else {
            self.nodes.push(cast(&name, &target, kind));
        }
        Ok(target)
    }
}

fn halved(name: &str) -> String {
    format!("{name}/half")
}

fn cast(from: &str, to: &str, kind: u64) -> Node<'static> {
    Node::new("Cast", &[from], to, vec![Attribute::of_int("to", kind as i64)])
}

#[cfg(test)]
mod tests {
    use super::super::model::ValueInfo;
    use super::*;

    fn model(nodes: Vec<Node<'static>>, outputs: &[&str]) -> Vec<u8> {
        let mut model = Model { nodes, opset: 11, inputs: vec![ValueInfo::of_floats("x")], ..Model::default() };
        model.outputs.extend(outputs.iter().map(|name| ValueInfo::of_floats(name)));
        model.add(Weight::of_floats("w", &[1, 1, 1, 1], &[0.1]));
        model.add(Weight::of_floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0]));
        model.write()
    }

    /// Nodes as `op input … > output`.
    fn nodes(model: &Model<'_>) -> Vec<String> {
        let line = |node: &Node<'_>| format!("{} {} > {}", node.op, node.inputs.join(" "), node.output());
        model.nodes.iter().map(line).collect()
    }

    #[test]
    fn casts_stand_at_the_ends_and_around_float32() {
        let table: [(Vec<Node<'static>>, &[&str], &[&str]); 5] = [
            (
                vec![Node::new("Conv", &["x", "w"], "y", Vec::new())],
                &["y"],
                &["Cast x > x/half", "Conv x/half w/half > y/half", "Cast y/half > y"],
            ),
            // An output that was computed in FP16 is read in FP16.
            (
                vec![Node::new("Relu", &["x"], "y", vec![]), Node::new("Relu", &["y"], "z", vec![])],
                &["y", "z"],
                &[
                    "Cast x > x/half",
                    "Relu x/half > y/half",
                    "Cast y/half > y",
                    "Relu y/half > z/half",
                    "Cast z/half > z",
                ],
            ),
            // One cast of a value, and none where float32 reads float32.
            (
                vec![
                    Node::new("Relu", &["x"], "r", Vec::new()),
                    Node::new("Softmax", &["r"], "a", Vec::new()),
                    Node::new("Exp", &["r"], "b", Vec::new()),
                    Node::new("Pow", &["a", "b"], "y", Vec::new()),
                ],
                &["y"],
                &[
                    "Cast x > x/half",
                    "Relu x/half > r",
                    "Cast r > r/float",
                    "Softmax r/float > a",
                    "Exp r/float > b",
                    "Pow a b > y",
                ],
            ),
            (vec![Node::new("Exp", &["x"], "y", Vec::new())], &["y"], &["Exp x > y"]),
            (
                vec![Node::new("Resize", &["x", "", "scales"], "y", Vec::new())],
                &["y"],
                &["Cast x > x/half", "Resize x/half  scales > y/half", "Cast y/half > y"],
            ),
        ];
        for (before, outputs, expected) in table {
            let after = to_half(&model(before, outputs)).unwrap();
            assert_eq!(nodes(&Model::read(&after).unwrap()), expected);
        }
    }

    #[test]
    fn weights_are_rounded_and_others_copied() {
        let whole = model(vec![Node::new("Conv", &["x", "w"], "y", Vec::new())], &["y"]);
        let after = to_half(&whole).unwrap();
        let after = Model::read(&after).unwrap();
        assert_eq!(after.weights.keys().collect::<Vec<_>>(), ["w/half"]);
        let weight = &after.weights["w/half"];
        assert_eq!((weight.kind, &weight.dims[..]), (KIND_HALF, &[1, 1, 1, 1][..]));
        assert!(weight.write().ends_with(&f16::from_f32(0.1).to_le_bytes()));
        assert_eq!(after.opset, 11);
    }

    #[test]
    fn bad_bytes_are_typed_errors() {
        assert_eq!(to_half(b""), Err(ModelError::NoGraph));
        assert!(matches!(to_half(b"<html>"), Err(ModelError::Wire(_))));
        let conv = Node::new("Conv", &["x", "w"], "c", vec![Attribute::of_ints("pads", &[1, 1])]);
        let whole = model(vec![conv, Node::new("Resize", &["c", "", "scales"], "y", Vec::new())], &["y"]);
        // Every byte wrong in turn, every length cut: an answer, never a panic.
        for at in 0..whole.len() {
            let _ = to_half(&whole[..at]);
            for bit in 0..8 {
                let mut bad = whole.clone();
                bad[at] ^= 1 << bit;
                let _ = to_half(&bad);
            }
        }
    }
}
