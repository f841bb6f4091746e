//! The gallery of a library, which is read beside the writer and changed through it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, ImageState};
use muster_actors::grouping::Params;
use muster_actors::grouping::explain::Explanation;
use muster_actors::people::{Author, Correction};
use muster_actors::ports::faces::Commit;
use muster_actors::ports::faces::FacesError;
use muster_gallery::{ENROLLED, LIBRARY_GALLERY};

use super::kept_copies::KeptCopies;
use muster_gallery::copies::Copies;
use muster_gallery::corrected::Corrected;
use muster_gallery::enrolment::{self, Enrolment};
use muster_gallery::history::ChangeEntry;
use muster_gallery::pages::PageRows;
use muster_gallery::pages::{FaceFilter, PageCursor};
use muster_gallery::receipt::Receipt;
use muster_gallery::suggested::Suggested;
use muster_gallery::view::{FaceRow, ImageRow, Person, Totals};
use muster_gallery::{AddFaceError, GalleryError, GalleryStore, GalleryStores};
use muster_library::correct::{self, CorrectError};
use muster_library::drawn_faces::{self, DrawnFaceError, DrawnOn};
use muster_library::face_finder::{FaceFinder, FindFaceError};
use muster_library::forget::{self, ForgetTarget};
use muster_library::{
    Library, LibraryError, SqliteFaces, adopt, grouping, groups, history, now_ms, suggestions, tombstones, write,
};
use muster_library::{pages, view};
use muster_worker::recognition::RecognitionIndex;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Photos that are decoded at a time for faces that callers add.
const ADDING: usize = 2;

/// The photos, faces and people of a library, read by one connection and written by another.
#[derive(Clone)]
pub struct LibraryGalleryStore(Arc<Parts>);

struct Parts {
    store: Arc<SqliteFaces>,
    reader: Mutex<Library>,
    /// As they were in a generation of the gallery: a list of pages is one list.
    people: Mutex<Option<(u64, Arc<Vec<Person>>)>>,
    /// As they were when another connection committed last.
    copies: Mutex<Option<KeptCopies<i64>>>,
    params: Params,
    index: Arc<RecognitionIndex>,
    finder: FaceFinder,
    /// Places of callers who add faces: each decodes a photo.
    adding: Semaphore,
}

impl Parts {
    /// The copies among all photos. The library is the reader, which commits nothing itself.
    fn copies(&self, library: &Library) -> Result<Arc<Copies>, LibraryError> {
        let version = pages::data_version(library.db())?;
        let mut copies = self.copies.lock();
        if let Some(found) = copies.as_ref().and_then(|kept| kept.get(&version)) {
            return Ok(found);
        }
        let start = Instant::now();
        let found = Arc::new(view::copies(library.db())?);
        *copies = Some(KeptCopies::new(version, Arc::clone(&found), start.elapsed()));
        Ok(found)
    }
}

fn gallery() -> GalleryId {
    GalleryId(LIBRARY_GALLERY.to_owned())
}

fn add_face_error(error: DrawnFaceError) -> GalleryError {
    let words = error.to_string();
    match error {
        DrawnFaceError::Library(error) => return error.into(),
        DrawnFaceError::Forgotten => AddFaceError::Forgotten(words),
        DrawnFaceError::Find(FindFaceError::NoRoom { .. }) => AddFaceError::Box(words),
        DrawnFaceError::Find(FindFaceError::Engine(_)) => AddFaceError::Models(words),
        DrawnFaceError::Gone
        | DrawnFaceError::OtherModel { .. }
        | DrawnFaceError::Find(
            FindFaceError::Unread { .. } | FindFaceError::Rejected { .. } | FindFaceError::Changed(_),
        ) => AddFaceError::Changed(words),
    }
    .into()
}

fn author(by: &str) -> Author {
    Author { by: by.to_owned(), at_ms: now_ms() }
}

impl LibraryGalleryStore {
    /// Creates a gallery over a store that writes, and a reader beside it. `finder` looks at boxes that somebody draws.
    ///
    /// # Errors
    /// The library cannot be read.
    pub fn new(
        store: Arc<SqliteFaces>,
        reader: Library,
        index: Arc<RecognitionIndex>,
        finder: FaceFinder,
    ) -> Result<Self, LibraryError> {
        let params = grouping::recall(&reader)?;
        let parts = Parts {
            store,
            reader: Mutex::new(reader),
            people: Mutex::default(),
            copies: Mutex::default(),
            params,
            index,
            finder,
            adding: Semaphore::new(ADDING),
        };
        Ok(Self(Arc::new(parts)))
    }

