//! Changes the paths of stored photos. Their ids depend on the paths, so everything that refers to an id is changed too.

use std::collections::{BTreeSet, HashMap};

use muster_actors::domain::face::FaceId;
use muster_actors::domain::image::{ImageId, Locator, digest};
use muster_actors::people::change::with_ids;
use rusqlite::{Connection, OptionalExtension, params};

use super::write::bump;
use super::{LibraryError, rows};

/// A table with a column that holds ids.
type Column = (&'static str, &'static str);

/// Columns that hold ids of faces. Tables and columns that a library lacks are passed over.
const FACES: &[Column] = &[
    ("faces", "id"),
    ("members", "face"),
    ("groups", "cover"),
    ("suggestions", "face"),
    ("facts", "a"),
    ("facts", "b"),
];
/// Columns that hold ids of images.
const IMAGES: &[Column] = &[("images", "id"), ("forgotten_faces", "image")];
/// Tables that hold places beside ids of images, with the column of the ids.
const PLACES: &[Column] = IMAGES;

/// A stored photo with its new path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PhotoMove {
    pub from: ImageId,
    pub to: Locator,
}

/// Moves photos with all their data, in the caller's transaction. A record at the new path that does not
/// move is replaced, because it is the same photo. Returns how many moved.
pub(super) fn repoint(db: &Connection, moves: &[PhotoMove]) -> Result<usize, LibraryError> {
    db.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS moved (old BLOB PRIMARY KEY, way BLOB UNIQUE, new BLOB UNIQUE, bucket TEXT, key TEXT)
           WITHOUT ROWID;
         DELETE FROM moved;",
    )?;
    let mut galleries = BTreeSet::new();
    let mut moved = 0;
    for step in moves {
        let stored = db
            .prepare_cached("SELECT n, gallery, model FROM images WHERE id = ?1")?
            .query_row([step.from.0], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
            })
            .optional()?;
        let Some((number, gallery, model)) = stored.filter(|_| step.from != step.to.id()) else { continue };
        note(db, step.from.0, step.to.id().0, Some(&step.to))?;
        let mut select = db.prepare_cached("SELECT id, bbox FROM faces WHERE image = ?1")?;
        for face in select.query_map([number], |row| Ok((rows::id(row, 0)?, rows::bbox(row, 1)?)))? {
            let (face, bbox) = face?;
            note(db, face, FaceId::new(step.to.id(), &model, &bbox).0, None)?;
        }
        galleries.insert(gallery);
        moved += 1;
    }
    // By way of ids that nothing has, so that photos may take each other's places.
    let columns = [FACES, IMAGES].concat();
    rewrite(db, &columns, "old", "way")?;
    db.execute_batch(
        "UPDATE images SET bucket = 'moved', key = hex(id) WHERE id IN (SELECT way FROM moved);
         DELETE FROM images WHERE id IN (SELECT new FROM moved);",
    )?;
    rewrite(db, &columns, "way", "new")?;
    for &(table, column) in PLACES.iter().filter(|(table, _)| has(db, table, "bucket").unwrap_or(false)) {
        db.execute_batch(&format!(
            "UPDATE {table} SET (bucket, key) = (SELECT bucket, key FROM moved WHERE new = {column}) \
             WHERE {column} IN (SELECT new FROM moved WHERE bucket IS NOT NULL)"
        ))?;
    }
    // A pair is written with its smaller id first.
    db.execute_batch(
        "UPDATE OR REPLACE facts SET a = b, b = a WHERE kind = 'not_same' AND a > b;
         DELETE FROM facts WHERE kind = 'confirmed' AND a IN (SELECT new FROM moved) AND EXISTS (
           SELECT 1 FROM facts o WHERE o.gallery = facts.gallery AND o.kind = 'confirmed' AND o.a = facts.a
           AND o.b < facts.b);",
    )?;
    let mut select = db.prepare("SELECT lower(hex(old)), lower(hex(new)) FROM moved")?;
    let ids = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    rewrite_texts(db, &ids)?;
    db.execute_batch("DELETE FROM moved")?;
    for gallery in galleries {
        bump(db, gallery)?;
    }
    Ok(moved)
}

