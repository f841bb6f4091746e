//! The people of a library, ready to be searched: read again when the groups have changed, and searched as they were meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use muster_actors::face::Face;
use muster_actors::gallery::GalleryId;
use muster_actors::identification::{Enrolled, Identified, Rule};
use muster_actors::ports::index::IndexError;

use crate::faiss::FlatFactory;
use crate::local::{GALLERY, Library, LibraryError, groups};

/// Why nobody could be looked up.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CrowdError {
    /// The library cannot be read.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// While faces are being indexed groups change all the time: they are read again so often at most.
const FRESH: Duration = Duration::from_secs(2);

struct Known {
    generation: u64,
    read: Instant,
    // FAISS's indexes may not be shared between threads.
    enrolled: Mutex<Enrolled>,
}

/// Who is known.
pub struct Crowd {
    rule: Rule,
    dimensions: usize,
    library: Mutex<Library>,
    known: Mutex<Option<Arc<Known>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crowd {
    /// The people of a library that is open for reading; embeddings have `dimensions`.
    pub fn new(library: Library, rule: Rule, dimensions: usize) -> Self {
        Self { rule, dimensions, library: Mutex::new(library), known: Mutex::default() }
    }

    /// Who the faces of a photo are, with up to `keep` candidates each. Blocking.
    pub fn identify(&self, faces: &[Face], keep: usize) -> Result<Vec<Identified>, CrowdError> {
        let known = self.known()?;
        let probes: Vec<&[f32]> = faces.iter().map(|face| face.embedding.as_slice()).collect();
        // The second is needed to judge the first.
        let found = lock(&known.enrolled).search(&probes, keep.max(2))?;
        Ok(found.into_iter().map(|candidates| self.rule.judge(candidates, keep)).collect())
    }

    /// A person changed the groups: the next caller sees it.
    pub fn changed(&self) {
        *lock(&self.known) = None;
    }

    /// As the groups are, or were a moment ago. Who comes while others read them waits for the same reading.
    fn known(&self) -> Result<Arc<Known>, CrowdError> {
        let mut known = lock(&self.known);
        let gallery = GalleryId(GALLERY.to_owned());
        let mut library = lock(&self.library);
        if let Some(known) = &*known
            && (known.read.elapsed() < FRESH || groups::generation(library.db(), &gallery)? == known.generation)
        {
            return Ok(Arc::clone(known));
        }
        let read = Instant::now();
        let snapshot = groups::snapshot(library.db_mut(), &gallery)?;
        let enrolled = Mutex::new(Enrolled::new(&snapshot, self.dimensions, &FlatFactory)?);
        let fresh = Arc::new(Known { generation: snapshot.generation, read, enrolled });
        *known = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
}
