//! What packs look like: parts one behind the other, and how they are blanked. Pure.

use bytes::{Bytes, BytesMut};
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageId;
use muster_stores::mongo::{PackEntry, PackKind};

/// Bytes of a pack at most, but for one that holds a single part.
pub(super) const PACK_BYTES: usize = 8 << 20;
/// Where packs lie in the bucket of groups.
const PACKS: &str = "packs/";

/// A crop or a result that goes into a pack.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// The image's gallery.
    pub gallery: GalleryId,
    /// The image.
    pub image: ImageId,
    /// The face that it shows, or all that it tells of, and where in the image they are.
    pub faces: Vec<(FaceId, BBox)>,
    /// The JPEG file, or the JSON text without an end of line.
    pub bytes: Bytes,
}

impl Part {
    /// Names what it is, whose, and its bytes.
    pub(super) fn digest(&self, kind: PackKind) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let faces: Vec<[u8; 16]> = self.faces.iter().map(|(face, _)| face.0).collect();
        for part in [kind.as_str().as_bytes(), &self.image.0, faces.as_flattened(), &self.bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

/// An object that holds parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pack {
    /// Its key.
    pub key: String,
    /// What is in it, in order: entry `n` is part `n`.
    pub entries: Vec<PackEntry>,
    /// Its bytes.
    pub bytes: Bytes,
}

/// How parts of a kind end: the lines of results, and nothing behind a crop.
fn end(kind: PackKind) -> &'static [u8] {
    match kind {
        PackKind::Crops => b"",
        PackKind::Results => b"\n",
    }
}

/// A pack of these parts under a key with this id.
pub(super) fn pack(kind: PackKind, parts: &[Part], id: [u8; 16]) -> Pack {
    let (mut bytes, mut entries) = (BytesMut::new(), Vec::with_capacity(parts.len()));
    for part in parts {
        let (offset, length) = (bytes.len() as u64, part.bytes.len() as u64);
        let (gallery, image, faces) = (part.gallery.clone(), part.image, part.faces.clone());
        entries.push(PackEntry { gallery, image, faces, offset, length });
        bytes.extend_from_slice(&part.bytes);
        bytes.extend_from_slice(end(kind));
    }
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    Pack { key: format!("{PACKS}{}/{id}", kind.as_str()), entries, bytes: bytes.freeze() }
}

/// Names what a pack of these parts is of.
pub(super) fn index(digests: &[[u8; 32]]) -> [u8; 32] {
    *blake3::hash(digests.as_flattened()).as_bytes()
}

/// How parts are shared among packs of at most `limit` bytes: ranges of them, in order.
pub(super) fn share(kind: PackKind, parts: &[Part], limit: usize) -> Vec<std::ops::Range<usize>> {
    let (mut ranges, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (n, part) in parts.iter().enumerate() {
        let more = part.bytes.len() + end(kind).len();
        if n > start && bytes + more > limit {
            ranges.push(start..n);
            (start, bytes) = (n, 0);
        }
        bytes += more;
    }
    if start < parts.len() {
        ranges.push(start..parts.len());
    }
    ranges
}

/// The bytes of a pack with these entries blank: zeros in place of a crop, spaces in place of a result, which leaves an empty
/// line. All others lie where they lay.
pub(super) fn blank<'a>(kind: PackKind, pack: &[u8], entries: impl IntoIterator<Item = &'a PackEntry>) -> Bytes {
    let mut bytes = BytesMut::from(pack);
    let filler = match kind {
        PackKind::Crops => 0,
        PackKind::Results => b' ',
    };
    for entry in entries {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let (start, end) = (place(entry.offset), place(entry.offset.saturating_add(entry.length)));
        bytes[start..end].fill(filler);
    }
    bytes.freeze()
}

