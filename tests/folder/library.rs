//! The library end to end: what a walk finds, what a kill leaves, what forgetting removes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::{GalleryId, Group, GroupId, Partition, Reconciled, Suggestion};
use muster_actors::domain::image::{ImageRecord, ImageState, Locator, RejectReason};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::people::{Author, Correction};
use muster_actors::ports::faces::{Commit, Faces};
use muster_actors::ports::objects::{Objects, ObjectsError};
use muster_actors::ports::queue::Queue;
use muster_gallery::LIBRARY_GALLERY;
use muster_library::correct::correct;
use muster_library::forget::{ForgetTarget, forget};
use muster_library::{FolderObjects, FolderQueue, Library, ScanOptions, ScanReport, SqliteFaces, groups, view};
use rand::{Rng, SeedableRng};

const MODEL: &str = "test@1";

fn gallery() -> GalleryId {
    GalleryId(LIBRARY_GALLERY.to_owned())
}

/// A result whose embedding and crop can be searched for in files.
fn result(locator: Locator, etag: &str, faces: u8) -> Commit {
    let id = locator.id();
    let key = locator.key.clone();
    let faces: Vec<Face> = (0..faces)
        .map(|n| {
            let bbox = BBox { x: f32::from(n) * 100.0, y: 0.0, width: 50.0, height: 50.0 };
            let face = FaceId::new(id, MODEL, &bbox);
            let mut embedding = vec![0.0; 128];
            face.0.iter().zip(&mut embedding).for_each(|(byte, value)| *value = f32::from(*byte) / 256.0 + 0.001);
            let thumbnail = format!("crop {face} of {key} ").repeat(40).into_bytes();
            let quality = Quality { overall: 0.5, score: 0.9, ..Quality::default() };
            Face { id: face, image: id, bbox, landmarks: [[1.0, 2.0]; 5], quality, embedding, thumbnail }
        })
        .collect();
    let state = if faces.is_empty() { ImageState::NoFaces } else { ImageState::Indexed };
    let face_count = u32::try_from(faces.len()).unwrap();
    let image = ImageRecord {
        id,
        locator,
        etag: etag.to_owned(),
        bytes: 1,
        width: 1,
        height: 1,
        orientation: 1,
        taken: None,
        picture: None,
        state,
        rejection: None,
        quality: None,
        face_count,
        model: MODEL.to_owned(),
    };
    Commit { image, faces, content: None, version: ObjectVersion::default(), timings: Timings::default() }
}

