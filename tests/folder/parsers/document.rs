//! Documents of the database: a figure of another kind is refused, and what is read is written the same.

use mongodb::bson::{Document, doc};
use muster_actors::domain::fact::Fact;
use muster_stores::mongo::{documents, facts};

/// Bytes as a BSON document, each of whose fields may be any of ours.
pub fn document(data: &[u8]) {
    let Ok(document) = Document::from_reader(data) else { return };
    for key in document.keys() {
        if let Ok(id) = documents::face_id(&document, key) {
            let again = doc! { key: documents::uuid(id.0) };
            assert_eq!(documents::face_id(&again, key).ok(), Some(id));
            assert_eq!(documents::image_id(&again, key).map(|image| image.0).ok(), Some(id.0));
            assert!(documents::group_id(&again, key).is_ok_and(|group| group.is_some_and(|group| group.0 == id.0)));
        }
        if let Ok(number) = documents::unsigned(&document, key) {
            let again = doc! { key: documents::signed(number) };
            assert_eq!(documents::unsigned(&again, key).ok(), Some(number));
        }
        if let Ok(floats) = documents::floats(&document, key) {
            let again = doc! { key: documents::vector(&floats) };
            let bits = |floats: &[f32]| floats.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            let read = documents::floats(&again, key).expect("it was written");
            assert_eq!(bits(&read), bits(&floats));
        }
        if let Ok(fraction) = documents::fraction(&document, key) {
            let said = document.get_f64(key).expect("it is a fraction");
            assert!(said.is_nan() == fraction.is_nan() && (said.is_nan() || said as f32 == fraction));
        }
        if let Err(error) = documents::text(&document, key) {
            assert!(error.to_string().contains(key), "{error}");
        }
    }
    let _ = (documents::bbox(&document), documents::content(&document), documents::digest_of(&document));
    if let Ok(decision) = documents::decision(&document) {
        assert_eq!(documents::unsigned(&document, "seq").ok(), Some(decision.seq));
        let words = ["same", "not_same", "name", "face", "not_face"];
        assert!(words.contains(&document.get_str("say").expect("it was read")));
    }
    if let Ok(fact) = facts::fact(&document) {
        let columns = fact.columns();
        assert_eq!(document.get_str("kind").ok(), Some(columns.kind));
        let again = Fact::from_columns(columns.kind, columns.a, columns.b, &columns.value).expect("its own columns");
        assert_eq!(again.key(), fact.key());
    }
}
