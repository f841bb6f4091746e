//! Tombstones: records that keep forgotten images and faces from being stored again.
//!
//! Every worker skips a forgotten image, prefix or gallery, with all images that are added there later. A forgotten
//! face is a place in an image; a face that is found there again is not stored. A tombstone holds no data of a face. It
//! does not name the group either: only a reader with the group's id finds the tombstones of its faces.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::BBox;
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, Locator, digest};

use super::documents::{image_id, text, uuid};
use super::{MongoError, documents};

/// Images of a gallery to which a tombstone applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One image.
    Image {
        /// Bucket of the image.
        bucket: String,
        /// Key of the image.
        key: String,
    },
    /// All images whose keys have a prefix.
    Below {
        /// Bucket of the images.
        bucket: String,
        /// Prefix of the keys; the empty one covers the whole bucket.
        prefix: String,
    },
    /// All images of the gallery.
    Gallery,
}

impl Scope {
    /// Tells whether the scope includes an image.
    pub fn covers(&self, bucket: &str, key: &str) -> bool {
        match self {
            Self::Image { bucket: of, key: is } => bucket == of && key == is,
            Self::Below { bucket: of, prefix } => bucket == of && key.starts_with(prefix.as_str()),
            Self::Gallery => true,
        }
    }

    /// Builds the tombstone of the scope.
    pub(super) fn tombstone(&self, gallery: &GalleryId) -> Document {
        let id = |kind: &str, parts: &[&str]| {
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            uuid(digest(kind, &parts))
        };
        let of = &gallery.0;
        match self {
            Self::Image { bucket, key } => {
                let locator = Locator { gallery: gallery.clone(), bucket: bucket.clone(), key: key.clone() };
                doc! { "_id": id("forgotten image", &[of, bucket, key]), "gallery": of, "bucket": bucket, "key": key, "image": uuid(locator.id().0) }
            }
            Self::Below { bucket, prefix } => {
                doc! { "_id": id("forgotten prefix", &[of, bucket, prefix]), "gallery": of, "bucket": bucket, "prefix": prefix }
            }
            Self::Gallery => {
                doc! { "_id": id("forgotten gallery", &[of]), "gallery": of, "bucket": null, "prefix": "" }
            }
        }
    }
}

/// Builds the tombstone of a place in an image where a face of a group was found.
pub(super) fn place(group: GroupId, image: &Locator, bbox: &BBox) -> Document {
    let number = f64::from;
    let parts =
        doc! { "x": number(bbox.x), "y": number(bbox.y), "width": number(bbox.width), "height": number(bbox.height) };
    doc! {
        "_id": place_id(group, image.id(), bbox), "gallery": &image.gallery.0, "bucket": &image.bucket, "key": &image.key,
        "image": uuid(image.id().0), "box": parts,
    }
}

fn place_id(group: GroupId, image: ImageId, bbox: &BBox) -> Bson {
    let position = [bbox.x, bbox.y, bbox.width, bbox.height].map(f32::to_le_bytes);
    uuid(digest("forgotten place", &[&group.0, &image.0, position.as_flattened()]))
}

/// Tombstones that concern some images.
#[derive(Clone, Debug, Default)]
pub struct Tombstones {
    images: BTreeSet<ImageId>,
    scopes: Vec<(GalleryId, Scope)>,
    places: BTreeMap<ImageId, Vec<BBox>>,
}

impl Tombstones {
    /// Tells whether an image was forgotten, alone or as part of a scope.
    pub fn covers(&self, image: &Locator) -> bool {
        let within = |(gallery, scope): &(GalleryId, Scope)| {
            *gallery == image.gallery && scope.covers(&image.bucket, &image.key)
        };
        self.images.contains(&image.id()) || self.scopes.iter().any(within)
    }

