//! Forgets images of a gallery, or a person in it. It writes tombstones first, so that no worker writes the data again, then
//! erases everything that they cover, and groups the gallery without it. It can be repeated after any interruption.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use muster_actors::domain::gallery::{GalleryId, GroupId, Lineage, Reconciled};
use muster_actors::domain::image::{ImageId, Locator};
use muster_actors::errors::Class;
use muster_actors::grouping::{Params, reconcile};
use muster_actors::pipeline::announcer::Announcer;
use muster_actors::ports::faces::{Faces, FacesError};

use super::erase::Erasure;
use super::{FleetError, PublishingStore};
use muster_gallery::receipt::{CacheErasure, FleetReceipt};
use muster_index::FlatFactory;
use muster_stores::mongo::{Known, KnownFace, PAGE, Scope};

/// The target of `muster forget`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForgetTarget {
    /// Images with all their data.
    Images(Scope),
    /// All faces of a group.
    Group(GroupId),
}

impl fmt::Display for ForgetTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images(Scope::Image { bucket, key: rest } | Scope::Below { bucket, prefix: rest }) => {
                write!(f, "s3://{bucket}/{rest}")
            }
            Self::Images(Scope::Gallery) => f.write_str("the whole gallery"),
            Self::Group(group) => group.fmt(f),
        }
    }
}

/// Author of the change in a gallery's history.
const AUTHOR: &str = "muster forget";
/// Number of attempts to group a gallery that is written to meanwhile.
const CONFLICTS: u32 = 8;
/// First pause between attempts; it grows each time.
const PAUSE: Duration = Duration::from_millis(200);

/// The result of grouping without the forgotten faces.
struct RegroupOutcome {
    /// Groups of which no face is left.
    died: Vec<GroupId>,
    /// Whether it was saved.
    saved: bool,
    reconciled: Reconciled,
}

/// Forgets data of a gallery of a fleet.
pub struct Forgetter {
    gallery: GalleryId,
    params: Params,
    published: PublishingStore,
    /// Asks the workers for a grouping, where their queue is known.
    announcer: Option<Announcer>,
}

impl Forgetter {
    /// Creates a forgetter over the stores. Groups are computed again with `params`, which must be those of the workers.
    pub fn new(gallery: GalleryId, params: Params, published: PublishingStore, announcer: Option<Announcer>) -> Self {
        let published = published.grouping_with(&params);
        Self { gallery, params, published, announcer }
    }

    /// Finds the groups whose ids begin with a text.
    pub async fn groups_like(&self, beginning: &str) -> Result<Vec<GroupId>, FleetError> {
        Ok(self.published.store.groups_like(&self.gallery, beginning).await?)
    }

    /// Tells whether the target exists, or was forgotten before.
    pub async fn knows(&self, target: &ForgetTarget) -> Result<bool, FleetError> {
        let (store, gallery) = (&self.published.store, &self.gallery);
        Ok(match target {
            ForgetTarget::Images(scope) => {
                !store.known(gallery, scope).await?.is_empty() || store.is_forgotten(gallery, scope).await?
            }
            ForgetTarget::Group(group) => {
                !store.members_of(gallery, *group).await?.is_empty()
                    || !store.buried_of(gallery, *group).await?.is_empty()
            }
        })
    }

    /// Removes the tombstones of a target, and returns their number. Its images come back when their messages do.
    pub async fn lift(&self, target: &ForgetTarget) -> Result<u64, FleetError> {
        let store = &self.published.store;
        Ok(match target {
            ForgetTarget::Images(scope) => store.lift(&self.gallery, scope).await?,
            ForgetTarget::Group(group) => store.lift_group(&self.gallery, *group).await?,
        })
    }

