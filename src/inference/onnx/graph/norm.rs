//! Folds batch normalisations into the convolution or matrix product before them.
//!
//! At inference a normalisation is one factor and one offset for each channel, which can be part of the weights.
//! Runtimes fold it too, but not when casts or quantisation stand between the two, so it is done first. Source: Jacob
//! et al., 2018, section 3.2.

use super::model::{Model, ModelError};
use super::node::Node;
use super::weight::Weight;

/// Folds every batch normalisation into the weights of the Conv or Gemm before it, if these are constant and nothing
/// else reads its output.
pub(crate) fn fold_norms(model: &mut Model<'_>) -> Result<(), ModelError> {
    let (readers, makers) = (model.readers(), model.makers());
    let mut folded = Vec::new();
    for at in 0..model.nodes.len() {
        let norm = &model.nodes[at];
        if !norm.is("BatchNormalization") || norm.outputs.len() != 1 || norm.int("training_mode")? == Some(1) {
            continue;
        }
        let Some((x, &from)) = norm.input(0).and_then(|x| makers.get_key_value(x)) else { continue };
        if readers.get(x).is_none_or(|readers| readers[..] != [at]) {
            continue;
        }
        let (Some(norm), Some(product)) = (BatchNorm::read(model, norm)?, LinearNode::read(model, &model.nodes[from])?)
        else {
            continue;
        };
        let output = model.nodes[at].output().to_string();
        if product.fold(model, from, &norm, &output) {
            folded.push(at);
        }
    }
    let mut at = 0;
    model.nodes.retain(|_| {
        at += 1;
        folded.binary_search(&(at - 1)).is_err()
    });
    Ok(())
}

/// A batch normalisation: `y = x · factor + offset` for each channel.
struct BatchNorm {
    factors: Vec<f64>,
    offsets: Vec<f64>,
}

impl BatchNorm {
    /// Reads a normalisation; `None` where one of the four parameters is not constant, or where they differ in length.
    fn read(model: &Model<'_>, node: &Node<'_>) -> Result<Option<Self>, ModelError> {
        let epsilon = f64::from(node.float("epsilon")?.unwrap_or(1e-5));
        let mut parameters = Vec::new();
        for name in node.inputs.iter().skip(1) {
            parameters.extend(model.floats(name)?);
        }
        let [scale, bias, mean, variance] = &parameters[..] else { return Ok(None) };
        if [bias, mean, variance].iter().any(|other| other.len() != scale.len()) {
            return Ok(None);
        }
        let of = |variance: &f32| (f64::from(*variance) + epsilon).sqrt();
        let factors: Vec<f64> = scale.iter().zip(variance).map(|(scale, v)| f64::from(*scale) / of(v)).collect();
        let offset = |((factor, mean), bias): ((&f64, &f32), &f32)| f64::from(*bias) - f64::from(*mean) * factor;
        let offsets = factors.iter().zip(mean).zip(bias).map(offset).collect();
        Ok(Some(Self { factors, offsets }))
    }
}

/// A Conv or Gemm: its weights and their layout.
struct LinearNode {
    dims: Vec<u64>,
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
    /// Number of elements from one channel to the next.
    stride: usize,
    channels: usize,
}

impl LinearNode {
    /// Reads a node; `None` for another operator, and where weights are not constant.
    fn read(model: &Model<'_>, node: &Node<'_>) -> Result<Option<Self>, ModelError> {
        let Some((axis, _)) = channel_axis(model, node)? else { return Ok(None) };
        let name = node.input(1).unwrap_or_default();
        let (Some(weight), Some(weights)) = (model.weights.get(name), model.floats(name)?) else { return Ok(None) };
        let bias = node.input(2).map(|name| model.floats(name)).transpose()?;
        // When a shape has no elements, its other lengths can have any value.
        if node.is("MatMul") || matches!(bias, Some(None)) || weights.is_empty() {
            return Ok(None);
        }
        let dims = weight.dims.clone();
        let stride = dims[axis + 1..].iter().product::<u64>() as usize;
        Ok(Some(Self { channels: dims[axis] as usize, stride, dims, weights, bias: bias.flatten() }))
    }

