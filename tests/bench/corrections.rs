//! How long what people say takes: `cargo bench -p muster-library --bench corrections`.
//!
//! Libraries of 100,000 and 1,000,000 faces: a photo of two faces each, groups of ten faces, every third group a person
//! with a name. Each kind of correction is made in a hundred places, each in a transaction of its own that is on the
//! disk when it ends. One size alone: `-- 100000`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::{GalleryId, Group, GroupId, Partition, Reconciled};
use muster_actors::domain::image::{ImageRecord, ImageState, Locator};
use muster_actors::domain::person::BirthDate;
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::people::correction::Details;
use muster_actors::people::{Author, Correction, Member};
use muster_actors::ports::faces::Commit;
use muster_library::{Library, correct, groups, write};

type Failure = Box<dyn std::error::Error>;

/// Numbers in an embedding: corrections read those of the groups that they name.
const DIMENSIONS: usize = 128;
const OF_GROUP: usize = 10;
const ROUNDS: usize = 100;

fn gallery() -> GalleryId {
    GalleryId("local".to_owned())
}

fn author(at_ms: u64) -> Author {
    Author { by: "bench".to_owned(), at_ms }
}

/// A photo of two faces, of two people.
fn photo(number: usize) -> Commit {
    let locator =
        Locator { gallery: gallery(), bucket: ".".to_owned(), key: format!("{:03}/{number}.jpg", number % 997) };
    let id = locator.id();
    let faces = (0..2).map(|n| {
        let bbox = BBox { x: 300.0 * n as f32, y: 50.0, width: 200.0, height: 250.0 };
        let mut embedding = vec![0.0; DIMENSIONS];
        (embedding[number % DIMENSIONS], embedding[(number + 7 + n) % DIMENSIONS]) = (0.8, 0.6);
        let quality = Quality { overall: 0.5 + (number % 50) as f32 / 100.0, ..Quality::default() }.with_face(1.0);
        let face = FaceId::new(id, "m@1", &bbox);
        Face { id: face, image: id, bbox, landmarks: [[1.0; 2]; 5], quality, embedding, thumbnail: vec![0; 64] }
    });
    let image = ImageRecord {
        id,
        locator,
        etag: "e".to_owned(),
        bytes: 1,
        width: 1000,
        height: 800,
        orientation: 1,
        taken: None,
        picture: None,
        state: ImageState::Indexed,
        rejection: None,
        quality: None,
        face_count: 2,
        model: "m@1".to_owned(),
    };
    Commit {
        image,
        faces: faces.collect(),
        content: Some(*blake3(number)),
        version: ObjectVersion::default(),
        timings: Timings::default(),
    }
}

/// A digest of its own for each photo.
fn blake3(number: usize) -> Box<[u8; 32]> {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    Box::new(digest)
}

/// A library of so many faces; its groups.
fn fill(library: &mut Library, count: usize) -> Result<Vec<GroupId>, Failure> {
    let mut ids: Vec<FaceId> = Vec::with_capacity(count);
    let numbers: Vec<usize> = (0..count / 2).collect();
    for batch in numbers.chunks(2_000) {
        let photos: Vec<Commit> = batch.iter().map(|number| photo(*number)).collect();
        ids.extend(photos.iter().flat_map(|photo| &photo.faces).map(|face| face.id));
        for outcome in write::commit(library.db_mut(), &photos)? {
            outcome?;
        }
    }
    // Neighbours in the list are of one photo: a group takes every tenth part of the list.
    let mut members: BTreeMap<usize, Vec<FaceId>> = BTreeMap::new();
    let several = count / OF_GROUP;
    ids.iter().enumerate().for_each(|(n, face)| members.entry(n % several).or_default().push(*face));
    let groups: Vec<Group> = members
        .into_values()
        .map(|mut faces| {
            faces.sort_unstable();
            let id = GroupId(faces[0].0);
            Group { id, cover: faces[0], faces, centroid: vec![0.1; DIMENSIONS], name: None }
        })
        .collect();
    let mut partition = Partition { groups, ..Partition::default() };
    partition.groups.sort_by_key(|group| group.id);
    let groups: Vec<GroupId> = partition.groups.iter().map(|group| group.id).collect();
    let read = groups::snapshot(library.db_mut(), &gallery())?.version;
    let reconciled = Reconciled { partition, ..Reconciled::default() };
    groups::save(library.db_mut(), &gallery(), read, &reconciled)?;
    for (n, id) in groups.iter().step_by(3).enumerate() {
        correct::correct(library.db_mut(), &Correction::name(*id, format!("Person {n}")), &author(n as u64))?;
    }
    Ok(groups)
}

