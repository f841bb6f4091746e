//! Which detections are no faces, as a filter: by the last word of a person, else by the probability that is stored with each.

use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::{FaceId, LEAST_FACE};
use muster_actors::domain::gallery::{Decision, GalleryId};
use muster_actors::grouping::non_faces::said;

use super::documents::{self, fraction, uuid};
use super::{MongoError, MongoFaces, names};

/// How the probability of a detection is read along with it.
pub(super) const PROBABILITY: &str = "quality.face";

/// The probability that a detection is a face; 1 where it was stored before that was asked.
pub(super) fn probability(face: &Document) -> Result<f32, MongoError> {
    match face.get_document("quality") {
        Ok(quality) if quality.contains_key("face") => fraction(quality, "face"),
        _ => Ok(1.0),
    }
}

/// A condition that the gallery's detections which are no faces meet: `$and` of it for them, `$nor` for faces.
pub(super) async fn condition(store: &MongoFaces, of: &GalleryId) -> Result<Document, MongoError> {
    let words = doc! { "gallery": &of.0, "say": { "$in": ["face", "not_face"] } };
    let mut found = store.collection(names::DECISIONS).find(words).await?;
    let mut decisions: Vec<Decision> = Vec::new();
    while found.advance().await? {
        decisions.push(documents::decision(&found.deserialize_current()?)?);
    }
    Ok(over(&decisions))
}

fn over(decisions: &[Decision]) -> Document {
    let said = said(decisions);
    let ids = |wanted: bool| {
        let spoken = said.iter().filter(|(_, is_face)| **is_face == wanted);
        spoken.map(|(FaceId(id), _)| uuid(*id)).collect::<Vec<Bson>>()
    };
    let doubted = doc! { PROBABILITY: { "$lt": f64::from(LEAST_FACE) }, "_id": { "$nin": ids(true) } };
    doc! { "$or": [{ "_id": { "$in": ids(false) } }, doubted] }
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::gallery::Verdict;

    use super::*;

    #[test]
    fn the_last_word_decides_which_ids_are_named() {
        let f = |n: u8| FaceId([n; 16]);
        let decision = |(seq, (n, is_face)): (u64, (u8, bool))| Decision {
            seq,
            batch: seq,
            verdict: Verdict::Face { face: f(n), is_face },
        };
        let log = (1..).zip([(1, true), (2, false), (1, false), (3, true)]).map(decision).collect::<Vec<_>>();
        let [not_faces, faces] = [&[1, 2][..], &[3]].map(|ids| ids.iter().map(|n| uuid(f(*n).0)).collect::<Vec<_>>());
        let doubted = doc! { "quality.face": { "$lt": 0.5 }, "_id": { "$nin": faces } };
        assert_eq!(over(&log), doc! { "$or": [{ "_id": { "$in": not_faces } }, doubted] });
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
