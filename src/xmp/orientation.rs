//! The eight EXIF orientations of points and boxes.

/// Width and height of an image in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

/// A box in pixels of the upright image, to which the EXIF orientation has been applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UprightBox {
    /// Left edge in pixels.
    pub x: f64,
    /// Top edge in pixels.
    pub y: f64,
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
}

/// The rotation and mirroring by which a stored image becomes upright: the value of EXIF's tag
/// 0x0112 (EXIF 2.32, section 4.6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation(u8);

impl Orientation {
    /// The orientation of an image that is stored upright.
    pub const UPRIGHT: Self = Self(1);

    /// Creates the orientation of an EXIF value. A value that EXIF does not define counts as
    /// upright, as in decoders.
    pub fn from_exif(value: u32) -> Self {
        u8::try_from(value).ok().filter(|value| (2..=8).contains(value)).map_or(Self::UPRIGHT, Self)
    }

    /// Returns the size of the stored image for that of the upright one. The reverse is the same
    /// function.
    pub fn stored_size(self, upright: Size) -> Size {
        if self.0 >= 5 { Size { width: upright.height, height: upright.width } } else { upright }
    }

    /// Converts a point of the upright image to the stored one; coordinates go from 0 to 1.
    pub(crate) fn stored_point(self, (x, y): (f64, f64)) -> (f64, f64) {
        match self.0 {
            2 => (1.0 - x, y),
            3 => (1.0 - x, 1.0 - y),
            4 => (x, 1.0 - y),
            5 => (y, x),
            6 => (y, 1.0 - x),
            7 => (1.0 - y, 1.0 - x),
            8 => (1.0 - y, x),
            _ => (x, y),
        }
    }

