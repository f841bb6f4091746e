//! The library's schema: numbered migrations, each applied once in its own transaction.

use rusqlite::Connection;

use super::{LibraryError, legacy};

/// Marks a SQLite file as muster's (`PRAGMA application_id`, "MSTR").
const APPLICATION: i64 = 0x4D53_5452;

/// Position + 1 is the version it leads to. Never change one that was released: add another.
///
/// Vectors and boxes are little-endian float32. Figures are REAL: every float32 is exact in it.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE galleries (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL DEFAULT 0);
CREATE TABLE images (
  n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE CHECK (length(id) = 16), gallery INTEGER NOT NULL REFERENCES galleries,
  bucket TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL, bytes INTEGER NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, orientation INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, detail TEXT, quality REAL,
  face_count INTEGER NOT NULL, model TEXT NOT NULL, UNIQUE (gallery, bucket, key));
CREATE TABLE faces (
  n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  image INTEGER NOT NULL REFERENCES images ON DELETE CASCADE, gallery INTEGER NOT NULL REFERENCES galleries,
  bbox BLOB NOT NULL CHECK (length(bbox) = 16), landmarks BLOB NOT NULL CHECK (length(landmarks) = 40),
  sharpness REAL NOT NULL, level REAL NOT NULL, contrast REAL NOT NULL, unevenness REAL NOT NULL, yaw REAL NOT NULL,
  pitch REAL NOT NULL, roll REAL NOT NULL, occlusion REAL NOT NULL, size REAL NOT NULL, score REAL NOT NULL,
  norm REAL NOT NULL, overall REAL NOT NULL, reasons TEXT NOT NULL, embedding BLOB NOT NULL);
CREATE INDEX faces_of_image ON faces (image);
CREATE TABLE thumbnails (face INTEGER PRIMARY KEY REFERENCES faces ON DELETE CASCADE, jpeg BLOB NOT NULL);
CREATE TABLE groups (
  gallery INTEGER NOT NULL REFERENCES galleries, id BLOB NOT NULL, cover BLOB NOT NULL, centroid BLOB NOT NULL,
  name TEXT, PRIMARY KEY (gallery, id));
CREATE TABLE members (
  gallery INTEGER NOT NULL REFERENCES galleries, face BLOB NOT NULL, grp BLOB NOT NULL, PRIMARY KEY (gallery, face)
) WITHOUT ROWID;
CREATE INDEX members_of_group ON members (gallery, grp);
CREATE TABLE redirects (
  gallery INTEGER NOT NULL REFERENCES galleries, source BLOB NOT NULL, target BLOB NOT NULL,
  PRIMARY KEY (gallery, source)) WITHOUT ROWID;
CREATE TABLE lineage (
  n INTEGER PRIMARY KEY, gallery INTEGER NOT NULL REFERENCES galleries, event TEXT NOT NULL, subject BLOB NOT NULL,
  other BLOB);
CREATE TABLE decisions (
  gallery INTEGER NOT NULL REFERENCES galleries, seq INTEGER NOT NULL, batch INTEGER NOT NULL, say TEXT NOT NULL,
  a BLOB NOT NULL, b BLOB, name TEXT, PRIMARY KEY (gallery, seq)) WITHOUT ROWID;
