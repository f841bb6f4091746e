//! The galleries of a fleet as albums: MongoDB, with crops in S3. What is said goes into the log, and the groups that follow are
//! saved with it, if nobody else changed the gallery meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GroupId, Partition, Reconciled, Verdict};
use muster_actors::domain::image::{ImageId, ImageState, Locator};
use muster_actors::grouping::explain::{Explanation, explain};
use muster_actors::grouping::hold::{Settled, Spoken, settle};
use muster_actors::grouping::say::{Say, SayError};
use muster_actors::grouping::{Kept, Params};
use muster_actors::ports::faces::{Commit, Faces as _, FacesError};
use muster_actors::ports::index::IndexError;
use parking_lot::{Mutex, MutexGuard};
use tracing::Instrument;

use super::kept_copies::KeptCopies;
use muster_config::Settings;
use muster_gallery::copies::Copies;
use muster_gallery::enrolment::{self, Newcomer};
use muster_gallery::pages::{Faces, Part, Place};
use muster_gallery::receipt::Receipt;
use muster_gallery::told::Told;
use muster_gallery::view::{FaceRow, ImageRow, Person, Totals};
use muster_gallery::{Album, AlbumError, Albums};
use muster_index::FlatFactory;
use muster_stores::mongo::{MongoError, MongoFaces, Scope, pages};
use muster_worker::fleet::{FleetError, Stores, Target};

/// Numbers in vectors that are kept grouped between corrections: 512 MiB.
const KEPT: usize = 128 << 20;
/// How often a gallery that somebody wrote to meanwhile is tried again.
const CONFLICTS: u32 = 4;
/// Longer each time.
const PAUSE: Duration = Duration::from_millis(200);
/// Galleries whose list of people, and whose copies, are kept.
const LISTS: usize = 64;

type People = (u64, Arc<Vec<Person>>);

/// All galleries of a fleet.
#[derive(Clone)]
pub struct FleetAlbums(Arc<Shared>);

struct Shared {
    stores: Stores,
    params: Params,
    kept: Kept,
    /// Of those who name none; empty where the service has none.
    own: String,
    people: Mutex<HashMap<GalleryId, People>>,
    copies: Mutex<HashMap<GalleryId, KeptCopies<u64>>>,
    /// Who finds copies has this.
    finding_copies: tokio::sync::Mutex<()>,
    /// One correction of a gallery at a time.
    turns: Mutex<HashMap<GalleryId, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Clone)]
struct FleetAlbum {
    shared: Arc<Shared>,
    gallery: GalleryId,
}

impl FleetAlbums {
    /// Connects. Groups are computed with `params`, which must be those of the workers.
    ///
    /// # Errors
    /// A setting is missing, or a service does not answer.
    pub async fn connect(settings: &Settings, params: Params) -> Result<Self, FleetError> {
        let kept = Kept::new(params.clone(), Arc::new(FlatFactory), KEPT);
        let (stores, own) = (Stores::connect(settings).await?, settings.serve.gallery.clone());
        let (people, copies, finding_copies, turns) = Default::default();
        Ok(Self(Arc::new(Shared { stores, params, kept, own, people, copies, finding_copies, turns })))
    }
}

#[async_trait]
impl Albums for FleetAlbums {
    async fn open(&self, gallery: Option<GalleryId>) -> Result<Arc<dyn Album>, AlbumError> {
        let own = Some(GalleryId(self.0.own.clone())).filter(|own| !own.0.is_empty());
        let gallery = gallery.or(own).ok_or(AlbumError::WhichGallery)?;
        // Nobody wrote to it: there is none.
        if self.0.stores.published.store.generation(&gallery).await? == 0 {
            return Err(AlbumError::NoGallery(gallery));
        }
        Ok(Arc::new(FleetAlbum { shared: Arc::clone(&self.0), gallery }))
    }

    async fn list(&self) -> Result<Vec<GalleryId>, AlbumError> {
        Ok(pages::galleries(&self.0.stores.published.store).await?)
    }

    async fn close(&self) {
        self.0.stores.published.store.close().await;
    }
}

