//! Stores the corrections of a gallery in their order.
//!
//! A change of a large group may exceed the greatest size of a document. It is stored in parts, each of which is a
//! change with some of the edits and moves.

use std::collections::{BTreeSet, HashMap};

use mongodb::ClientSession;
use mongodb::bson::{Bson, DateTime, Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::people::Change;
use muster_actors::people::change::with_ids;
use muster_gallery::history::ChangeEntry;

use super::documents::{self, signed, text, unsigned};
use super::transaction::read;
use super::{MongoError, MongoFaces, names};

/// Name of changes that deleted data for good.
pub(super) const FORGOTTEN: &str = "forgotten";
/// Approximate bytes of a part; a document has at most 16 MiB (BSON).
const PART: usize = 4 << 20;
/// Number of parts that are read at once.
const PAGE: i64 = 50;

/// A change as it is stored.
pub struct Noted {
    /// The change, joined from its parts.
    pub change: Change,
    /// Number of the change that undid it, if any.
    pub undone_by: Option<u64>,
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, MongoError> {
    serde_json::to_string(value).map_err(|error| MongoError::Invalid(error.to_string()))
}

fn body(document: &Document) -> Result<Change, MongoError> {
    Change::from_json(text(document, "body")?).map_err(|error| MongoError::Document(error.to_string()))
}

fn maybe(document: &Document, key: &str) -> Result<Option<u64>, MongoError> {
    match document.get(key) {
        None | Some(Bson::Null) => Ok(None),
        Some(_) => unsigned(document, key).map(Some),
    }
}

/// Splits a change into parts.
fn parts(change: &Change) -> Result<Vec<Change>, MongoError> {
    let bare = || Change { edits: Vec::new(), moved: Vec::new(), merged: Default::default(), ..change.clone() };
    let mut last = Change { merged: change.merged.clone(), ..bare() };
    let (mut parts, mut bytes) = (Vec::new(), 0);
    let mut turn = |last: &mut Change, more: usize| {
        bytes += more;
        if bytes > PART {
            bytes = more;
            parts.push(std::mem::replace(last, bare()));
        }
    };
    for edit in &change.edits {
        turn(&mut last, json(edit)?.len());
        last.edits.push(edit.clone());
    }
    for moved in &change.moved {
        turn(&mut last, json(moved)?.len());
        last.moved.push(*moved);
    }
    parts.push(last);
    Ok(parts)
}

fn join(whole: Option<Change>, part: Change) -> Change {
    let Some(mut whole) = whole else { return part };
    whole.edits.extend(part.edits);
    whole.moved.extend(part.moved);
    whole.merged.extend(part.merged);
    whole
}

/// Appends a change and returns its number. The transaction must have raised the gallery's generation before, so that
/// no other change gets the same number.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote. Also [`MongoError::Invalid`] when the change cannot be rendered as JSON.
pub async fn append(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
    change: &Change,
) -> Result<u64, MongoError> {
    let changes = store.collection(names::CHANGES);
    let last = changes.find_one(doc! { "gallery": &of.0 }).sort(doc! { "number": -1 });
    let last = last.projection(doc! { "number": 1 }).session(&mut *session).await?;
    let number = 1 + last.map_or(Ok(0), |last| unsigned(&last, "number"))?;
    for (part, of_it) in (0i64..).zip(parts(change)?) {
        let mut document = doc! { "gallery": &of.0, "number": signed(number), "part": part, "body": json(&of_it)? };
        if part == 0 {
            document.extend(doc! {
                "at": DateTime::from_millis(signed(change.author.at_ms)),
                "by": &change.author.by,
                "said": &change.said,
                "summary": ChangeEntry::new(number, change, None).summary,
                "undoes": change.undoes.map(signed),
                "undone_by": null,
            });
        }
        changes.insert_one(document).session(&mut *session).await?;
    }
    Ok(number)
}

/// Finds the change with a number.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn find(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
    number: u64,
) -> Result<Option<Noted>, MongoError> {
    let filter = doc! { "gallery": &of.0, "number": signed(number) };
    let found = read(store, session, names::CHANGES, filter, doc! {}, doc! { "part": 1 }).await?;
    let Some(first) = found.first() else { return Ok(None) };
    let undone_by = maybe(first, "undone_by")?;
    let mut change = None;
    for part in &found {
        change = Some(join(change, body(part)?));
    }
    Ok(change.map(|change| Noted { change, undone_by }))
}

/// Returns the number of the last change that is in force and is not an undo itself.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn last(store: &MongoFaces, session: &mut ClientSession, of: &GalleryId) -> Result<Option<u64>, MongoError> {
    let filter = doc! { "gallery": &of.0, "part": 0, "undoes": null, "undone_by": null };
    let changes = store.collection(names::CHANGES);
    let last = changes.find_one(filter).sort(doc! { "number": -1 });
    let last = last.projection(doc! { "number": 1 }).session(session).await?;
    last.map(|last| unsigned(&last, "number")).transpose()
}

/// Records that a change was undone by another, or that it is in force again.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn mark(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
    number: u64,
    undone_by: Option<u64>,
) -> Result<(), MongoError> {
    let which = doc! { "gallery": &of.0, "number": signed(number), "part": 0 };
    let update = doc! { "$set": { "undone_by": undone_by.map(signed) } };
    store.collection(names::CHANGES).update_one(which, update).session(session).await?;
    Ok(())
}

