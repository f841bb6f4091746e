//! An image: where it is, what it is called, how it ended.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::capture::{PictureHash, Taken};
use crate::domain::gallery::GalleryId;

/// Where an image lives: a gallery's object in a bucket (fleet) or under a root folder (local).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Locator {
    /// The gallery the image belongs to; faces are grouped within one gallery.
    pub gallery: GalleryId,
    /// Bucket name, or the name of a root folder.
    pub bucket: String,
    /// Object key, or the path under the root folder.
    pub key: String,
}

impl Locator {
    /// The id of this image: 128 bits of BLAKE3 over gallery, bucket and key, each length-prefixed.
    pub fn id(&self) -> ImageId {
        ImageId(digest("image", &[self.gallery.0.as_bytes(), self.bucket.as_bytes(), self.key.as_bytes()]))
    }
}

/// 128 bits of BLAKE3 over length-prefixed parts, in a namespace.
pub fn digest(namespace: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(&namespace.as_bytes()).chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    id
}

/// What was wrong with the text of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hexadecimal digits, not {0:?}")]
pub struct IdError(pub String);

/// Declares a 128-bit id shown as 32 hexadecimal digits.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
        impl FromStr for $name {
            type Err = $crate::domain::image::IdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let fault = || $crate::domain::image::IdError(text.chars().take(64).collect());
                // A sign is not a hexadecimal digit, whatever Rust's parser says.
                if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return Err(fault());
                }
                let mut id = [0; 16];
                for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
                    let pair = std::str::from_utf8(pair).map_err(|_| fault())?;
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| fault())?;
                }
                Ok(Self(id))
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use hex_id;

hex_id! {
    /// Deterministic id of an image; see [`Locator::id`].
    ImageId
}

/// The one state an image ends in. fetched = the sum of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// Faces were found and stored.
    Indexed,
    /// Decoded, and no face found.
    NoFaces,
    /// Judged too poor by the prefilter; never downloaded in full.
    LowQuality,
    /// Cannot be processed; the reason is kept.
    Rejected,
}

/// Why an image was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectReason {
    /// The message could not be parsed.
    BadMessage,
    /// The object is not there.
    Missing,
    /// No permission to read the object.
    Unreadable,
    /// No bytes at all.
    Empty,
    /// Not a format muster decodes.
    UnknownFormat,
    /// The bytes end before the image does.
    Truncated,
    /// The bytes are not a valid image of their format.
    Corrupt,
    /// More bytes than the limit.
    TooManyBytes,
    /// More pixels than the limit (a pixel bomb).
    TooManyPixels,
    /// The decoder for this format is not installed.
    DecoderMissing,
    /// The decoder died of it, or did not come to an end.
    Crashed,
    /// Made an engine fail on its own, repeatedly.
    Isolated,
    /// Received too often without an end.
    TooManyAttempts,
    /// It was deleted from the bucket. No letter: what was known of it is gone, and its record says so.
    Removed,
    /// Somebody asked that nothing be known of it.
    Forgotten,
}

