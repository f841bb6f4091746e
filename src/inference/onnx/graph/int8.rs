//! Quantises a model to bytes, statically, with pairs of `QuantizeLinear` and `DequantizeLinear` (QDQ), which ONNX
//! Runtime and TensorRT fuse into operators on integers.
//!
//! A value is `step · (byte - zero)`. Weights are signed, with a step for each output channel, which keeps channels
//! with small weights precise; activations have one step (Krishnamoorthi, "Quantizing deep convolutional networks for
//! efficient inference", 2018, sections 2 and 3). A bias is int32 in steps of activation times weight (Jacob et al.,
//! 2018), so that it can be added to the products directly.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::channels::ChannelQuantization;
use super::integers::{self, Integers, NodeRole};
use super::leak::split_leaks;
use super::model::{Model, ModelError, ValueInfo};
use super::node::{Attribute, Node};
use super::norm::{channel_axis, fold_norms};
use super::number::*;
use super::opset::raise;
use super::range::Range;
use super::weight::Weight;

/// The runtime for which a model is quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuantizationTarget {
    /// ONNX Runtime on any CPU. On x86 without VNNI, `VPMADDUBSW` adds two products of an unsigned and a signed byte in
    /// 16 bits, into which 2 · 255 · 127 does not fit; so weights are from -63 to 63. Source:
    /// <https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html>.
    AnyCpu,
    /// ONNX Runtime on a CPU that multiplies bytes into 32 bits (AVX-512 VNNI, AVX-VNNI, AMX; ARM with dot products);
    /// weights are from -127 to 127.
    Vnni,
    /// TensorRT, which only allows steps around zero: activations are signed, and a bias stays float32.
    #[serde(rename = "tensorrt")]
    TensorRt,
}

impl QuantizationTarget {
    /// Returns the target for this processor.
    pub fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        let exact = std::arch::is_x86_feature_detected!("avx512vnni") || std::arch::is_x86_feature_detected!("avxvnni");
        #[cfg(not(target_arch = "x86_64"))]
        let exact = true;
        if exact { Self::Vnni } else { Self::AnyCpu }
    }

    fn weight_steps(self) -> f32 {
        if self == Self::AnyCpu { 63.0 } else { 127.0 }
    }
}

/// Prepares a model for quantisation, still in floats: it has operator set 13, batch normalisations are folded into the
/// weights before them, and each PRelu is a convolution and a sum. [`tapped`] and [`quantize`] start from it.
fn prepared(bytes: &[u8]) -> Result<Model<'_>, ModelError> {
    let mut model = Model::read(bytes)?;
    model.fold_weights();
    raise(&mut model)?;
    fold_norms(&mut model)?;
    split_leaks(&mut model)?;
    // This fails where nodes are not in order, on which the following code relies.
    super::kinds::kinds(&model)?;
    Ok(model)
}

/// Returns the model with every activation that may be quantised as an additional output, and the names of the outputs
/// to observe. Run it on photos to learn the ranges; for SFace, the mean over photos of each photo's lowest and highest
/// value worked best.
///
/// # Errors
/// [`ModelError`] when the bytes are not a model, or the model cannot be raised to operator set 13.
pub fn tapped(model: &[u8]) -> Result<(Vec<u8>, Vec<String>), ModelError> {
    let mut model = prepared(model)?;
    let integers = Integers::from_model(&model, &BTreeSet::new())?;
    let inputs = model.inputs.iter().map(|port| port.name.clone()).collect();
    let given: BTreeSet<String> = model.outputs.iter().map(|port| port.name.clone()).collect();
    let mut taps = BTreeSet::new();
    // When some nodes stay on floats, a value that shares a range may need its own.
    for name in integers.values.iter().chain(integers.shared.keys()) {
        let tap = tap(&inputs, name);
        if tap != *name {
            model.nodes.push(Node::new("Identity", &[name], &tap, Vec::new()));
        }
        taps.insert(tap);
    }
    model.outputs.extend(taps.iter().filter(|tap| !given.contains(*tap)).map(|tap| ValueInfo::of_floats(tap)));
    Ok((model.write(), taps.into_iter().collect()))
}