/// Replaces the ids of faces that got new ones in all changes of a gallery.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn rename(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
    renamed: &[(FaceId, FaceId)],
) -> Result<(), MongoError> {
    if renamed.is_empty() {
        return Ok(());
    }
    let ids: HashMap<String, String> = renamed.iter().map(|(old, new)| (old.to_string(), new.to_string())).collect();
    let changes = store.collection(names::CHANGES);
    let all = doc! { "gallery": &of.0 };
    let found = read(store, session, names::CHANGES, all, doc! { "body": 1 }, doc! { "number": 1, "part": 1 }).await?;
    for document in found {
        if let Some(body) = with_ids(text(&document, "body")?, &ids) {
            let update = doc! { "$set": { "body": body } };
            changes.update_one(doc! { "_id": document.get("_id") }, update).session(&mut *session).await?;
        }
    }
    Ok(())
}

fn entry(document: &Document) -> Result<ChangeEntry, MongoError> {
    let at = document.get_datetime("at").map(|at| at.timestamp_millis()).unwrap_or_default();
    Ok(ChangeEntry {
        change: unsigned(document, "number")?,
        said: text(document, "said")?.to_owned(),
        by: text(document, "by")?.to_owned(),
        at_ms: u64::try_from(at).unwrap_or_default(),
        summary: text(document, "summary")?.to_owned(),
        // They are in the body, which may have many parts and is not read for a list.
        people: Vec::new(),
        moved: Vec::new(),
        undoes: maybe(document, "undoes")?,
        undone_by: maybe(document, "undone_by")?,
    })
}

impl MongoFaces {
    /// Returns at most `limit` changes of a gallery before a number, the last first.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn history(
        &self,
        of: &GalleryId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ChangeEntry>, MongoError> {
        let mut filter = doc! { "gallery": &of.0, "part": 0 };
        filter.extend(before.map(|before| ("number".to_owned(), Bson::from(doc! { "$lt": signed(before) }))));
        let limit = signed(limit as u64).max(1);
        let changes = self.collection(names::CHANGES);
        let found = changes.find(filter).projection(doc! { "body": 0 });
        let mut found = found.sort(doc! { "number": -1 }).limit(limit).await?;
        let mut entries = Vec::new();
        while found.advance().await? {
            entries.push(entry(&found.deserialize_current()?)?);
        }
        Ok(entries)
    }

    /// Removes everything that names one of these faces or persons from the changes with numbers from `from` on.
    /// Returns the number after the last change.
    pub(super) async fn scrub(
        &self,
        of: &str,
        from: u64,
        faces: &BTreeSet<FaceId>,
        persons: &BTreeSet<GroupId>,
    ) -> Result<u64, MongoError> {
        let changes = self.collection(names::CHANGES);
        let (mut number, mut part) = (from, -1i64);
        let mut scrubbed = BTreeSet::new();
        loop {
            let later = doc! { "number": { "$gt": signed(number) } };
            let rest = doc! { "number": signed(number), "part": { "$gt": part } };
            let filter = doc! { "gallery": of, "$or": [later, rest] };
            let mut found = changes.find(filter).sort(doc! { "number": 1, "part": 1 }).limit(PAGE).await?;
            let mut is_last = true;
            while found.advance().await? {
                let document = found.deserialize_current()?;
                (number, part, is_last) =
                    (unsigned(&document, "number")?, documents::signed(unsigned(&document, "part")?), false);
                let mut change = body(&document)?;
                if without(&mut change, faces, persons) {
                    let update = doc! { "$set": { "body": json(&change)? } };
                    changes.update_one(doc! { "_id": document.get("_id") }, update).await?;
                    scrubbed.insert(number);
                }
            }
            if is_last {
                break;
            }
        }
        for number in scrubbed {
            self.summarise(of, number).await?;
        }
        Ok(if part < 0 { number } else { number + 1 })
    }

    /// Writes the summary of a change anew, from what is left of it.
    async fn summarise(&self, of: &str, number: u64) -> Result<(), MongoError> {
        let changes = self.collection(names::CHANGES);
        let mut found = changes.find(doc! { "gallery": of, "number": signed(number) }).sort(doc! { "part": 1 }).await?;
        let mut change = None;
        while found.advance().await? {
            change = Some(join(change, body(&found.deserialize_current()?)?));
        }
        if let Some(change) = change {
            let which = doc! { "gallery": of, "number": signed(number), "part": 0 };
            let update = doc! { "$set": { "summary": ChangeEntry::new(number, &change, None).summary } };
            changes.update_one(which, update).await?;
        }
        Ok(())
    }
}

/// Removes everything that names one of these faces or persons from a change, and tells whether there was any.
fn without(change: &mut Change, faces: &BTreeSet<FaceId>, persons: &BTreeSet<GroupId>) -> bool {
    let size = |change: &Change| (change.edits.len(), change.moved.len(), change.merged.len());
    let before = size(change);
    change.edits.retain(|edit| {
        let facts = || edit.before.iter().chain(&edit.after);
        let names_face = facts().any(|fact| fact.faces().any(|face| faces.contains(&face)));
        !names_face && !facts().any(|fact| fact.persons().any(|person| persons.contains(&person)))
    });
    let is_of = |group: Option<GroupId>| group.is_some_and(|group| persons.contains(&group));
    change.moved.retain(|moved| !faces.contains(&moved.face) && !is_of(moved.from) && !is_of(moved.to));
    change.merged.retain(|from, into| !persons.contains(from) && !persons.contains(into));
    let covers = change.edits.iter_mut().flat_map(|edit| edit.before.iter_mut().chain(&mut edit.after));
    let mut uncovered = false;
    for fact in covers {
        if let muster_actors::domain::fact::Fact::Person { person, .. } = fact
            && person.cover.is_some_and(|cover| faces.contains(&cover))
        {
            (person.cover, uncovered) = (None, true);
        }
    }
    uncovered || size(change) != before
}
