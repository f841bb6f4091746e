//! Decides which missing photos are removed from a library, and for which a person is asked.
//!
//! A disk that is not mounted, a share that does not answer or a folder that was moved looks like photos
//! that were deleted. So nothing is taken out below a root that is not there, whose disk is not mounted
//! any more, or from which all photos are gone, or more than ten that are more than a tenth of those
//! known below it: unless a person says that they may go.

use std::path::PathBuf;

use muster_actors::domain::image::ImageId;
use serde::Serialize;

use super::key::{self, PathMap};
use super::roots::Root;

/// Number of photos of a root that may be removed without asking, if they are not all.
const FEW: u64 = 10;
/// Divisor of a root's photos above which a person is asked.
const SHARE: u64 = 10;

/// Photos below a root that are missing on the disk, and were not removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The root, as [`key::shown`].
    pub root: String,
    /// Photos that are gone.
    pub missing: u64,
    /// Photos known below it, those that are gone among them.
    pub known: u64,
    /// Reason why a person is asked.
    pub cause: RemovalCause,
}

impl Missing {
    /// Whether it is of this root.
    pub(super) fn is_of(&self, places: &PathMap, root: &Root) -> bool {
        self.root == shown(places, root)
    }
}

fn shown(places: &PathMap, root: &Root) -> String {
    let locator = places.locate(&root.path);
    key::shown(&locator.bucket, &locator.key)
}

/// The reason why missing photos were not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalCause {
    /// There is nothing at the root's path.
    RootMissing,
    /// The disk that held it is not mounted any more.
    NotMounted,
    /// All photos that were known below it are gone.
    AllGone,
    /// More than a tenth of them are, and more than ten.
    ManyGone,
}

/// A stored photo whose file is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GonePhoto {
    pub id: ImageId,
    pub path: PathBuf,
}

/// Splits missing photos into those to remove and those to ask about. `known` are the photos stored below each root.
pub(super) fn divide(
    places: &PathMap,
    roots: &[Root],
    known: &[u64],
    gone: &[GonePhoto],
    accepted: bool,
) -> (Vec<ImageId>, Vec<Missing>) {
    let (mut removed, mut missing) = (Vec::new(), Vec::new());
    for (root, &known) in roots.iter().zip(known) {
        let below: Vec<ImageId> =
            gone.iter().filter(|photo| photo.path.starts_with(&root.path)).map(|photo| photo.id).collect();
        match cause(root, known, below.len() as u64).filter(|_| !accepted) {
            None => removed.extend(below),
            Some(cause) => {
                missing.push(Missing { root: shown(places, root), missing: below.len() as u64, known, cause });
            }
        }
    }
    (removed, missing)
}

/// Returns the reason to ask a person about missing photos, if there is one.
fn cause(root: &Root, known: u64, missing: u64) -> Option<RemovalCause> {
    match missing {
        0 => None,
        _ if !root.is_there => Some(RemovalCause::RootMissing),
        _ if root.is_unmounted => Some(RemovalCause::NotMounted),
        _ if missing >= known => Some(RemovalCause::AllGone),
        _ if missing > FEW && missing.saturating_mul(SHARE) > known => Some(RemovalCause::ManyGone),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_asked_where_many_are_gone_and_where_all_are() {
        let root = |is_there, is_unmounted| Root { path: PathBuf::from("/p"), is_there, is_unmounted };
        let there = root(true, false);
        for (known, missing, expected) in [
            (5, 0, None),
            (5, 1, None),
            (5, 4, None),
            (5, 5, Some(RemovalCause::AllGone)),
            (1, 1, Some(RemovalCause::AllGone)),
            (100, 10, None),
            (100, 11, Some(RemovalCause::ManyGone)),
            (12, 11, Some(RemovalCause::ManyGone)),
            (110, 11, None),
            (1000, 100, None),
            (1000, 101, Some(RemovalCause::ManyGone)),
        ] {
            assert_eq!(cause(&there, known, missing), expected, "{missing} of {known}");
        }
        assert_eq!(cause(&root(false, false), 100, 1), Some(RemovalCause::RootMissing));
        assert_eq!(cause(&root(true, true), 100, 1), Some(RemovalCause::NotMounted));
        assert_eq!(cause(&root(true, true), 100, 0), None, "nothing is missed");
    }

    #[test]
    fn each_root_is_judged_by_itself_and_a_person_may_accept() {
        let roots = ["/p/a", "/p/b"].map(|path| Root { path: path.into(), is_there: true, is_unmounted: false });
        let photo = |n: u8, path: &str| GonePhoto { id: ImageId([n; 16]), path: path.into() };
        let gone = [photo(1, "/p/a/1.jpg"), photo(2, "/p/b/2.jpg")];
        let places = PathMap::new("/p");
        let (removed, missing) = divide(&places, &roots, &[1, 2], &gone, false);
        assert_eq!(removed, [gone[1].id]);
        assert_eq!(missing, [Missing { root: "a".into(), missing: 1, known: 1, cause: RemovalCause::AllGone }]);
        let (removed, missing) = divide(&places, &roots, &[1, 2], &gone, true);
        assert_eq!((removed.len(), missing.len()), (2, 0));
    }
}
