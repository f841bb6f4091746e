//! The log of what people said, and what each command means in verdicts.

use std::collections::BTreeSet;

use muster_actors::face::FaceId;
use muster_actors::gallery::{Decision, GalleryId, Verdict};
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
            _ => return Err(rusqlite::Error::InvalidColumnType(2, "say".to_owned(), rusqlite::types::Type::Text)),
        };
        Ok(Decision { seq: rows::unsigned(row, 0)?, batch: rows::unsigned(row, 1)?, verdict })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a person says of a group: its cover, and all its faces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The face that stands for the group.
    pub cover: FaceId,
    /// All faces, the cover among them.
    pub faces: BTreeSet<FaceId>,
}

/// The pairs between two sides that were said to be the same (`true`) or not (`false`), as the log stands.
fn crossing(
    log: &[Decision],
    one: &BTreeSet<FaceId>,
    other: &BTreeSet<FaceId>,
    same: bool,
) -> BTreeSet<(FaceId, FaceId)> {
    let mut pairs = BTreeSet::new();
    for decision in log {
        let (a, b, says) = match decision.verdict {
            Verdict::Same { a, b } => (a, b, true),
            Verdict::NotSame { a, b } => (a, b, false),
            Verdict::Name { .. } => continue,
        };
        if (one.contains(&a) && other.contains(&b)) || (one.contains(&b) && other.contains(&a)) {
            let pair = (a.min(b), a.max(b));
            if says == same {
                pairs.insert(pair)
            } else {
                pairs.remove(&pair)
            };
        }
    }
    pairs
}

/// These groups are one person: every face is the same as the cover of the first, whatever its likeness and its photo. What
/// was said against it, pair by pair, is overruled.
pub fn merge(log: &[Decision], sides: &[Side]) -> Vec<Verdict> {
    let Some(first) = sides.first() else { return Vec::new() };
    let mut pairs: Vec<(FaceId, FaceId)> = Vec::new();
    for (at, side) in sides.iter().enumerate() {
        pairs.extend(side.faces.iter().filter(|face| **face != first.cover).map(|face| (first.cover, *face)));
        for earlier in &sides[..at] {
            pairs.extend(crossing(log, &earlier.faces, &side.faces, false));
        }
    }
    let mut seen = BTreeSet::new();
    pairs.retain(|&(a, b)| seen.insert((a.min(b), a.max(b))));
    pairs.into_iter().map(|(a, b)| Verdict::Same { a, b }).collect()
}

/// The chosen faces are one person, and none of the others of their group is: the chosen are the same
/// among each other and not the same as any of the rest. What was said against it is overruled.
pub fn split(log: &[Decision], group: &Side, chosen: &BTreeSet<FaceId>) -> Vec<Verdict> {
    let rest: BTreeSet<FaceId> = group.faces.difference(chosen).copied().collect();
    let Some(&first) = chosen.first() else { return Vec::new() };
    let mut verdicts: Vec<Verdict> = crossing(log, chosen, &rest, true)
        .into_iter()
        .filter(|(a, b)| *a != first && *b != first)
        .map(|(a, b)| Verdict::NotSame { a, b })
        .collect();
    verdicts.extend(chosen.iter().skip(1).map(|&b| Verdict::Same { a: first, b }));
    verdicts.extend(rest.into_iter().map(|b| Verdict::NotSame { a: first, b }));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(n: u8) -> FaceId {
        FaceId([n; 16])
    }
    fn side(cover: u8, faces: &[u8]) -> Side {
        Side { cover: f(cover), faces: faces.iter().map(|&n| f(n)).collect() }
    }
    fn said(verdicts: Vec<Verdict>) -> Vec<Decision> {
        (1..).zip(verdicts).map(|(seq, verdict)| Decision { seq, batch: 1, verdict }).collect()
    }

    #[test]
    fn merging_joins_all_faces_and_overrules_what_was_said_against_it() {
        let log = said(vec![
            Verdict::NotSame { a: f(1), b: f(4) },
            Verdict::NotSame { a: f(1), b: f(9) },
            Verdict::NotSame { a: f(2), b: f(3) },
            Verdict::Same { a: f(3), b: f(2) },
        ]);
        let verdicts = merge(&log, &[side(2, &[1, 2]), side(3, &[3, 4]), side(5, &[5])]);
        assert_eq!(
            verdicts,
            vec![
                Verdict::Same { a: f(2), b: f(1) },
                Verdict::Same { a: f(2), b: f(3) },
                Verdict::Same { a: f(2), b: f(4) },
                Verdict::Same { a: f(1), b: f(4) },
                Verdict::Same { a: f(2), b: f(5) }
            ]
        );
    }

    #[test]
    fn splitting_sets_the_chosen_apart_from_every_other() {
        let log = said(vec![Verdict::Same { a: f(2), b: f(3) }, Verdict::Same { a: f(1), b: f(2) }]);
        let verdicts = split(&log, &side(3, &[1, 2, 3, 4]), &[f(1), f(2)].into());
        assert_eq!(
            verdicts,
            vec![
                Verdict::NotSame { a: f(2), b: f(3) },
                Verdict::Same { a: f(1), b: f(2) },
                Verdict::NotSame { a: f(1), b: f(3) },
                Verdict::NotSame { a: f(1), b: f(4) }
            ]
        );
    }

    #[test]
    fn undo_takes_back_a_batch_at_a_time() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db).unwrap();
        let gallery = GalleryId("local".into());
        append(&mut db, &gallery, &[Verdict::Name { face: f(1), name: "Anna".into() }]).unwrap();
        let two = [Verdict::Same { a: f(1), b: f(2) }, Verdict::NotSame { a: f(1), b: f(3) }];
        append(&mut db, &gallery, &two).unwrap();
        let undone: Vec<_> = undo(&mut db, &gallery).unwrap().into_iter().map(|d| d.verdict).collect();
        assert_eq!(undone, two);
        assert_eq!(undo(&mut db, &gallery).unwrap().len(), 1);
        assert_eq!(undo(&mut db, &gallery).unwrap(), vec![]);
    }
}
