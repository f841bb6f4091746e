//! Where a face is, in a way that outlives paths and models: its photo by what it shows, and its box there.

use serde::{Deserialize, Serialize};

use crate::domain::capture::{PictureHash, Taken, is_one_picture};
use crate::domain::face::BBox;

/// Two boxes that share less of their union are not one face. Boxes of two detectors on one face share more than
/// half; those of two people who stand side by side share a fifth at most.
const LEAST_OVERLAP: f32 = 0.4;
/// The aspect ratios of two copies of a picture, one of them slightly cropped, differ by no more.
const MOST_STRETCH: f32 = 0.03;

/// The place of a face: a photo by its content, and a box in it. Holds nothing of the face itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FacePlace {
    /// BLAKE3 of the photo's file, where it was read.
    #[serde(with = "hex", default, skip_serializing_if = "Option::is_none")]
    pub content: Option<[u8; 32]>,
    /// What the photo looks like as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureHash>,
    /// When it was taken, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
    /// Width of the upright photo in pixels.
    pub width: u32,
    /// Height of the upright photo in pixels.
    pub height: u32,
    /// The box in pixels of the upright photo.
    #[serde(rename = "box")]
    pub bbox: BBox,
}

impl FacePlace {
    /// Whether both are one place of one photo: the same bytes, or the same picture in another size or encoding or with
    /// its edges cropped a little, and boxes that overlap.
    pub fn is_same(&self, other: &Self) -> bool {
        if self.width == 0 || self.height == 0 || other.width == 0 || other.height == 0 {
            return false;
        }
        let same_bytes = self.content.is_some() && self.content == other.content;
        let same_picture = || {
            let pictures = self.picture.zip(other.picture);
            let aspect = |place: &Self| place.width as f32 / place.height as f32;
            pictures.is_some_and(|(a, b)| is_one_picture((a, self.taken), (b, other.taken)))
                && (aspect(self) / aspect(other) - 1.0).abs() <= MOST_STRETCH
        };
        (same_bytes || same_picture()) && self.relative().overlap(&other.relative()) >= LEAST_OVERLAP
    }

    /// How much of the union of both boxes is in both, in parts of their photos: 0 to 1.
    pub fn overlap(&self, other: &Self) -> f32 {
        self.relative().overlap(&other.relative())
    }

    /// Returns the box in pixels of the same photo at another size.
    pub fn scaled_to(&self, width: u32, height: u32) -> BBox {
        let BBox { x, y, width: w, height: h } = self.relative();
        let (columns, rows) = (width as f32, height as f32);
        BBox { x: x * columns, y: y * rows, width: w * columns, height: h * rows }
    }

    /// The box in parts of the photo's sides.
    fn relative(&self) -> BBox {
        let (width, height) = (self.width.max(1) as f32, self.height.max(1) as f32);
        let BBox { x, y, width: w, height: h } = self.bbox;
        BBox { x: x / width, y: y / height, width: w / width, height: h / height }
    }
}

/// A digest as hexadecimal digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub fn serialize<S: Serializer>(digest: &Option<[u8; 32]>, s: S) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => s.collect_str(&blake3::Hash::from_bytes(*digest).to_hex()),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<[u8; 32]>, D::Error> {
        let text = Option::<std::borrow::Cow<'de, str>>::deserialize(d)?;
        let digest = text.map(|text| blake3::Hash::from_hex(text.as_bytes()).map(|hash| *hash.as_bytes()));
        digest.transpose().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(content: u8, picture: u64, size: (u32, u32), bbox: [f32; 4]) -> FacePlace {
        let [x, y, width, height] = bbox;
        FacePlace {
            content: Some([content; 32]),
            picture: Some(PictureHash(picture)),
            taken: None,
            width: size.0,
            height: size.1,
            bbox: BBox { x, y, width, height },
        }
    }

    #[test]
    fn a_face_is_known_again_by_its_photo_and_its_place_there() {
        let face = place(1, 0xff00, (1000, 800), [100.0, 100.0, 200.0, 200.0]);
        for (what, other, expected) in [
            ("another path", place(1, 0xff00, (1000, 800), [100.0, 100.0, 200.0, 200.0]), true),
            ("another detector", place(1, 0xff00, (1000, 800), [110.0, 80.0, 190.0, 240.0]), true),
            ("re-encoded at half the size", place(2, 0xff01, (500, 400), [50.0, 50.0, 100.0, 100.0]), true),
            ("3 pixels cropped", place(2, 0xff00, (997, 797), [97.0, 97.0, 200.0, 200.0]), true),
            ("the neighbour", place(1, 0xff00, (1000, 800), [320.0, 100.0, 200.0, 200.0]), false),
            ("another photo", place(2, 0x00ff, (1000, 800), [100.0, 100.0, 200.0, 200.0]), false),
            ("half of the picture", place(2, 0xff00, (500, 800), [100.0, 100.0, 200.0, 200.0]), false),
            ("a photo of no size", place(1, 0xff00, (0, 0), [100.0, 100.0, 200.0, 200.0]), false),
        ] {
            assert_eq!((face.is_same(&other), other.is_same(&face)), (expected, expected), "{what}");
        }
    }

    #[test]
    fn a_box_keeps_its_place_at_another_size() {
        let face = place(1, 1, (1000, 800), [100.0, 200.0, 50.0, 40.0]);
        assert_eq!(face.scaled_to(500, 400), BBox { x: 50.0, y: 100.0, width: 25.0, height: 20.0 });
    }

    #[test]
    fn a_place_is_written_and_read_back() {
        let face = place(7, 1, (10, 20), [0.5, 1.0, 2.0, 3.0]);
        for place in [face, FacePlace { content: None, picture: None, ..face }] {
            let text = serde_json::to_string(&place).expect("plain data");
            assert_eq!(serde_json::from_str::<FacePlace>(&text).expect("its own text"), place);
        }
    }
}
