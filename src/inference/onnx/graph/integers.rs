//! Decides which nodes of a graph run on integers, and which values are converted to integers for them.

use std::collections::{BTreeMap, BTreeSet};

use super::leak::BELOW;
use super::model::{Model, ModelError};
use super::node::Node;
use super::norm::channel_axis;
use super::number::{ATTRIBUTE_S, KIND_FLOAT};

/// The role of a node in the quantised graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// Runs on floats.
    Float,
    /// Multiplies by constant weights: Conv, Gemm, MatMul.
    Product,
    /// Adds two values that are integers.
    Sum,
    /// Cuts negative values of the node before it to zero, which the conversion to bytes does as well.
    Clamp,
    /// Moves or selects numbers, so that its output has the range of its input.
    Move,
}

/// Operators that are a [`NodeRole::Move`] between two nodes on integers.
const MOVES: &[&str] = &["Flatten", "MaxPool", "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze"];

/// Returns the names of the nodes before product number `products` (from 0), in the order of the graph. These first
/// layers see the fewest channels and the finest detail, and lose most by bytes.
pub fn opening(model: &Model<'_>, products: usize) -> BTreeSet<String> {
    let leaks = |node: &Node<'_>| node.output().ends_with(BELOW);
    let product = |node: &&Node<'_>| ["Conv", "Gemm", "MatMul"].iter().any(|op| node.is(op)) && !leaks(node);
    let mut left = products.saturating_add(1);
    let before = |node: &&Node<'_>| {
        left -= usize::from(product(node));
        left > 0
    };
    model.nodes.iter().take_while(before).map(|node| node.output().to_string()).collect()
}

/// The nodes and values to quantise.
#[derive(Debug)]
pub(crate) struct Integers {
    /// The role of every node, by position.
    pub roles: Vec<NodeRole>,
    /// Values that have a range of their own.
    pub values: BTreeSet<String>,
    /// Values that share the range of another value.
    pub shared: BTreeMap<String, String>,
}

impl Integers {
    /// Decides what to quantise in a graph. Nodes in `keep`, by their own name or that of their first output, stay on
    /// floats.
    ///
    /// # Errors
    /// [`ModelError`] when an attribute cannot be read.
    pub fn from_model(model: &Model<'_>, keep: &BTreeSet<String>) -> Result<Self, ModelError> {
        let mut found = Self { roles: Vec::new(), values: BTreeSet::new(), shared: BTreeMap::new() };
        let (readers, makers) = (model.readers(), model.makers());
        for node in &model.nodes {
            let kept = [node.name.as_str(), node.output()].iter().any(|name| keep.contains(*name));
            found.roles.push(if kept { NodeRole::Float } else { found.role(model, &makers, node)? });
        }
        found.drop_idle_moves(model, &readers);
        for (at, node) in model.nodes.iter().enumerate() {
            found.collect(&readers, at, node);
        }
        Ok(found)
    }

    /// Returns whether a value is an integer where it is made, so that it need not be converted.
    fn is_integer(&self, model: &Model<'_>, makers: &BTreeMap<String, usize>, name: &str) -> bool {
        makers.get(name).is_some_and(|at| match self.roles.get(*at) {
            // Other products can output floats directly, and a sum of those runs better on floats.
            Some(NodeRole::Product) => model.nodes[*at].is("Conv"),
            Some(role) => *role != NodeRole::Float,
            None => false,
        })
    }

    fn role(
        &self,
        model: &Model<'_>,
        makers: &BTreeMap<String, usize>,
        node: &Node<'_>,
    ) -> Result<NodeRole, ModelError> {
        let integer = |input: usize| node.input(input).is_some_and(|name| self.is_integer(model, makers, name));
        let constant = |name: &str| model.weights.get(name).is_some_and(|weight| weight.kind == KIND_FLOAT);
        let moves = MOVES.contains(&node.op.as_str()) && integer(0) && node.outputs.len() == 1;
        Ok(match node.op.as_str() {
            _ if !node.is_standard() => NodeRole::Float,
            "Conv" | "Gemm" | "MatMul" => {
                let bias = node.input(2).is_none_or(|bias| {
                    constant(bias) && model.weights.get(bias).is_some_and(|weight| weight.dims.len() == 1)
                });
                let variable = node.input(0).is_some_and(|x| !model.weights.contains_key(x));
                let fits = variable && bias && channel_axis(model, node)?.is_some();
                if fits { NodeRole::Product } else { NodeRole::Float }
            }
            "Add" if integer(0) && integer(1) => NodeRole::Sum,
            "Relu" if integer(0) => NodeRole::Clamp,
            // Interpolation makes numbers between its inputs, which integers would round.
            "Resize" if !matches!(node.bytes("mode", ATTRIBUTE_S)?, None | Some(b"nearest")) => NodeRole::Float,
            _ if moves => NodeRole::Move,
            _ => NodeRole::Float,
        })
    }

    /// Turns moves that lead to no node on integers back to floats, because they gain nothing.
    fn drop_idle_moves(&mut self, model: &Model<'_>, readers: &BTreeMap<String, Vec<usize>>) {
        for (at, node) in model.nodes.iter().enumerate().rev() {
            // The outputs of the graph are read by something that has no role.
            let mut after = readers.get(node.output()).into_iter().flatten().filter_map(|at| self.roles.get(*at));
            if self.roles[at] == NodeRole::Move && after.all(|role| *role == NodeRole::Float) {
                self.roles[at] = NodeRole::Float;
            }
        }
    }

