//! Rewrites PRelu as operators that have integer kernels.
//!
//! No runtime has a PRelu on integers: each would convert to floats and back, which costs more than the convolutions
//! save. If `s` is the slope of a channel, and all slopes are at most 1, then
//!
//! ```text
//! PRelu(x) = x + Relu((s - 1) · x)
//! ```
//!
//! which is a depthwise 1×1 convolution that is cut at zero, and a sum; both have integer kernels. A channel whose
//! slope is above 1 bends the other way. There `-PRelu(x) = -x + Relu((s - 1) · -x)`, so the convolution before makes
//! `-x`, and those after it take `-PRelu(x)`: the sign goes into their weights.
//!
//! `prelu.rs` has another form for floats, which is exact to the last bit. This one is exact except for rounding.

use super::model::{Model, ModelError};
use super::node::{Attribute, Node};
use super::weight::Weight;

/// Suffix of the output of the added convolution.
pub(crate) const BELOW: &str = "/leak/below";

/// Rewrites every PRelu that has one constant slope for each channel and is the only reader of a convolution's output,
/// where all slopes are at most 1 or the sign can go into the convolutions around it.
pub(crate) fn split_leaks(model: &mut Model<'_>) -> Result<(), ModelError> {
    let (readers, makers) = (model.readers(), model.makers());
    let mut splits = Vec::new();
    for (at, node) in model.nodes.iter().enumerate() {
        let (true, Some(x), Some(slope)) = (node.is("PRelu"), node.input(0), node.input(1)) else { continue };
        let Some(&from) = makers.get(x).filter(|from| model.nodes[**from].is("Conv")) else { continue };
        if readers.get(x).is_none_or(|readers| readers[..] != [at]) {
            continue;
        }
        let Some(slopes) = slopes(model, slope)? else { continue };
        let after = readers.get(node.output()).cloned().unwrap_or_default();
        splits.push((at, from, after, slopes));
    }
    let mut fits = Vec::new();
    for (at, from, after, slopes) in splits {
        if slopes.iter().all(|slope| *slope <= 1.0) || mirror(model, from, &after, &slopes)? {
            fits.push((at, slopes));
        }
    }
    // The last comes first, because each replacement leaves only the positions before it as they are.
    for (at, slopes) in fits.into_iter().rev() {
        let node = model.nodes[at].clone();
        let split = split(model, &node.inputs[0], node.output(), &slopes);
        model.nodes.splice(at..=at, split);
    }
    Ok(())
}

/// Returns the slopes of a float weight of shape `[C, 1, 1]` or `[1, C, 1, 1]`; `None` for another shape.
fn slopes(model: &Model<'_>, name: &str) -> Result<Option<Vec<f32>>, ModelError> {
    let Some(weight) = model.weights.get(name) else { return Ok(None) };
    let a_channel = matches!(weight.dims[..], [channels, 1, 1] | [1, channels, 1, 1] if channels > 1);
    if a_channel { weight.floats() } else { Ok(None) }
}

fn split(model: &mut Model<'_>, x: &str, y: &str, slopes: &[f32]) -> [Node<'static>; 3] {
    let (weight, below, bent) = (format!("{y}/leak/slope"), format!("{y}{BELOW}"), format!("{y}/leak/bent"));
    let values: Vec<f32> = slopes.iter().map(|slope| slope - 1.0).collect();
    model.add(Weight::of_floats(&weight, &[slopes.len() as u64, 1, 1, 1], &values));
    let a_channel = vec![Attribute::of_int("group", slopes.len() as i64), Attribute::of_ints("kernel_shape", &[1, 1])];
    [
        Node::new("Conv", &[x, &weight], &below, a_channel),
        Node::new("Relu", &[&below], &bent, Vec::new()),
        Node::new("Add", &[x, &bent], y, Vec::new()),
    ]
}

/// Changes the sign of the channels whose slope is above 1, in the weights of the convolution `from` and of all
/// convolutions `after` it. Returns false, and changes nothing, if one of them is not such a convolution.
fn mirror(model: &mut Model<'_>, from: usize, after: &[usize], slopes: &[f32]) -> Result<bool, ModelError> {
    let signs: Vec<f32> = slopes.iter().map(|slope| if *slope > 1.0 { -1.0 } else { 1.0 }).collect();
    let Some(made) = mirrored_outputs(model, &model.nodes[from], &signs)? else { return Ok(false) };
    let mut taken = Vec::new();
    for at in after {
        let Some(node) = model.nodes.get(*at) else { return Ok(false) };
        let Some(weight) = mirrored_inputs(model, node, &signs)? else { return Ok(false) };
        taken.push((*at, 1, weight));
    }
    let made = made.into_iter().map(|(input, weight)| (from, input, weight));
    for (at, input, weight) in made.chain(taken) {
        model.nodes[at].inputs[input] = model.add(weight);
    }
    Ok(true)
}

