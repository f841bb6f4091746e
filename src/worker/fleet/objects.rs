//! The crops and results of a bulk in S3: packed, or each under a key of its own.

use std::future::Future;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use muster_actors::domain::face::Face;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageId, ImageRecord};
use muster_actors::ports::faces::{Commit, FacesError};
use muster_aws::classify::Fault;
use muster_aws::s3::{Note, When};
use muster_config::Layout;
use muster_stores::mongo::{PackKind, PackRange, Packed};
use serde_json::{Value, json};

use super::PublishingStore;
use super::packs::Part;

/// Objects of one bulk that are written at once.
pub(super) const AT_ONCE: usize = 32;

/// The version of what is written, for those who read it: 2 where a crop is a range of a pack, 1 where each is a key.
pub(super) fn format(is_packed: bool) -> u32 {
    if is_packed { 2 } else { 1 }
}

/// The key of a face's crop that is in no pack.
pub(crate) fn crop_key(gallery: &GalleryId, image: ImageId, face: impl std::fmt::Display) -> String {
    format!("galleries/{gallery}/faces/{image}/{face}.jpg")
}

/// Where a face's crop is: a range of a pack, or a key of its own.
pub(super) fn crop_place(range: Option<&PackRange>, own: impl FnOnce() -> String) -> Value {
    match range {
        Some(PackRange { pack, offset, length }) => json!({ "object": pack, "offset": offset, "length": length }),
        None => own().into(),
    }
}

/// An image's result. No embedding leaves the database.
fn result(image: &ImageRecord, faces: &[Face], packed: &Packed) -> Value {
    let face = |face: &Face| {
        let own = || crop_key(&image.locator.gallery, image.id, face.id);
        json!({
            "id": face.id, "box": face.bbox, "landmarks": face.landmarks, "quality": face.quality,
            "crop": crop_place(packed.crops.get(&face.id), own),
        })
    };
    let is_packed = faces.iter().any(|face| packed.crops.contains_key(&face.id));
    json!({ "format": format(is_packed), "image": image, "faces": faces.iter().map(face).collect::<Vec<_>>() })
}

/// A crop or a result of one of a bulk's images.
struct Item {
    /// Its number in the bulk.
    of: usize,
    part: Part,
}

/// What lies in S3 of a bulk.
pub(super) struct Objects {
    /// Where it is packed.
    pub packed: Packed,
    /// Why something of an image is not there; in order.
    pub outcomes: Vec<Result<(), FacesError>>,
    items: Vec<(PackKind, Item)>,
}

impl Objects {
    /// Notes why something of an image is not as it should be.
    pub(super) fn failed(&mut self, of: usize, error: FacesError) {
        if let Some(outcome) = self.outcomes.get_mut(of).filter(|outcome| outcome.is_ok()) {
            *outcome = Err(error);
        }
    }
}

fn crops(batch: &[Commit], has_objects: &impl Fn(&Commit) -> bool) -> Vec<Item> {
    let of_one = |(of, Commit { image, faces, .. }): (usize, &Commit)| {
        let item = |face: &Face| Item {
            of,
            part: Part {
                gallery: image.locator.gallery.clone(),
                image: image.id,
                faces: vec![(face.id, face.bbox)],
                bytes: Bytes::copy_from_slice(&face.thumbnail),
            },
        };
        faces.iter().filter(|face| !face.thumbnail.is_empty()).map(item).collect::<Vec<_>>()
    };
    batch.iter().enumerate().filter(|(_, commit)| has_objects(commit)).flat_map(of_one).collect()
}

impl PublishingStore {
    /// Puts the crops and results of those of a bulk that have any.
    pub(super) async fn put_objects(&self, batch: &[Commit], has_objects: impl Fn(&Commit) -> bool) -> Objects {
        let outcomes = vec![Ok(()); batch.len()];
        let mut objects = Objects { packed: Packed::default(), outcomes, items: Vec::new() };
        self.put_crops(batch, &mut objects, &has_objects).await;
        // They say where the crops are.
        self.put_results(batch, &mut objects, &has_objects).await;
        objects
    }

