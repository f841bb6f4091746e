//! Galleries of a fleet: MongoDB, with crops in S3. A correction is one transaction there, over the groups and faces that it
//! names; the groups that others read in S3 follow it.

mod publication;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, ImageState, Locator};
use muster_actors::grouping::Params;
use muster_actors::grouping::explain::{Explanation, explain};
use muster_actors::people::{Author, Correction};
use muster_actors::ports::faces::{Commit, Faces as _, FacesError};
use parking_lot::{Mutex, MutexGuard};
use tracing::Instrument;

use super::kept_copies::KeptCopies;
use muster_config::Settings;
use muster_gallery::copies::Copies;
use muster_gallery::corrected::Corrected;
use muster_gallery::enrolment::{self, Enrolment};
use muster_gallery::history::ChangeEntry;
use muster_gallery::pages::{FaceFilter, PageCursor, PageRows};
use muster_gallery::receipt::Receipt;
use muster_gallery::suggested::Suggested;
use muster_gallery::view::{FaceRow, ImageRow, Person, Totals};
use muster_gallery::{AddFaceError, GalleryError, GalleryStore, GalleryStores};
use muster_index::FlatFactory;
use muster_stores::mongo::{MongoFaces, Scope, pages};
use muster_worker::fleet::{AdminStores, FleetError, ForgetTarget};
use publication::Publications;

/// Galleries whose list of people, and whose copies, are kept.
const LISTS: usize = 64;

type People = (u64, Arc<Vec<Person>>);

/// All galleries of a fleet.
#[derive(Clone)]
pub struct FleetGalleryStores(Arc<Shared>);

struct Shared {
    stores: AdminStores,
    /// Those of the workers: why two faces are together follows from them.
    params: Params,
    /// The gallery of requests that name none; empty where the service has none.
    own: String,
    people: Mutex<HashMap<GalleryId, People>>,
    copies: Mutex<HashMap<GalleryId, KeptCopies<u64>>>,
    /// Held by the task that finds copies.
    finding_copies: tokio::sync::Mutex<()>,
    /// One correction of a gallery at a time: those of other servers are waited for by trying again.
    turns: Mutex<HashMap<GalleryId, Arc<tokio::sync::Mutex<()>>>>,
    publications: Publications,
}

#[derive(Clone)]
struct FleetGalleryStore {
    shared: Arc<Shared>,
    gallery: GalleryId,
}

impl FleetGalleryStores {
    /// Connects to the stores of a fleet. `params` are the grouping parameters of the workers.
    ///
    /// # Errors
    /// A setting is missing, or a service does not answer.
    pub async fn connect(settings: &Settings, params: Params) -> Result<Self, FleetError> {
        let (stores, own) = (AdminStores::connect(settings).await?, settings.serve.gallery.clone());
        let (people, copies, finding_copies, turns, publications) = Default::default();
        Ok(Self(Arc::new(Shared { stores, params, own, people, copies, finding_copies, turns, publications })))
    }
}

#[async_trait]
impl GalleryStores for FleetGalleryStores {
    async fn open(&self, gallery: Option<GalleryId>) -> Result<Arc<dyn GalleryStore>, GalleryError> {
        let own = Some(GalleryId(self.0.own.clone())).filter(|own| !own.0.is_empty());
        let gallery = gallery.or(own).ok_or(GalleryError::WhichGallery)?;
        // A gallery that nobody has written to does not exist.
        if self.0.stores.published.store.prepare(&gallery).await? == 0 {
            return Err(GalleryError::NoGallery(gallery));
        }
        Ok(Arc::new(FleetGalleryStore { shared: Arc::clone(&self.0), gallery }))
    }

    async fn list(&self) -> Result<Vec<GalleryId>, GalleryError> {
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

/// Runs work that must not stop halfway: it continues when the caller disconnects.
async fn whole<R: Send + 'static>(
    work: impl Future<Output = Result<R, GalleryError>> + Send + 'static,
) -> Result<R, GalleryError> {
    tokio::spawn(work.in_current_span()).await.map_err(FacesError::from)?
}

/// Returns the author of a correction that is made now.
fn author(by: &str) -> Author {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Author { by: by.to_owned(), at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
}

/// Tells whether a correction left faces for the next grouping: faces in no group, or detections that count as faces again.
fn wants_grouping(told: &Corrected) -> bool {
    let left = told.moved.iter().any(|moved| moved.to.is_none());
    match told.said.as_str() {
        "is-face" | "undone" => true,
        "not-a-face" => false,
        _ => left,
    }
}

impl FleetGalleryStore {
    fn store(&self) -> &MongoFaces {
        &self.shared.stores.published.store
    }

    /// The copies among all photos, found by one caller at a time.
    async fn copies(&self) -> Result<Arc<Copies>, GalleryError> {
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

    async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.shared.turns.lock();
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(self.gallery.clone()).or_default())
        };
        turn.lock_owned().await
    }

    /// Asks for grouping and publication after a correction. Failures are logged; the correction itself is stored already.
    async fn follow(&self, told: &Corrected) {
        if told.change.is_none() {
            return;
        }
        if wants_grouping(told)
            && let Err(error) = self.shared.stores.announce(&self.gallery).await
        {
            tracing::error!(%error, "album.announce");
        }
        publication::publish(&self.shared, &self.gallery);
    }

    async fn make(self, correction: Correction, author: Author) -> Result<Corrected, GalleryError> {
        let _turn = self.turn().await;
        let told = self.store().correct(&self.gallery, &correction, &author).await?;
        self.follow(&told).await;
        Ok(told)
    }