    /// Forgets a target, and returns the receipt.
    pub async fn forget(&self, target: &ForgetTarget) -> Result<FleetReceipt, FleetError> {
        self.published.store.prepare(&self.gallery).await?;
        self.published.packs.sweep().await?;
        let mut tombstones = 0;
        if let ForgetTarget::Group(group) = target {
            // Once: what is in it later was put there by a grouping without the forgotten.
            tombstones += self.bury_members(*group).await?;
        }
        let mut erased = self.pass(target, &mut tombstones).await?;
        if !erased.is_nothing() && *target != ForgetTarget::Images(Scope::Gallery) {
            self.published.store.note_forgetting(&self.gallery, AUTHOR).await?;
        }
        // Whatever becomes of this process, the gallery is grouped without them.
        self.announce().await?;
        let (mut appeared, mut ended) = (BTreeSet::new(), BTreeSet::new());
        let (after, regrouped) = loop {
            let RegroupOutcome { died, saved, reconciled: Reconciled { partition, lineage, .. } } =
                self.regroup().await?;
            ended.extend(died);
            appeared.extend(lineage.iter().filter_map(|event| match event {
                Lineage::Born { group } | Lineage::Split { part: group, .. } => Some(*group),
                Lineage::Merged { .. } | Lineage::Died { .. } => None,
            }));
            // A worker may have been in the middle of writing an image of it.
            let late = self.pass(target, &mut tombstones).await?;
            let done = late.is_nothing();
            erased.add(late);
            if done {
                break (partition, saved);
            }
        };
        // A worker that published the gallery meanwhile may have died before it deleted what was there before.
        self.published.tidy_published(&self.gallery).await?;
        if !regrouped {
            self.announce().await?;
        }
        let live = |group: &GroupId| after.groups.iter().any(|other| other.id == *group);
        let recomputed = erased.groups.iter().filter(|group| live(group)).copied().collect();
        let mut groups = erased.groups.clone();
        groups.extend(&ended);
        groups.retain(|group| !live(group));
        appeared.retain(|group| live(group));
        Ok(FleetReceipt {
            gallery: self.gallery.clone(),
            target: target.to_string(),
            images: erased.images.len() as u64,
            faces: erased.faces.len() as u64,
            decisions: erased.decisions,
            crops: erased.crops.objects,
            results: erased.results.objects,
            packs_rewritten: erased.packs_rewritten,
            packs_deleted: erased.packs_deleted,
            packs_awaited: erased.packs_awaited,
            bytes_gone: erased.packs_awaited == 0 && !erased.crops.versions_stay && !erased.results.versions_stay,
            groups: groups.into_iter().collect(),
            recomputed,
            appeared: appeared.into_iter().collect(),
            regrouped,
            tombstones,
            cache: match (&self.published.cache, erased.cache_away) {
                (None, _) => CacheErasure::None,
                (Some(_), true) => CacheErasure::Away,
                (Some(_), false) => CacheErasure::Emptied,
            },
            versions_stay: erased.crops.versions_stay || erased.results.versions_stay,
        })
    }

    async fn announce(&self) -> Result<(), FleetError> {
        if let Some(announcer) = &self.announcer {
            announcer.announce(&self.gallery).await?;
        }
        Ok(())
    }

    /// Writes tombstones, and erases what they cover.
    async fn pass(&self, target: &ForgetTarget, tombstones: &mut u64) -> Result<Erasure, FleetError> {
        let mut erased = match target {
            ForgetTarget::Images(scope) => {
                *tombstones += self.published.store.bury(&self.gallery, scope).await?;
                self.images(scope).await?
            }
            ForgetTarget::Group(group) => self.group(*group).await?,
        };
        // Always: a call that was interrupted has deleted the documents by which the next would find them.
        erased.cache_away |= !self.published.uncache(&[], std::slice::from_ref(&self.gallery)).await;
        Ok(erased)
    }

