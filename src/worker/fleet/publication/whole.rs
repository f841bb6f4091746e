//! `galleries/<gallery>/groups.json`: all groups in one object, as releases before wrote them, for readers that know no index
//! (`buckets.groups_json`).

use bytes::Bytes;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::errors::Class;
use muster_actors::ports::faces::FacesError;
use muster_aws::s3::{Note, When};
use muster_stores::mongo::{GalleryHead, IdPrefix};
use serde::Serialize;
use serde_json::value::RawValue;

use super::shard::ShardContent;
use super::{ROUNDS, unwritable};
use crate::fleet::PublishingStore;
use crate::fleet::objects::format;

/// Key of all groups of a gallery.
fn key(gallery: &GalleryId) -> String {
    format!("galleries/{gallery}/groups.json")
}

/// All groups of a gallery.
#[derive(Serialize)]
struct WholeGroups<'a> {
    format: u32,
    gallery: &'a GalleryId,
    generation: u64,
    groups: &'a RawValue,
    ungrouped: u64,
}

impl PublishingStore {
    /// Puts all groups of a gallery into one object, unless newer ones are there.
    pub(super) async fn put_whole(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        let key = key(gallery);
        for _ in 0..ROUNDS {
            let there = self.groups.generation(&key).await?;
            let head = self.store.head(gallery).await?;
            let when = match there {
                Some((_, generation)) if generation >= head.version.generation => return Ok(()),
                Some((etag, _)) => When::Unchanged(etag),
                None => When::Absent,
            };
            let text = self.whole_text(gallery, head).await?;
            let note = Some(Note::Generation(head.version.generation));
            if self.store.head(gallery).await?.has_groups_of(head)
                && self.groups.put(&key, text, "application/json", note, when).await?
            {
                return Ok(());
            }
        }
        Err(FacesError::Failed { class: Class::Transient, message: "the gallery changed again and again".to_owned() })
    }

    async fn whole_text(&self, gallery: &GalleryId, head: GalleryHead) -> Result<Bytes, FacesError> {
        let faces = self.store.count_faces(gallery).await?;
        let groups = self.store.groups_below(gallery, head, &IdPrefix::all()).await?;
        let is_packed = groups.iter().flat_map(|(_, faces)| faces).any(|face| face.crop.is_some());
        let content = ShardContent::new(gallery, &groups).map_err(|error| unwritable(&error))?;
        drop(groups);
        let non_faces = self.store.count_non_faces(gallery, head).await?;
        let whole = WholeGroups {
            format: format(is_packed),
            gallery,
            generation: head.version.generation,
            ungrouped: faces.saturating_sub(content.faces).saturating_sub(non_faces),
            groups: &RawValue::from_string(content.text).map_err(|error| unwritable(&error))?,
        };
        Ok(Bytes::from(serde_json::to_vec(&whole).map_err(|error| unwritable(&error))?))
    }

    /// Deletes that object, where it is there.
    pub(super) async fn remove_whole(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        self.groups.remove(&key(gallery)).await?;
        Ok(())
    }
}