    async fn take_back(self, change: Option<u64>, author: Author) -> Result<Corrected, GalleryError> {
        let _turn = self.turn().await;
        let told = self.store().undo(&self.gallery, change, &author).await?;
        self.follow(&told).await;
        Ok(told)
    }

    async fn store_enrolment(
        self,
        photos: Vec<Commit>,
        enrolment: Enrolment,
        author: Author,
    ) -> Result<Option<GroupId>, GalleryError> {
        let faces = enrolment::faces(&photos);
        let said = faces.first().copied().zip(enrolment::correction(&faces, &enrolment));
        let Some((first, correction)) = said else { return Ok(None) };
        for photo in &photos {
            let Locator { bucket, key, .. } = photo.image.locator.clone();
            self.store().lift(&self.gallery, &Scope::Image { bucket, key }).await?;
        }
        for outcome in self.shared.stores.published.commit(photos).await? {
            outcome?;
        }
        self.clone().make(correction, author).await?;
        Ok(pages::face(self.store(), &self.gallery, first).await?.and_then(|face| face.group))
    }

    async fn forget(&self, target: ForgetTarget) -> Result<Receipt, GalleryError> {
        let forgetter = self.shared.stores.forgetter(self.gallery.clone(), self.shared.params.clone());
        whole(async move { Ok(Receipt::Fleet(forgetter.forget(&target).await?)) }).await
    }
}

#[async_trait]
impl GalleryStore for FleetGalleryStore {
    async fn totals(&self) -> Result<Totals, GalleryError> {
        Ok(pages::totals(self.store(), &self.gallery).await?)
    }

    async fn people(&self) -> Result<Arc<Vec<Person>>, GalleryError> {
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

    async fn group(&self, id: GroupId) -> Result<Option<GroupId>, GalleryError> {
        Ok(pages::group(self.store(), &self.gallery, id).await?)
    }

    async fn groups_in(&self, text: &str) -> Result<BTreeSet<GroupId>, GalleryError> {
        Ok(pages::groups_in(self.store(), &self.gallery, text).await?)
    }

    async fn faces(
        &self,
        which: FaceFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<PageRows<FaceRow>, GalleryError> {
        Ok(pages::faces(self.store(), &self.gallery, which, after, limit).await?)
    }

    async fn face(&self, id: FaceId) -> Result<Option<FaceRow>, GalleryError> {
        Ok(pages::face(self.store(), &self.gallery, id).await?)
    }

    async fn crop(&self, face: &FaceRow) -> Result<Vec<u8>, GalleryError> {
        Ok(self.shared.stores.crop(&self.gallery, face.image, face.id).await?.unwrap_or_default())
    }

    async fn photos(
        &self,
        state: Option<ImageState>,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<PageRows<ImageRow>, GalleryError> {
        let copies = self.copies().await?;
        let mut part = pages::photos(self.store(), &self.gallery, state, after, limit).await?;
        pages::note_copies(self.store(), &copies, &mut part.rows).await?;
        Ok(part)
    }

    async fn photo(&self, id: ImageId) -> Result<Option<ImageRow>, GalleryError> {
        let copies = self.copies().await?;
        let mut found = pages::photo(self.store(), &self.gallery, id).await?;
        pages::note_copies(self.store(), &copies, found.as_mut_slice()).await?;
        Ok(found)
    }

    async fn add_face(&self, _: ImageId, _: BBox) -> Result<FaceId, GalleryError> {
        Err(AddFaceError::Elsewhere.into())
    }

    async fn correct(&self, correction: Correction, by: &str) -> Result<Corrected, GalleryError> {
        whole(self.clone().make(correction, author(by))).await
    }

    async fn undo(&self, change: Option<u64>, by: &str) -> Result<Corrected, GalleryError> {
        whole(self.clone().take_back(change, author(by))).await
    }

    async fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<ChangeEntry>, GalleryError> {
        Ok(self.store().history(&self.gallery, before, limit).await?)
    }

    async fn enrol(
        &self,
        photos: Vec<Commit>,
        enrolment: Enrolment,
        by: &str,
    ) -> Result<Option<GroupId>, GalleryError> {
        whole(self.clone().store_enrolment(photos, enrolment, author(by))).await
    }

    async fn suggestions(&self) -> Result<Vec<Suggested>, GalleryError> {
        Ok(self.store().questions(&self.gallery).await?)
    }

    fn gallery(&self) -> GalleryId {
        self.gallery.clone()
    }

    async fn forget_person(&self, id: GroupId, _: &str) -> Result<Receipt, GalleryError> {
        self.forget(ForgetTarget::Group(id)).await
    }

    async fn forget_photo(&self, photo: &ImageRow, _: &str) -> Result<Receipt, GalleryError> {
        let scope = Scope::Image { bucket: photo.bucket.clone(), key: photo.key.clone() };
        self.forget(ForgetTarget::Images(scope)).await
    }

    async fn why(&self, a: FaceId, b: FaceId) -> Result<Explanation, GalleryError> {
        let snapshot = self.store().gallery(&self.gallery).await?;
        let params = self.shared.params.clone();
        // Blocking work runs off the threads that answer.
        let explained = tokio::task::spawn_blocking(move || explain(snapshot, &params, &FlatFactory, a, b));
        Ok(explained.await.map_err(FacesError::from)??)
    }
}
