//! Puts the groups of a gallery where others read them: shards with groups, and an index that names them.
//!
//! A shard is written under a key that names the generation and is never changed. The index is written last, on the condition
//! that nobody else wrote one meanwhile, so whoever reads it finds shards that belong together. Shards that no index names
//! any more are deleted after that. Only what changed since the last publication is read and written, where the gallery says
//! what that is.

mod index;
mod shard;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::errors::Class;
use muster_actors::ports::faces::FacesError;
use muster_aws::s3::{Note, When};
use muster_stores::mongo::{GalleryHead, IdPrefix, Scope};
use serde_json::value::RawValue;

use super::PublishingStore;
use index::{FORMAT, GroupsIndex, Shard, WriterState, digits, to_write};
use shard::ShardContent;

/// Shards that are read and written at once.
const AT_ONCE: usize = 8;
/// How often a gallery that changes meanwhile is read.
const ROUNDS: u32 = 8;

/// Key of a gallery's index.
fn index_key(gallery: &GalleryId) -> String {
    format!("galleries/{gallery}/index.json")
}

/// What the keys of a gallery's shards begin with.
fn shards_prefix(gallery: &GalleryId) -> String {
    format!("galleries/{gallery}/groups/")
}

/// The index that is there now.
struct Before {
    /// For the condition of the next one.
    when: When,
    /// `None` where there is none that this release understands.
    index: Option<GroupsIndex>,
}

/// What one publication wrote so far.
struct Attempt {
    /// Makes the keys of its shards its own.
    nonce: String,
    /// On which index its last round was based, and the index of that round, which was not put.
    last: Option<(When, GroupsIndex)>,
    /// The shards that it wrote.
    objects: BTreeSet<String>,
    /// An index of it was sent, and it is not known whether it was put.
    may_have_put: bool,
}

impl Attempt {
    fn new() -> Result<Self, FacesError> {
        let mut nonce = [0; 6];
        let bug = |error: getrandom::Error| FacesError::Failed { class: Class::Bug, message: error.to_string() };
        getrandom::fill(&mut nonce).map_err(bug)?;
        let nonce = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { nonce, last: None, objects: BTreeSet::new(), may_have_put: false })
    }

    /// The index of the last round, if it was based on the one that is there: nobody deleted its shards meanwhile.
    fn base_on(&self, when: &When) -> Option<&GroupsIndex> {
        self.last.as_ref().filter(|(based_on, _)| based_on == when).map(|(_, index)| index)
    }

    fn wrote(&mut self, index: &GroupsIndex) {
        let objects = index.shards.iter().map(|shard| &shard.object);
        self.objects.extend(objects.filter(|object| object.contains(&self.nonce)).cloned());
    }

    /// The shards that it wrote and that are not among some keys.
    fn unnamed(&self, named: &BTreeSet<String>) -> Vec<String> {
        self.objects.difference(named).cloned().collect()
    }
}

impl PublishingStore {
    /// Puts a gallery's groups where people look, unless it was forgotten.
    ///
    /// # Errors
    /// A store failed, or the gallery changes all the time.
    pub async fn publish(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        if !self.store.is_forgotten(gallery, &Scope::Gallery).await? {
            self.put_groups(gallery).await?;
        }
        // Also what was put while somebody forgot it.
        if self.store.is_forgotten(gallery, &Scope::Gallery).await? {
            self.groups.remove(&index_key(gallery)).await?;
            self.groups.clear(&shards_prefix(gallery)).await?;
            self.remove_whole(gallery).await?;
        }
        Ok(())
    }

    /// Puts a gallery's groups, unless newer ones are there.
    async fn put_groups(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        let mut attempt = Attempt::new()?;
        let put = self.try_to_put(gallery, &mut attempt).await;
        if !attempt.may_have_put {
            // The index that is there may name shards of an attempt whose answer was lost.
            let there = match &put {
                Ok(index) => Some(index.object_keys()),
                Err(_) => self.index_before(gallery).await?.index.map(|index| index.object_keys()),
            };
            self.groups.delete_all(&attempt.unnamed(&there.unwrap_or_default())).await?;
        }
        self.finish(gallery, &put?).await
    }