/// Returns the output at which a value is observed: the value itself or, for an input, a copy, because an input cannot
/// be an output too.
fn tap(inputs: &BTreeSet<String>, name: &str) -> String {
    if inputs.contains(name) { format!("{name}/int8/given") } else { name.to_string() }
}

/// Quantises the model. `ranges` are those of the names that [`tapped`] returned. Nodes in `keep`, by their name or
/// that of their first output, stay on floats.
///
/// It takes the model before PRelus are split for floats (`prelu.rs`), because it splits them in another way. A model
/// in which they were split is quantised too, but runs slower.
///
/// # Errors
/// [`ModelError`] as [`tapped`], and [`ModelError::NoRange`] when a range is missing.
pub fn quantize(
    model: &[u8],
    ranges: &BTreeMap<String, Range>,
    keep: &BTreeSet<String>,
    target: QuantizationTarget,
) -> Result<Vec<u8>, ModelError> {
    let mut model = prepared(model)?;
    let integers = Integers::from_model(&model, keep)?;
    let given: BTreeSet<String> = model.outputs.iter().map(|port| port.name.clone()).collect();
    let inputs: BTreeSet<String> = model.inputs.iter().map(|port| port.name.clone()).collect();
    let mut bytes = Bytes { target, integers, ranges, inputs, steps: BTreeMap::new(), nodes: Vec::new() };
    for name in bytes.inputs.clone() {
        bytes.put_pair(&mut model, &name, &name, &dequantized(&name))?;
    }
    for (at, mut node) in std::mem::take(&mut model.nodes).into_iter().enumerate() {
        if bytes.integers.roles[at] == NodeRole::Product {
            bytes.put_weights(&mut model, &mut node)?;
        }
        bytes.read(&mut node, &given);
        let made = node.outputs.clone();
        for name in node.outputs.iter_mut().filter(|name| given.contains(*name) && bytes.holds(name)) {
            *name = format!("{name}/float");
        }
        let floats = node.outputs.clone();
        bytes.nodes.push(node);
        for (name, float) in made.iter().zip(&floats) {
            let back = if given.contains(name) { name.clone() } else { dequantized(name) };
            bytes.put_pair(&mut model, name, float, &back)?;
        }
    }
    model.nodes = bytes.nodes;
    Ok(model.write())
}

/// Returns the names of the nodes to keep on floats so that a model's first `products` layers (convolutions and matrix
/// products) stay on floats, with all nodes before the next layer.
///
/// # Errors
/// [`ModelError`] as [`tapped`].
pub fn opening(model: &[u8], products: usize) -> Result<BTreeSet<String>, ModelError> {
    Ok(integers::opening(&prepared(model)?, products))
}

fn dequantized(name: &str) -> String {
    format!("{name}/int8/back")
}

