//! Creates the indexes, and sets how long the history of groups is kept.
//!
//! The collections may hold documents of another program: the service before muster wrote to these databases too. These
//! documents have no field `gallery` and are never read, and no index may fail because of them.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use muster_actors::domain::face::LEAST_FACE;

use super::change_marks::{CHANGED, CHANGED_AT};
use super::non_faces::PROBABILITY;
use super::pointer::STAGED_GROUP;
use super::{Connection, MongoError, facts, names};

/// Error codes of the server: no such collection, no such index, an index with these keys and other options, an index
/// with this name.
const NO_COLLECTION: i32 = 26;
const NO_INDEX: i32 = 27;
const OTHER_OPTIONS: i32 = 85;
const SAME_NAME: i32 = 86;
/// Error code of two documents of which a unique index allows one.
const DUPLICATE: i32 = 11000;

/// Field that every document of muster has.
const OURS: &str = "gallery";
/// Greatest number of documents of another program that are counted.
const COUNTED: u64 = 1_000;

/// Time for which an interruption of a worker is kept.
const INTERRUPTIONS: Duration = Duration::from_secs(7 * 86_400);

/// Time for which it is kept that a message was given back. It is longer than SQS keeps a message (at most 14 days).
const RELEASES: Duration = Duration::from_secs(15 * 86_400);

/// An index in the database of faces.
struct Index {
    collection: &'static str,
    keys: Document,
    unique: bool,
    /// Time after the date under the key at which documents are deleted.
    expires: Option<Duration>,
    /// Field without which documents are not in the index.
    of: Option<&'static str>,
    /// Field and limit: only documents whose field is below the limit are in the index.
    below: Option<(&'static str, f64)>,
}

fn index(collection: &'static str, keys: Document, unique: bool) -> Index {
    Index { collection, keys, unique, expires: None, of: None, below: None }
}

/// Keys of the index by which events of groups expire.
fn lineage() -> Document {
    doc! { "at": 1 }
}

/// Keys of the index that finds detections which the models take for objects.
fn doubted() -> Document {
    doc! { "gallery": 1, PROBABILITY: 1 }
}

/// Keys of the index that finds changed and deleted groups of a gallery.
fn marks() -> Document {
    doc! { "gallery": 1, CHANGED: 1, "into": 1, "_id": 1 }
}

fn indexes(keep: Option<Duration>) -> Vec<Index> {
    let mut all = vec![
        // An image's id follows from these three, so that the index need not be unique.
        index(names::IMAGES, doc! { "gallery": 1, "bucket": 1, "key": 1 }, false),
        index(names::IMAGES, doc! { "gallery": 1, "state": 1 }, false),
        index(names::IMAGES, doc! { "queue": 1, "indexed_at": 1 }, false),
        index(names::FACES, doc! { "gallery": 1, "_id": 1 }, false),
        index(names::FACES, doc! { "image": 1 }, false),
        index(names::FACES, doc! { "gallery": 1, "group": 1, "overall": -1, "_id": 1 }, false),
        Index {
            of: Some(STAGED_GROUP),
            ..index(names::FACES, doc! { "gallery": 1, STAGED_GROUP: 1, "overall": -1, "_id": 1 }, false)
        },
        Index { of: Some(CHANGED_AT), ..index(names::FACES, doc! { "gallery": 1, CHANGED_AT: 1 }, false) },
        index(names::GROUPS, doc! { "gallery": 1, "into": 1 }, false),
        Index { below: Some((PROBABILITY, LEAST_FACE.into())), ..index(names::FACES, doubted(), false) },
        index(names::GROUPS, marks(), false),
        index(names::STAGED_GROUPS, marks(), false),
        index(names::GROUPS, doc! { "gallery": 1, "suggestions.face": 1 }, false),
        index(names::STAGED_GROUPS, doc! { "gallery": 1, "into": 1 }, false),
        index(names::STAGED_GROUPS, doc! { "gallery": 1, "suggestions.face": 1 }, false),
        index(names::FACTS, doc! { "gallery": 1, "kind": 1 }, false),
        index(names::FACTS, doc! { "gallery": 1, "a": 1 }, false),
        index(names::FACTS, doc! { "gallery": 1, "b": 1 }, false),
        Index { of: Some(facts::PHOTO), ..index(names::FACTS, doc! { "gallery": 1, facts::PHOTO: 1 }, false) },
        Index { of: Some(OURS), ..index(names::CHANGES, doc! { "gallery": 1, "number": 1, "part": 1 }, true) },
        Index { of: Some(OURS), ..index(names::DECISIONS, doc! { "gallery": 1, "seq": 1 }, true) },
        index(names::LINEAGE, doc! { "gallery": 1, "generation": 1 }, false),
        index(names::FORGOTTEN, doc! { "image": 1 }, false),
        index(names::FORGOTTEN, doc! { "gallery": 1, "prefix": 1 }, false),
        index(names::PACKS, doc! { "entries.image": 1 }, false),
        index(names::PACKS, doc! { "entries.gallery": 1 }, false),
        index(names::PACKS, doc! { "written": 1, "at": 1 }, false),
        Index { expires: Some(INTERRUPTIONS), ..index(names::INTERRUPTIONS, doc! { "at": 1 }, false) },
        Index { expires: Some(RELEASES), ..index(names::RELEASES, doc! { "at": 1 }, false) },
    ];
    all.extend(keep.map(|_| Index { expires: keep, ..index(names::LINEAGE, lineage(), false) }));
    all
}

fn is(error: &Error, codes: &[i32]) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if codes.contains(&command.code))
}