    async fn images(&self, scope: &Scope) -> Result<Erasure, FleetError> {
        let PublishingStore { store, groups, .. } = &self.published;
        let mut erased = Erasure::default();
        if let Scope::Image { bucket, key } = scope {
            // Also where no document is: a worker may have died before it wrote one.
            let locator = Locator { gallery: self.gallery.clone(), bucket: bucket.clone(), key: key.clone() };
            erased.add(self.published.sweep(&[Known { locator, content: None }]).await?.1);
        }
        if *scope == Scope::Gallery {
            // Once for all of its images: there may be several pages of them in one pack.
            let keys = store.packs_in(&self.gallery).await?;
            let packs = self.published.packs.erase(keys, &|entry| entry.gallery == self.gallery).await?;
            erased = erased.with(packs);
        }
        loop {
            let page = store.known(&self.gallery, scope).await?;
            if page.is_empty() {
                break;
            }
            let swept = self.published.sweep(&page).await?.1;
            // Somebody takes it back meanwhile: theirs is the last word.
            let stays = swept.images.is_empty();
            erased.add(swept);
            if stays {
                break;
            }
        }
        if *scope == Scope::Gallery {
            let crops = groups.clear(&format!("galleries/{}/faces/", self.gallery)).await.map_err(FacesError::from)?;
            let decisions = store.erase_gallery(&self.gallery).await?;
            erased.add(Erasure { crops, decisions, ..Erasure::default() });
        }
        Ok(erased)
    }

    /// Writes tombstones of the faces that are in a group now, and returns their number.
    async fn bury_members(&self, group: GroupId) -> Result<u64, FleetError> {
        let store = &self.published.store;
        let members = store.members_of(&self.gallery, group).await?;
        let ids: Vec<ImageId> = BTreeSet::from_iter(members.iter().map(|face| face.image)).into_iter().collect();
        let mut images = BTreeMap::new();
        for ids in ids.chunks(PAGE) {
            images.extend(store.known_of(ids).await?.into_iter().map(|image| (image.locator.id(), image.locator)));
        }
        let place = |face: &KnownFace| Some((images.get(&face.image)?.clone(), face.bbox));
        let places: Vec<_> = members.iter().filter_map(place).collect();
        Ok(store.bury_places(group, &places).await?)
    }

    async fn group(&self, group: GroupId) -> Result<Erasure, FleetError> {
        let store = &self.published.store;
        let mut erased = Erasure::default();
        for images in store.buried_of(&self.gallery, group).await?.chunks(PAGE) {
            let known: Vec<Known> =
                images.iter().map(|locator| Known { locator: locator.clone(), content: None }).collect();
            erased.add(self.published.sweep(&known).await?.1);
        }
        erased.decisions += store.erase_persons(&self.gallery, [group].into()).await?;
        Ok(erased)
    }

    /// Groups the gallery again and publishes its groups, unless it keeps changing.
    async fn regroup(&self) -> Result<RegroupOutcome, FleetError> {
        let mut conflicts = 0;
        loop {
            let mut snapshot = self.published.gallery(&self.gallery).await?;
            let previous = &mut snapshot.previous;
            let died: Vec<GroupId> =
                previous.groups.iter().filter(|group| group.faces.is_empty()).map(|group| group.id).collect();
            let mut told = died.clone();
            told.extend(previous.redirects.iter().filter(|(_, into)| died.contains(into)).map(|(from, _)| *from));
            self.published.store.erase_lineage(&self.gallery, &told).await?;
            // They leave without an event that would tell of them.
            previous.groups.retain(|group| !group.faces.is_empty());
            let (read, before) = (snapshot.version, snapshot.previous.clone());
            let params = self.params.clone();
            let grouped = tokio::task::spawn_blocking(move || reconcile(snapshot, &params, &FlatFactory)).await;
            let bug = |message: String| FacesError::Failed { class: Class::Bug, message };
            let reconciled =
                grouped.map_err(|error| bug(error.to_string()))?.map_err(|error| bug(error.to_string()))?;
            match self.published.save(&self.gallery, read, &reconciled).await {
                Ok(()) => {
                    self.published.publish(&self.gallery).await?;
                    return Ok(RegroupOutcome { died, saved: true, reconciled });
                }
                Err(FacesError::Conflict) if conflicts == CONFLICTS => {
                    let reconciled = Reconciled { partition: before, ..Reconciled::default() };
                    return Ok(RegroupOutcome { died, saved: false, reconciled });
                }
                Err(FacesError::Conflict) => {
                    conflicts += 1;
                    tokio::time::sleep(PAUSE * conflicts).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
