//! Turns the log of verdicts that libraries up to schema 3 have into facts.

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{FaceVector, GallerySnapshot};
use muster_actors::domain::image::ImageId;
use muster_actors::people::legacy::{Decision, Verdict, facts};
use rusqlite::Connection;

use super::{LibraryError, groups, rows, scene};

/// Converts the logs of all galleries, and drops them.
pub(super) fn convert(db: &Connection) -> Result<(), LibraryError> {
    let mut select = db.prepare("SELECT n FROM galleries")?;
    let galleries: Vec<i64> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    drop(select);
    for gallery in galleries {
        let log = log(db, gallery)?;
        // Names that no verdict gave are kept, too: whatever a group is called, somebody said.
        let snapshot = GallerySnapshot {
            faces: faces(db, gallery)?,
            previous: groups::partition(db, gallery)?,
            ..GallerySnapshot::default()
        };
        for fact in facts(&log, &snapshot, super::now_ms()).iter() {
            super::facts::set(db, gallery, &fact)?;
        }
    }
    db.execute_batch("DROP TABLE decisions")?;
    Ok(())
}

fn faces(db: &Connection, gallery: i64) -> Result<Vec<FaceVector>, LibraryError> {
    let face = |(id, place)| FaceVector {
        id,
        image: ImageId([0; 16]),
        embedding: Vec::new(),
        quality: 0.0,
        capture: Default::default(),
        place: Some(place),
    };
    Ok(scene::places(db, gallery)?.into_iter().map(face).collect())
}

fn log(db: &Connection, gallery: i64) -> Result<Vec<Decision>, LibraryError> {
    let mut select = db.prepare("SELECT seq, say, a, b, name FROM decisions WHERE gallery = ?1 ORDER BY seq")?;
    let decisions = select.query_map([gallery], |row| {
        let say: String = row.get(1)?;
        let (a, b) = (FaceId(rows::id(row, 2)?), rows::maybe_id(row, 3)?.map(FaceId));
        let verdict = match (say.as_str(), b) {
            ("same", Some(b)) => Verdict::Same { a, b },
            ("not_same", Some(b)) => Verdict::NotSame { a, b },
            ("name", None) => Verdict::Name { face: a, name: row.get(4)? },
            ("face", None) => Verdict::Face { face: a, is_face: true },
            ("not_face", None) => Verdict::Face { face: a, is_face: false },
            _ => return Err(rusqlite::Error::InvalidColumnType(1, "say".to_owned(), rusqlite::types::Type::Text)),
        };
        Ok(Decision { seq: rows::unsigned(row, 0)?, verdict })
    })?;
    Ok(decisions.collect::<Result<_, _>>()?)
}