/// Returns weights and bias of a convolution, with their positions among the inputs, after `signs` are applied to its
/// output channels.
fn mirrored_outputs(
    model: &Model<'_>,
    node: &Node<'_>,
    signs: &[f32],
) -> Result<Option<Vec<(usize, Weight<'static>)>>, ModelError> {
    let mut mirrored = Vec::new();
    for input in 1..node.inputs.len() {
        let name = &node.inputs[input];
        let Some((values, dims)) = model.floats(name)?.zip(model.weights.get(name).map(|w| &w.dims)) else {
            return Ok(None);
        };
        if dims.first() != Some(&(signs.len() as u64)) || values.is_empty() {
            return Ok(None);
        }
        let stride = values.len() / signs.len();
        let values: Vec<f32> = values.iter().enumerate().map(|(at, value)| value * signs[at / stride]).collect();
        mirrored.push((input, Weight::of_floats(format!("{}/mirrored/{input}", node.output()), dims, &values)));
    }
    Ok((!mirrored.is_empty()).then_some(mirrored))
}

/// Returns the weights of a convolution after `signs` are applied to its input channels.
fn mirrored_inputs(model: &Model<'_>, node: &Node<'_>, signs: &[f32]) -> Result<Option<Weight<'static>>, ModelError> {
    let name = node.input(1).unwrap_or_default();
    let group = usize::try_from(node.int("group")?.unwrap_or(1)).unwrap_or(0);
    let Some((values, dims)) = model.floats(name)?.zip(model.weights.get(name).map(|w| &w.dims)) else {
        return Ok(None);
    };
    // The shape is [outputs, inputs of a group, height, width].
    let [outputs, inputs, height, width] = dims.iter().map(|dim| *dim as usize).collect::<Vec<_>>()[..] else {
        return Ok(None);
    };
    let whole = group > 0 && outputs >= group && inputs.checked_mul(group) == Some(signs.len()) && !values.is_empty();
    if !node.is("Conv") || !whole {
        return Ok(None);
    }
    let sign = |at: usize| {
        let (output, input) = (at / (inputs * height * width), at / (height * width) % inputs);
        // Every output belongs to a group; should one not, it counts to the last.
        signs[(output / (outputs / group)).min(group - 1) * inputs + input]
    };
    let values: Vec<f32> = values.iter().enumerate().map(|(at, value)| value * sign(at)).collect();
    Ok(Some(Weight::of_floats(format!("{}/mirrored/weight", node.output()), dims, &values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(slopes: &[f32], last: Node<'static>) -> Model<'static> {
        let nodes = vec![
            Node::new("Conv", &["x", "w", "b"], "c", Vec::new()),
            Node::new("PRelu", &["c", "s"], "p", vec![]),
            last,
        ];
        let mut model = Model { nodes, ..Model::default() };
        model.add(Weight::of_floats("w", &[2, 1, 1, 1], &[1.0, 2.0]));
        model.add(Weight::of_floats("b", &[2], &[3.0, 4.0]));
        model.add(Weight::of_floats("s", &[2, 1, 1], slopes));
        model.add(Weight::of_floats("deep", &[2, 1, 1, 1], &[5.0, 6.0]));
        model.add(Weight::of_floats("full", &[1, 2, 1, 1], &[5.0, 6.0]));
        model
    }

    fn ops(model: &Model<'_>) -> Vec<String> {
        model.nodes.iter().map(|node| node.op.clone()).collect()
    }

    #[test]
    fn slopes_up_to_one_become_a_convolution_and_a_sum() {
        let mut model = chain(&[0.25, -0.5], Node::new("Relu", &["p"], "y", Vec::new()));
        split_leaks(&mut model).unwrap();
        assert_eq!(ops(&model), ["Conv", "Conv", "Relu", "Add", "Relu"]);
        assert_eq!(model.floats("p/leak/slope"), Ok(Some(vec![-0.75, -1.5])));
    }

    #[test]
    fn a_slope_above_one_turns_the_sign_of_its_channel() {
        let depthwise = Node::new("Conv", &["p", "deep"], "y", vec![Attribute::of_int("group", 2)]);
        for last in [depthwise, Node::new("Conv", &["p", "full"], "y", Vec::new())] {
            let mut model = chain(&[0.5, 1.5], last);
            split_leaks(&mut model).unwrap();
            assert_eq!(ops(&model), ["Conv", "Conv", "Relu", "Add", "Conv"]);
            let of = |node: usize, input: usize| model.floats(&model.nodes[node].inputs[input]).unwrap().unwrap();
            assert_eq!((of(0, 1), of(0, 2), of(4, 1)), (vec![1.0, -2.0], vec![3.0, -4.0], vec![5.0, -6.0]));
            assert_eq!(of(1, 1), [-0.5, 0.5]);
        }
    }

    #[test]
    fn one_that_cannot_be_split_is_left() {
        let mut model = chain(&[0.5, 1.5], Node::new("Relu", &["p"], "y", Vec::new()));
        split_leaks(&mut model).unwrap();
        assert_eq!(ops(&model), ["Conv", "PRelu", "Relu"]);
    }
}