    /// Gives node `at` weights that include `norm`, and the name of its output. Returns false, and changes nothing, if
    /// the two have different numbers of channels.
    fn fold(mut self, model: &mut Model<'_>, at: usize, norm: &BatchNorm, output: &str) -> bool {
        let bias = self.bias.unwrap_or_else(|| vec![0.0; self.channels]);
        if [norm.factors.len(), bias.len()] != [self.channels; 2] {
            return false;
        }
        for (position, weight) in self.weights.iter_mut().enumerate() {
            *weight = (f64::from(*weight) * norm.factors[position / self.stride % self.channels]) as f32;
        }
        let with = |((bias, factor), offset): ((&f32, &f64), &f64)| (f64::from(*bias) * factor + offset) as f32;
        let bias: Vec<f32> = bias.iter().zip(&norm.factors).zip(&norm.offsets).map(with).collect();
        let weight = Weight::of_floats(format!("{output}/folded/weight"), &self.dims, &self.weights);
        let bias = Weight::of_floats(format!("{output}/folded/bias"), &[self.channels as u64], &bias);
        let (weight, bias) = (model.add(weight), model.add(bias));
        let node = &mut model.nodes[at];
        node.inputs.truncate(1);
        node.inputs.extend([weight, bias]);
        node.outputs = vec![output.to_string()];
        true
    }
}

/// Returns the axis of output channels in the second input of a Conv, Gemm or MatMul, and their number. `None` for
/// another operator, and where that input is not a float32 constant that can be scaled channel by channel.
pub(crate) fn channel_axis(model: &Model<'_>, node: &Node<'_>) -> Result<Option<(usize, u64)>, ModelError> {
    let Some(weight) = node.input(1).and_then(|name| model.weights.get(name)) else { return Ok(None) };
    let one = |name| node.float(name).map(|value| value.is_none_or(|value| value == 1.0));
    let rank = weight.dims.len();
    let axis = match node.op.as_str() {
        _ if !node.is_standard() || weight.kind != super::number::KIND_FLOAT => None,
        "Conv" if rank >= 3 => Some(0),
        "Gemm" if rank == 2 && one("alpha")? && one("beta")? && node.int("transA")?.unwrap_or(0) == 0 => {
            Some(usize::from(node.int("transB")?.unwrap_or(0) == 0))
        }
        "MatMul" if rank == 2 => Some(1),
        _ => None,
    };
    Ok(axis.map(|axis| (axis, weight.dims[axis])))
}

#[cfg(test)]
mod tests {
    use super::super::model::ValueInfo;
    use super::super::node::Attribute;
    use super::*;

    fn norm(x: &str) -> Node<'static> {
        Node::new("BatchNormalization", &[x, "scale", "bias", "mean", "variance"], "y", Vec::new())
    }

    fn model(product: Node<'static>, dims: &[u64], norm: Node<'static>) -> Model<'static> {
        let mut model = Model { nodes: vec![product, norm], ..Model::default() };
        model.outputs.push(ValueInfo::of_floats("y"));
        let values: [(&str, &[u64], &[f32]); 6] = [
            ("w", dims, &[1.0, 2.0, 3.0, 4.0]),
            ("b", &[2], &[1.0, 1.0]),
            ("scale", &[2], &[2.0, 3.0]),
            ("bias", &[2], &[0.5, 0.0]),
            ("mean", &[2], &[1.0, 2.0]),
            // With the default epsilon, the roots are 2 and 1.
            ("variance", &[2], &[4.0 - 1e-5, 1.0 - 1e-5]),
        ];
        values.iter().for_each(|(name, dims, values)| drop(model.add(Weight::of_floats(*name, dims, values))));
        model
    }

    #[test]
    fn factors_go_into_weights_and_offsets_into_the_bias() {
        let transposed = vec![Attribute::of_int("transB", 1)];
        let table = [
            (Node::new("Conv", &["x", "w", "b"], "c", Vec::new()), &[2u64, 2, 1, 1][..], [1.0, 2.0, 9.0, 12.0]),
            (Node::new("Gemm", &["x", "w", "b"], "c", transposed), &[2, 2], [1.0, 2.0, 9.0, 12.0]),
            (Node::new("Gemm", &["x", "w", "b"], "c", Vec::new()), &[2, 2], [1.0, 6.0, 3.0, 12.0]),
        ];
        for (product, dims, expected) in table {
            let mut model = model(product, dims, norm("c"));
            fold_norms(&mut model).unwrap();
            let [node] = &model.nodes[..] else { panic!("{:?}", model.nodes) };
            assert_eq!(node.output(), "y");
            let near = |name: usize, expected: &[f32]| {
                let found = model.floats(&node.inputs[name]).unwrap().unwrap();
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {expected:?}");
            };
            near(1, &expected);
            near(2, &[0.5, -3.0]);
        }
    }

    #[test]
    fn what_others_read_or_does_not_match_is_left() {
        let conv = || Node::new("Conv", &["x", "w", "b"], "c", Vec::new());
        let mut shared = model(conv(), &[2, 2, 1, 1], norm("c"));
        shared.outputs.push(ValueInfo::of_floats("c"));
        let table = [shared, model(conv(), &[4, 1, 1, 1], norm("c")), model(conv(), &[2, 2, 1, 1], norm("x"))];
        for mut model in table {
            fold_norms(&mut model).unwrap();
            assert_eq!(model.nodes.len(), 2);
        }
    }
}