    /// Puts a gallery's groups; the index that is there then.
    async fn try_to_put(&self, gallery: &GalleryId, attempt: &mut Attempt) -> Result<GroupsIndex, FacesError> {
        for _ in 0..ROUNDS {
            let before = self.index_before(gallery).await?;
            let head = self.store.head(gallery).await?;
            match before.index {
                Some(index) if index.generation >= head.version.generation => {
                    if index.generation > head.version.generation {
                        tracing::warn!(%gallery, "publish.newer: the published groups are newer than the database");
                    }
                    return Ok(index);
                }
                _ => {}
            }
            // A round before this one wrote shards on the same index: what did not change since need not be written again.
            let base = attempt.base_on(&before.when).or(before.index.as_ref());
            let mut next = self.prepare(gallery, head, base, &attempt.nonce).await?;
            let last = before.index.as_ref();
            next.writer.former = last.map(|last| last.objects_without(&next)).unwrap_or_default();
            next.writer.sweeps = last.is_none_or(|last| {
                (last.writer.unmarked, last.writer.groups_json) != (next.writer.unmarked, next.writer.groups_json)
            });
            // What was written meanwhile may be in there in part.
            let is_whole = self.store.head(gallery).await?.has_groups_of(head);
            let text = Bytes::from(serde_json::to_vec(&next).map_err(|error| unwritable(&error))?);
            let note = Some(Note::Generation(next.generation));
            attempt.wrote(&next);
            let when = before.when.clone();
            if is_whole {
                attempt.may_have_put = true;
                let is_put = self.groups.put(&index_key(gallery), text, "application/json", note, when).await?;
                attempt.may_have_put = false;
                if is_put {
                    let former = last.map(|last| &last.writer.former[..]).unwrap_or_default();
                    self.groups.delete_all(former).await?;
                    return Ok(next);
                }
            }
            attempt.last = Some((before.when, next));
        }
        Err(FacesError::Failed { class: Class::Transient, message: "the gallery changed again and again".to_owned() })
    }

    async fn index_before(&self, gallery: &GalleryId) -> Result<Before, FacesError> {
        Ok(match self.groups.get_whole(&index_key(gallery)).await? {
            None => Before { when: When::Absent, index: None },
            Some(there) => {
                let index = GroupsIndex::read(&there.bytes);
                if index.is_none() {
                    tracing::warn!(%gallery, "publish.index: it is not of this format, and is written anew");
                }
                Before { when: When::Unchanged(there.etag), index }
            }
        })
    }

    /// Writes the shards that are not there yet; the index that names all of them. `base` names shards that are there.
    async fn prepare(
        &self,
        gallery: &GalleryId,
        head: GalleryHead,
        base: Option<&GroupsIndex>,
        nonce: &str,
    ) -> Result<GroupsIndex, FacesError> {
        let looked_at_ms = self.store.seen_until_ms().await?;
        let faces = self.store.count_faces(gallery).await?;
        let digits = digits(faces, base.map(|index| index.digits));
        let is_marked = |index: &&GroupsIndex| {
            let WriterState { partition, unmarked, .. } = index.writer;
            (index.digits, partition, unmarked) == (digits, head.pointer.number(), head.unmarked)
        };
        let known = base.filter(is_marked).filter(|_| digits > 0);
        let mut index = GroupsIndex {
            format: FORMAT,
            gallery: gallery.clone(),
            generation: head.version.generation,
            group_count: 0,
            grouped: 0,
            ungrouped: 0,
            digits,
            shards: Vec::new(),
            groups: None,
            writer: WriterState {
                partition: head.pointer.number(),
                unmarked: head.unmarked,
                looked_at_ms,
                groups_json: self.layouts.groups_json,
                former: Vec::new(),
                sweeps: false,
            },
        };
        if digits == 0 {
            let all = self.read_shard(gallery, head, &IdPrefix::all()).await?;
            (index.group_count, index.grouped) = (all.groups, all.faces);
            index.groups = Some(RawValue::from_string(all.text).map_err(|error| unwritable(&error))?);
        } else {
            let changes = self.store.group_changes(gallery, head, digits, known.map(GroupsIndex::looked)).await?;
            let prefixes = to_write(known, &changes.counts, changes.changed);
            let name = format!("{}-{nonce}", head.version.generation);
            let written = self.write_shards((gallery, head), base, prefixes, &name).await?;
            let there = known.map(GroupsIndex::by_prefix).unwrap_or_default();
            let shard = |prefix: &IdPrefix| {
                written.get(prefix.as_str()).cloned().or_else(|| Some(Shard::clone(there.get(prefix.as_str())?)))
            };
            index.shards = changes.counts.keys().filter_map(shard).collect();
            index.group_count = index.shards.iter().map(|shard| shard.groups).sum();
            index.grouped = index.shards.iter().map(|shard| shard.faces).sum();
        }
        let non_faces = self.store.count_non_faces(gallery, head).await?;
        index.ungrouped = faces.saturating_sub(index.grouped).saturating_sub(non_faces);
        Ok(index)
    }

