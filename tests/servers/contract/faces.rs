//! What the pipeline relies on of a store.

use muster_actors::domain::capture::{Capture, PictureHash, Taken};
use muster_actors::domain::face::{BBox, Face, FaceId, Quality, QualityReason};
use muster_actors::domain::gallery::{
    GalleryId, GallerySnapshot, Group, GroupId, Lineage, Partition, Reconciled, Suggestion,
};
use muster_actors::domain::image::{ImageRecord, ImageState, Locator, RejectReason, Rejection};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::{ObjectVersion, Sequencer};
use muster_actors::ports::faces::{Commit, Faces, FacesError};

/// Makes an empty store.
pub trait Make<F: Faces>: AsyncFn() -> F {}
impl<F: Faces, M: AsyncFn() -> F> Make<F> for M {}

pub fn gallery() -> GalleryId {
    GalleryId("local".to_owned())
}

/// A result with `faces` faces at places of their own.
pub fn result(key: &str, faces: u8) -> Commit {
    let locator = Locator { gallery: gallery(), bucket: ".".to_owned(), key: key.to_owned() };
    let id = locator.id();
    let faces: Vec<Face> = (0..faces)
        .map(|n| {
            let bbox = BBox { x: f32::from(n) * 100.25, y: 3.0, width: 40.0, height: 50.0 };
            Face {
                id: FaceId::new(id, "test@1", &bbox),
                image: id,
                bbox,
                landmarks: [[1.5, 2.5]; 5],
                quality: Quality {
                    overall: 0.1 + f32::from(n) / 300.0,
                    reasons: vec![QualityReason::Blurred],
                    ..Quality::default()
                },
                embedding: vec![0.6, 0.8, f32::from(n)],
                thumbnail: format!("jpeg of {key} {n}").into_bytes(),
            }
        })
        .collect();
    let image = ImageRecord {
        id,
        locator,
        etag: "1-2".to_owned(),
        bytes: 1,
        width: 10,
        height: 20,
        orientation: 6,
        taken: Some(Taken { local_ms: 1_594_030_210_123, offset_minutes: Some(-570) }),
        // Its highest bit is set: a column of whole numbers has a sign.
        picture: Some(PictureHash(0xF0F0_1234_5678_9ABC)),
        state: if faces.is_empty() { ImageState::NoFaces } else { ImageState::Indexed },
        rejection: None,
        quality: Some(0.5),
        face_count: u32::try_from(faces.len()).unwrap(),
        model: "test@1".to_owned(),
    };
    Commit { image, faces, content: None, version: ObjectVersion::default(), timings: Timings::default() }
}

pub async fn commit(store: &impl Faces, batch: Vec<Commit>) {
    for outcome in store.commit(batch).await.unwrap() {
        outcome.unwrap();
    }
}

pub async fn faces_come_back_as_they_went_in_ascending_by_id<F: Faces>(make: impl Make<F>) {
    let store = make().await;
    let batch = vec![result("a.jpg", 3), result("b.jpg", 0), result("c-7.jpg", 1)];
    commit(&store, batch.clone()).await;
    let snapshot = store.gallery(&gallery()).await.unwrap();
    let mut want: Vec<&Face> = batch.iter().flat_map(|c| &c.faces).collect();
    want.sort_by_key(|face| face.id);
    assert_eq!(snapshot.faces.len(), 4);
    for (got, want) in snapshot.faces.iter().zip(want) {
        assert_eq!((got.id, got.image, got.quality), (want.id, want.image, want.quality.overall));
        assert_eq!(got.embedding, want.embedding);
        let photo = batch.iter().map(|commit| &commit.image).find(|image| image.id == got.image).unwrap();
        assert_eq!(got.capture, Capture::new(photo.taken, photo.picture, &photo.locator.bucket, &photo.locator.key));
    }
    let other = store.gallery(&GalleryId("another".to_owned())).await.unwrap();
    assert!(other.faces.is_empty());
}

pub async fn a_rerun_replaces_and_leaves_no_orphan<F: Faces>(make: impl Make<F>) {
    let store = make().await;
    commit(&store, vec![result("a.jpg", 5), result("b.jpg", 1)]).await;
    commit(&store, vec![result("a.jpg", 2)]).await;
    assert_eq!(store.gallery(&gallery()).await.unwrap().faces.len(), 3);
    let before = store.gallery(&gallery()).await.unwrap().faces;
    commit(&store, vec![result("a.jpg", 2), result("a.jpg", 2)]).await;
    assert_eq!(store.gallery(&gallery()).await.unwrap().faces, before, "redelivery has no net effect");
}