/// A small pipeline: everything that is readable has two faces. What is delivered, by key.
async fn index(photos: &[PathBuf], library: &Path) -> (ScanReport, BTreeSet<String>) {
    let store = Arc::new(SqliteFaces::start(Library::create(library).unwrap()).unwrap());
    let objects = FolderObjects::new(store.places().clone());
    let options = ScanOptions { paths: photos.to_vec(), model: MODEL.to_owned(), ..ScanOptions::default() };
    let queue = FolderQueue::start(Arc::clone(&store), options).unwrap();
    let mut delivered = BTreeSet::new();
    loop {
        let received = queue.receive(3).await.unwrap();
        for delivery in &received.deliveries {
            let body: serde_json::Value = serde_json::from_str(&delivery.body).unwrap();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            let locator = Locator { gallery: GalleryId(text("gallery_id")), bucket: text("bucket"), key: text("key") };
            delivered.insert(locator.key.clone());
            match objects.get(&locator, 1000).await {
                Ok(object) => {
                    let stored = store.commit(vec![result(locator, &object.etag, 2)]).await.unwrap();
                    assert!(stored.iter().all(Result::is_ok));
                    queue.ack(std::slice::from_ref(&delivery.handle)).await.unwrap();
                }
                Err(ObjectsError::Rejected(rejection)) => {
                    queue.reject(&[(delivery.handle.clone(), rejection)]).await.unwrap();
                }
                Err(other) => panic!("{other}"),
            }
        }
        if received.finished {
            return (queue.report(), delivered);
        }
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn unchanged_photos_are_skipped_and_changed_new_and_gone_ones_reconciled() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, library) = (folder.path().join("photos"), folder.path().join("photos/.muster"));
    for name in ["a.jpg", "b.JPEG", "c/d.png", "c/e.heic", "note.txt", ".hidden.jpg", ".thumbs/x.jpg"] {
        write(&photos.join(name), name);
    }
    let all = std::slice::from_ref(&photos);
    let (first, delivered) = index(all, &library).await;
    assert_eq!((first.found, first.new, first.ignored), (4, 4, 2));
    assert_eq!(delivered, ["a.jpg", "b.JPEG", "c/d.png", "c/e.heic"].map(str::to_owned).into());

    let (second, delivered) = index(all, &library).await;
    assert_eq!((second.unchanged, second.new, delivered.len()), (4, 0, 0));

    write(&photos.join("a.jpg"), "longer than before");
    write(&photos.join("f.webp"), "new");
    fs::remove_file(photos.join("b.JPEG")).unwrap();
    let (third, delivered) = index(&[photos.join("c"), photos.clone()], &library).await;
    assert_eq!((third.unchanged, third.changed, third.new, third.removed), (2, 1, 1, 1));
    assert_eq!(delivered, ["a.jpg", "f.webp"].map(str::to_owned).into());
    assert_eq!(view::totals(Library::read(&library).unwrap().db()).unwrap().faces, 8);

    // Only what is under the named folder is reconciled.
    fs::remove_file(photos.join("a.jpg")).unwrap();
    fs::remove_file(photos.join("c/d.png")).unwrap();
    let (fourth, _) = index(&[photos.join("c")], &library).await;
    assert_eq!((fourth.removed, fourth.unchanged), (1, 1));
    assert_eq!(view::totals(Library::read(&library).unwrap().db()).unwrap().images, 3);
}

#[tokio::test]
async fn a_hostile_folder_is_listed_with_reasons() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let (photos, library) = (folder.path().join("photos"), folder.path().join("library"));
    write(&photos.join("good.jpg"), "x");
    write(&photos.join("empty.jpg"), "");
    write(&photos.join("large.jpg"), &"x".repeat(1001));
    fs::write(photos.join(std::ffi::OsStr::from_bytes(b"caf\xe9.jpg")), "x").unwrap();
    std::os::unix::fs::symlink(&photos, photos.join("loop")).unwrap();
    std::os::unix::fs::symlink(&photos, photos.join("loop.jpg")).unwrap();
    std::os::unix::fs::symlink("nowhere", photos.join("broken.jpg")).unwrap();
    assert!(Command::new("mkfifo").arg(photos.join("pipe.jpg")).status().unwrap().success());
    // A path longer than any call takes: made step by step.
    let deep =
        "import os\nfor _ in range(26): os.mkdir('x' * 200); os.chdir('x' * 200)\nopen('deep.jpg', 'w').write('hi')";
    assert!(Command::new("python3").args(["-c", deep]).current_dir(&photos).status().unwrap().success());

    let (report, delivered) = index(std::slice::from_ref(&photos), &library).await;
    assert_eq!(delivered.len(), 6, "{delivered:?}");
    assert!(delivered.iter().any(|key| key == "bytes:photos/caf%E9.jpg"), "{delivered:?}");
    let links = report.problems.iter().filter(|p| p.rejection.detail.contains("link")).count();
    assert_eq!(links, 2, "{:?}", report.problems);
    assert!(report.problems.iter().any(|p| p.rejection.detail.contains("too long")), "{:?}", report.problems.len());
    let reader = Library::read(&library).unwrap();
    let rejected = view::rejected(reader.db()).unwrap();
    for (name, reason) in [
        ("photos/empty.jpg", RejectReason::Empty),
        ("photos/large.jpg", RejectReason::TooManyBytes),
        ("photos/broken.jpg", RejectReason::Missing),
        ("photos/pipe.jpg", RejectReason::Unreadable),
        ("photos/loop", RejectReason::Unreadable),
    ] {
        assert!(rejected.iter().any(|r| r.path == name && r.reason == reason.as_str()), "{name} in {rejected:?}");
    }
    let (again, _) = index(std::slice::from_ref(&photos), &library).await;
    assert_eq!((again.unchanged, again.changed, again.removed), (3, 3, 0), "what may have been mended is tried again");
    assert!(Command::new("rm").args(["-rf", "--"]).arg(&photos).status().unwrap().success());
}

