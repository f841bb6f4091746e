//! Random numbers of several distributions, which are the same for a seed on every machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A seeded source of random numbers.
pub(super) struct RandomSource(ChaCha8Rng);

impl RandomSource {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Draws a uniform number between 0 and 1, both excluded.
    fn unit(&mut self) -> f32 {
        (self.0.random::<u32>() as f32 + 0.5) / (u32::MAX as f32 + 1.0)
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    pub(super) fn chance(&mut self, share: f32) -> bool {
        self.unit() < share
    }

    /// Draws numbers of the standard normal distribution (Box & Muller 1958).
    pub(super) fn normal(&mut self, count: usize) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(count + 1);
        while numbers.len() < count {
            let (radius, angle) = ((-2.0 * self.unit().ln()).sqrt(), std::f32::consts::TAU * self.unit());
            numbers.extend([radius * angle.cos(), radius * angle.sin()]);
        }
        numbers.truncate(count);
        numbers
    }

    /// Draws a number of the beta distribution (Jöhnk 1964).
    pub(super) fn beta(&mut self, [a, b]: [f32; 2]) -> f32 {
        loop {
            let (x, y) = (self.unit().powf(1.0 / a), self.unit().powf(1.0 / b));
            if (f32::MIN_POSITIVE..=1.0).contains(&(x + y)) {
                return x / (x + y);
            }
        }
    }

    /// Draws a number of the Poisson distribution (Knuth).
    #[cfg(test)]
    pub(super) fn poisson(&mut self, mean: f32) -> usize {
        let (least, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > least {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// Draws the number of a person's faces by Zipf's law: half of all people have fewer than four,
    /// and a few have `most`.
    pub(super) fn zipf(&mut self, most: usize) -> usize {
        ((2.0 / self.unit()) as usize).clamp(2, most)
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f32]) -> (f32, f32) {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let square = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>();
        (mean, square / values.len() as f32)
    }

    #[test]
    fn distributions_have_their_means_and_variances() {
        let mut random = RandomSource::new(7);
        let near = |(mean, variance): (f32, f32), expected: (f32, f32)| {
            assert!((mean - expected.0).abs() < 0.03 && (variance - expected.1).abs() < 0.03, "{mean} {variance}");
        };
        near(moments(&random.normal(20_000)), (0.0, 1.0));
        let beta: Vec<f32> = (0..20_000).map(|_| random.beta([3.0, 0.5])).collect();
        near(moments(&beta), (3.0 / 3.5, 1.5 / (3.5 * 3.5 * 4.5)));
        let poisson: Vec<f32> = (0..20_000).map(|_| random.poisson(0.9) as f32).collect();
        near(moments(&poisson), (0.9, 0.9));
        let mut sizes: Vec<usize> = (0..1001).map(|_| random.zipf(200)).collect();
        sizes.sort_unstable();
        assert_eq!((sizes[0], sizes[1000]), (2, 200));
        assert!((3..=4).contains(&sizes[500]), "{}", sizes[500]);
    }
}