fn note(db: &Connection, old: [u8; 16], new: [u8; 16], to: Option<&Locator>) -> Result<(), LibraryError> {
    db.prepare_cached("INSERT OR REPLACE INTO moved (old, way, new, bucket, key) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![old, digest("moved", &[&old, &new]), new, to.map(|to| &to.bucket), to.map(|to| &to.key)])?;
    Ok(())
}

fn rewrite(db: &Connection, columns: &[Column], from: &str, to: &str) -> Result<(), LibraryError> {
    for &(table, column) in columns {
        if has(db, table, column)? {
            db.execute(
                &format!(
                    "UPDATE OR REPLACE {table} SET {column} = (SELECT {to} FROM moved WHERE {from} = {table}.{column}) \
                     WHERE {column} IN (SELECT {from} FROM moved)"
                ),
                [],
            )?;
        }
    }
    Ok(())
}

/// Changes ids of faces inside texts: covers of persons, and the changes of the history.
pub(super) fn rewrite_texts(db: &Connection, ids: &HashMap<String, String>) -> Result<(), LibraryError> {
    let mut select =
        db.prepare("SELECT gallery, a, value FROM facts WHERE kind = 'person' AND value LIKE '%cover%'")?;
    let persons: Vec<(i64, Vec<u8>, String)> =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    for (gallery, id, value) in persons {
        if let Some(value) = with_ids(&value, ids) {
            let sql = "UPDATE facts SET value = ?3 WHERE gallery = ?1 AND kind = 'person' AND a = ?2";
            db.execute(sql, params![gallery, id, value])?;
        }
    }
    let mut select = db.prepare("SELECT gallery, number, body FROM changes")?;
    let changes: Vec<(i64, i64, String)> =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    for (gallery, number, body) in changes {
        if let Some(body) = with_ids(&body, ids) {
            db.execute(
                "UPDATE changes SET body = ?3 WHERE gallery = ?1 AND number = ?2",
                params![gallery, number, body],
            )?;
        }
    }
    Ok(())
}

fn has(db: &Connection, table: &str, column: &str) -> Result<bool, LibraryError> {
    let mut exists = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)")?;
    Ok(exists.query_row([table, column], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::face::{BBox, Face, Quality};
    use muster_actors::domain::gallery::GalleryId;
    use muster_actors::domain::image::{ImageRecord, ImageState};
    use muster_actors::domain::timings::Timings;
    use muster_actors::domain::version::ObjectVersion;
    use muster_actors::ports::faces::Commit;
    use muster_gallery::LIBRARY_GALLERY;

    use super::*;
    use crate::{schema, write};

    fn at(key: &str) -> Locator {
        Locator { gallery: GalleryId(LIBRARY_GALLERY.to_owned()), bucket: ".".to_owned(), key: key.to_owned() }
    }

    const BOX: BBox = BBox { x: 1.0, y: 2.0, width: 3.0, height: 4.0 };

    fn face(key: &str) -> FaceId {
        FaceId::new(at(key).id(), "m@1", &BOX)
    }

    /// A library with a photo of one face at each key, and every table that names faces.
    fn library(keys: &[&str]) -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        for key in keys {
            let (id, landmarks) = (at(key).id(), [[1.0; 2]; 5]);
            let quality = Quality::default();
            let (embedding, thumbnail) = (vec![0.6, 0.8], key.as_bytes().to_vec());
            let face = Face { id: face(key), image: id, bbox: BOX, landmarks, quality, embedding, thumbnail };
            let image = ImageRecord {
                id,
                locator: at(key),
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
                face_count: 1,
                model: "m@1".to_owned(),
            };
            let commit = Commit {
                image,
                faces: vec![face],
                content: None,
                version: ObjectVersion::default(),
                timings: Timings::default(),
            };
            write::commit(&mut db, &[commit]).unwrap()[0].clone().unwrap();
        }
        db
    }

    /// The faces' crops by the keys of their photos.
    fn crops(db: &Connection) -> Vec<(String, String)> {
        let mut select = db
            .prepare(
                "SELECT i.key, CAST(t.jpeg AS TEXT) FROM images i JOIN faces f ON f.image = i.n \
                 JOIN thumbnails t ON t.face = f.n ORDER BY i.key",
            )
            .unwrap();
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    fn step(from: &str, to: &str) -> PhotoMove {
        PhotoMove { from: at(from).id(), to: at(to) }
    }

    #[test]
    fn every_table_that_names_a_photo_or_its_faces_follows() {
        let db = library(&["a.jpg", "stays.jpg"]);
        let (old, new, other) = (face("a.jpg").0, face("b/c.jpg").0, face("stays.jpg").0);
        for (sql, a, b) in [
            ("INSERT INTO members VALUES (1, ?1, ?2)", old, [7; 16]),
            ("INSERT INTO groups VALUES (1, ?2, ?1, zeroblob(8), 'Ada')", old, [7; 16]),
            ("INSERT INTO suggestions VALUES (1, ?1, ?2, 0.5)", old, [7; 16]),
            ("INSERT INTO facts VALUES (1, 'confirmed', ?1, ?2, '')", old, [7; 16]),
            ("INSERT INTO facts VALUES (1, 'not_same', min(?1, ?2), max(?1, ?2), '')", old, other),
            (
                "INSERT INTO facts VALUES (1, 'person', ?2, x'', '{\"cover\":\"' || lower(hex(?1)) || '\"}')",
                old,
                [7; 16],
            ),
            (
                "INSERT INTO changes VALUES (1, 1, 'named', hex(?2), 1, '[\"' || lower(hex(?1)) || '\"]', NULL)",
                old,
                other,
            ),
            ("INSERT INTO forgotten_faces VALUES (1, '.', 'a.jpg', ?1, ?2)", at("a.jpg").id().0, [0; 16]),
        ] {
            db.execute(sql, params![a, b]).unwrap();
        }
        let generation = || -> i64 { db.query_row("SELECT generation FROM galleries", [], |row| row.get(0)).unwrap() };
        let before = generation();
        assert_eq!(repoint(&db, &[step("a.jpg", "b/c.jpg"), step("none.jpg", "x.jpg")]).unwrap(), 1);
        assert_eq!(crops(&db), [("b/c.jpg".into(), "a.jpg".into()), ("stays.jpg".into(), "stays.jpg".into())]);
        for &(table, column) in [FACES, IMAGES].concat().iter() {
            let count = |id: [u8; 16]| -> i64 {
                let sql = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
                db.query_row(&sql, [id], |row| row.get(0)).unwrap()
            };
            let (was, is) =
                if IMAGES.contains(&(table, column)) { (at("a.jpg").id().0, at("b/c.jpg").id().0) } else { (old, new) };
            let expected = i64::from(table != "facts") + i64::from(table == "facts") * count(is);
            assert_eq!((count(was), count(is)), (0, expected), "{table}.{column}");
        }
        let facts = crate::facts::all(&db, 1).unwrap();
        assert!(facts.confirmed.contains_key(&FaceId(new)));
        assert_eq!(facts.not_same, [(FaceId(new.min(other)), FaceId(new.max(other)))].into());
        assert!(facts.persons.values().all(|person| person.cover == Some(FaceId(new))), "{facts:?}");
        let body: String = db.query_row("SELECT body FROM changes", [], |row| row.get(0)).unwrap();
        assert_eq!(body, format!("[\"{}\"]", FaceId(new)));
        let place: (String, String) =
            db.query_row("SELECT bucket, key FROM forgotten_faces", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(place, (".".to_owned(), "b/c.jpg".to_owned()));
        assert_eq!(generation(), before + 1);
    }

    #[test]
    fn photos_may_take_each_others_places_and_what_was_there_gives_way() {
        let db = library(&["1.jpg", "2.jpg", "3.jpg", "4.jpg"]);
        let steps = [step("1.jpg", "2.jpg"), step("2.jpg", "1.jpg"), step("3.jpg", "4.jpg")];
        assert_eq!(repoint(&db, &steps).unwrap(), 3);
        let expected = [("1.jpg", "2.jpg"), ("2.jpg", "1.jpg"), ("4.jpg", "3.jpg")];
        assert_eq!(crops(&db), expected.map(|(key, crop)| (key.to_owned(), crop.to_owned())));
        for key in ["1.jpg", "2.jpg", "4.jpg"] {
            let stored: [u8; 16] = db
                .query_row("SELECT f.id FROM faces f JOIN images i ON i.n = f.image WHERE i.key = ?1", [key], |row| {
                    row.get(0)
                })
                .unwrap();
            assert_eq!(stored, face(key).0, "its id is that of its place");
        }
    }
}
