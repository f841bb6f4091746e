//! `galleries/<gallery>/index.json`: the small object by which readers find a gallery's groups (docs/fleet.md has the format).

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::gallery::GalleryId;
use muster_stores::mongo::{IdPrefix, LookedAt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of the index and of shards.
pub(super) const FORMAT: u32 = 3;
/// Faces up to which the groups are in the index itself.
const INLINE_FACES: u64 = 2_000;
/// Faces of a shard, more or less: a gallery of more has shards of prefixes that are a digit longer.
const SHARD_FACES: u64 = 1_000;
/// A gallery that grows or shrinks keeps its shards until they have so many times more or fewer faces.
const SLACK: u64 = 4;
/// Digits of a prefix at most: 65,536 shards.
const MOST_DIGITS: usize = 4;

/// Where the groups of a gallery are.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GroupsIndex {
    pub(super) format: u32,
    pub(super) gallery: GalleryId,
    /// The gallery's generation that the groups are of.
    pub(super) generation: u64,
    /// Groups of the gallery.
    pub(super) group_count: u64,
    /// Faces in groups.
    pub(super) grouped: u64,
    /// Faces in no group, without what is no face.
    pub(super) ungrouped: u64,
    /// Hexadecimal digits of the prefixes of the shards.
    pub(super) digits: usize,
    /// Objects with groups, ascending by prefix.
    pub(super) shards: Vec<Shard>,
    /// The groups, where there are no shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) groups: Option<Box<RawValue>>,
    /// For the next publication.
    pub(super) writer: WriterState,
}

/// An object that holds the groups whose ids begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shard {
    pub(super) prefix: String,
    /// Its key in the bucket of groups. Its bytes never change.
    pub(super) object: String,
    /// Groups in it.
    pub(super) groups: u64,
    /// Faces of these groups.
    pub(super) faces: u64,
    /// Names its content.
    pub(super) digest: String,
}

/// What the next publication must know to read only what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WriterState {
    /// The number of the partition that held.
    pub(super) partition: u64,
    /// Generations of the gallery that did not mark what they changed.
    pub(super) unmarked: u64,
    /// When the faces were looked at, in milliseconds since 1970 (UTC).
    pub(super) looked_at_ms: i64,
    /// All groups were written as one object too.
    pub(super) groups_json: bool,
    /// Shards that the index before named and this one does not: they are deleted, or the next publication deletes them.
    pub(super) former: Vec<String>,
    /// Something else may be left that this index does not name.
    pub(super) sweeps: bool,
}

impl GroupsIndex {
    /// An index as it was written; `None` where it is of another format.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|index: &Self| index.format == FORMAT)
    }

    /// When it looked at the gallery.
    pub(super) fn looked(&self) -> LookedAt {
        LookedAt { generation: self.generation, at_ms: self.writer.looked_at_ms }
    }

    /// The shards by prefix.
    pub(super) fn by_prefix(&self) -> BTreeMap<&str, &Shard> {
        self.shards.iter().map(|shard| (shard.prefix.as_str(), shard)).collect()
    }

    /// Whether a shard is of its generation or older and not named by it: no publication that is under way will name it.
    pub(super) fn is_left_over(&self, key: &str) -> bool {
        generation_of(key).is_some_and(|generation| generation <= self.generation)
            && self.shards.iter().all(|shard| shard.object != key)
    }

    /// The keys of the shards.
    pub(super) fn object_keys(&self) -> BTreeSet<String> {
        self.shards.iter().map(|shard| shard.object.clone()).collect()
    }

    /// The objects that it names and another does not.
    pub(super) fn objects_without(&self, other: &Self) -> Vec<String> {
        self.object_keys().difference(&other.object_keys()).cloned().collect()
    }
}

/// The generation that the key of a shard names.
fn generation_of(key: &str) -> Option<u64> {
    let (beginning, _nonce) = key.strip_suffix(".json")?.rsplit_once('-')?;
    beginning.rsplit_once('-')?.1.parse().ok()
}

/// How many digits the prefixes of a gallery's shards have; 0 where the groups are in the index. `now` is how many they have
/// so far.
pub(super) fn digits(faces: u64, now: Option<usize>) -> usize {
    let fits = |digits: usize, most: u64| faces >> (4 * digits) <= most;
    if let Some(now) = now.filter(|now| (1..=MOST_DIGITS).contains(now))
        && fits(now, SLACK * SHARD_FACES)
        && faces > INLINE_FACES / SLACK
        && !fits(now - 1, SHARD_FACES / SLACK)
    {
        return now;
    }
    if faces <= INLINE_FACES {
        return 0;
    }
    (1..MOST_DIGITS).find(|digits| fits(*digits, SHARD_FACES)).unwrap_or(MOST_DIGITS)
}