impl Shared {
    fn people(&self) -> MutexGuard<'_, HashMap<GalleryId, People>> {
        self.people.lock()
    }
}

/// What somebody says, in verdicts over the gallery as it stands, and what it speaks of.
trait Words: Fn(&GallerySnapshot) -> Result<(Vec<Verdict>, Spoken), SayError> + Send + Sync {}

impl<F: Fn(&GallerySnapshot) -> Result<(Vec<Verdict>, Spoken), SayError> + Send + Sync> Words for F {}

/// Does what must not end halfway: it goes on, whether or not whoever asked for it stays.
async fn whole<R: Send + 'static>(
    work: impl Future<Output = Result<R, AlbumError>> + Send + 'static,
) -> Result<R, AlbumError> {
    tokio::spawn(work.in_current_span()).await.map_err(FacesError::from)?
}

/// Groups as they were.
fn unchanged(before: &Partition) -> Reconciled {
    Reconciled { partition: before.clone(), lineage: Vec::new() }
}

/// Somebody else changed the gallery: the next attempt comes after a pause.
async fn lost(attempt: u32) {
    tokio::time::sleep(PAUSE * (attempt + 1)).await;
}

impl FleetAlbum {
    fn store(&self) -> &MongoFaces {
        &self.shared.stores.published.store
    }

