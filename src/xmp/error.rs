//! The errors of reading names from a file or writing them to it.

use crate::container::ImageFormat;
use crate::limits::{MAX_NAME_CHARS, MAX_PACKET_BYTES, MAX_REGIONS};

/// The reason why names cannot be read from a file or written to it. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmpError {
    /// The sidecar or the packet is larger than the limit.
    #[error("the XMP has {0} bytes, and muster reads at most {MAX_PACKET_BYTES}")]
    TooLarge(usize),
    /// The photo has more regions or names than the limit.
    #[error("the photo has {0} regions or names, and muster takes at most {MAX_REGIONS}")]
    TooManyRegions(usize),
    /// The text is in another encoding than UTF-8.
    #[error("the XMP is not in UTF-8; save it again in UTF-8")]
    NotUtf8,
    /// The text is not well-formed XML.
    #[error("the XMP is not well-formed XML at byte {at}: {reason}")]
    Malformed {
        /// Place in the text where that was noticed, in bytes.
        at: usize,
        /// Description of the fault.
        reason: String,
    },
    /// The text has a document type, which could define entities.
    #[error("the XMP has a document type declaration, which muster does not read")]
    DocumentType,
    /// The text refers to an entity that XML itself does not define, at this place in bytes.
    #[error("the XMP refers to an entity that is not defined, at byte {0}")]
    Entity(usize),
    /// The text has more or deeper elements, attributes or declarations than any real photo needs.
    #[error("the XMP has {0} than muster reads")]
    TooComplex(&'static str),
    /// The text is XML without an `rdf:RDF` element.
    #[error("the file is XML, but has no rdf:RDF element, so it is not XMP")]
    NoRdf,
    /// A property is written in a form to which muster cannot add.
    #[error("{0} is written in a form that muster cannot add names to; another program has to rewrite it")]
    Layout(&'static str),
    /// Another program's regions are for another crop of the photo.
    #[error(
        "another program's regions are for an image of {}x{} and the photo has {}x{}; remove them first, or \
         write them again with the program that made them",
        .theirs.0, .theirs.1, .ours.0, .ours.1
    )]
    OtherDimensions {
        /// Width and height that the regions were written for.
        theirs: (u32, u32),
        /// Width and height of the stored image.
        ours: (u32, u32),
    },
    /// A name has no visible character.
    #[error("a name to write has no visible character")]
    EmptyName,
    /// A name is longer than the limit.
    #[error("a name to write has {0} characters, and muster writes at most {MAX_NAME_CHARS}")]
    NameTooLong(usize),
    /// A region has no area within the image, or the image has no size.
    #[error("a region to write has no area within the image")]
    NoArea,
    /// The bytes are no image of a format in which muster finds XMP.
    #[error("the file is no JPEG, PNG, WebP or HEIC image")]
    UnknownFormat,
    /// The image's segments, chunks or boxes are damaged.
    #[error("the {format} file is damaged: {reason}")]
    DamagedImage {
        /// Format of the image.
        format: ImageFormat,
        /// Description of the fault.
        reason: &'static str,
    },
    /// Names cannot be written into this format of image, or into this image.
    #[error("names cannot be written into this {format} file: {reason}; write a sidecar instead")]
    CannotEmbed {
        /// Format of the image.
        format: ImageFormat,
        /// Reason why not.
        reason: &'static str,
    },
}