pub async fn one_result_that_cannot_be_stored_fails_alone<F: Faces>(make: impl Make<F>) {
    let store = make().await;
    let mut broken = result("b.jpg", 1);
    broken.faces[0].quality.sharpness = f32::NAN;
    let outcomes = store.commit(vec![result("a.jpg", 1), broken, result("c.jpg", 1)]).await.unwrap();
    let fates: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(fates, [true, false, true]);
    assert_eq!(store.gallery(&gallery()).await.unwrap().faces.len(), 2);
}

/// A rejection of the image that [`result`] is of.
pub fn rejected(key: &str, reason: RejectReason) -> Commit {
    let Commit { image, content, version, timings, .. } = result(key, 0);
    let rejection = Some(Rejection::new(reason, "as a test says"));
    let image = ImageRecord { state: ImageState::Rejected, rejection, ..image };
    Commit { image, faces: Vec::new(), content, version, timings }
}

pub async fn a_rejection_that_says_nothing_of_the_picture_keeps_its_faces<F: Faces>(make: impl Make<F>) {
    use RejectReason as R;
    let store = make().await;
    for (reason, kept) in [
        (R::Unreadable, true),
        (R::TooManyAttempts, true),
        (R::Isolated, true),
        (R::Crashed, true),
        (R::Missing, true),
        (R::DecoderMissing, true),
        (R::Corrupt, false),
        (R::Truncated, false),
        (R::UnknownFormat, false),
        (R::Empty, false),
    ] {
        let key = format!("{}.jpg", reason.as_str());
        commit(&store, vec![result(&key, 2), result("other.jpg", 1)]).await;
        let before = store.gallery(&gallery()).await.unwrap();
        // The queue delivers the rejected message once more.
        commit(&store, vec![rejected(&key, reason), rejected(&key, reason)]).await;
        let after = store.gallery(&gallery()).await.unwrap();
        let of = |snapshot: &GallerySnapshot| {
            let id = result(&key, 0).image.id;
            snapshot.faces.iter().filter(|face| face.image == id).count()
        };
        assert_eq!((of(&before), of(&after)), (2, if kept { 2 } else { 0 }), "{reason:?}");
        assert_eq!(before.version == after.version, kept, "{reason:?}: groups need no look where no face changed");
    }
}

/// A result of a version, whose faces are as many and lie so far to the right.
fn versioned(key: &str, faces: u8, right: f32, version: ObjectVersion) -> Commit {
    let mut commit = Commit { version, ..result(key, faces) };
    for face in &mut commit.faces {
        face.bbox.x += right;
        face.id = FaceId::new(face.image, "test@1", &face.bbox);
    }
    commit
}

/// Both orders of two commits, both at once, and each of them once more.
pub async fn of_two_versions_the_newer_one_stays_whoever_is_last<F: Faces>(make: impl Make<F>) {
    let store = make().await;
    let version = |modified_ms, sequencer: &str| ObjectVersion { modified_ms, sequencer: Sequencer::new(sequencer) };
    for (case, older, newer) in [
        ("time", version(Some(1_000), ""), version(Some(2_000), "")),
        ("time before event", version(Some(1_000), "F"), version(Some(2_000), "")),
        ("event within a second", version(Some(1_000), "0A"), version(Some(1_000), "0A1")),
        ("events alone", version(None, "1"), version(None, "2")),
        ("event against a read", version(Some(1_000), "1"), version(None, "2")),
        ("read against an event", version(None, "1"), version(Some(1_000), "2")),
    ] {
        // Faces elsewhere, some at the same place, and none.
        for (faces, right) in [(1, 7.0), (2, 0.0), (0, 0.0)] {
            for order in ["older last", "newer last", "at once", "each twice"] {
                let key = format!("{case}/{faces}/{order}.jpg");
                let old = versioned(&key, 3, 0.0, older.clone());
                let new = versioned(&key, faces, right, newer.clone());
                match order {
                    "older last" => {
                        commit(&store, vec![new.clone()]).await;
                        commit(&store, vec![old]).await;
                    }
                    "newer last" => {
                        commit(&store, vec![old]).await;
                        commit(&store, vec![new.clone()]).await;
                    }
                    "at once" => {
                        let both = [vec![old], vec![new.clone()]].map(|batch| commit(&store, batch));
                        futures_util::future::join_all(both).await;
                    }
                    _ => {
                        for batch in [vec![old.clone(), new.clone()], vec![new.clone(), old.clone()], vec![old]] {
                            commit(&store, batch).await;
                        }
                    }
                }
                let faces = store.gallery(&gallery()).await.unwrap().faces;
                let id = new.image.id;
                let got: Vec<FaceId> = faces.iter().filter(|face| face.image == id).map(|face| face.id).collect();
                let mut want: Vec<FaceId> = new.faces.iter().map(|face| face.id).collect();
                want.sort();
                assert_eq!(got, want, "{key}");
            }
        }
    }
}

