//! A gallery, its groups, and what people decided about them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::capture::Capture;
use crate::domain::face::FaceId;
use crate::domain::face_place::FacePlace;
use crate::domain::facts::{Edit, Facts};
use crate::domain::image::{ImageId, hex_id};

/// Faces are grouped within one gallery.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GalleryId(pub String);

impl fmt::Display for GalleryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The gallery of an image whose message names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GalleryRule {
    /// Always this one.
    Always(GalleryId),
    /// The first folder of the object's key; this one where the key has no folder.
    FirstFolder(GalleryId),
}

impl GalleryRule {
    /// The gallery of the object `key`.
    pub fn of(&self, key: &str) -> GalleryId {
        match (self, key.split_once('/')) {
            (Self::FirstFolder(_), Some((folder, _))) if !folder.is_empty() => GalleryId(folder.to_owned()),
            (Self::Always(gallery) | Self::FirstFolder(gallery), _) => gallery.clone(),
        }
    }
}

hex_id! {
    /// Stable id of a group of faces, and of the person that somebody made of it: it survives re-runs, growth, splits and
    /// merges (by redirect).
    GroupId
}

/// What grouping needs to know of one face.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceVector {
    /// The face.
    pub id: FaceId,
    /// Its photo: two faces of one photo are not joined unless a person says so.
    pub image: ImageId,
    /// Unit length.
    pub embedding: Vec<f32>,
    /// Overall quality, 0 to 1: weighs the edges of the face.
    pub quality: f32,
    /// How its photo came about.
    pub capture: Capture,
    /// Where it is; `None` where that is not known.
    pub place: Option<FacePlace>,
}

/// A group of faces of one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Stable id.
    pub id: GroupId,
    /// Members, ascending by id.
    pub faces: Vec<FaceId>,
    /// The face that shows the group best.
    pub cover: FaceId,
    /// Unit-length quality-weighted mean of the members' embeddings.
    pub centroid: Vec<f32>,
    /// What people call it.
    pub name: Option<String>,
}

/// How a group came about or went, in one reconciliation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Lineage {
    /// A group nobody had seen before.
    Born {
        /// The new group.
        group: GroupId,
    },
    /// `from` went into `into`; a redirect is kept.
    Merged {
        /// The group that ended.
        from: GroupId,
        /// The group that took its faces.
        into: GroupId,
    },
    /// `part` came out of `from`, which keeps its id.
    Split {
        /// The group that lost faces.
        from: GroupId,
        /// The new group.
        part: GroupId,
    },
    /// The group has no faces left.
    Died {
        /// The group that ended.
        group: GroupId,
    },
}

/// All groups of a gallery. Faces in none are ungrouped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    /// Groups, ascending by id.
    pub groups: Vec<Group>,
    /// Ids that ended in a merge, and where they lead. No chains.
    pub redirects: BTreeMap<GroupId, GroupId>,
    /// Faces in no group that may be somebody's: where evidence is short, a face stays alone and is suggested.
    pub suggestions: BTreeMap<FaceId, Suggestion>,
}

/// The group that a face in no group most likely belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The group.
    pub group: GroupId,
    /// The probability that the face is its person's, 0.1 to 1.
    pub probability: f32,
}

/// How far a gallery is. Both numbers only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GalleryVersion {
    /// Rises with every write: while it stands still there is nothing new to group.
    pub generation: u64,
    /// Rises with every write but those that only add faces: groups that were made before do not fit any more. Faces that
    /// are added wait for the next grouping.
    pub revision: u64,
}

impl GalleryVersion {
    /// The generation whose faces are all in the groups that were made at this version, where the gallery was at `before`
    /// when they were saved and is at `after` since.
    pub fn grouped(self, before: Self, after: Self) -> u64 {
        if before.generation == self.generation { after.generation } else { self.generation }
    }
}

/// Everything a grouper needs of a gallery. Faces may be in it that were added while it was read; where anything else was
/// written meanwhile, its version is older than that, and groups made from it are not saved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GallerySnapshot {
    /// How far the gallery was: guards the write back.
    pub version: GalleryVersion,
    /// All faces, ascending by id: also those that take no part in grouping.
    pub faces: Vec<FaceVector>,
    /// Those of them that the models take for objects.
    pub doubted: BTreeSet<FaceId>,
    /// What people said.
    pub facts: Facts,
    /// The last partition that was saved.
    pub previous: Partition,
}

/// What one reconciliation decided; saved under the snapshot's version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciled {
    /// The new partition.
    pub partition: Partition,
    /// What changed since the previous one, in order.
    pub lineage: Vec<Lineage>,
    /// What becomes of the facts by faces that were known again.
    pub recognised: Vec<Edit>,
    /// Faces that are no more, and those that are at their places now.
    pub renamed: Vec<(FaceId, FaceId)>,
}