    /// Returns the boxes of forgotten faces in an image, in pixels.
    pub fn places(&self, image: ImageId) -> &[BBox] {
        self.places.get(&image).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn read(&mut self, document: &Document) -> Result<(), MongoError> {
        match document.get_str("prefix") {
            Ok(prefix) => {
                let scope = match document.get_str("bucket") {
                    Ok(bucket) => Scope::Below { bucket: bucket.to_owned(), prefix: prefix.to_owned() },
                    Err(_) => Scope::Gallery,
                };
                self.scopes.push((GalleryId(text(document, "gallery")?.to_owned()), scope));
            }
            Err(_) if document.contains_key("box") => {
                self.places.entry(image_id(document, "image")?).or_default().push(documents::bbox(document)?);
            }
            Err(_) => {
                self.images.insert(image_id(document, "image")?);
            }
        }
        Ok(())
    }
}

/// Tells whether lifting `scope` removes this tombstone: a tombstone within the scope is removed, a wider one is not.
pub(super) fn lifts(scope: &Scope, tombstone: &Document) -> bool {
    let text = |key| tombstone.get_str(key).unwrap_or_default();
    match (scope, tombstone.get_str("prefix")) {
        (Scope::Gallery, _) => true,
        (Scope::Image { .. }, Ok(_)) => false,
        (Scope::Below { .. }, Ok(prefix)) => {
            tombstone.get_str("bucket").is_ok_and(|bucket| scope.covers(bucket, prefix))
        }
        (_, Err(_)) => scope.covers(text("bucket"), text("key")),
    }
}

/// Tells whether the tombstone of a place belongs to a face of this group.
pub(super) fn is_of(group: GroupId, document: &Document) -> Result<bool, MongoError> {
    let id = place_id(group, image_id(document, "image")?, &documents::bbox(document)?);
    Ok(document.get("_id") == Some(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(gallery: &str, bucket: &str, key: &str) -> Locator {
        Locator { gallery: GalleryId(gallery.into()), bucket: bucket.into(), key: key.into() }
    }

    fn below(bucket: &str, prefix: &str) -> Scope {
        Scope::Below { bucket: bucket.into(), prefix: prefix.into() }
    }

    #[test]
    fn a_tombstone_covers_what_it_names_and_nothing_else() {
        let (gallery, image) = (GalleryId("g".into()), Scope::Image { bucket: "b".into(), key: "a/1".into() });
        for (scope, covered, free) in [
            (image, &[("b", "a/1")][..], &[("b", "a/10"), ("c", "a/1")][..]),
            (below("b", "a/"), &[("b", "a/1"), ("b", "a/b/2")], &[("b", "ab"), ("b", "a"), ("c", "a/1")]),
            (below("b", ""), &[("b", "a"), ("b", "z/1")], &[("c", "a")]),
            (Scope::Gallery, &[("b", "a"), ("c", "z/1")], &[]),
        ] {
            let mut marks = Tombstones::default();
            marks.read(&scope.tombstone(&gallery)).unwrap();
            for (bucket, key) in covered {
                assert!(marks.covers(&locator("g", bucket, key)), "{scope:?} {bucket}/{key}");
                assert!(!marks.covers(&locator("h", bucket, key)), "another gallery's {bucket}/{key}");
            }
            for (bucket, key) in free {
                assert!(!marks.covers(&locator("g", bucket, key)), "{scope:?} {bucket}/{key}");
            }
        }
    }

    #[test]
    fn a_place_says_where_and_only_its_groups_id_says_whose() {
        let (image, group) = (locator("g", "b", "k"), GroupId([7; 16]));
        let bbox = BBox { x: 1.25, y: -2.0, width: 30.5, height: 40.0 };
        let tombstone = place(group, &image, &bbox);
        let mut marks = Tombstones::default();
        marks.read(&tombstone).unwrap();
        assert_eq!((marks.places(image.id()), marks.covers(&image)), (&[bbox][..], false));
        assert!(is_of(group, &tombstone).unwrap() && !is_of(GroupId([8; 16]), &tombstone).unwrap());
        assert!(!format!("{tombstone}").contains(&group.to_string()));
    }

    #[test]
    fn what_is_taken_back_lies_within_what_was_named() {
        let gallery = GalleryId("g".into());
        let of = |scope: Scope| scope.tombstone(&gallery);
        let image = Scope::Image { bucket: "b".into(), key: "a/1".into() };
        let face = place(GroupId([7; 16]), &locator("g", "b", "a/1"), &BBox::default());
        for (scope, lifted, stays) in [
            (image.clone(), vec![of(image.clone()), face.clone()], vec![of(below("b", "a/")), of(Scope::Gallery)]),
            (
                below("b", "a/"),
                vec![of(image.clone()), face.clone(), of(below("b", "a/")), of(below("b", "a/c/"))],
                vec![of(below("b", "")), of(below("c", "a/")), of(Scope::Gallery)],
            ),
            (Scope::Gallery, vec![of(image), face, of(below("b", "")), of(Scope::Gallery)], vec![]),
        ] {
            assert!(lifted.iter().all(|tombstone| lifts(&scope, tombstone)), "{scope:?}");
            assert!(!stays.iter().any(|tombstone| lifts(&scope, tombstone)), "{scope:?}");
        }
    }
}