impl RejectReason {
    /// The reason as it appears in results: `TOO_MANY_PIXELS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadMessage => "BAD_MESSAGE",
            Self::Missing => "MISSING",
            Self::Unreadable => "UNREADABLE",
            Self::Empty => "EMPTY",
            Self::UnknownFormat => "UNKNOWN_FORMAT",
            Self::Truncated => "TRUNCATED",
            Self::Corrupt => "CORRUPT",
            Self::TooManyBytes => "TOO_MANY_BYTES",
            Self::TooManyPixels => "TOO_MANY_PIXELS",
            Self::DecoderMissing => "DECODER_MISSING",
            Self::Crashed => "CRASHED",
            Self::Isolated => "ISOLATED",
            Self::TooManyAttempts => "TOO_MANY_ATTEMPTS",
            Self::Removed => "REMOVED",
            Self::Forgotten => "FORGOTTEN",
        }
    }

    /// Whether the rejection tells how reading or judging the picture went, and nothing of the picture: then what an
    /// earlier run found in it holds on.
    pub fn says_nothing_of_the_picture(self) -> bool {
        match self {
            // A policy, a key or an archive: whoever could read it before read this picture.
            Self::Unreadable
            // A message may name a bucket or key that is not there yet, or not any more; that a photo was deleted is for the
            // event of its deletion to say.
            | Self::Missing
            // This machine's fault.
            | Self::DecoderMissing
            // A decoder, a device or a worker came to grief: it need not be of this picture.
            | Self::Crashed
            | Self::Isolated
            | Self::TooManyAttempts
            // There is no picture.
            | Self::BadMessage => true,
            // Its bytes were looked at, and these are what is there now.
            Self::Empty
            | Self::UnknownFormat
            | Self::Truncated
            | Self::Corrupt
            | Self::TooManyBytes
            | Self::TooManyPixels
            // Nothing is there, or may be known of it.
            | Self::Removed
            | Self::Forgotten => false,
        }
    }
}

/// A rejection: the reason, and one sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {detail}", reason.as_str())]
pub struct Rejection {
    /// The class of fault.
    pub reason: RejectReason,
    /// What exactly was wrong. Holds no bytes of the image.
    pub detail: String,
}

impl Rejection {
    /// A rejection with its reason and detail.
    pub fn new(reason: RejectReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Packed RGB8 pixels, row-major, `width * height * 3` bytes, no padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes, R G B.
    pub data: Vec<u8>,
}

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pixels({}x{})", self.width, self.height)
    }
}

/// An image decoded as far as the detector needs, upright, with its source kept for a larger decode.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Upright pixels, at the smallest scale that covers the detector's input.
    pub pixels: Pixels,
    /// Pixels of `pixels` per pixel of the full image along a side: 1, 1/2, 1/4 or 1/8. Not the quotient of the sizes, which
    /// are rounded up.
    pub scale: f32,
    /// Full upright width in pixels.
    pub width: u32,
    /// Full upright height in pixels.
    pub height: u32,
    /// EXIF orientation, 1 to 8, already applied to `pixels`.
    pub orientation: u8,
    /// When it was taken, where the file says so.
    pub taken: Option<Taken>,
    /// What `pixels` look like as a whole; `None` of a picture without structure.
    pub picture: Option<PictureHash>,
    /// The encoded image, for a larger decode of faces that need one.
    pub source: Bytes,
}

impl Frame {
    /// Bytes this frame keeps in memory: what a credit counts.
    pub fn bytes(&self) -> usize {
        self.pixels.data.len() + self.source.len()
    }
}

/// What is stored of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// See [`Locator::id`].
    pub id: ImageId,
    /// Where it is.
    pub locator: Locator,
    /// Version of the bytes: S3 etag, or size and mtime of a local file.
    pub etag: String,
    /// Encoded size in bytes.
    pub bytes: u64,
    /// Full upright width in pixels; 0 when never decoded.
    pub width: u32,
    /// Full upright height in pixels; 0 when never decoded.
    pub height: u32,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// When it was taken, where the file itself says so: what its name says is read from the key.
    #[serde(default)]
    pub taken: Option<Taken>,
    /// What the picture looks like as a whole; `None` when never decoded, or without structure.
    #[serde(default)]
    pub picture: Option<PictureHash>,
    /// How it ended.
    pub state: ImageState,
    /// Why, when rejected.
    pub rejection: Option<Rejection>,
    /// Prefilter's score, 0 to 1, where it judged.
    pub quality: Option<f32>,
    /// Number of faces stored with it.
    pub face_count: u32,
    /// Id of the model pack, with its version.
    pub model: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_a_sign_is_no_digit() {
        let id = ImageId(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "00", &"+1".repeat(16), &"g0".repeat(16), &"é".repeat(16)] {
            assert!(text.parse::<ImageId>().is_err(), "{text}");
        }
    }
}