/// A graph whose nodes are being converted to bytes.
struct Bytes<'a, 'r> {
    target: QuantizationTarget,
    integers: Integers,
    ranges: &'r BTreeMap<String, Range>,
    /// Inputs of the graph.
    inputs: BTreeSet<String>,
    /// Step of every value that was converted to bytes.
    steps: BTreeMap<String, f32>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Bytes<'a, '_> {
    /// Returns whether the value `name` is converted to bytes.
    fn holds(&self, name: &str) -> bool {
        self.integers.values.contains(name) || self.integers.shared.contains_key(name)
    }

    /// Makes a node read the values that come back from bytes.
    fn read(&self, node: &mut Node<'_>, given: &BTreeSet<String>) {
        for name in node.inputs.iter_mut().filter(|name| self.holds(name) && !given.contains(*name)) {
            *name = dequantized(name);
        }
    }

    /// Adds the pair of nodes that converts the value `name`, which is called `from` here, to bytes and back to `to`.
    /// Does nothing for a value that is not to be converted.
    fn put_pair(&mut self, model: &mut Model<'a>, name: &str, from: &str, to: &str) -> Result<(), ModelError> {
        if !self.holds(name) {
            return Ok(());
        }
        let tap = tap(&self.inputs, self.integers.range_of(name));
        let range = *self.ranges.get(&tap).ok_or(ModelError::NoRange(tap))?;
        let (step, zero, kind) = match self.target {
            QuantizationTarget::Vnni | QuantizationTarget::AnyCpu => {
                (range.unsigned().0, range.unsigned().1, KIND_UINT8)
            }
            QuantizationTarget::TensorRt => (range.signed(), 0, KIND_INT8),
        };
        self.steps.insert(name.to_string(), step);
        let scale = model.add(Weight::of_floats(format!("{name}/int8/step"), &[], &[step]));
        let zero = model.add(Weight::made(format!("{name}/int8/zero"), &[], kind, vec![zero]));
        let bytes = format!("{name}/int8/bytes");
        self.nodes.push(Node::new("QuantizeLinear", &[from, &scale, &zero], &bytes, Vec::new()));
        self.nodes.push(Node::new("DequantizeLinear", &[&bytes, &scale, &zero], to, Vec::new()));
        Ok(())
    }

    /// Gives a product its weights in bytes, with the nodes that convert them back.
    fn put_weights(&mut self, model: &mut Model<'a>, node: &mut Node<'a>) -> Result<(), ModelError> {
        let (axis, name) = (channel_axis(model, node)?, &node.inputs[1]);
        let (Some((axis, _)), Some(weights)) = (axis, model.floats(name)?) else { return Ok(()) };
        let dims = model.weights[name].dims.clone();
        let bias = node.input(2).filter(|_| self.target != QuantizationTarget::TensorRt);
        let bias = bias.map(|name| model.floats(name)).transpose()?.flatten();
        let input = self.steps.get(&node.inputs[0]).copied().unwrap_or(1.0);
        let channels = ChannelQuantization::from_weights(
            &weights,
            &dims,
            axis,
            bias.as_deref(),
            input,
            self.target.weight_steps(),
        );

        let length = [channels.steps.len() as u64];
        let names = ["weight", "weight/step", "weight/zero"].map(|part| format!("{}/int8/{part}", node.output()));
        model.add(Weight::made(&names[0], &dims, KIND_INT8, channels.bytes));
        model.add(Weight::of_floats(&names[1], &length, &channels.steps));
        model.add(Weight::made(&names[2], &length, KIND_INT8, vec![0; channels.steps.len()]));
        node.inputs[1] = self.put_constant(&names, axis);
        if let Some(bias) = channels.bias {
            let steps: Vec<f32> = channels.steps.iter().map(|step| step * input).collect();
            let names = ["bias", "bias/step", "bias/zero"].map(|part| format!("{}/int8/{part}", node.output()));
            let bias = bias.into_iter().flat_map(i32::to_le_bytes).collect();
            model.add(Weight::made(&names[0], &length, KIND_INT32, bias));
            model.add(Weight::of_floats(&names[1], &length, &steps));
            model.add(Weight::made(&names[2], &length, KIND_INT32, vec![0; steps.len() * 4]));
            node.inputs[2] = self.put_constant(&names, 0);
        }
        Ok(())
    }

    /// Adds the node that converts a constant back, and returns the name of its output.
    fn put_constant(&mut self, [bytes, step, zero]: &[String; 3], axis: usize) -> String {
        let back = dequantized(bytes);
        let axis = vec![Attribute::of_int("axis", axis as i64)];
        self.nodes.push(Node::new("DequantizeLinear", &[bytes, step, zero], &back, axis));
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Vec<u8> {
        let nodes = vec![
            Node::new("Conv", &["x", "w", "b"], "c", vec![Attribute::of_int("group", 1)]),
            Node::new("PRelu", &["c", "s"], "p", Vec::new()),
            Node::new("Conv", &["p", "w"], "y", Vec::new()),
        ];
        let mut model = Model { nodes, opset: 11, ir: 6, inputs: vec![ValueInfo::of_floats("x")], ..Model::default() };
        model.outputs.push(ValueInfo::of_floats("y"));
        model.add(Weight::of_floats("w", &[2, 2, 1, 1], &[1.0, -127.0, 2.0, 254.0]));
        model.add(Weight::of_floats("b", &[2], &[10.0, 20.0]));
        model.add(Weight::of_floats("s", &[2, 1, 1], &[0.5, -0.5]));
        model.write()
    }

    fn ranges(names: &[String]) -> BTreeMap<String, Range> {
        names.iter().map(|name| (name.clone(), Range { low: -127.5, high: 127.5 })).collect()
    }

    fn count(model: &Model<'_>, op: &str) -> usize {
        model.nodes.iter().filter(|node| node.is(op)).count()
    }

    #[test]
    fn what_is_tapped_is_what_is_needed() {
        let whole = model();
        let (tapped, names) = tapped(&whole).unwrap();
        assert_eq!(names, ["c", "p", "p/leak/bent", "x/int8/given", "y"]);
        let outputs: Vec<String> = Model::read(&tapped).unwrap().outputs.into_iter().map(|port| port.name).collect();
        assert_eq!(outputs, ["y", "c", "p", "p/leak/bent", "x/int8/given"]);
        for missing in &names {
            let mut ranges = ranges(&names);
            ranges.remove(missing);
            let found = quantize(&whole, &ranges, &BTreeSet::new(), QuantizationTarget::Vnni);
            assert_eq!(found, Err(ModelError::NoRange(missing.clone())));
        }
    }

    #[test]
    fn pairs_stand_around_every_node_on_bytes() {
        let whole = model();
        let (_, names) = tapped(&whole).unwrap();
        // Pairs of five values; with weights of three convolutions and one bias, which TensorRT takes in floats.
        for (target, backs, kind) in
            [(QuantizationTarget::Vnni, 9, KIND_UINT8), (QuantizationTarget::TensorRt, 8, KIND_INT8)]
        {
            let bytes = quantize(&whole, &ranges(&names), &BTreeSet::new(), target).unwrap();
            let found = Model::read(&bytes).unwrap();
            assert_eq!((found.opset, found.ir), (13, 7));
            assert_eq!((count(&found, "QuantizeLinear"), count(&found, "DequantizeLinear")), (5, backs));
            assert_eq!(found.weights["c/int8/zero"].kind, kind);
            assert_eq!(found.weights["c/int8/weight/step"].floats(), Ok(Some(vec![1.0, 2.0])));
            assert_eq!(found.nodes.last().map(Node::output), Some("y"));
            assert!(super::super::kinds::kinds(&found).is_ok(), "nodes are in order");
        }
    }

    #[test]
    fn what_is_kept_stays_on_floats() {
        let whole = model();
        let ranges = ranges(&tapped(&whole).unwrap().1);
        for (products, pairs) in [(0, 5), (1, 2), (2, 0)] {
            let keep = opening(&whole, products).unwrap();
            let bytes = quantize(&whole, &ranges, &keep, QuantizationTarget::Vnni).unwrap();
            assert_eq!(count(&Model::read(&bytes).unwrap(), "QuantizeLinear"), pairs, "{keep:?}");
        }
    }

    #[test]
    fn bad_bytes_are_typed_errors() {
        assert_eq!(tapped(b"").map(|_| ()), Err(ModelError::NoGraph));
        let whole = model();
        let ranges = ranges(&tapped(&whole).unwrap().1);
        // Every bit wrong in turn, every length cut: an answer, never a panic.
        for at in 0..whole.len() * 8 {
            let _ = tapped(&whole[..at / 8]);
            let mut bad = whole.clone();
            bad[at / 8] ^= 1 << (at % 8);
            let _ = quantize(&bad, &ranges, &BTreeSet::new(), QuantizationTarget::Vnni);
        }
    }
}