/// The prefixes whose shards are written: what changed, and what has another number of groups than its shard.
pub(super) fn to_write(
    before: Option<&GroupsIndex>,
    counts: &BTreeMap<IdPrefix, u64>,
    changed: BTreeSet<IdPrefix>,
) -> BTreeSet<IdPrefix> {
    let shards = before.map(GroupsIndex::by_prefix).unwrap_or_default();
    let differs =
        |(prefix, count): &(&IdPrefix, &u64)| shards.get(prefix.as_str()).is_none_or(|shard| shard.groups != **count);
    let mut all = changed;
    all.extend(counts.iter().filter(differs).map(|(prefix, _)| prefix.clone()));
    // A shard of which no group is left is not written: it is not named any more.
    all.retain(|prefix| counts.contains_key(prefix));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_actors::domain::gallery::GroupId;

    #[test]
    fn shards_have_about_a_thousand_faces_and_do_not_change_at_every_face() {
        for (faces, now, expected) in [
            (0, None, 0),
            (2_000, None, 0),
            (2_001, None, 1),
            (16_000, None, 1),
            (17_000, None, 2),
            (1_000_000, None, 3),
            (10_000_000, None, 4),
            (u64::MAX, None, 4),
            // Smaller than it was, or larger.
            (1_900, Some(1), 1),
            (400, Some(1), 0),
            (60_000, Some(1), 1),
            (70_000, Some(1), 2),
            (17_000, Some(2), 2),
            (3_000, Some(2), 1),
            (900_000, Some(2), 2),
            (2_000, Some(0), 0),
            (2_001, Some(0), 1),
            // No index of ours says so.
            (5_000, Some(9), 1),
        ] {
            assert_eq!(digits(faces, now), expected, "{faces} faces, {now:?} digits so far");
        }
    }

    fn shard(prefix: &str, groups: u64) -> Shard {
        let object = format!("galleries/g/groups/{prefix}-1-ab.json");
        Shard { prefix: prefix.to_owned(), object, groups, faces: 9, digest: String::new() }
    }

    fn index(shards: Vec<Shard>) -> GroupsIndex {
        GroupsIndex {
            format: FORMAT,
            gallery: GalleryId("g".to_owned()),
            generation: 1,
            group_count: 0,
            grouped: 0,
            ungrouped: 0,
            digits: 1,
            shards,
            groups: None,
            writer: WriterState::default(),
        }
    }

    fn prefix(first: u8) -> IdPrefix {
        IdPrefix::of(GroupId([first << 4; 16]), 1)
    }

    #[test]
    fn a_shard_is_written_where_something_changed_or_the_number_of_groups_is_another() {
        let before = index(vec![shard("1", 3), shard("2", 3), shard("3", 3), shard("4", 3)]);
        let counts = BTreeMap::from([(prefix(1), 3), (prefix(2), 2), (prefix(4), 3), (prefix(5), 1)]);
        let changed = BTreeSet::from([prefix(4), prefix(3)]);
        let expected = BTreeSet::from([prefix(2), prefix(4), prefix(5)]);
        assert_eq!(to_write(Some(&before), &counts, changed), expected);
        let all: BTreeSet<IdPrefix> = counts.keys().cloned().collect();
        assert_eq!(to_write(None, &counts, BTreeSet::new()), all);
    }

    #[test]
    fn objects_that_the_next_index_does_not_name_are_known() {
        let (before, after) = (index(vec![shard("1", 3), shard("2", 3)]), index(vec![shard("2", 3), shard("3", 1)]));
        assert_eq!(before.objects_without(&after), ["galleries/g/groups/1-1-ab.json"]);
    }

    #[test]
    fn a_shard_is_left_over_where_the_index_is_as_new_and_does_not_name_it() {
        let index = GroupsIndex { generation: 12, ..index(vec![shard("1", 3)]) };
        for (key, expected) in [
            ("galleries/g/groups/1-1-ab.json", false),
            ("galleries/g/groups/1-12-cd.json", true),
            ("galleries/a-b/groups/0a-7-ef.json", true),
            // A publication that is under way.
            ("galleries/g/groups/1-13-ab.json", false),
            ("galleries/g/groups/0a.json", false),
            ("galleries/g/groups/0a-12-ab.txt", false),
        ] {
            assert_eq!(index.is_left_over(key), expected, "{key}");
        }
    }

    #[test]
    fn an_index_of_another_format_is_none() {
        let text = serde_json::to_vec(&index(vec![shard("1", 3)])).unwrap();
        assert_eq!(GroupsIndex::read(&text).unwrap().shards, [shard("1", 3)]);
        let other = GroupsIndex { format: 4, ..index(Vec::new()) };
        assert!(GroupsIndex::read(&serde_json::to_vec(&other).unwrap()).is_none());
        assert!(GroupsIndex::read(b"{").is_none());
    }
}