    fn collect(&mut self, readers: &BTreeMap<String, Vec<usize>>, at: usize, node: &Node<'_>) {
        // A value that only its clamp reads becomes bytes after the clamp.
        let clamped = |name: &str| {
            let [reader] = readers.get(name).map_or(&[][..], Vec::as_slice) else { return false };
            self.roles.get(*reader) == Some(&NodeRole::Clamp)
        };
        let (read, made): (&[String], bool) = match self.roles[at] {
            NodeRole::Float => return,
            NodeRole::Product => (&node.inputs[..1], node.is("Conv")),
            NodeRole::Sum => (&node.inputs, true),
            NodeRole::Clamp => (&node.inputs[..1], true),
            NodeRole::Move => {
                let root = self.range_of(&node.inputs[0]).to_string();
                self.shared.insert(node.output().to_string(), root);
                (&node.inputs[..1], false)
            }
        };
        let made = if made { node.output() } else { "" };
        let names = read.iter().map(String::as_str).chain([made]);
        let names: Vec<String> = names.filter(|name| !name.is_empty() && !clamped(name)).map(str::to_string).collect();
        let shared = &self.shared;
        self.values.extend(names.into_iter().filter(|name| !shared.contains_key(name)));
    }

    /// Returns the name of the value whose range applies to `name`: usually `name` itself, or the value with which it
    /// shares a range.
    pub(crate) fn range_of<'n>(&'n self, name: &'n str) -> &'n str {
        self.shared.get(name).map_or(name, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::ValueInfo;
    use super::super::weight::Weight;
    use super::*;

    fn model(nodes: Vec<Node<'static>>) -> Model<'static> {
        let mut model = Model { nodes, inputs: vec![ValueInfo::of_floats("x")], ..Model::default() };
        model.outputs.push(ValueInfo::of_floats("y"));
        model.add(Weight::of_floats("w", &[1, 1, 1, 1], &[1.0]));
        model.add(Weight::of_floats("m", &[1, 1], &[1.0]));
        model
    }

    fn conv(x: &str, y: &str) -> Node<'static> {
        Node::new("Conv", &[x, "w"], y, Vec::new())
    }

    fn other(op: &str, x: &str, y: &str) -> Node<'static> {
        Node::new(op, &x.split(' ').collect::<Vec<_>>(), y, Vec::new())
    }

    #[test]
    fn roles_and_values() {
        use NodeRole::{Clamp, Float, Move, Product, Sum};
        let residual = || vec![conv("x", "a"), other("Relu", "a", "r"), conv("r", "b"), other("Add", "r b", "y")];
        type Case = (Vec<Node<'static>>, &'static str, &'static [NodeRole], &'static [&'static str]);
        let table: [Case; 7] = [
            (residual(), "", &[Product, Clamp, Product, Sum], &["b", "r", "x", "y"]),
            // A sum of a float is a float, and so is a Relu of one.
            (residual(), "a", &[Float, Float, Product, Float], &["b", "r"]),
            // A value that others read before it is cut at zero is also in bytes.
            (
                vec![conv("x", "a"), other("Relu", "a", "r"), conv("a", "b"), conv("r", "y")],
                "",
                &[Product, Clamp, Product, Product],
                &["a", "b", "r", "x", "y"],
            ),
            // Moves between products share a range; those that lead nowhere are left.
            (
                vec![conv("x", "a"), other("MaxPool", "a", "p"), conv("p", "y")],
                "",
                &[Product, Move, Product],
                &["a", "x", "y"],
            ),
            (vec![conv("x", "a"), other("Transpose", "a", "y")], "", &[Product, Float], &["a", "x"]),
            // The product of matrices gives floats as they are.
            (vec![other("MatMul", "x m", "a"), other("Sigmoid", "a", "y")], "", &[Product, Float], &["x"]),
            (vec![other("MatMul", "m m", "a"), other("Conv", "x y", "b")], "", &[Float, Float], &[]),
        ];
        for (nodes, keep, roles, values) in table {
            let keep = if keep.is_empty() { BTreeSet::new() } else { BTreeSet::from([keep.to_string()]) };
            let found = Integers::from_model(&model(nodes), &keep).unwrap();
            assert_eq!(found.roles, roles);
            assert_eq!(found.values.iter().collect::<Vec<_>>(), values);
        }
    }

    #[test]
    fn a_chain_of_moves_has_the_range_of_its_first() {
        let model = model(vec![conv("x", "a"), other("MaxPool", "a", "b"), other("Flatten", "b", "c"), conv("c", "y")]);
        let found = Integers::from_model(&model, &BTreeSet::new()).unwrap();
        assert_eq!(["c", "b", "a", "y"].map(|name| found.range_of(name)), ["a", "a", "a", "y"]);
    }

    #[test]
    fn the_opening_ends_before_a_product() {
        let model = model(vec![conv("x", "a"), conv("a", "a/leak/below"), other("Relu", "a", "r"), conv("r", "y")]);
        let table: [(usize, &[&str]); 3] =
            [(0, &[]), (1, &["a", "a/leak/below", "r"]), (9, &["a", "a/leak/below", "r", "y"])];
        for (products, expected) in table {
            assert_eq!(opening(&model, products).iter().collect::<Vec<_>>(), expected);
        }
    }
}