/// Whether a range that was read is blank: forgotten.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, 0 | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(n: u8, bytes: &[u8]) -> Part {
        let faces = vec![(FaceId([n; 16]), BBox::default())];
        let (gallery, image) = (GalleryId("g".into()), ImageId([n; 16]));
        Part { gallery, image, faces, bytes: Bytes::copy_from_slice(bytes) }
    }

    #[test]
    fn each_part_lies_where_its_entry_says() {
        for kind in [PackKind::Crops, PackKind::Results] {
            let parts = [part(1, b"first"), part(2, b""), part(3, b"third one")];
            let pack = pack(kind, &parts, [5; 16]);
            assert_eq!(pack.entries.len(), parts.len());
            for (entry, part) in pack.entries.iter().zip(&parts) {
                let (start, end) = (entry.offset as usize, (entry.offset + entry.length) as usize);
                assert_eq!((&pack.bytes[start..end], entry.image), (&part.bytes[..], part.image));
                assert_eq!(entry.faces, part.faces);
            }
            let ends = if kind == PackKind::Results { 3 } else { 0 };
            assert_eq!(pack.bytes.len(), 14 + ends, "{kind:?}");
            assert_eq!(pack.key, format!("packs/{}/{}", kind.as_str(), "05".repeat(16)));
        }
    }

    #[test]
    fn what_is_packed_is_named_by_its_parts_and_by_nothing_else() {
        let name = |parts: &[Part]| index(&parts.iter().map(|part| part.digest(PackKind::Crops)).collect::<Vec<_>>());
        let parts = [part(1, b"first"), part(2, b"second")];
        let same = name(&parts);
        assert_eq!(name(&parts.clone()), same);
        for (what, other) in [
            ("fewer", name(&parts[..1])),
            ("another order", name(&[parts[1].clone(), parts[0].clone()])),
            ("other bytes", name(&[part(1, b"First"), parts[1].clone()])),
            ("another face", name(&[part(3, b"first"), parts[1].clone()])),
            ("other borders", name(&[part(1, b"firsts"), part(2, b"econd")])),
        ] {
            assert_ne!(other, same, "{what}");
        }
    }

    #[test]
    fn packs_keep_to_their_limit_in_order() {
        let sized = |sizes: &[usize]| sizes.iter().map(|size| part(0, &vec![7; *size])).collect::<Vec<_>>();
        for (kind, sizes, expected) in [
            (PackKind::Crops, &[][..], &[][..]),
            (PackKind::Crops, &[10], &[(0, 1)]),
            (PackKind::Crops, &[4, 6, 1], &[(0, 2), (2, 3)]),
            // The end of a line counts.
            (PackKind::Results, &[4, 5, 1], &[(0, 1), (1, 3)]),
            // What is larger than a pack has one for itself.
            (PackKind::Crops, &[3, 30, 3], &[(0, 1), (1, 2), (2, 3)]),
        ] {
            let shared: Vec<(usize, usize)> =
                share(kind, &sized(sizes), 10).into_iter().map(|range| (range.start, range.end)).collect();
            assert_eq!(shared, expected, "{kind:?} {sizes:?}");
        }
    }

    #[test]
    fn what_is_blank_is_gone_and_the_rest_lies_where_it_lay() {
        for (kind, filler) in [(PackKind::Crops, 0), (PackKind::Results, b' ')] {
            let parts = [part(1, b"first"), part(2, b"second"), part(3, b"third")];
            let pack = pack(kind, &parts, [5; 16]);
            let left = blank(kind, &pack.bytes, [&pack.entries[1]]);
            assert_eq!(left.len(), pack.bytes.len());
            for (n, entry) in pack.entries.iter().enumerate() {
                let range = &left[entry.offset as usize..(entry.offset + entry.length) as usize];
                let expected = if n == 1 { vec![filler; 6] } else { parts[n].bytes.to_vec() };
                assert_eq!(range, expected, "{kind:?} {n}");
                assert_eq!(is_blank(range), n == 1);
            }
            let lines = left.iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(lines, if kind == PackKind::Results { 3 } else { 0 });
            // A document that is wrong about a pack writes over no end of it.
            let wrong = PackEntry { offset: 1_000, length: 9, ..pack.entries[0].clone() };
            assert_eq!(blank(kind, &pack.bytes, [&wrong]), pack.bytes);
        }
    }
}