/// Not a test of its own: the process that the next one kills.
#[tokio::test]
async fn child_that_commits_until_it_is_killed() {
    let Some(library) = std::env::var_os("MUSTER_TEST_CHILD") else { return };
    let store = SqliteFaces::start(Library::create(Path::new(&library)).unwrap()).unwrap();
    let round = std::env::var("MUSTER_TEST_ROUND").unwrap();
    for n in 0.. {
        let locator = Locator { gallery: gallery(), bucket: ".".into(), key: format!("{round}/{n:06}.jpg") };
        let stored = store.commit(vec![result(locator.clone(), "1-1", 2)]).await.unwrap();
        assert!(stored.iter().all(Result::is_ok));
        // The ack: whoever reads this line may count on the image.
        println!("acked {}", locator.key);
    }
}

#[test]
fn what_was_acked_survives_kill_9_at_any_moment() {
    let seed = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    eprintln!("MUSTER_SEED={seed}");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("library");
    let mut acked = BTreeSet::new();
    // How long it takes to the first ack, on this machine now.
    let mut first = Duration::ZERO;
    for round in 0..12 {
        let begun = Instant::now();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "library::child_that_commits_until_it_is_killed", "--nocapture", "--test-threads=1"])
            .env("MUSTER_TEST_CHILD", &library)
            .env("MUSTER_TEST_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acks = lines.filter_map(|line| Some(line.split_once("acked ")?.1.to_owned()));
        if round == 0 {
            acked.extend(acks.next());
            first = begun.elapsed();
        } else {
            std::thread::sleep(first.mul_f64(random.random_range(0.02..2.0)));
        }
        child.kill().unwrap();
        acked.extend(acks);
        child.wait().unwrap();
    }
    drop(Library::create(&library).unwrap());
    let reader = Library::read(&library).unwrap();
    let mut stored = BTreeSet::new();
    view::images(reader.db(), |image| {
        assert_eq!(image.face_count, 2);
        stored.insert(image.path);
        Ok(())
    })
    .unwrap();
    let lost: Vec<_> = acked.difference(&stored).collect();
    assert!(lost.is_empty(), "lost {lost:?} of {} with MUSTER_SEED={seed}", acked.len());
    assert!(!acked.is_empty(), "nothing was acked");
    let totals = view::totals(reader.db()).unwrap();
    assert_eq!(totals.faces, totals.images * 2, "no image without its faces, no face without its image");
    let check: String = reader.db().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// Whether any file of a folder holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> Option<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.into_iter().find(|file| fs::read(file).unwrap().windows(bytes.len()).any(|window| window == bytes))
}