    /// Reads on a thread for blocking work.
    async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Library) -> Result<R, LibraryError> + Send + 'static,
    ) -> Result<R, GalleryError> {
        let parts = Arc::clone(&self.0);
        let read = move || work(&mut parts.reader.lock());
        Ok(tokio::task::spawn_blocking(read).await.map_err(FacesError::from)??)
    }

    /// Changes the library, after all writes that were queued before.
    async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Library) -> Result<R, CorrectError> + Send + 'static,
    ) -> Result<R, GalleryError> {
        let done = self.0.store.run(move |library| Ok(work(library))).get().await;
        self.0.index.changed();
        Ok(done??)
    }

    /// Makes a correction, and puts faces that it left in no group into groups where they belong.
    async fn amend(
        &self,
        work: impl FnOnce(&mut Library) -> Result<Corrected, CorrectError> + Send + 'static,
    ) -> Result<Corrected, GalleryError> {
        let params = self.0.params.clone();
        self.write(move |library| {
            let mut corrected = work(library)?;
            let adopted = adopt::adopt(library.db_mut(), &corrected, &params)?;
            corrected.adopted(&adopted);
            Ok(corrected)
        })
        .await
    }

    async fn forget(&self, target: ForgetTarget, by: &str) -> Result<Receipt, GalleryError> {
        let author = author(by);
        let done = self.write(move |library| Ok(forget::forget(library, &target, &author)?));
        Ok(Receipt::Library(done.await?))
    }
}

#[async_trait]
impl GalleryStores for LibraryGalleryStore {
    async fn open(&self, gallery: Option<GalleryId>) -> Result<Arc<dyn GalleryStore>, GalleryError> {
        match gallery.filter(|named| *named != self::gallery()) {
            Some(other) => Err(GalleryError::NoGallery(other)),
            None => Ok(Arc::new(self.clone())),
        }
    }

    async fn list(&self) -> Result<Vec<GalleryId>, GalleryError> {
        Ok(vec![gallery()])
    }

    /// Does nothing: SQLite connections close when they are dropped.
    async fn close(&self) {}
}

#[async_trait]
impl GalleryStore for LibraryGalleryStore {
    async fn totals(&self) -> Result<Totals, GalleryError> {
        self.read(|library| view::totals(library.db())).await
    }

    async fn people(&self) -> Result<Arc<Vec<Person>>, GalleryError> {
        let parts = Arc::clone(&self.0);
        self.read(move |library| {
            let generation = groups::generation(library.db(), &gallery())?;
            let mut people = parts.people.lock();
            if let Some((_, list)) = people.as_ref().filter(|(of, _)| *of == generation) {
                return Ok(Arc::clone(list));
            }
            let list = Arc::new(view::people(library.db())?);
            *people = Some((generation, Arc::clone(&list)));
            Ok(list)
        })
        .await
    }

    async fn group(&self, id: GroupId) -> Result<Option<GroupId>, GalleryError> {
        self.read(move |library| pages::group(library.db(), id)).await
    }

    async fn groups_in(&self, text: &str) -> Result<BTreeSet<GroupId>, GalleryError> {
        let text = text.to_owned();
        self.read(move |library| pages::groups_in(library.db(), &text)).await
    }

