//! Quantises the weights of a Conv, Gemm or MatMul to bytes, with a step for each output channel.

/// Weights and bias as whole numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelQuantization {
    /// Step of each channel; a weight is the step times the byte.
    pub steps: Vec<f32>,
    /// Weights as signed bytes, in their old order.
    pub bytes: Vec<u8>,
    /// Bias with one number for each channel, in steps of activation times weight.
    pub bias: Option<Vec<i32>>,
}

impl ChannelQuantization {
    /// Quantises `weights` of shape `dims`, whose output channels are along `axis`, to bytes from `-most` to `most`. A
    /// `bias` with one number for each channel is quantised with them; `input` is the step of the activation.
    pub fn from_weights(
        weights: &[f32],
        dims: &[u64],
        axis: usize,
        bias: Option<&[f32]>,
        input: f32,
        most: f32,
    ) -> Self {
        // When a shape has no elements, its other lengths can have any value.
        let (stride, count) = match dims.get(axis) {
            Some(count) if !weights.is_empty() => (dims[axis + 1..].iter().product::<u64>() as usize, *count as usize),
            _ => (1, 0),
        };
        let channel = |position: usize| position / stride % count;
        let mut largest = vec![0.0f32; count];
        for (position, weight) in weights.iter().enumerate() {
            largest[channel(position)] = largest[channel(position)].max(weight.abs());
        }
        let bias = bias.filter(|bias| bias.len() == count);
        let of = |(at, largest): (usize, &f32)| step(*largest / most, bias.map_or(0.0, |bias| bias[at]), input);
        let steps: Vec<f32> = largest.iter().enumerate().map(of).collect();
        let byte = |(position, weight): (usize, &f32)| {
            (weight / steps[channel(position)]).round_ties_even().clamp(-most, most) as i8 as u8
        };
        let bytes = weights.iter().enumerate().map(byte).collect();
        let whole = |(bias, step): (&f32, &f32)| (f64::from(*bias) / f64::from(*step * input)).round() as i32;
        let bias = bias.map(|bias| bias.iter().zip(&steps).map(whole).collect());
        Self { steps, bytes, bias }
    }
}

/// Returns the step of a channel, which is at least `wanted`. It is large enough that the channel's `bias`, with
/// activations of step `input`, fits into half of int32; the products of activations and weights are added to the bias.
fn step(wanted: f32, bias: f32, input: f32) -> f32 {
    let least = f64::from(bias.abs()) / f64::from(input) / f64::from(1 << 30);
    let step = f64::from(wanted).max(least) as f32;
    if step.is_normal() && (step * input).is_normal() { step } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_step() {
        // [[126, 1], [-252, 10]]: the largest are 126 and 252 along the first axis, 252 and 10 along the second.
        let table: [(usize, f32, [f32; 2], [i8; 4]); 3] = [
            (0, 126.0, [1.0, 2.0], [126, 1, -126, 5]),
            (0, 63.0, [2.0, 4.0], [63, 0, -63, 2]),
            (1, 126.0, [2.0, 10.0 / 126.0], [63, 13, -126, 126]),
        ];
        for (axis, most, steps, bytes) in table {
            let found = ChannelQuantization::from_weights(&[126.0, 1.0, -252.0, 10.0], &[2, 2], axis, None, 1.0, most);
            let bytes = bytes.iter().map(|byte| *byte as u8).collect();
            assert_eq!(found, ChannelQuantization { steps: steps.to_vec(), bytes, bias: None }, "{axis}");
        }
    }

    #[test]
    fn a_bias_counts_in_steps_of_both() {
        let found = ChannelQuantization::from_weights(&[127.0, 254.0], &[2, 1], 0, Some(&[10.0, -10.0]), 0.5, 127.0);
        assert_eq!(found.bias, Some(vec![20, -10]));
        // A channel of nothing, and one whose bias would not fit into int32.
        let found = ChannelQuantization::from_weights(&[0.0, 1e-20], &[2, 1], 0, Some(&[3.0, 1e6]), 1.0, 127.0);
        assert_eq!(found.bias, Some(vec![1 << 30, 1 << 30]));
        assert_eq!(found.bytes, [0, 0]);
        assert_eq!(ChannelQuantization::from_weights(&[1.0], &[1, 1], 0, Some(&[1.0, 2.0]), 1.0, 127.0).bias, None);
    }

    #[test]
    fn what_is_not_finite_and_what_is_empty() {
        let empty = ChannelQuantization { steps: Vec::new(), bytes: Vec::new(), bias: None };
        assert_eq!(ChannelQuantization::from_weights(&[], &[0, u64::MAX, u64::MAX], 0, None, 1.0, 127.0), empty);
        let found = ChannelQuantization::from_weights(
            &[f32::NAN, f32::INFINITY],
            &[2, 1],
            0,
            Some(&[f32::NAN, 0.0]),
            1.0,
            127.0,
        );
        assert_eq!(found.bytes, [0, 127]);
    }
}