CREATE TABLE problems (bucket TEXT NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
  PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE forgotten_paths (bucket TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE forgotten_faces (n INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, image BLOB NOT NULL,
  bbox BLOB NOT NULL CHECK (length(bbox) = 16));
CREATE INDEX forgotten_faces_of_image ON forgotten_faces (image);
",
    "
ALTER TABLE faces ADD COLUMN face REAL NOT NULL DEFAULT 1;
",
    // How a photo came about; NULL where it is not known. The 64 bits of `picture` are those of a
    // signed number. And the groups that faces in none most likely belong to.
    "
ALTER TABLE images ADD COLUMN taken_local_ms INTEGER;
ALTER TABLE images ADD COLUMN taken_offset INTEGER;
ALTER TABLE images ADD COLUMN picture INTEGER;
CREATE TABLE suggestions (
  gallery INTEGER NOT NULL REFERENCES galleries, face BLOB NOT NULL, grp BLOB NOT NULL, probability REAL NOT NULL,
  PRIMARY KEY (gallery, face)) WITHOUT ROWID;
",
    // What people said, as facts about persons and faces, and the changes that they made. `b` is empty in a fact with
    // one id. The log of verdicts becomes facts: see `legacy`.
    "
ALTER TABLE images ADD COLUMN content BLOB;
CREATE INDEX images_of_content ON images (content) WHERE content IS NOT NULL;
CREATE TABLE facts (
  gallery INTEGER NOT NULL REFERENCES galleries, kind TEXT NOT NULL, a BLOB NOT NULL CHECK (length(a) = 16),
  b BLOB NOT NULL CHECK (length(b) IN (0, 16)), value TEXT NOT NULL, PRIMARY KEY (gallery, kind, a, b)) WITHOUT ROWID;
CREATE INDEX facts_of_a ON facts (gallery, a);
CREATE INDEX facts_of_b ON facts (gallery, b) WHERE length(b) = 16;
CREATE TABLE changes (
  gallery INTEGER NOT NULL REFERENCES galleries, number INTEGER NOT NULL, said TEXT NOT NULL, by TEXT NOT NULL,
  at_ms INTEGER NOT NULL, body TEXT NOT NULL, undone_by INTEGER, PRIMARY KEY (gallery, number)) WITHOUT ROWID;
CREATE INDEX changes_undone ON changes (gallery, undone_by) WHERE undone_by IS NOT NULL;
CREATE TABLE written_names (image INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE, regions TEXT NOT NULL);
",
    // How many of the changes that `generation` counts only added faces.
    "
ALTER TABLE galleries ADD COLUMN additions INTEGER NOT NULL DEFAULT 0;
",
];

/// The version whose migration turns the log of verdicts into facts.
const FACTS: usize = 4;

/// The newest version this program knows.
pub fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The version of an open database; an error where it is newer than this program or not muster's.
pub fn version(db: &Connection) -> Result<i64, LibraryError> {
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (application != 0 || found != 0 || tables != 0) {
        return Err(LibraryError::Foreign(db.path().unwrap_or_default().into()));
    }
    if found > newest() {
        return Err(LibraryError::Newer { found, known: newest() });
    }
    Ok(found)
}

/// Brings a database to the newest version. Needs the writer's lock.
pub fn migrate(db: &mut Connection) -> Result<(), LibraryError> {
    let found = usize::try_from(version(db)?).unwrap_or(0);
    for (done, sql) in MIGRATIONS.iter().enumerate().skip(found) {
        let step = db.transaction()?;
        step.execute_batch(sql)?;
        if done + 1 == FACTS {
            legacy::convert(&step)?;
        }
        step.pragma_update(None, "application_id", APPLICATION)?;
        step.pragma_update(None, "user_version", i64::try_from(done + 1).unwrap_or(i64::MAX))?;
        step.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::capture::Capture;
    use muster_actors::domain::gallery::GalleryId;

    use super::*;

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(version(&db).unwrap(), newest());
    }

    #[test]
    fn a_file_of_the_release_before_keeps_its_faces_and_they_are_faces() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(MIGRATIONS[0]).unwrap();
        db.pragma_update(None, "application_id", APPLICATION).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        db.execute_batch(
            "INSERT INTO galleries (name) VALUES ('local');
             INSERT INTO images VALUES (1, randomblob(16), 1, '.', 'a.jpg', 'e', 1, 1, 1, 1, 'indexed', NULL, NULL, NULL,
               1, 'm@1');
             INSERT INTO faces VALUES (1, randomblob(16), 1, 1, zeroblob(16), zeroblob(40), 0.5, 0.5, 0.5, 0.5, 0, 0, 0,
               0, 40, 0.7, 9.0, 0.8, 'LOW_SCORE', zeroblob(8));
             INSERT INTO decisions VALUES (1, 1, 1, 'name', (SELECT id FROM faces), NULL, 'Ada');",
        )
        .unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(version(&db).unwrap(), newest());
        let mut faces = Vec::new();
        crate::view::faces(&db, crate::view::FaceSelection::All, |face| {
            faces.push(face);
            Ok(())
        })
        .unwrap();
        let [face] = &faces[..] else { panic!("one face: {faces:?}") };
        assert_eq!((face.quality.score, face.quality.face, face.quality.is_face()), (0.7, 1.0, true));
        let gallery = GalleryId("local".to_owned());
        let snapshot = crate::groups::snapshot(&mut db, &gallery).unwrap();
        assert_eq!((snapshot.faces.len(), snapshot.doubted.len()), (1, 0));
        let names: Vec<_> = snapshot.facts.persons.values().filter_map(|person| person.name.as_deref()).collect();
        assert_eq!((names, snapshot.facts.confirmed.len()), (vec!["Ada"], 1));
    }

    #[test]
    fn a_file_of_version_2_keeps_faces_names_and_decisions_and_knows_no_captures() {
        let mut db = Connection::open_in_memory().unwrap();
        MIGRATIONS[..2].iter().for_each(|sql| db.execute_batch(sql).unwrap());
        db.pragma_update(None, "application_id", APPLICATION).unwrap();
        db.pragma_update(None, "user_version", 2).unwrap();
        db.execute_batch(
            "INSERT INTO galleries (name) VALUES ('local');
             INSERT INTO images VALUES (1, randomblob(16), 1, '.', 'a.jpg', 'e', 1, 1, 1, 1, 'indexed', NULL, NULL, NULL,
               1, 'm@1');
             INSERT INTO images VALUES (2, randomblob(16), 1, '.', 'IMG_20200706_101010.jpg', 'e', 1, 1, 1, 1, 'no_faces',
               NULL, NULL, NULL, 0, 'm@1');
             INSERT INTO faces VALUES (1, randomblob(16), 1, 1, zeroblob(16), zeroblob(40), 0.5, 0.5, 0.5, 0.5, 0, 0, 0,
               0, 40, 0.7, 9.0, 0.8, 'LOW_SCORE', zeroblob(8), 0.9);
             INSERT INTO groups SELECT 1, zeroblob(16), id, zeroblob(8), 'Ada' FROM faces;
             INSERT INTO members SELECT 1, id, zeroblob(16) FROM faces;
             INSERT INTO decisions VALUES (1, 1, 1, 'name', (SELECT id FROM faces), NULL, 'Ada');",
        )
        .unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(version(&db).unwrap(), newest());
        let snapshot = crate::groups::snapshot(&mut db, &GalleryId("local".to_owned())).unwrap();
        let [face] = &snapshot.faces[..] else { panic!("one face: {snapshot:?}") };
        assert_eq!(face.capture, Capture::default());
        assert_eq!(snapshot.previous.groups[0].name.as_deref(), Some("Ada"));
        let ada = snapshot.facts.person_of(face.id).expect("a person");
        assert_eq!((ada, snapshot.facts.persons[&ada].name.as_deref()), (snapshot.previous.groups[0].id, Some("Ada")));
        let mut captures = Vec::new();
        crate::view::images(&db, |image| {
            captures.push((image.key, image.capture.taken.map(|taken| taken.to_string()), image.capture.picture));
            Ok(())
        })
        .unwrap();
        // What its name says is known without another look at the photo.
        let named = ("IMG_20200706_101010.jpg".to_owned(), Some("2020-07-06T10:10:10".to_owned()), None);
        assert_eq!(captures, [named, ("a.jpg".to_owned(), None, None)]);
    }

    #[test]
    fn a_newer_or_foreign_file_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        assert_eq!(migrate(&mut db), Err(LibraryError::Newer { found: 99, known: newest() }));
        let mut other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
        assert!(matches!(migrate(&mut other), Err(LibraryError::Foreign(_))));
    }
}