/// What is written anew of the same version is another model's; and what a release of before wrote says nothing of its version.
pub async fn a_result_replaces_one_of_its_own_version_and_one_of_none<F: Faces>(make: impl Make<F>) {
    let store = make().await;
    let event = ObjectVersion { modified_ms: Some(1_000), sequencer: Sequencer::new("1") };
    let asked = ObjectVersion { sequencer: None, ..event.clone() };
    for (number, (first, second)) in [
        (event.clone(), event.clone()),
        (event.clone(), asked.clone()),
        (asked, event.clone()),
        (ObjectVersion::default(), event),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("{number}.jpg");
        commit(&store, vec![versioned(&key, 3, 0.0, first)]).await;
        let second = versioned(&key, 1, 7.0, second);
        commit(&store, vec![second.clone()]).await;
        let faces = store.gallery(&gallery()).await.unwrap().faces;
        let got: Vec<FaceId> = faces.iter().filter(|face| face.image == second.image.id).map(|face| face.id).collect();
        assert_eq!(got, [second.faces[0].id], "{number}");
    }
}

pub fn partition(faces: Vec<FaceId>) -> Reconciled {
    let id = GroupId([7; 16]);
    let group = Group { id, cover: faces[0], faces, centroid: vec![0.5, -0.0], name: Some("Ada".to_owned()) };
    let redirects = [(GroupId([8; 16]), id)].into();
    let suggestions = [(FaceId([9; 16]), Suggestion { group: id, probability: 0.4 })].into();
    let partition = Partition { groups: vec![group], redirects, suggestions };
    Reconciled { partition, lineage: vec![Lineage::Born { group: id }], ..Reconciled::default() }
}

pub async fn a_partition_is_saved_only_onto_the_revision_it_was_made_from<F: Faces>(make: impl Make<F>) {
    let store = make().await;
    commit(&store, vec![result("a.jpg", 3), result("b.jpg", 1)]).await;
    let old = store.gallery(&gallery()).await.unwrap();
    commit(&store, vec![result("a.jpg", 2)]).await;
    let new = store.gallery(&gallery()).await.unwrap();
    assert!(new.version.generation > old.version.generation, "there is something to group");
    assert_ne!(old.version.revision, new.version.revision, "a face is gone");
    let made = partition(new.faces.iter().map(|f| f.id).collect());
    let refused = store.save(&gallery(), old.version, &made).await;
    assert!(matches!(refused, Err(FacesError::Conflict)), "{refused:?}");
    assert!(store.gallery(&gallery()).await.unwrap().previous.groups.is_empty());
    store.save(&gallery(), new.version, &made).await.unwrap();
    let saved = store.gallery(&gallery()).await.unwrap();
    assert_eq!(saved.previous, made.partition);
    let refused = store.save(&gallery(), new.version, &Reconciled::default()).await;
    assert!(
        matches!(refused, Err(FacesError::Conflict)),
        "of two groupings that read the same one is saved: {refused:?}"
    );
    let again = Reconciled { lineage: Vec::new(), ..made };
    store.save(&gallery(), saved.version, &again).await.unwrap();
    assert_eq!(store.gallery(&gallery()).await.unwrap().version, saved.version, "nothing changed by it");
    store.save(&gallery(), saved.version, &Reconciled::default()).await.unwrap();
    assert_eq!(store.gallery(&gallery()).await.unwrap().previous, Partition::default());
}

pub async fn faces_that_are_added_meanwhile_wait_for_the_next_grouping<F: Faces>(make: impl Make<F>) {
    let store = make().await;
    commit(&store, vec![result("a.jpg", 2)]).await;
    let read = store.gallery(&gallery()).await.unwrap();
    // One that is new, and one that is delivered again.
    commit(&store, vec![result("b.jpg", 1)]).await;
    commit(&store, vec![result("a.jpg", 2)]).await;
    let made = partition(read.faces.iter().map(|face| face.id).collect());
    store.save(&gallery(), read.version, &made).await.unwrap();
    let saved = store.gallery(&gallery()).await.unwrap();
    assert_eq!((saved.previous, saved.faces.len()), (made.partition, 3));
    assert!(!store.is_grouped(&gallery()).await.unwrap(), "one face is in none");
    let made = partition(saved.faces.iter().map(|face| face.id).collect());
    store.save(&gallery(), saved.version, &made).await.unwrap();
    assert_eq!(store.gallery(&gallery()).await.unwrap().previous, made.partition);
}

pub async fn many_writers_at_once_lose_nothing<F: Faces>(make: impl Make<F>) {
    let store = make().await;
    let bulks = (0..40).map(|bulk| {
        let store = &store;
        async move {
            let batch = (0..5).map(|n| result(&format!("{bulk}/{n}.jpg"), 1)).collect();
            commit(store, batch).await;
        }
    });
    futures_util::future::join_all(bulks).await;
    assert_eq!(store.gallery(&gallery()).await.unwrap().faces.len(), 200);
}