    /// Converts a point of the stored image to the upright one; coordinates go from 0 to 1.
    pub(crate) fn upright_point(self, point: (f64, f64)) -> (f64, f64) {
        // Quarter turns are each other's inverse; every other orientation is its own.
        let inverse = match self.0 {
            6 => Self(8),
            8 => Self(6),
            _ => self,
        };
        inverse.stored_point(point)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Region;

    /// A stored image of 400 × 200. Its face has its left edge at 40, its top at 20, and is 80 ×
    /// 60: centre (80, 50), so (.2, .25), and size (.2, .3).
    #[test]
    fn a_box_lies_where_each_orientation_puts_it() {
        // Computed by hand: 6 turns a quarter to the right, so the stored left edge is the upright
        // top and what was 200 - 20 - 60 = 120 from the bottom is 120 from the left.
        let table = [
            (1, (400, 200), (40.0, 20.0, 80.0, 60.0)),
            (2, (400, 200), (280.0, 20.0, 80.0, 60.0)),
            (3, (400, 200), (280.0, 120.0, 80.0, 60.0)),
            (4, (400, 200), (40.0, 120.0, 80.0, 60.0)),
            (5, (200, 400), (20.0, 40.0, 60.0, 80.0)),
            (6, (200, 400), (120.0, 40.0, 60.0, 80.0)),
            (7, (200, 400), (120.0, 280.0, 60.0, 80.0)),
            (8, (200, 400), (20.0, 280.0, 60.0, 80.0)),
        ];
        for (value, (width, height), (x, y, box_width, box_height)) in table {
            let orientation = Orientation::from_exif(value);
            let upright = Size { width, height };
            assert_eq!(orientation.stored_size(upright), Size { width: 400, height: 200 }, "orientation {value}");
            let expected = UprightBox { x, y, width: box_width, height: box_height };
            let region = Region::from_upright("Anna", expected, upright, orientation).unwrap();
            for (got, right) in [(region.x, 0.2), (region.y, 0.25), (region.w, 0.2), (region.h, 0.3)] {
                assert!((got - right).abs() < 1e-12, "orientation {value}: {region:?}");
            }
            let back = region.to_upright(upright, orientation);
            for (got, right) in [(back.x, x), (back.y, y), (back.width, box_width), (back.height, box_height)] {
                assert!((got - right).abs() < 1e-9, "orientation {value}: {back:?}");
            }
        }
    }

    /// The same photo in four orientations, each with its regions, made with ExifTool by
    /// <https://github.com/skatsubo/exif-orientation-vs-face-regions> to test other programs.
    #[test]
    fn the_regions_of_one_photo_stored_in_four_ways_are_one_upright() {
        let photos = [
            (1, [(0.37, 0.31, 0.11, 0.20), (0.69, 0.24, 0.10, 0.24)]),
            (3, [(0.63, 0.69, 0.11, 0.20), (0.31, 0.76, 0.10, 0.24)]),
            (6, [(0.31, 0.63, 0.20, 0.11), (0.24, 0.31, 0.24, 0.10)]),
            (8, [(0.69, 0.37, 0.20, 0.11), (0.76, 0.69, 0.24, 0.10)]),
        ];
        let size = Size { width: 840, height: 700 };
        let upright = |orientation, (x, y, w, h)| {
            let region = Region { name: None, x, y, w, h, kind: crate::RegionKind::Face };
            region.to_upright(size, Orientation::from_exif(orientation))
        };
        for (orientation, regions) in photos {
            for (region, first) in regions.into_iter().zip(photos[0].1) {
                let (found, expected) = (upright(orientation, region), upright(1, first));
                assert!((found.x - expected.x).abs() < 1e-9 && (found.y - expected.y).abs() < 1e-9, "{orientation}");
                assert!((found.width - expected.width).abs() < 1e-9, "{orientation}: {found:?}");
                assert!((found.height - expected.height).abs() < 1e-9, "{orientation}: {found:?}");
            }
        }
    }

    #[test]
    fn values_that_exif_does_not_define_change_nothing() {
        for value in [0, 1, 9, 255, 256 + 6, u32::MAX] {
            assert_eq!(Orientation::from_exif(value), Orientation::UPRIGHT, "{value}");
        }
    }

    #[test]
    fn a_box_beside_the_image_is_no_region_and_one_over_its_edge_is_cut() {
        let size = Size { width: 100, height: 100 };
        let region = |x, width| {
            let upright = UprightBox { x, y: 10.0, width, height: 10.0 };
            Region::from_upright("Anna", upright, size, Orientation::UPRIGHT)
        };
        assert_eq!(region(-30.0, 20.0), None);
        assert_eq!(region(f64::NAN, 20.0), None);
        assert_eq!(region(10.0, f64::INFINITY), None);
        assert_eq!(region(10.0, 0.0), None);
        let cut = region(-10.0, 30.0).unwrap();
        assert_eq!((cut.x, cut.w), (0.1, 0.2));
        let nowhere = UprightBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        let empty = Size { width: 0, height: 100 };
        assert_eq!(Region::from_upright("Anna", nowhere, empty, Orientation::UPRIGHT), None);
    }

    proptest! {
        #[test]
        fn boxes_come_back_from_the_stored_image(
            value in 1u32..=8, width in 1u32..20_000, height in 1u32..20_000,
            left in 0.0..0.99f64, top in 0.0..0.99f64, right in 0.0..1.0f64, bottom in 0.0..1.0f64,
        ) {
            let (columns, rows) = (f64::from(width), f64::from(height));
            let upright = UprightBox {
                x: left * columns,
                y: top * rows,
                width: (0.001 + right * (0.999 - left)) * columns,
                height: (0.001 + bottom * (0.999 - top)) * rows,
            };
            let (size, orientation) = (Size { width, height }, Orientation::from_exif(value));
            let region = Region::from_upright("Anna", upright, size, orientation).unwrap();
            let back = region.to_upright(size, orientation);
            prop_assert!((back.x - upright.x).abs() < 1e-6 * columns);
            prop_assert!((back.y - upright.y).abs() < 1e-6 * rows);
            prop_assert!((back.width - upright.width).abs() < 1e-6 * columns);
            prop_assert!((back.height - upright.height).abs() < 1e-6 * rows);
            prop_assert_eq!(orientation.stored_size(orientation.stored_size(size)), size);
        }
    }
}