impl Connection {
    /// Creates the missing indexes. Events of groups are kept for `keep`, or for ever if it is `None`.
    ///
    /// # Errors
    /// [`MongoError::Unfit`] when documents of another program prevent a unique index, [`MongoError::Driver`] when the
    /// server fails.
    pub async fn ensure_indexes(&self, keep: Option<Duration>) -> Result<(), MongoError> {
        for index in indexes(keep) {
            self.ensure(index).await?;
        }
        if keep.is_none() {
            let dropped = self.faces.run_command(doc! { "dropIndexes": names::LINEAGE, "index": lineage() }).await;
            dropped
                .map(drop)
                .or_else(|error| if is(&error, &[NO_COLLECTION, NO_INDEX]) { Ok(()) } else { Err(error) })?;
        }
        if let Some(metadata) = &self.metadata {
            let index = IndexModel::builder().keys(doc! { "gallery_id": 1, "status": 1 }).build();
            metadata.collection::<Document>(names::IMAGES).create_index(index).await?;
        }
        Ok(())
    }

    async fn ensure(&self, Index { collection, keys, unique, expires, of, below }: Index) -> Result<(), MongoError> {
        let below = below.map(|(field, limit)| doc! { field: { "$lt": limit } });
        let of = of.map(|field| doc! { field: { "$exists": true } }).or(below);
        let options = IndexOptions::builder().unique(unique.then_some(true)).expire_after(expires);
        let options = options.partial_filter_expression(of).build();
        let index = IndexModel::builder().keys(keys.clone()).options(options).build();
        match (self.collection(collection).create_index(index).await, expires) {
            (Ok(_), _) => Ok(()),
            (Err(error), Some(expires)) if is(&error, &[OTHER_OPTIONS]) => {
                let seconds = i64::try_from(expires.as_secs()).unwrap_or(i64::MAX);
                let index = doc! { "keyPattern": keys, "expireAfterSeconds": seconds };
                self.faces.run_command(doc! { "collMod": collection, "index": index }).await?;
                Ok(())
            }
            // An older release created the index over the same keys.
            (Err(error), None) if is(&error, &[OTHER_OPTIONS, SAME_NAME]) => Ok(()),
            (Err(error), _) if is(&error, &[DUPLICATE]) => Err(MongoError::Unfit(format!(
                "documents in {collection} that muster did not write stand in the way of the index {keys}: move them to \
                 another database ({error})"
            ))),
            (Err(error), _) => Err(error.into()),
        }
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.faces.collection(name)
    }

    /// Counts the documents of another program in each of muster's collections, at most a thousand in each. Collections
    /// without any are left out.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn foreign(&self) -> Result<Vec<(&'static str, u64)>, MongoError> {
        let mut found = Vec::new();
        for name in [names::IMAGES, names::FACES, names::GROUPS, names::CHANGES, names::DECISIONS] {
            let others = doc! { OURS: { "$exists": false } };
            let count = self.collection(name).count_documents(others).limit(COUNTED).await?;
            found.extend((count > 0).then_some((name, count)));
        }
        Ok(found)
    }

    /// Returns the missing indexes, as `collection {keys}`.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn missing_indexes(&self, keep: Option<Duration>) -> Result<Vec<String>, MongoError> {
        let mut missing = Vec::new();
        let existing = self.faces.list_collection_names().await?;
        for Index { collection, keys, expires, .. } in indexes(keep) {
            let mut there = false;
            if existing.iter().any(|name| name == collection) {
                let mut listed = self.collection(collection).list_indexes().await?;
                while listed.advance().await? {
                    let index = listed.deserialize_current()?;
                    there |= index.keys == keys && index.options.and_then(|options| options.expire_after) == expires;
                }
            }
            if !there {
                missing.push(format!("{collection} {keys}"));
            }
        }
        Ok(missing)
    }
}
