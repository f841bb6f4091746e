//! Where the groups of a gallery are.
//!
//! There is room for two partitions: the one that holds, and one that is written beside it (`staged.rs`). The gallery's
//! document counts the partitions that took the place of others, and so says which of the two holds.

use mongodb::bson::Document;
use muster_actors::domain::gallery::GalleryId;

use super::documents::unsigned;
use super::gallery::GalleryHead;
use super::{MongoError, MongoFaces, gallery, names};

/// The field of a gallery that counts the partitions which took the place of others. Without it none did.
pub const PARTITION: &str = "partition";
/// The fields of a face that say which group it is in, in the one partition and in the other.
pub const GROUP: &str = "group";
pub const STAGED_GROUP: &str = "staged_group";

/// How often something is read again whose partition others take the place of.
const ROUNDS: u32 = 8;

/// Says which of the two partitions holds: that of an even number lies where releases before look for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionPointer(u64);

impl PartitionPointer {
    /// By a gallery's document.
    pub fn of(state: &Document) -> Result<Self, MongoError> {
        if state.contains_key(PARTITION) { Ok(Self(unsigned(state, PARTITION)?)) } else { Ok(Self::default()) }
    }

    /// The number of the partition.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Whether releases before find it.
    pub fn is_main(self) -> bool {
        self.0.is_multiple_of(2)
    }

    /// The one that would take its place.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The field of a face that says which group it is in.
    pub fn field(self) -> &'static str {
        if self.is_main() { GROUP } else { STAGED_GROUP }
    }

    /// The collection of the groups.
    pub fn groups(self) -> &'static str {
        if self.is_main() { names::GROUPS } else { names::STAGED_GROUPS }
    }
}

/// Reads something of a partition until it was the same one from the beginning to the end.
pub struct PartitionRead<'a> {
    store: &'a MongoFaces,
    of: &'a GalleryId,
    head: GalleryHead,
    rounds: u32,
}

impl<'a> PartitionRead<'a> {
    /// Begins a round.
    pub async fn begin(store: &'a MongoFaces, of: &'a GalleryId) -> Result<Self, MongoError> {
        let head = gallery::head(store, of).await?.unwrap_or_default();
        Ok(Self { store, of, head, rounds: 1 })
    }

    /// How far the gallery was when the round began, and which partition to read in it.
    pub fn head(&self) -> GalleryHead {
        self.head
    }

    /// Whether what was read in this round is of one partition; else another round begins.
    ///
    /// # Errors
    /// [`MongoError::Conflict`] when each round is disturbed.
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

/// Which partition of a gallery holds now.
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