fn bytes_of(face: &Face) -> [Vec<u8>; 2] {
    [face.embedding[..16].iter().flat_map(|v| v.to_le_bytes()).collect(), face.thumbnail[..40].to_vec()]
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_file_of_the_library_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let library = base.join(".muster");
    for name in ["keep.jpg", "private/a.jpg", "private/b.jpg"] {
        write(&base.join(name), name);
    }
    index(std::slice::from_ref(&base), &library).await;
    write(&library.join("people.html"), "shows faces");
    let place = |key: &str| Locator { gallery: gallery(), bucket: ".".into(), key: key.into() };
    let (keep, a) = (result(place("keep.jpg"), "", 2), result(place("private/a.jpg"), "", 2));
    for face in keep.faces.iter().chain(&a.faces) {
        bytes_of(face).iter().for_each(|bytes| assert!(holds(&library, bytes).is_some()));
    }

    // Two people: one in both kinds of photos, named after a face that goes; one only in what stays.
    let mut writer = Library::open(&library).unwrap();
    let (ada, ben) = (GroupId([0xad; 16]), GroupId([0xbe; 16]));
    let mut ada_faces = vec![keep.faces[0].id, a.faces[0].id, a.faces[1].id];
    ada_faces.sort();
    let group = |id, faces: Vec<FaceId>, cover, name: &str| Group {
        id,
        faces,
        cover,
        centroid: vec![0.1; 128],
        name: Some(name.to_owned()),
    };
    let private = result(place("private/b.jpg"), "", 2);
    let perhaps = |group| Suggestion { group, probability: 0.3 };
    let partition = Partition {
        groups: vec![
            group(ada, ada_faces, a.faces[0].id, "Ada"),
            group(ben, vec![keep.faces[1].id], keep.faces[1].id, "Ben"),
        ],
        suggestions: [(private.faces[0].id, perhaps(ada)), (keep.faces[1].id, perhaps(ben))].into(),
        ..Partition::default()
    };
    let read = groups::snapshot(writer.db_mut(), &gallery()).unwrap().version;
    let reconciled = Reconciled { partition, ..Reconciled::default() };
    groups::save(writer.db_mut(), &gallery(), read, &reconciled).unwrap();
    for (group, name) in [(ada, "Ada"), (ben, "Ben")] {
        correct(writer.db_mut(), &Correction::name(group, name), &Author::default()).unwrap();
    }
    let spoken = Correction::NotSame { a: a.faces[0].id, b: keep.faces[1].id };
    correct(writer.db_mut(), &spoken, &Author::default()).unwrap();
    let hidden = holds(&library, a.faces[0].id.to_string().as_bytes());
    assert!(hidden.is_some(), "the history names the face");

    let receipt = forget(&mut writer, &ForgetTarget::Path(base.join("private")), &Author::default()).unwrap();
    assert_eq!((receipt.images, receipt.faces, receipt.vectors, receipt.crops), (2, 4, 4, 4));
    assert_eq!((receipt.vector_bytes, &receipt.groups, &receipt.recomputed), (4 * 512, &vec![], &vec![ada]));
    assert!(receipt.rewritten && !library.join("people.html").exists());
    let now = groups::snapshot(writer.db_mut(), &gallery()).unwrap();
    let left = now.previous.groups.iter().find(|g| g.id == ada).unwrap();
    // Ada keeps her name, which nobody wanted forgotten, and her last face.
    assert_eq!((left.cover, left.name.as_deref(), left.faces.len()), (keep.faces[0].id, Some("Ada"), 1));
    assert_eq!((now.facts.persons.len(), now.facts.confirmed.len(), now.facts.not_same.len()), (2, 2, 0));
    assert_eq!(now.previous.suggestions, [(keep.faces[1].id, perhaps(ben))].into());

    let receipt = forget(&mut writer, &ForgetTarget::Group(ben), &Author::default()).unwrap();
    assert!(groups::snapshot(writer.db_mut(), &gallery()).unwrap().previous.suggestions.is_empty());
    assert_eq!((receipt.images, receipt.faces, receipt.tombstones, &receipt.groups), (1, 1, 1, &vec![ben]));
    drop(writer);
    let gone = a.faces.iter().chain(&keep.faces[1..]).flat_map(bytes_of);
    let id = a.faces[0].id.to_string().into_bytes();
    for bytes in gone.chain([id, b"Ben".to_vec()]) {
        assert_eq!(holds(&library, &bytes), None, "{:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(bytes_of(&keep.faces[0]).iter().all(|bytes| holds(&library, bytes).is_some()), "what stays, stays");

    // The folder is passed over; the photo that changed is looked at, and Ben's place in it stays empty.
    write(&base.join("keep.jpg"), "changed");
    write(&base.join("private/new.jpg"), "new");
    let (report, delivered) = index(std::slice::from_ref(&base), &library).await;
    assert_eq!((delivered, report.new), (["keep.jpg".to_owned()].into(), 0));
    assert_eq!(view::totals(Library::read(&library).unwrap().db()).unwrap().faces, 1);

    let mut writer = Library::open(&library).unwrap();
    let places = writer.places().clone();
    muster_library::tombstones::lift(writer.db_mut(), &places, &base).unwrap();
    drop(writer);
    let (_, delivered) = index(std::slice::from_ref(&base), &library).await;
    assert_eq!(delivered.len(), 4, "taken back: {delivered:?}");
    assert_eq!(view::totals(Library::read(&library).unwrap().db()).unwrap().faces, 8);
}
