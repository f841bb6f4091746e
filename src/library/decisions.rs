//! The log of what people said.

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{Decision, GalleryId, Verdict};
use rusqlite::{Connection, params};

use super::LibraryError;
use super::rows::{self, signed};
use super::write::{bump, gallery_number};

/// Appends verdicts as one batch; returns its number.
pub fn append(db: &mut Connection, gallery: &GalleryId, verdicts: &[Verdict]) -> Result<u64, LibraryError> {
    let whole = db.transaction()?;
    let number = gallery_number(&whole, gallery)?;
    let (seq, batch) = whole.query_row(
        "SELECT coalesce(max(seq), 0), coalesce(max(batch), 0) + 1 FROM decisions WHERE gallery = ?1",
        [number],
        |row| Ok((rows::unsigned(row, 0)?, rows::unsigned(row, 1)?)),
    )?;
    for (seq, verdict) in (seq + 1..).zip(verdicts) {
        let (say, a, b, name) = match verdict {
            Verdict::Same { a, b } => ("same", a, Some(b.0), None),
            Verdict::NotSame { a, b } => ("not_same", a, Some(b.0), None),
            Verdict::Name { face, name } => ("name", face, None, Some(name)),
            Verdict::Face { face, is_face: true } => ("face", face, None, None),
            Verdict::Face { face, is_face: false } => ("not_face", face, None, None),
        };
        whole.execute(
            "INSERT INTO decisions (gallery, seq, batch, say, a, b, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![number, signed(seq), signed(batch), say, a.0, b, name],
        )?;
    }
    bump(&whole, number)?;
    whole.commit()?;
    Ok(batch)
}

/// Takes the last batch back; its verdicts, or none where the log is empty.
pub fn undo(db: &mut Connection, gallery: &GalleryId) -> Result<Vec<Decision>, LibraryError> {
    let whole = db.transaction()?;
    let number = gallery_number(&whole, gallery)?;
    let mut last = list(&whole, number)?;
    let Some(batch) = last.iter().map(|d| d.batch).max() else { return Ok(Vec::new()) };
    last.retain(|d| d.batch == batch);
    whole.execute("DELETE FROM decisions WHERE gallery = ?1 AND batch = ?2", params![number, signed(batch)])?;
    bump(&whole, number)?;
    whole.commit()?;
    Ok(last)
}

/// All decisions of a gallery, ascending by `seq`.
pub(super) fn list(db: &Connection, gallery: i64) -> Result<Vec<Decision>, LibraryError> {
    let mut select =
        db.prepare_cached("SELECT seq, batch, say, a, b, name FROM decisions WHERE gallery = ?1 ORDER BY seq")?;
    let rows = select.query_map([gallery], |row| {
        let say: String = row.get(2)?;
        let (a, b) = (FaceId(rows::id(row, 3)?), rows::maybe_id(row, 4)?.map(FaceId));
        let verdict = match (say.as_str(), b) {
            ("same", Some(b)) => Verdict::Same { a, b },
            ("not_same", Some(b)) => Verdict::NotSame { a, b },
            ("name", None) => Verdict::Name { face: a, name: row.get(5)? },
            ("face", None) => Verdict::Face { face: a, is_face: true },
            ("not_face", None) => Verdict::Face { face: a, is_face: false },
            _ => return Err(rusqlite::Error::InvalidColumnType(2, "say".to_owned(), rusqlite::types::Type::Text)),
        };
        Ok(Decision { seq: rows::unsigned(row, 0)?, batch: rows::unsigned(row, 1)?, verdict })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(n: u8) -> FaceId {
        FaceId([n; 16])
    }

    #[test]
    fn undo_takes_back_a_batch_at_a_time() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db).unwrap();
        let gallery = GalleryId("local".into());
        append(&mut db, &gallery, &[Verdict::Name { face: f(1), name: "Anna".into() }]).unwrap();
        let two = [Verdict::Same { a: f(1), b: f(2) }, Verdict::NotSame { a: f(1), b: f(3) }];
        append(&mut db, &gallery, &two).unwrap();
        let of_faces = [true, false].map(|is_face| Verdict::Face { face: f(4), is_face });
        append(&mut db, &gallery, &of_faces).unwrap();
        let undone: Vec<_> = undo(&mut db, &gallery).unwrap().into_iter().map(|d| d.verdict).collect();
        assert_eq!(undone, of_faces);
        let undone: Vec<_> = undo(&mut db, &gallery).unwrap().into_iter().map(|d| d.verdict).collect();
        assert_eq!(undone, two);
        assert_eq!(undo(&mut db, &gallery).unwrap().len(), 1);
        assert_eq!(undo(&mut db, &gallery).unwrap(), vec![]);
    }
}