    async fn put_crops(&self, batch: &[Commit], objects: &mut Objects, has_objects: &impl Fn(&Commit) -> bool) {
        let items = crops(batch, has_objects);
        match self.layouts.crops {
            Layout::Packed => {
                let parts: Vec<Part> = items.iter().map(|item| item.part.clone()).collect();
                for (item, outcome) in items.iter().zip(self.packs.put(PackKind::Crops, &parts).await) {
                    match outcome {
                        Ok(range) => {
                            objects.packed.crops.extend(item.part.faces.iter().map(|(face, _)| (*face, range.clone())));
                        }
                        Err(error) => objects.failed(item.of, error),
                    }
                }
            }
            Layout::Single => {
                let put = |item: &Item| {
                    let face = item.part.faces.first().map(|(face, _)| face.to_string()).unwrap_or_default();
                    let key = crop_key(&item.part.gallery, item.part.image, face);
                    let bytes = item.part.bytes.clone();
                    async move { self.groups.put(&key, bytes, "image/jpeg", None, When::Always).await }
                };
                self.put_own(PackKind::Crops, &items, put, objects).await;
            }
        }
        objects.items.extend(items.into_iter().map(|item| (PackKind::Crops, item)));
    }

    async fn put_results(&self, batch: &[Commit], objects: &mut Objects, has_objects: &impl Fn(&Commit) -> bool) {
        let Some((bucket, prefix)) = &self.results else { return };
        let item = |(of, Commit { image, faces, .. }): (usize, &Commit)| Item {
            of,
            part: Part {
                gallery: image.locator.gallery.clone(),
                image: image.id,
                faces: faces.iter().map(|face| (face.id, face.bbox)).collect(),
                bytes: result(image, faces, &objects.packed).to_string().into(),
            },
        };
        let items: Vec<Item> = batch
            .iter()
            .enumerate()
            .filter(|(of, commit)| objects.outcomes[*of].is_ok() && has_objects(commit))
            .map(item)
            .collect();
        match self.layouts.results {
            Layout::Packed => {
                let parts: Vec<Part> = items.iter().map(|item| item.part.clone()).collect();
                for (item, outcome) in items.iter().zip(self.packs.put(PackKind::Results, &parts).await) {
                    match outcome {
                        Ok(range) => drop(objects.packed.results.insert(item.part.image, range)),
                        Err(error) => objects.failed(item.of, error),
                    }
                }
            }
            Layout::Single => {
                let put = |item: &Item| {
                    let commit = &batch[item.of];
                    let key = format!("{prefix}{}.json", commit.image.locator.key);
                    let when = if commit.keeps_stored() { When::Absent } else { When::Always };
                    let (bytes, note) = (item.part.bytes.clone(), Note::Image(item.part.image));
                    async move { bucket.put(&key, bytes, "application/json", Some(note), when).await }
                };
                self.put_own(PackKind::Results, &items, put, objects).await;
            }
        }
        objects.items.extend(items.into_iter().map(|item| (PackKind::Results, item)));
    }

    /// Puts items under keys of their own, but for those that a bulk before has put.
    async fn put_own<F: Future<Output = Result<bool, Fault>>>(
        &self,
        kind: PackKind,
        items: &[Item],
        put: impl Fn(&Item) -> F,
        objects: &mut Objects,
    ) {
        let puts: Vec<_> = items
            .iter()
            .filter(|item| !self.packs.has_own(kind, &item.part))
            .map(|item| {
                let put = put(item);
                async move {
                    let outcome = put.await.map(|_| self.packs.keep_own(kind, &item.part));
                    (item.of, outcome)
                }
            })
            .collect();
        let outcomes: Vec<_> = stream::iter(puts).buffer_unordered(AT_ONCE).collect().await;
        for (of, outcome) in outcomes {
            if let Err(fault) = outcome {
                objects.failed(of, fault.into());
            }
        }
    }

    /// What lies in S3 of images that are in the database now need not be known any more.
    pub(super) fn release_objects(&self, objects: &Objects, is_stored: impl Fn(usize) -> bool) {
        let stored = objects.items.iter().filter(|(_, item)| is_stored(item.of));
        self.packs.release(stored.map(|(kind, item)| (*kind, &item.part)));
    }
}