    /// Writes the shards of some prefixes, but for those that are there with the same content.
    async fn write_shards(
        &self,
        (gallery, head): (&GalleryId, GalleryHead),
        base: Option<&GroupsIndex>,
        prefixes: BTreeSet<IdPrefix>,
        name: &str,
    ) -> Result<BTreeMap<String, Shard>, FacesError> {
        let there = base.map(GroupsIndex::by_prefix).unwrap_or_default();
        let there = &there;
        let write = |prefix: IdPrefix| async move {
            let content = self.read_shard(gallery, head, &prefix).await?;
            let prefix = prefix.as_str();
            let digest = content.digest();
            let same = there.get(prefix).filter(|shard| shard.digest == digest);
            let object = match same {
                Some(shard) => shard.object.clone(),
                None => format!("{}{prefix}-{name}.json", shards_prefix(gallery)),
            };
            let shard =
                Shard { prefix: prefix.to_owned(), object, groups: content.groups, faces: content.faces, digest };
            if same.is_none() {
                let bytes = content.object(gallery, prefix).map_err(|error| unwritable(&error))?;
                self.groups.put(&shard.object, bytes, "application/json", None, When::Always).await?;
            }
            Ok::<_, FacesError>((shard.prefix.clone(), shard))
        };
        stream::iter(prefixes.into_iter().map(write)).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn read_shard(
        &self,
        gallery: &GalleryId,
        head: GalleryHead,
        prefix: &IdPrefix,
    ) -> Result<ShardContent, FacesError> {
        let groups = self.store.groups_below(gallery, head, prefix).await?;
        ShardContent::new(gallery, &groups).map_err(|error| unwritable(&error))
    }

    /// Does what is left to do after an index was written, whoever wrote it: that one may have died.
    async fn finish(&self, gallery: &GalleryId, index: &GroupsIndex) -> Result<(), FacesError> {
        self.groups.delete_all(&index.writer.former).await?;
        if index.writer.sweeps {
            self.delete_left_over(gallery, index).await?;
        }
        if self.layouts.groups_json { self.put_whole(gallery).await } else { Ok(()) }
    }

    /// Deletes what an index does not name: shards of publications that did not come to their end, and the groups in one object
    /// where nobody reads them.
    async fn delete_left_over(&self, gallery: &GalleryId, index: &GroupsIndex) -> Result<(), FacesError> {
        let mut listed = self.groups.list(&shards_prefix(gallery)).await?;
        listed.retain(|key| index.is_left_over(key));
        self.groups.delete_all(&listed).await?;
        // A gallery all of whose generations are marked was never published by a release before.
        let was_whole = index.writer.unmarked > 0 || index.writer.groups_json;
        if was_whole && !self.layouts.groups_json { self.remove_whole(gallery).await } else { Ok(()) }
    }

    /// Deletes what publications of a gallery left behind that did not come to their end.
    ///
    /// # Errors
    /// S3 failed.
    pub(super) async fn tidy_published(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        match self.index_before(gallery).await?.index {
            Some(index) => self.delete_left_over(gallery, &index).await,
            None => Ok(()),
        }
    }
}

fn unwritable(error: &serde_json::Error) -> FacesError {
    FacesError::Failed { class: Class::Bug, message: format!("groups cannot be written as JSON: {error}") }
}
