//! Stores the facts that people stated about a gallery, one document for each.

use std::collections::BTreeSet;

use mongodb::ClientSession;
use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};
use muster_actors::domain::fact::{Fact, FactColumns, FactKey};
use muster_actors::domain::facts::{Edit, Facts};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::digest;

use super::documents::{self, text, uuid};
use super::transaction::read;
use super::{MongoError, MongoFaces, gallery, names};

/// Number of ids in one filter, and of documents in one statement.
pub(super) const CHUNK: usize = 5_000;
/// Field of a fact of kind `place` with the digest of its photo's bytes. It is found by this when the photo is
/// forgotten.
pub(super) const PHOTO: &str = "photo";
/// Kind of the facts that say nothing by themselves: the place of a face in its photo.
pub(super) const PLACE: &str = "place";

/// Returns the id of a fact's document. It follows from the key, so that of all facts with one key only one is in
/// force.
pub(super) fn id(gallery: &GalleryId, key: FactKey) -> Bson {
    let (kind, a, b) = match key {
        FactKey::Person(id) => ("person", id.0, None),
        FactKey::Confirmed(face) => ("confirmed", face.0, None),
        FactKey::NotPerson(face, person) => ("not_person", face.0, Some(person.0)),
        FactKey::NotSame(a, b) => ("not_same", a.0, Some(b.0)),
        FactKey::PersonsApart(a, b) => ("persons_apart", a.0, Some(b.0)),
        FactKey::IsFace(face) => ("is_face", face.0, None),
        FactKey::Skipped(face, person) => ("skipped", face.0, Some(person.0)),
        FactKey::Became(from) => ("became", from.0, None),
        FactKey::Place(face) => (PLACE, face.0, None),
    };
    let b = b.as_ref().map_or(&[][..], |b| &b[..]);
    uuid(digest("fact", &[gallery.0.as_bytes(), kind.as_bytes(), &a, b]))
}

/// Builds the document of a fact.
pub(super) fn document(gallery: &GalleryId, fact: &Fact) -> Document {
    let FactColumns { kind, a, b, value } = fact.columns();
    let mut fields = doc! {
        "_id": id(gallery, fact.key()), "gallery": &gallery.0, "kind": kind, "a": uuid(a), "b": b.map(uuid),
        "value": value,
    };
    if let Fact::Place { place, .. } = fact
        && let Some(content) = place.content
    {
        fields.insert(PHOTO, Binary { subtype: BinarySubtype::Generic, bytes: content.to_vec() });
    }
    fields
}

/// Reads the fact of a document.
///
/// # Errors
/// [`MongoError::Document`] when the document is not what muster wrote.
pub fn fact(document: &Document) -> Result<Fact, MongoError> {
    let b = match document.get("b") {
        None | Some(Bson::Null) => None,
        Some(_) => Some(documents::id(document, "b")?),
    };
    let (kind, value) = (text(document, "kind")?, text(document, "value")?);
    let fact = Fact::from_columns(kind, documents::id(document, "a")?, b, value);
    fact.map_err(|error| MongoError::Document(error.to_string()))
}

fn columns() -> Document {
    doc! { "_id": 0, "kind": 1, "a": 1, "b": 1, "value": 1 }
}

/// Returns all facts of a gallery.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn all(store: &MongoFaces, of: &GalleryId) -> Result<Facts, MongoError> {
    let sort = doc! { "gallery": 1, "kind": 1 };
    let mut cursor = gallery::find(store, names::FACTS, of, columns(), sort).await?;
    let mut facts = Facts::default();
    while cursor.advance().await? {
        facts.set(fact(&cursor.deserialize_current()?)?);
    }
    Ok(facts)
}