/// The first faces of a group.
fn faces(library: &Library, group: GroupId, count: usize) -> Result<Vec<FaceId>, Failure> {
    let mut select = library.db().prepare_cached("SELECT face FROM members WHERE grp = ?1 ORDER BY face LIMIT ?2")?;
    let rows = select.query_map((group.0, count as i64), |row| Ok(FaceId(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn measure(name: &str, mut once: impl FnMut(usize) -> Result<Duration, Failure>) -> Result<(), Failure> {
    let mut times: Vec<Duration> = (0..ROUNDS).map(&mut once).collect::<Result<_, _>>()?;
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3;
    println!("  {name:<16} p50 {:7.2} ms   p99 {:7.2} ms", at(0.5), at(0.99));
    Ok(())
}

fn case(count: usize) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("muster-corrections-{}", std::process::id()));
    let mut library = Library::create(&folder)?;
    let begun = Instant::now();
    let groups = fill(&mut library, count)?;
    println!("{count} faces, {} groups, made in {:.0} s", groups.len(), begun.elapsed().as_secs_f64());
    let at = |n: usize| groups[(n * 7919) % groups.len()];
    let mut correct = |correction: Correction| -> Result<Duration, Failure> {
        let begun = Instant::now();
        correct::correct(library.db_mut(), &correction, &author(1))?;
        Ok(begun.elapsed())
    };
    let describe = |n: usize, details: Details| Correction::Details { member: Member::Group(at(n)), details };
    measure("name", |n| correct(Correction::name(at(n), format!("Somebody {n}"))))?;
    measure("hide", |n| correct(describe(n, Details { is_hidden: Some(true), ..Details::default() })))?;
    let born: BirthDate = "1984-05-17".parse()?;
    measure("birth date", |n| correct(describe(n, Details { born: Some(Some(born)), ..Details::default() })))?;
    let reader = Library::read(&folder)?;
    measure("cover", |n| {
        let cover = faces(&reader, at(n), 2)?.pop();
        correct(describe(n, Details { cover, ..Details::default() }))
    })?;
    measure("confirm", |n| correct(Correction::Confirm { group: at(n + 200), faces: [].into() }))?;
    measure("not this person", |n| {
        let faces = faces(&reader, at(n + 400), 1)?.into_iter().collect();
        correct(Correction::NotPerson { group: at(n + 400), faces })
    })?;
    measure("split", |n| {
        let faces = faces(&reader, at(n + 600), 3)?.into_iter().collect();
        correct(Correction::Split { group: at(n + 600), faces })
    })?;
    measure("move", |n| {
        let faces = faces(&reader, at(n + 800), 2)?.into_iter().collect();
        correct(Correction::Move { group: at(n + 1000), faces })
    })?;
    measure("merge", |n| correct(Correction::Merge(vec![Member::Group(at(n + 1200)), Member::Group(at(n + 1400))])))?;
    measure("not a face", |n| {
        let faces = faces(&reader, at(n + 1600), 1)?.into_iter().collect();
        correct(Correction::Face { faces, is_face: false })
    })?;
    measure("undo", |_| {
        let begun = Instant::now();
        correct::take_back(library.db_mut(), None, &author(2))?;
        Ok(begun.elapsed())
    })?;
    drop((library, reader));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn run() -> Result<(), Failure> {
    let asked: Option<usize> = std::env::args().skip(1).find_map(|text| text.parse().ok());
    asked.map_or_else(|| vec![100_000, 1_000_000], |count| vec![count]).into_iter().try_for_each(case)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
