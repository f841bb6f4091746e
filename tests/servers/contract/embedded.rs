//! The suites over a folder and a library.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::domain::image::{Locator, Rejection};
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use muster_actors::ports::objects::{Object, Objects, ObjectsError};
use muster_actors::ports::queue::{Handle, Queue, QueueError, Received, SettleOutcome};
use muster_actors::ports::releases::LocalReleases;
use muster_actors::sim::cas_object::SimCasObject;
use muster_library::key::PathMap;
use muster_library::{FolderObjects, FolderQueue, Library, ScanOptions, SqliteFaces};

use super::{cell, faces, objects, queue, releases};

/// An adapter with the folder it lives in. The adapter goes first.
struct Housed<T>(T, tempfile::TempDir);

#[async_trait]
impl Queue for Housed<FolderQueue> {
    fn visibility(&self) -> Duration {
        self.0.visibility()
    }
    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        self.0.receive(max).await
    }
    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.0.extend(handles).await
    }
    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.0.ack(handles).await
    }
    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        self.0.release(handles, delay).await
    }
    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.0.reject(entries).await
    }
}

#[async_trait]
impl Faces for Housed<SqliteFaces> {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        self.0.commit(batch).await
    }
    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.0.gallery(gallery).await
    }
    async fn is_grouped(&self, gallery: &GalleryId) -> Result<bool, FacesError> {
        self.0.is_grouped(gallery).await
    }

    async fn publish(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        self.0.publish(gallery).await
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        self.0.save(gallery, read, reconciled).await
    }
}

#[async_trait]
impl Objects for Housed<FolderObjects> {
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        self.0.get(locator, limit).await
    }
    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError> {
        self.0.head(locator, bytes).await
    }
}

impl objects::Fill for Housed<FolderObjects> {
    fn bucket(&self) -> String {
        ".".to_owned()
    }
    async fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.1.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn store(folder: &Path) -> SqliteFaces {
    SqliteFaces::start(Library::create(&folder.join(".muster")).unwrap()).unwrap()
}

async fn a_folder(messages: usize, visibility: Duration) -> Housed<FolderQueue> {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..messages {
        std::fs::write(folder.path().join(format!("{n}.jpg")), [1]).unwrap();
    }
    let paths = vec![folder.path().to_path_buf()];
    let options = ScanOptions { paths, model: "test@1".to_owned(), ..ScanOptions::default() };
    let queue = FolderQueue::start(Arc::new(store(folder.path())), options).unwrap();
    Housed(queue.with_visibility(visibility), folder)
}

async fn a_folder_of_photos() -> Housed<FolderObjects> {
    let folder = tempfile::tempdir().unwrap();
    Housed(FolderObjects::new(PathMap::new(folder.path().canonicalize().unwrap())), folder)
}

async fn a_library() -> Housed<SqliteFaces> {
    let folder = tempfile::tempdir().unwrap();
    Housed(store(folder.path()), folder)
}

async fn memory() -> SimCasObject {
    SimCasObject::default()
}

async fn notes() -> LocalReleases {
    LocalReleases::default()
}

macro_rules! hold {
    ($suite:ident over $make:ident: $($name:ident)*) => {
        mod $make {
            $(#[tokio::test] async fn $name() { super::$suite::$name(super::$make).await; })*
        }
    };
}
pub(crate) use hold;

hold! { queue over a_folder:
    each_message_comes_once_while_it_is_leased
    no_more_come_than_were_asked_for
    a_body_is_json_with_bucket_key_and_gallery
    a_released_message_comes_again_after_its_delay_and_is_counted
    a_lease_that_ends_gives_the_message_back_and_an_extended_one_does_not
    batches_answer_one_by_one_in_order
    a_rejected_message_never_comes_again
}
hold! { faces over a_library:
    faces_come_back_as_they_went_in_ascending_by_id
    a_rerun_replaces_and_leaves_no_orphan
    a_rejection_that_says_nothing_of_the_picture_keeps_its_faces
    one_result_that_cannot_be_stored_fails_alone
    a_partition_is_saved_only_onto_the_revision_it_was_made_from
    faces_that_are_added_meanwhile_wait_for_the_next_grouping
    many_writers_at_once_lose_nothing
}
hold! { objects over a_folder_of_photos:
    an_object_comes_whole_under_any_name
    another_version_has_another_etag
    an_object_over_the_limit_is_rejected
    an_object_that_is_not_there_is_rejected
    an_object_without_bytes_is_rejected
    the_head_of_an_object_comes_with_its_whole_size
}
hold! { cell over memory:
    only_who_has_read_the_last_value_writes
    of_many_writers_at_once_one_wins
    who_wrote_what_is_there_has_written_it
}
hold! { releases over notes:
    earlier_receives_are_counted_each_once_and_for_their_own_message
    many_notes_of_many_workers_are_all_counted
}