/// Returns the facts of some kinds. If ids are given, only facts whose first id is among them.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn of_kinds(
    store: &MongoFaces,
    of: &GalleryId,
    kinds: &[&str],
    first: Option<Vec<Bson>>,
) -> Result<Facts, MongoError> {
    let mut filter = doc! { "gallery": &of.0, "kind": { "$in": kinds } };
    filter.extend(first.map(|ids| ("a".to_owned(), Bson::from(doc! { "$in": ids }))));
    let mut cursor = store.collection(names::FACTS).find(filter).projection(columns()).await?;
    let mut facts = Facts::default();
    while cursor.advance().await? {
        facts.set(fact(&cursor.deserialize_current()?)?);
    }
    Ok(facts)
}

/// Returns the facts that name one of these faces or persons.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn about(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
    ids: &BTreeSet<[u8; 16]>,
) -> Result<Facts, MongoError> {
    let ids: Vec<Bson> = ids.iter().copied().map(uuid).collect();
    let mut facts = Facts::default();
    for ids in ids.chunks(CHUNK) {
        for side in ["a", "b"] {
            let filter = doc! { "gallery": &of.0, side: { "$in": ids } };
            let found = read(store, session, names::FACTS, filter, columns(), doc! {}).await?;
            for document in found {
                facts.set(fact(&document)?);
            }
        }
    }
    Ok(facts)
}

/// Applies edits: each replaces or deletes the fact with its key.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn apply(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
    edits: &[Edit],
) -> Result<(), MongoError> {
    let ids: Vec<Bson> = edits.iter().filter_map(|edit| Some(id(of, edit.key()?))).collect();
    for ids in ids.chunks(CHUNK) {
        let gone = doc! { "_id": { "$in": ids } };
        store.collection(names::FACTS).delete_many(gone).session(&mut *session).await?;
    }
    insert(store, session, of, edits.iter().filter_map(|edit| edit.after.as_ref())).await
}

/// Adds facts whose keys no stored fact has.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn insert(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
    facts: impl Iterator<Item = &Fact>,
) -> Result<(), MongoError> {
    let documents: Vec<Document> = facts.map(|fact| document(of, fact)).collect();
    for documents in documents.chunks(CHUNK) {
        store.collection(names::FACTS).insert_many(documents).session(&mut *session).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::face::FaceId;
    use muster_actors::domain::face_place::FacePlace;
    use muster_actors::domain::gallery::GroupId;
    use muster_actors::domain::person::Person;

    use super::*;

    #[test]
    fn a_fact_is_read_back_from_its_document_and_has_the_id_of_its_key() {
        let (one, other) = (GalleryId("one".into()), GalleryId("other".into()));
        let (face, id) = (FaceId([1; 16]), GroupId([3; 16]));
        let place = FacePlace { content: Some([9; 32]), width: 4, ..FacePlace::default() };
        let facts = [
            Fact::Person { id, person: Person { name: Some("Ada".into()), ..Person::default() } },
            Fact::Confirmed { face, person: id },
            Fact::NotPerson { face, person: id },
            Fact::not_same(FaceId([2; 16]), face),
            Fact::persons_apart(GroupId([4; 16]), id),
            Fact::IsFace { face, is_face: false },
            Fact::Became { from: id, into: GroupId([4; 16]) },
            Fact::Place { face, place },
        ];
        let mut ids = Vec::new();
        for said in &facts {
            let document = document(&one, said);
            assert_eq!(fact(&document).expect("its own document"), *said);
            assert_eq!(document.contains_key(PHOTO), document.get_str("kind").is_ok_and(|kind| kind == PLACE));
            ids.extend([super::id(&one, said.key()), super::id(&other, said.key())].map(|id| id.to_string()));
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 2 * facts.len());
        let elsewhere = Fact::Confirmed { face, person: GroupId([5; 16]) };
        assert_eq!(super::id(&one, elsewhere.key()), super::id(&one, facts[1].key()), "a face is of one person");
        let mut broken = document(&one, &facts[1]);
        broken.insert("kind", "person");
        assert!(fact(&broken).is_err());
    }
}
