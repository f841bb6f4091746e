//! Locates the groups of a gallery.
//!
//! A gallery has room for two partitions: the one in force, and one that is written beside it (`staged.rs`). The
//! gallery's document counts how often one partition replaced the other, and thus tells which of them is in force.

use mongodb::bson::Document;
use muster_actors::domain::gallery::GalleryId;

use super::documents::unsigned;
use super::gallery::GalleryHead;
use super::{MongoError, MongoFaces, gallery, names};

/// Field of a gallery with the number of times that a partition replaced another. It is missing where that never
/// happened.
pub const PARTITION: &str = "partition";
/// Fields of a face with its group in the main partition and in the other one.
pub const GROUP: &str = "group";
pub const STAGED_GROUP: &str = "staged_group";

/// Greatest number of attempts at reading from one partition while others replace it.
const ROUNDS: u32 = 8;

/// Locates the partition in force by its number: even numbers are the main partition, which older releases read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionPointer(u64);

impl PartitionPointer {
    /// Reads the pointer from a gallery's document.
    ///
    /// # Errors
    /// [`MongoError::Document`] when the number is of another kind or negative.
    pub fn of(state: &Document) -> Result<Self, MongoError> {
        if state.contains_key(PARTITION) { Ok(Self(unsigned(state, PARTITION)?)) } else { Ok(Self::default()) }
    }

    /// Returns the number of the partition.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Tells whether it is the main partition, which older releases read.
    pub fn is_main(self) -> bool {
        self.0.is_multiple_of(2)
    }

    /// Returns the pointer to the partition that would replace it.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the field of a face with its group in the partition.
    pub fn field(self) -> &'static str {
        if self.is_main() { GROUP } else { STAGED_GROUP }
    }

    /// Returns the name of the collection with the partition's groups.
    pub fn groups(self) -> &'static str {
        if self.is_main() { names::GROUPS } else { names::STAGED_GROUPS }
    }
}

/// Repeats a read until the same partition was in force from its beginning to its end.
pub struct PartitionRead<'a> {
    store: &'a MongoFaces,
    of: &'a GalleryId,
    head: GalleryHead,
    rounds: u32,
}

impl<'a> PartitionRead<'a> {
    /// Starts the first round.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn begin(store: &'a MongoFaces, of: &'a GalleryId) -> Result<Self, MongoError> {
        let head = gallery::head(store, of).await?.unwrap_or_default();
        Ok(Self { store, of, head, rounds: 1 })
    }

    /// Returns the gallery's state at the start of the round, with the partition to read.
    pub fn head(&self) -> GalleryHead {
        self.head
    }

    /// Tells whether all reads of this round saw one partition; otherwise another round starts.
    ///
    /// # Errors
    /// [`MongoError::Conflict`] when the partition was replaced in each of 8 rounds; otherwise [`MongoError`] when the
    /// server fails or the gallery's document is not what muster wrote.
    pub async fn is_whole(&mut self) -> Result<bool, MongoError> {
        let now = gallery::head(self.store, self.of).await?.unwrap_or_default();
        if now.pointer == self.head.pointer {
            return Ok(true);
        }
        if self.rounds == ROUNDS {
            return Err(MongoError::Conflict);
        }
        (self.head, self.rounds) = (now, self.rounds + 1);
        Ok(false)
    }
}

/// Returns the pointer to the partition of a gallery that is in force now.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn pointer(store: &MongoFaces, of: &GalleryId) -> Result<PartitionPointer, MongoError> {
    Ok(gallery::head(store, of).await?.unwrap_or_default().pointer)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn a_gallery_without_a_number_and_those_of_even_numbers_are_where_they_always_were() {
        for (state, field, groups) in [
            (doc! {}, "group", "groups"),
            (doc! { "partition": 1i64 }, "staged_group", "staged_groups"),
            (doc! { "partition": 2i64 }, "group", "groups"),
        ] {
            let pointer = PartitionPointer::of(&state).unwrap();
            assert_eq!((pointer.field(), pointer.groups()), (field, groups), "{state}");
            assert_ne!(pointer.next().field(), field, "{state}");
        }
    }
}
