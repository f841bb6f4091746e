//! A library whose file is damaged: every value that can stand in a column is read or refused, and what is read can be grouped.

use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageRecord, ImageState, Locator};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::grouping::{Params, reconcile};
use muster_actors::people::{Author, Correction};
use muster_actors::ports::faces::Commit;
use muster_gallery::LIBRARY_GALLERY;
use muster_index::FlatFactory;
use muster_library::correct::{correct, take_back};
use muster_library::view::{self, FaceSelection};
use muster_library::{groups, history, schema, suggestions, write};
use rusqlite::Connection;
use rusqlite::types::Value;

/// What is damaged.
const COLUMNS: [(&str, &str); 34] = [
    ("faces", "id"),
    ("faces", "bbox"),
    ("faces", "landmarks"),
    ("faces", "embedding"),
    ("faces", "reasons"),
    ("faces", "overall"),
    ("faces", "score"),
    ("images", "id"),
    ("images", "bucket"),
    ("images", "key"),
    ("images", "bytes"),
    ("images", "width"),
    ("images", "orientation"),
    ("images", "state"),
    ("images", "reason"),
    ("images", "quality"),
    ("galleries", "generation"),
    ("galleries", "additions"),
    ("groups", "id"),
    ("groups", "cover"),
    ("groups", "centroid"),
    ("groups", "name"),
    ("members", "grp"),
    ("redirects", "target"),
    ("facts", "kind"),
    ("changes", "body"),
    ("facts", "a"),
    ("facts", "b"),
    ("thumbnails", "jpeg"),
    ("images", "taken_local_ms"),
    ("images", "taken_offset"),
    ("images", "picture"),
    ("facts", "value"),
    ("images", "content"),
];

/// An image with two faces.
fn image(n: u8) -> Commit {
    let locator =
        Locator { gallery: GalleryId(LIBRARY_GALLERY.to_owned()), bucket: ".".to_owned(), key: format!("{n}.jpg") };
    let id = locator.id();
    let face = |m: u8| {
        let bbox = BBox { x: f32::from(m) * 50.0, y: 0.0, width: 40.0, height: 40.0 };
        // Two shots of each of two people: the same vector again would be a copy.
        let (far, near) = if n.is_multiple_of(2) { (0.8, 0.6) } else { (0.6, 0.8) };
        let embedding = if m == 0 { vec![far, near] } else { vec![-near, far] };
        let quality = Quality { overall: 0.9, score: 0.9, ..Quality::default() };
        let id_of = FaceId::new(id, "m@1", &bbox);
        Face { id: id_of, image: id, bbox, landmarks: [[1.0; 2]; 5], quality, embedding, thumbnail: vec![1] }
    };
    let image = ImageRecord {
        id,
        locator,
        etag: "e".to_owned(),
        bytes: 1,
        width: 1,
        height: 1,
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
        faces: vec![face(0), face(1)],
        content: None,
        version: ObjectVersion::default(),
        timings: Timings::default(),
    }
}

/// A library in memory: three images, grouped, with a person, a fact and a redirect.
fn whole() -> Connection {
    let mut db = Connection::open_in_memory().expect("SQLite");
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    schema::migrate(&mut db).expect("a new file");
    write::commit(&mut db, &[0, 1, 2].map(image)).expect("good images");
    let snapshot = groups::snapshot(&mut db, &gallery).expect("a good library");
    let read = snapshot.version;
    let grouped = reconcile(snapshot, &Params::around(0.4), &FlatFactory).expect("good faces");
    assert_eq!(grouped.partition.groups.len(), 2);
    groups::save(&mut db, &gallery, read, &grouped).expect("nobody else");
    let name = Correction::name(grouped.partition.groups[0].id, "Ada");
    correct(&mut db, &name, &Author::default()).expect("a name");
    db.execute_batch(
        "INSERT INTO redirects SELECT gallery, zeroblob(16), id FROM groups LIMIT 1;
         INSERT INTO facts SELECT gallery, 'not_same', min(id), max(id), '' FROM faces GROUP BY gallery;
         PRAGMA ignore_check_constraints = 1; PRAGMA foreign_keys = 0;",
    )
    .expect("rows of ours");
    db
}

/// Takes so many bytes off the front, or what is there.
fn take<'a>(data: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = data.split_at(count.min(data.len()));
    *data = rest;
    taken
}

/// A value: its kind, its length and its bytes.
fn value(data: &mut &[u8]) -> Value {
    let [kind, length] = take(data, 2) else { return Value::Null };
    let bytes = take(data, usize::from(*length));
    let eight = bytes.first_chunk::<8>().copied().unwrap_or_default();
    match kind % 5 {
        0 => Value::Blob(bytes.to_vec()),
        1 => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        2 => Value::Integer(i64::from_le_bytes(eight)),
        3 => Value::Real(f64::from_le_bytes(eight)),
        _ => Value::Null,
    }
}

/// Columns with what stands in one of their rows.
pub fn library(mut data: &[u8]) {
    let mut db = whole();
    while let [column, row] = take(&mut data, 2) {
        let (table, column) = COLUMNS[usize::from(*column) % COLUMNS.len()];
        let row = i64::from(row % 8);
        let change = format!(
            "UPDATE {table} SET {column} = ?1 WHERE ({column}) IN (SELECT {column} FROM {table} LIMIT 1 OFFSET {row})"
        );
        // What the schema refuses cannot stand there.
        let _ = db.execute(&change, [value(&mut data)]);
    }
    let _ = (view::people(&db), view::totals(&db), view::rejected(&db), view::problems(&db));
    let _ = view::faces(&db, FaceSelection::All, |face| {
        assert!(face.bucket != "/" || face.path.starts_with(['/', 'b']), "{face:?}");
        Ok(())
    });
    let _ = view::images(&db, |image| {
        assert!(!image.path.is_empty());
        Ok(())
    });
    for face in 1..=6 {
        let _ = (view::thumbnail(&db, face), view::embedding(&db, face));
    }
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    let _ = (history::list(&db, None, 10), suggestions::list(&mut db));
    let Ok(snapshot) = groups::snapshot(&mut db, &gallery) else { return };
    let some = snapshot.previous.groups.first().map(|group| group.id);
    let (read, faces) = (snapshot.version, snapshot.faces.len());
    let Ok(grouped) = reconcile(snapshot, &Params::around(0.4), &FlatFactory) else { return };
    assert!(grouped.partition.groups.iter().map(|group| group.faces.len()).sum::<usize>() <= faces);
    let _ = groups::save(&mut db, &gallery, read, &grouped);
    if let Some(id) = some {
        let _ = correct(&mut db, &Correction::name(id, "Eva"), &Author::default());
        let _ = take_back(&mut db, None, &Author::default());
    }
}
