//! The observed range of an activation.

/// The lowest and the highest value of an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Lowest value that the activation had.
    pub low: f32,
    /// Highest value that the activation had.
    pub high: f32,
}

impl Range {
    /// Returns the range of `values`; `None` where there are none. Values that are not finite are ignored.
    pub fn from_values(values: &[f32]) -> Option<Self> {
        let finite = values.iter().copied().filter(|value| value.is_finite());
        finite.map(|value| Self { low: value, high: value }).reduce(Self::merge)
    }

    /// Returns the range that contains both.
    pub fn merge(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Returns the average of this range and the `next` one, which has `weight` (0 to 1). One unusual photo changes it
    /// less than it changes [`Range::merge`]. With a weight of `1 / n` for the `n`th photo, it is the mean of all.
    /// Source: Jacob et al. (2018), section 3.1.
    pub(crate) fn toward(self, next: Self, weight: f32) -> Self {
        let mix = |from: f32, to: f32| from + (to - from) * weight.clamp(0.0, 1.0);
        Self { low: mix(self.low, next.low), high: mix(self.high, next.high) }
    }

    /// Returns step and zero point of unsigned bytes: `value = step · (byte - zero)`. Zero is always one of the values,
    /// because padding needs it.
    pub fn unsigned(self) -> (f32, u8) {
        let (low, high) = (finite(self.low).min(0.0), finite(self.high).max(0.0));
        let step = step(f64::from(high) - f64::from(low), 255.0);
        (step, (-low / step).round().clamp(0.0, 255.0) as u8)
    }

    /// Returns the step of signed bytes around zero: `value = step · byte`, for bytes from -127 to 127.
    pub fn signed(self) -> f32 {
        step(f64::from(finite(self.low).abs().max(finite(self.high).abs())), 127.0)
    }
}

fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

/// Divides `width` into `steps` steps; 1 where there is no width to divide.
fn step(width: f64, steps: f64) -> f32 {
    let step = (width / steps) as f32;
    if step.is_normal() { step } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(low: f32, high: f32) -> Range {
        Range { low, high }
    }

    #[test]
    fn of_values() {
        assert_eq!(Range::from_values(&[]), None);
        assert_eq!(Range::from_values(&[f32::NAN]), None);
        assert_eq!(Range::from_values(&[3.0]), Some(range(3.0, 3.0)));
        assert_eq!(Range::from_values(&[1.0, -1e9, f32::NAN, f32::INFINITY, 1e9]), Some(range(-1e9, 1e9)));
    }

    #[test]
    fn merged_and_averaged() {
        let (a, b) = (range(-1.0, 2.0), range(-3.0, 1.0));
        assert_eq!(a.merge(b), range(-3.0, 2.0));
        assert_eq!(a.toward(b, 0.5), range(-2.0, 1.5));
        assert_eq!(a.toward(b, 7.0), b);
    }

    #[test]
    fn steps_of_bytes() {
        let table = [
            (range(0.0, 255.0), (1.0, 0)),
            (range(-255.0, 0.0), (1.0, 255)),
            (range(-1.0, 2.0), (3.0 / 255.0, 85)),
            (range(5.0, 510.0), (2.0, 0)),
            (range(0.0, 0.0), (1.0, 0)),
            (range(f32::NAN, f32::INFINITY), (1.0, 0)),
        ];
        for (range, expected) in table {
            assert_eq!(range.unsigned(), expected, "{range:?}");
        }
        assert_eq!((range(-127.0, 3.0).signed(), range(0.0, 0.0).signed()), (1.0, 1.0));
    }
}
