//! Converts pixels into a model's input.

use muster_actors::domain::image::Pixels;

use super::manifest::{Channels, Normalisation};

/// Appends the pixels as three planes (channels x height x width, row-major): `(x - mean) / std` of each byte.
pub fn planes(pixels: &Pixels, how: Normalisation, out: &mut Vec<f32>) {
    let (rgb, _) = pixels.data.as_chunks::<3>();
    let start = out.len();
    out.resize(start + rgb.len() * 3, 0.0);
    let (first, rest) = out[start..].split_at_mut(rgb.len());
    let (green, last) = rest.split_at_mut(rgb.len());
    let (red, blue) = match how.channels {
        Channels::Rgb => (first, last),
        Channels::Bgr => (last, first),
    };
    let value = |byte: u8| (f32::from(byte) - how.mean) / how.std;
    for (((pixel, red), green), blue) in rgb.iter().zip(red).zip(green).zip(blue) {
        *red = value(pixel[0]);
        *green = value(pixel[1]);
        *blue = value(pixel[2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_follow_the_order_and_the_normalisation() {
        let pixels = Pixels { width: 2, height: 1, data: vec![0, 100, 255, 10, 110, 245] };
        let mut out = vec![9.0];
        planes(&pixels, Normalisation { channels: Channels::Rgb, mean: 0.0, std: 1.0 }, &mut out);
        assert_eq!(out, [9.0, 0.0, 10.0, 100.0, 110.0, 255.0, 245.0]);
        out.clear();
        planes(&pixels, Normalisation { channels: Channels::Bgr, mean: 127.5, std: 127.5 }, &mut out);
        assert_eq!([out[0], out[4]], [1.0, -1.0]);
    }
}
