//! The regions of a photo that may have a name.

use crate::name::clean_name;
use crate::{Orientation, Size, UprightBox};

/// The kind of thing that a region shows, by the types of the Metadata Working Group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// A person's face. Regions without a type count as faces.
    Face,
    /// An animal.
    Pet,
    /// The point on which the camera focused.
    Focus,
    /// A bar code.
    BarCode,
    /// A type that the guidelines do not name.
    Other,
}

/// A rectangle of a photo, relative to the stored image before the EXIF orientation is applied: x
/// goes from 0 at the left to 1 at the right, y from 0 at the top to 1 at the bottom.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The name, where the region has one.
    pub name: Option<String>,
    /// Horizontal middle, from the left.
    pub x: f64,
    /// Vertical middle, from the top.
    pub y: f64,
    /// Width as a share of the image's width.
    pub w: f64,
    /// Height as a share of the image's height.
    pub h: f64,
    /// Kind of thing that it shows.
    pub kind: RegionKind,
}

impl Region {
    /// Creates the region of a face from its box in the upright image of size `upright`. The box is
    /// cut at the edges of the image; `None` where nothing of it is left, or a number is not
    /// finite.
    pub fn from_upright(name: &str, face: UprightBox, upright: Size, orientation: Orientation) -> Option<Self> {
        let (columns, rows) = (f64::from(upright.width), f64::from(upright.height));
        let first = (face.x / columns, face.y / rows);
        let last = ((face.x + face.width) / columns, (face.y + face.height) / rows);
        if !(face.width > 0.0 && face.height > 0.0) {
            return None;
        }
        Self::between(clean_name(name), orientation.stored_point(first), orientation.stored_point(last))
    }

    /// Returns the box of the region in the upright image of size `upright`, in pixels.
    pub fn to_upright(&self, upright: Size, orientation: Orientation) -> UprightBox {
        let first = orientation.upright_point((self.left(), self.top()));
        let last = orientation.upright_point((self.left() + self.w, self.top() + self.h));
        let (columns, rows) = (f64::from(upright.width), f64::from(upright.height));
        UprightBox {
            x: first.0.min(last.0) * columns,
            y: first.1.min(last.1) * rows,
            width: (first.0 - last.0).abs() * columns,
            height: (first.1 - last.1).abs() * rows,
        }
    }

    /// Returns the intersection over union of the two regions, 0 to 1.
    pub fn overlap(&self, other: &Self) -> f64 {
        let side = |start: f64, length: f64, other_start: f64, other_length: f64| {
            ((start + length).min(other_start + other_length) - start.max(other_start)).max(0.0)
        };
        let shared = side(self.left(), self.w, other.left(), other.w) * side(self.top(), self.h, other.top(), other.h);
        let all = self.w * self.h + other.w * other.h - shared;
        if all > 0.0 { shared / all } else { 0.0 }
    }

    /// Creates a face region from two opposite corners, cut at the edges of the image.
    pub(crate) fn between(name: Option<String>, first: (f64, f64), last: (f64, f64)) -> Option<Self> {
        if ![first.0, first.1, last.0, last.1].iter().all(|edge| edge.is_finite()) {
            return None;
        }
        let (left, right) = (first.0.min(last.0).max(0.0), first.0.max(last.0).min(1.0));
        let (top, bottom) = (first.1.min(last.1).max(0.0), first.1.max(last.1).min(1.0));
        let (w, h) = (right - left, bottom - top);
        (w > 0.0 && h > 0.0).then(|| Self { name, x: left + w / 2.0, y: top + h / 2.0, w, h, kind: RegionKind::Face })
    }

    /// Returns whether both are the same face: they have the same name and mostly the same place.
    pub(crate) fn is_same_face(&self, other: &Self) -> bool {
        self.name == other.name && self.overlap(other) > SAME_PLACE
    }

    /// Returns the left edge.
    pub(crate) fn left(&self) -> f64 {
        self.x - self.w / 2.0
    }

    /// Returns the top edge.
    pub(crate) fn top(&self) -> f64 {
        self.y - self.h / 2.0
    }
}

/// Overlap above which two regions count as being at the same place.
pub(crate) const SAME_PLACE: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_the_shared_area_in_all_of_it() {
        let square = |left: f64, right: f64| Region::between(None, (left, 0.0), (right, 0.5)).unwrap();
        assert_eq!(square(0.0, 0.5).overlap(&square(0.5, 1.0)), 0.0);
        assert!((square(0.0, 0.5).overlap(&square(0.25, 0.75)) - 1.0 / 3.0).abs() < 1e-12);
        assert!((square(0.25, 0.5).overlap(&square(0.25, 0.5)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn corners_may_come_in_any_order() {
        let expected = Region::between(None, (0.1, 0.2), (0.5, 0.4));
        assert_eq!(Region::between(None, (0.5, 0.4), (0.1, 0.2)), expected);
        assert_eq!(Region::between(None, (0.1, 0.4), (0.5, 0.2)), expected);
    }
}
