//! The figures that steer grouping.

use serde::{Deserialize, Serialize};

/// Thresholds and limits of grouping. All similarities are cosines of unit vectors, all qualities 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Two faces at least this near have an edge; from the model pack's manifest.
    pub threshold: f32,
    /// Two groups join only when the quality-weighted mean over all their pairs is at least this.
    pub linkage: f32,
    /// A poor face needs an edge of at least this to attach to a group.
    pub attach_threshold: f32,
    /// Faces below this quality attach to groups and never bridge them.
    pub core_quality: f32,
    /// Two faces of one photo this near are contested (a collage, a mirror, twins): nobody can tell which of them is the
    /// person, so they attach to groups and never bridge them.
    pub contested: f32,
    /// Two groups of three faces or more stay apart when their mean similarity to each other lies this many standard
    /// deviations below the mean within them (d' of signal detection): look-alikes above the threshold.
    pub contrast: f32,
    /// Pairs above this are shots of one moment: they say no more than this of how alike a person's faces are
    /// ([`Self::contrast`]).
    pub near_duplicate: f32,
    /// Neighbours kept per face, nearest first.
    pub k: usize,
    /// Smaller groups are not shown: their faces are ungrouped.
    pub min_size: usize,
}

impl Params {
    /// Defaults around a pack's threshold; docs/grouping.md tells how they were found.
    pub fn around(threshold: f32) -> Self {
        Self {
            threshold,
            linkage: threshold + 0.02,
            attach_threshold: threshold + 0.02,
            core_quality: 0.35,
            contested: threshold + 0.17,
            contrast: 1.3,
            near_duplicate: 0.85,
            k: 64,
            min_size: 2,
        }
    }
}

impl Default for Params {
    /// For the pack `open` (SFace, best near cosine 0.38 on LFW).
    fn default() -> Self {
        Self::around(0.38)
    }
}
