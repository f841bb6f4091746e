//! Filters detections that are no faces: by a person's statement, else by the probability that is stored with each.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::{FaceId, LEAST_FACE};
use muster_actors::domain::gallery::GalleryId;

use super::documents::{fraction, uuid};
use super::{MongoError, MongoFaces, facts};

/// Field of a detection with the probability that it is a face.
pub(super) const PROBABILITY: &str = "quality.face";

/// Reads the probability (0 to 1) that a detection is a face; 1 where it was stored before this was computed.
pub(super) fn probability(face: &Document) -> Result<f32, MongoError> {
    match face.get_document("quality") {
        Ok(quality) if quality.contains_key("face") => fraction(quality, "face"),
        _ => Ok(1.0),
    }
}

/// People's statements on whether detections are faces.
#[derive(Default)]
pub(super) struct Words(pub(super) BTreeMap<FaceId, bool>);

/// Reads people's statements on the detections of a gallery.
pub(super) async fn words(store: &MongoFaces, of: &GalleryId) -> Result<Words, MongoError> {
    Ok(Words(facts::of_kinds(store, of, &["is_face"], None).await?.are_faces))
}

impl Words {
    /// Builds the condition of detections that are no faces; `$nor` with it selects faces.
    pub(super) fn condition(&self) -> Document {
        let ids = |wanted: bool| {
            let spoken = self.0.iter().filter(|(_, is_face)| **is_face == wanted);
            spoken.map(|(FaceId(id), _)| uuid(*id)).collect::<Vec<Bson>>()
        };
        let doubted = doc! { PROBABILITY: { "$lt": f64::from(LEAST_FACE) }, "_id": { "$nin": ids(true) } };
        doc! { "$or": [{ "_id": { "$in": ids(false) } }, doubted] }
    }

    /// Builds two conditions, of which every detection that is no face meets one. Each of them can use an index.
    pub(super) fn apart(&self) -> [Document; 2] {
        let ids = |words: &mut dyn Iterator<Item = (&FaceId, &bool)>| {
            words.map(|(FaceId(id), _)| uuid(*id)).collect::<Vec<Bson>>()
        };
        let not_faces = ids(&mut self.0.iter().filter(|(_, is_face)| !**is_face));
        let spoken = ids(&mut self.0.iter());
        let doubted = doc! { PROBABILITY: { "$lt": f64::from(LEAST_FACE) }, "_id": { "$nin": spoken } };
        [doc! { "_id": { "$in": not_faces } }, doubted]
    }

    /// Tells whether a detection with this probability (0 to 1) counts as a face.
    pub(super) fn is_face(&self, face: FaceId, probability: f32) -> bool {
        self.0.get(&face).copied().unwrap_or(probability >= LEAST_FACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_person_decides_which_ids_are_named() {
        let f = |n: u8| FaceId([n; 16]);
        let words = Words([(1, false), (2, false), (3, true)].map(|(n, is_face)| (f(n), is_face)).into());
        let [not_faces, faces] = [&[1, 2][..], &[3]].map(|ids| ids.iter().map(|n| uuid(f(*n).0)).collect::<Vec<_>>());
        let doubted = doc! { "quality.face": { "$lt": 0.5 }, "_id": { "$nin": faces } };
        assert_eq!(words.condition(), doc! { "$or": [{ "_id": { "$in": not_faces } }, doubted] });
        for (face, probability, expected) in
            [(1, 1.0, false), (2, 1.0, false), (3, 0.1, true), (4, 0.5, true), (4, 0.4, false)]
        {
            assert_eq!(words.is_face(f(face), probability), expected, "{face} {probability}");
        }
    }

    #[test]
    fn what_was_stored_before_is_a_face() {
        for (face, expected) in [
            (doc! { "quality": { "face": 0.25 } }, 0.25),
            (doc! { "quality": { "sharpness": 0.25 } }, 1.0),
            (doc! {}, 1.0),
        ] {
            assert_eq!(probability(&face).ok(), Some(expected), "{face}");
        }
        assert!(probability(&doc! { "quality": { "face": "no" } }).is_err());
    }
}