    /// Off the threads that answer.
    async fn compute<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &GalleryId) -> Result<R, IndexError> + Send + 'static,
    ) -> Result<R, AlbumError> {
        let (shared, gallery) = (Arc::clone(&self.shared), self.gallery.clone());
        Ok(tokio::task::spawn_blocking(move || work(&shared, &gallery)).await.map_err(FacesError::from)??)
    }

    /// The copies among all photos, found by one caller at a time.
    async fn copies(&self) -> Result<Arc<Copies>, AlbumError> {
        let generation = self.store().generation(&self.gallery).await?;
        let kept = || self.shared.copies.lock().get(&self.gallery)?.get(&generation);
        if let Some(found) = kept() {
            return Ok(found);
        }
        let _turn = self.shared.finding_copies.lock().await;
        if let Some(found) = kept() {
            return Ok(found);
        }
        let start = Instant::now();
        let photos = pages::hashed_photos(self.store(), &self.gallery).await?;
        let found =
            tokio::task::spawn_blocking(move || Arc::new(Copies::find(&photos))).await.map_err(FacesError::from)?;
        let kept_copies = KeptCopies::new(generation, Arc::clone(&found), start.elapsed());
        let mut copies = self.shared.copies.lock();
        if copies.len() >= LISTS {
            copies.clear();
        }
        copies.insert(self.gallery.clone(), kept_copies);
        Ok(found)
    }

    async fn snapshot(&self) -> Result<GallerySnapshot, AlbumError> {
        Ok(self.store().gallery(&self.gallery).await?)
    }

    /// Saves groups, and puts them where people look; whether nobody else changed the gallery meanwhile.
    async fn save(&self, generation: u64, after: &Reconciled) -> Result<bool, AlbumError> {
        match self.shared.stores.published.save(&self.gallery, generation, after).await {
            Ok(()) => Ok(true),
            Err(FacesError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Groups the gallery as it is anew; `None` where somebody else changes it all the time.
    async fn regroup(&self) -> Result<Option<Reconciled>, AlbumError> {
        for attempt in 0..CONFLICTS {
            let snapshot = self.snapshot().await?;
            let generation = snapshot.generation;
            let after = self.compute(move |shared, gallery| shared.kept.reconcile(gallery, snapshot)).await?;
            if self.save(generation, &after).await? {
                return Ok(Some(after));
            }
            lost(attempt).await;
        }
        Ok(None)
    }

    /// What follows from what is in the log now. Where that cannot be had, the workers are asked to see to it: what was said was said.
    async fn follow(&self, before: &Partition, groups: Result<Option<Reconciled>, AlbumError>) -> Reconciled {
        match groups {
            Ok(Some(after)) => return after,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "album.follow"),
        }
        if let Err(error) = self.shared.stores.announce(&self.gallery).await {
            tracing::error!(%error, "album.announce");
        }
        unchanged(before)
    }

    async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.shared.turns.lock();
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(self.gallery.clone()).or_default())
        };
        turn.lock_owned().await
    }

    /// Notes what the gallery as it stands makes of it, and saves the groups that follow.
    async fn apply(&self, past: &'static str, words: impl Words) -> Result<Told, AlbumError> {
        let _turn = self.turn().await;
        for attempt in 0..CONFLICTS {
            if let Some(told) = self.attempt(past, &words).await? {
                return Ok(told);
            }
            lost(attempt).await;
        }
        self.insist(past, &words).await
    }

    /// Notes it with what holds all other groups apart; `None` where somebody else changed the gallery meanwhile.
    async fn attempt(&self, past: &'static str, words: &impl Words) -> Result<Option<Told>, AlbumError> {
        let now = self.snapshot().await?;
        let (verdicts, spoken) = words(&now)?;
        let (before, generation, said) = (now.previous.clone(), now.generation, verdicts.clone());
        let settled = self.compute(move |shared, gallery| {
            settle(now, &said, &spoken, |snapshot| shared.kept.reconcile(gallery, snapshot))
        });
        let Settled { said, after } = settled.await?;
        match self.store().note(&self.gallery, Some(generation), &said).await {
            Err(MongoError::Conflict) => return Ok(None),
            noted => noted?,
        }
        let groups = match self.save(generation + 1, &after).await {
            // A worker wrote faces after it was noted: the groups follow from both.
            Ok(false) => self.regroup().await,
            saved => saved.map(|_| Some(after)),
        };
        let after = self.follow(&before, groups).await;
        Ok(Some(Told::new(past, verdicts, &before, after)))
    }

    /// Notes it on whatever is there, without what holds the others apart: a gallery that is being indexed changes all the time.
    async fn insist(&self, past: &'static str, words: &impl Words) -> Result<Told, AlbumError> {
        let now = self.snapshot().await?;
        let (verdicts, _) = words(&now)?;
        for attempt in 0..CONFLICTS {
            match self.store().note(&self.gallery, None, &verdicts).await {
                Err(MongoError::Conflict) => lost(attempt).await,
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    let after = self.follow(&now.previous, self.regroup().await).await;
                    return Ok(Told::new(past, verdicts, &now.previous, after));
                }
            }
        }
        Err(AlbumError::Busy)
    }

    async fn store_newcomer(self, photos: Vec<Commit>, newcomer: Newcomer) -> Result<Option<GroupId>, AlbumError> {
        let faces = enrolment::faces(&photos);
        let Some(first) = faces.first().copied() else { return Ok(None) };
        for photo in &photos {
            let Locator { bucket, key, .. } = photo.image.locator.clone();
            self.store().lift(&self.gallery, &Scope::Image { bucket, key }).await?;
        }
        for outcome in self.shared.stores.published.commit(photos).await? {
            outcome?;
        }
        let verdicts = enrolment::verdicts(&faces, &newcomer);
        self.apply("enrolled", move |_: &GallerySnapshot| Ok((verdicts.clone(), Spoken::default()))).await?;
        Ok(pages::face(self.store(), &self.gallery, first).await?.and_then(|face| face.group))
    }

    async fn take_back(self) -> Result<Told, AlbumError> {
        let _turn = self.turn().await;
        for attempt in 0..CONFLICTS {
            let before = self.snapshot().await?.previous;
            match self.store().take_back(&self.gallery).await {
                Err(MongoError::Conflict) => lost(attempt).await,
                Err(error) => return Err(error.into()),
                Ok(undone) if undone.is_empty() => return Err(AlbumError::Nothing),
                Ok(undone) => {
                    let verdicts = undone.into_iter().map(|decision| decision.verdict).collect();
                    let after = self.follow(&before, self.regroup().await).await;
                    return Ok(Told::new("undone", verdicts, &before, after));
                }
            }
        }
        Err(AlbumError::Busy)
    }

    async fn forget(&self, target: Target) -> Result<Receipt, AlbumError> {
        let forgetter = self.shared.stores.forgetter(self.gallery.clone(), self.shared.params.clone());
        whole(async move { Ok(Receipt::Fleet(forgetter.forget(&target).await?)) }).await
    }
}