    async fn faces(
        &self,
        which: FaceFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<PageRows<FaceRow>, GalleryError> {
        self.read(move |library| {
            let total = pages::count_faces(library.db(), which)?;
            Ok(PageRows { rows: pages::faces(library.db(), which, after, limit)?, total })
        })
        .await
    }

    async fn face(&self, id: FaceId) -> Result<Option<FaceRow>, GalleryError> {
        self.read(move |library| pages::face(library.db(), id)).await
    }

    async fn crop(&self, face: &FaceRow) -> Result<Vec<u8>, GalleryError> {
        let n = face.n;
        self.read(move |library| view::thumbnail(library.db(), n)).await
    }

    async fn photos(
        &self,
        state: Option<ImageState>,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<PageRows<ImageRow>, GalleryError> {
        let parts = Arc::clone(&self.0);
        self.read(move |library| {
            let total = pages::count_images(library.db(), state)?;
            let mut rows = pages::images(library.db(), state, after, limit)?;
            pages::note_copies(library.db(), &*parts.copies(library)?, &mut rows)?;
            Ok(PageRows { rows, total })
        })
        .await
    }

    async fn photo(&self, id: ImageId) -> Result<Option<ImageRow>, GalleryError> {
        let parts = Arc::clone(&self.0);
        self.read(move |library| {
            let mut found = pages::image(library.db(), id)?;
            pages::note_copies(library.db(), &*parts.copies(library)?, found.as_mut_slice())?;
            Ok(found)
        })
        .await
    }

    async fn add_face(&self, photo: ImageId, drawn: BBox) -> Result<FaceId, GalleryError> {
        let parts = Arc::clone(&self.0);
        let read = self.read(move |library| drawn_faces::photo(library.db(), parts.store.places(), photo));
        let gone = || add_face_error(DrawnFaceError::Gone);
        let DrawnOn { path, size, .. } = read.await?.ok_or_else(gone)?;
        let finder = &self.0.finder;
        // The semaphore is never closed.
        let _place = self.0.adding.acquire().await;
        let found = finder.find(&path, size, drawn).await.map_err(|error| add_face_error(error.into()))?;
        let model = finder.model().to_owned();
        let stored = self.write(move |library| Ok(drawn_faces::store(library.db_mut(), photo, &model, found)));
        stored.await?.map_err(add_face_error)
    }

    async fn correct(&self, correction: Correction, by: &str) -> Result<Corrected, GalleryError> {
        let author = author(by);
        self.amend(move |library| correct::correct(library.db_mut(), &correction, &author)).await
    }

    async fn undo(&self, change: Option<u64>, by: &str) -> Result<Corrected, GalleryError> {
        let author = author(by);
        self.amend(move |library| correct::take_back(library.db_mut(), change, &author)).await
    }

    async fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<ChangeEntry>, GalleryError> {
        self.read(move |library| history::list(library.db(), before, limit)).await
    }

    async fn enrol(
        &self,
        photos: Vec<Commit>,
        enrolment: Enrolment,
        by: &str,
    ) -> Result<Option<GroupId>, GalleryError> {
        let author = author(by);
        self.write(move |library| {
            for photo in &photos {
                tombstones::lift_image(library.db(), &photo.image.locator)?;
            }
            for outcome in write::commit(library.db_mut(), &photos)? {
                outcome?;
            }
            let faces = enrolment::faces(&photos);
            let Some(correction) = enrolment::correction(&faces, &enrolment) else { return Ok(None) };
            correct::correct(library.db_mut(), &correction, &author)?;
            let first = faces.first().map(|face| pages::face(library.db(), *face)).transpose()?;
            Ok(first.flatten().and_then(|face| face.group))
        })
        .await
    }

    async fn suggestions(&self) -> Result<Vec<Suggested>, GalleryError> {
        self.read(|library| suggestions::list(library.db_mut())).await
    }

    fn gallery(&self) -> GalleryId {
        gallery()
    }

    async fn forget_person(&self, id: GroupId, by: &str) -> Result<Receipt, GalleryError> {
        self.forget(ForgetTarget::Group(id), by).await
    }

    async fn forget_photo(&self, photo: &ImageRow, by: &str) -> Result<Receipt, GalleryError> {
        let target = match photo.bucket.as_str() {
            ENROLLED => ForgetTarget::Image(photo.id),
            bucket => {
                let path = self.0.store.places().path(bucket, &photo.key);
                ForgetTarget::Path(path.map_err(|error| LibraryError::Broken(error.to_string()))?)
            }
        };
        self.forget(target, by).await
    }

    async fn why(&self, a: FaceId, b: FaceId) -> Result<Explanation, GalleryError> {
        let params = self.0.params.clone();
        let why = self.read(move |library| {
            let snapshot = groups::snapshot(library.db_mut(), &gallery())?;
            Ok(grouping::why(snapshot, &params, a, b))
        });
        Ok(why.await??)
    }
}
