//! The library behind the web front: reads beside the writer, changes through it.

use std::sync::{Arc, Mutex, PoisonError};

use muster_actors::face::FaceId;
use muster_actors::gallery::{GalleryId, GroupId};
use muster_actors::grouper::explain::Explanation;
use muster_actors::grouper::say::Say;
use muster_actors::grouper::{Kept, Params};
use muster_actors::ports::index::IndexError;

use super::problem::Problem;
use crate::faiss::FlatFactory;
use crate::local::change::{self, ChangeError};
use crate::local::forget::{self, Receipt, Target};
use crate::local::told::Told;
use crate::local::view::{self, Person};
use crate::local::{GALLERY, Library, LibraryError, SqliteFaces, grouping, groups, pages};
use crate::recognition::Crowd;

/// Numbers in vectors that are kept grouped between corrections: 512 MiB.
const KEPT: usize = 128 << 20;

/// Everything that is known of photos, faces and people.
pub struct Album {
    store: Arc<SqliteFaces>,
    reader: Mutex<Library>,
    /// As they were in a generation of the gallery: a list of pages is one list.
    people: Mutex<Option<(u64, Arc<Vec<Person>>)>>,
    params: Params,
    kept: Arc<Kept>,
    crowd: Arc<Crowd>,
}

fn gallery() -> GalleryId {
    GalleryId(GALLERY.to_owned())
}

impl Album {
    /// Over a store that writes, and a reader beside it.
    pub fn new(store: Arc<SqliteFaces>, reader: Library, crowd: Arc<Crowd>) -> Result<Self, LibraryError> {
        let params = grouping::recall(&reader)?;
        let kept = Arc::new(Kept::new(params.clone(), Arc::new(FlatFactory), KEPT));
        Ok(Self { store, reader: Mutex::new(reader), people: Mutex::default(), params, kept, crowd })
    }

    /// Reads, off the threads that answer.
    pub async fn read<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Library) -> Result<R, LibraryError> + Send + 'static,
    ) -> Result<R, Problem> {
        let album = Arc::clone(self);
        let read = move || work(&mut album.reader.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(tokio::task::spawn_blocking(read).await.map_err(Problem::broken)??)
    }

    /// All people, the largest groups first.
    pub async fn people(self: &Arc<Self>) -> Result<Arc<Vec<Person>>, Problem> {
        let album = Arc::clone(self);
        self.read(move |library| {
            let generation = groups::generation(library.db(), &gallery())?;
            let mut people = album.people.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, list)) = people.as_ref().filter(|(of, _)| *of == generation) {
                return Ok(Arc::clone(list));
            }
            let list = Arc::new(view::people(library.db())?);
            *people = Some((generation, Arc::clone(&list)));
            Ok(list)
        })
        .await
    }

    /// One of them; an id that went into another by a merge leads there.
    pub async fn person(self: &Arc<Self>, id: GroupId) -> Result<Person, Problem> {
        let found = self.read(move |library| pages::group(library.db(), id)).await?;
        let people = self.people().await?;
        let person = people.iter().find(|person| Some(person.id) == found);
        person.cloned().ok_or_else(|| Problem::missing("person"))
    }

    /// Changes something, after what was written before.
    pub async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Library, change::Regroup<'_>) -> Result<R, ChangeError> + Send + 'static,
    ) -> Result<R, Problem> {
        let kept = Arc::clone(&self.kept);
        let regroup = move |snapshot| -> Result<_, IndexError> { kept.reconcile(&gallery(), snapshot) };
        let done = self.store.run(move |library| Ok(work(library, &regroup))).get().await;
        self.crowd.changed();
        Ok(done??)
    }

    /// Notes what somebody says, and applies it.
    pub async fn say(&self, say: Say) -> Result<Told, Problem> {
        self.write(move |library, regroup| change::say(library, &say, regroup)).await
    }

    /// Takes back what was said last.
    pub async fn undo(&self) -> Result<Told, Problem> {
        self.write(|library, regroup| change::undo(library, regroup)).await
    }

    /// Forgets, and groups what is left anew.
    pub async fn forget(self: &Arc<Self>, target: Target) -> Result<Receipt, Problem> {
        self.write(move |library, regroup| {
            let receipt = forget::forget(library, &target)?;
            change::regroup(library, regroup)?;
            Ok(receipt)
        })
        .await
    }

    /// Why two faces are together or apart.
    pub async fn why(self: &Arc<Self>, a: FaceId, b: FaceId) -> Result<Explanation, Problem> {
        let params = self.params.clone();
        let why = self.read(move |library| {
            let snapshot = groups::snapshot(library.db_mut(), &gallery())?;
            Ok(grouping::why(snapshot, &params, a, b))
        });
        why.await?.map_err(Problem::broken)
    }

    /// The writer itself.
    pub fn store(&self) -> &Arc<SqliteFaces> {
        &self.store
    }
}