#[async_trait]
impl Album for FleetAlbum {
    async fn totals(&self) -> Result<Totals, AlbumError> {
        Ok(pages::totals(self.store(), &self.gallery).await?)
    }

    async fn people(&self) -> Result<Arc<Vec<Person>>, AlbumError> {
        let generation = self.store().generation(&self.gallery).await?;
        if let Some((_, list)) = self.shared.people().get(&self.gallery).filter(|(of, _)| *of == generation) {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(pages::people(self.store(), &self.gallery).await?);
        let mut people = self.shared.people();
        if people.len() >= LISTS {
            people.clear();
        }
        people.insert(self.gallery.clone(), (generation, Arc::clone(&list)));
        Ok(list)
    }

    async fn group(&self, id: GroupId) -> Result<Option<GroupId>, AlbumError> {
        Ok(pages::group(self.store(), &self.gallery, id).await?)
    }

    async fn groups_in(&self, text: &str) -> Result<BTreeSet<GroupId>, AlbumError> {
        Ok(pages::groups_in(self.store(), &self.gallery, text).await?)
    }

    async fn faces(&self, which: Faces, after: Option<Place>, limit: usize) -> Result<Part<FaceRow>, AlbumError> {
        Ok(pages::faces(self.store(), &self.gallery, which, after, limit).await?)
    }

    async fn face(&self, id: FaceId) -> Result<Option<FaceRow>, AlbumError> {
        Ok(pages::face(self.store(), &self.gallery, id).await?)
    }

    async fn crop(&self, face: &FaceRow) -> Result<Vec<u8>, AlbumError> {
        Ok(self.shared.stores.crop(&self.gallery, face.image, face.id).await?.unwrap_or_default())
    }

    async fn photos(
        &self,
        state: Option<ImageState>,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<Part<ImageRow>, AlbumError> {
        let copies = self.copies().await?;
        let mut part = pages::photos(self.store(), &self.gallery, state, after, limit).await?;
        pages::note_copies(self.store(), &copies, &mut part.rows).await?;
        Ok(part)
    }

    async fn photo(&self, id: ImageId) -> Result<Option<ImageRow>, AlbumError> {
        let copies = self.copies().await?;
        let mut found = pages::photo(self.store(), &self.gallery, id).await?;
        pages::note_copies(self.store(), &copies, found.as_mut_slice()).await?;
        Ok(found)
    }

    async fn say(&self, say: Say) -> Result<Told, AlbumError> {
        let album = self.clone();
        whole(async move {
            let words = |now: &GallerySnapshot| Ok((say.verdicts(now)?, say.spoken(now)));
            album.apply(say.past(), words).await
        })
        .await
    }

    async fn undo(&self) -> Result<Told, AlbumError> {
        whole(self.clone().take_back()).await
    }

    async fn enrol(&self, photos: Vec<Commit>, newcomer: Newcomer) -> Result<Option<GroupId>, AlbumError> {
        whole(self.clone().store_newcomer(photos, newcomer)).await
    }

    fn gallery(&self) -> GalleryId {
        self.gallery.clone()
    }

    async fn forget_person(&self, id: GroupId) -> Result<Receipt, AlbumError> {
        self.forget(Target::Group(id)).await
    }

    async fn forget_photo(&self, photo: &ImageRow) -> Result<Receipt, AlbumError> {
        let scope = Scope::Image { bucket: photo.bucket.clone(), key: photo.key.clone() };
        self.forget(Target::Images(scope)).await
    }

    async fn why(&self, a: FaceId, b: FaceId) -> Result<Explanation, AlbumError> {
        let snapshot = self.snapshot().await?;
        self.compute(move |shared, _| explain(snapshot, &shared.params, &FlatFactory, a, b)).await
    }
}
