//! Reads labels from a CSV file with a line for each face.

use std::collections::BTreeMap;
use std::io::Read;

/// The reason why a file is not a table of labels.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The file cannot be read, or is not CSV.
    #[error("the labels cannot be read: {0}")]
    Csv(#[from] csv::Error),
    /// A column is missing.
    #[error("the labels have no column {0:?}: they need photo and person, and may have overall and taken")]
    Column(&'static str),
    /// A cell has a value that its column does not allow.
    #[error("line {line} of the labels has {found:?} as {column}: {wanted}")]
    Cell {
        /// Line of the file, counted from 1.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// Value of the cell.
        found: String,
        /// Description of the allowed values.
        wanted: &'static str,
    },
    /// The table has more or fewer lines than there are vectors.
    #[error("there are {vectors} vectors and {labels} labels: each row of the array needs one line")]
    Count {
        /// Rows of the array.
        vectors: usize,
        /// Lines of labels that were read.
        labels: usize,
    },
}

/// Latest time of a photo, in seconds since 1970.
const LATEST: f64 = 1e11;

/// The label of one face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FaceLabel {
    /// Number of the photo, in order of appearance.
    pub photo: u32,
    /// Number of the person, in order of appearance; `None` where it is unknown.
    pub person: Option<u32>,
    /// Overall quality, 0 to 1.
    pub quality: f32,
    /// Time of the photo in milliseconds since 1970; `None` where it is unknown.
    pub taken: Option<i64>,
}

/// Gives numbers to names, in order of appearance.
#[derive(Default)]
struct NameNumbers(BTreeMap<String, u32>);

impl NameNumbers {
    fn number(&mut self, name: &str) -> u32 {
        match self.0.get(name) {
            Some(number) => *number,
            None => {
                let number = self.0.len() as u32;
                self.0.insert(name.to_owned(), number);
                number
            }
        }
    }
}

/// Reads exactly `count` labels. Columns: `photo` and `person` (any text; an empty person or -1 is unknown), `overall`
/// (quality, 1 where the column is missing) and `taken` (seconds since 1970, empty where unknown). Other columns are
/// ignored.
pub(crate) fn read(from: impl Read, count: usize) -> Result<Vec<FaceLabel>, LabelsError> {
    let mut table = csv::Reader::from_reader(from);
    let header = table.headers()?.clone();
    let column = |name: &str| header.iter().position(|column| column.trim() == name);
    let photo = column("photo").ok_or(LabelsError::Column("photo"))?;
    let person = column("person").ok_or(LabelsError::Column("person"))?;
    let (overall, taken) = (column("overall"), column("taken"));
    let (mut photos, mut people) = (NameNumbers::default(), NameNumbers::default());
    let mut labels = Vec::new();
    for record in table.into_records() {
        let record = record?;
        if labels.len() == count {
            return Err(LabelsError::Count { vectors: count, labels: count + 1 });
        }
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).unwrap_or_default().trim();
        let fault = |column, found: &str, wanted| LabelsError::Cell {
            line,
            column,
            found: found.chars().take(80).collect(),
            wanted,
        };
        if cell(photo).is_empty() {
            return Err(fault("photo", "", "it names the photo that the face is in"));
        }
        let quality = match overall.map(cell) {
            None => 1.0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|quality| (0.0..=1.0).contains(quality))
                .ok_or_else(|| fault("overall", text, "quality is a number from 0 to 1"))?,
        };
        let taken = match taken.map(cell).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let seconds = text.parse().ok().filter(|seconds: &f64| seconds.abs() < LATEST);
                let wanted = "it is the number of seconds from 1970 to when the photo was taken, or empty";
                Some((seconds.ok_or_else(|| fault("taken", text, wanted))? * 1_000.0).round() as i64)
            }
        };
        let person = Some(cell(person)).filter(|name| !["", "-1"].contains(name));
        labels.push(FaceLabel {
            photo: photos.number(cell(photo)),
            person: person.map(|name| people.number(name)),
            quality,
            taken,
        });
    }
    match labels.len() {
        found if found == count => Ok(labels),
        found => Err(LabelsError::Count { vectors: count, labels: found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_appearance() {
        let text = "score,photo,person,overall\n.9,7,Ada,0.5\n.9,7,-1,1\n.8,\"a, b\",,0\n.7,9,Ada,1.0\n";
        let label = |photo, person, quality| FaceLabel { photo, person, quality, taken: None };
        let expected = [label(0, Some(0), 0.5), label(0, None, 1.0), label(1, None, 0.0), label(2, Some(0), 1.0)];
        assert_eq!(read(text.as_bytes(), 4).unwrap(), expected);
        let without = read("person,photo\nx,1\n".as_bytes(), 1).unwrap();
        assert_eq!(without, [label(0, Some(0), 1.0)]);
        let times = read("person,photo,taken\nx,1,1.5\nx,2,\n".as_bytes(), 2).unwrap();
        assert_eq!(times.iter().map(|label| label.taken).collect::<Vec<_>>(), [Some(1_500), None]);
    }

    #[test]
    fn tables_that_are_none_are_refused() {
        let fault = |text: &str| read(text.as_bytes(), 1).unwrap_err();
        assert!(matches!(fault("person\n1\n"), LabelsError::Column("photo")));
        assert!(matches!(fault("photo\n1\n"), LabelsError::Column("person")));
        assert!(matches!(fault(""), LabelsError::Column("photo")));
        for quality in ["", "NaN", "inf", "-0.1", "1.1", "good"] {
            let fault = fault(&format!("photo,person,overall\n1,1,{quality}\n"));
            assert!(matches!(fault, LabelsError::Cell { line: 2, column: "overall", .. }), "{quality}: {fault}");
        }
        for taken in ["NaN", "inf", "1e12", "noon"] {
            let fault = fault(&format!("photo,person,taken\n1,1,{taken}\n"));
            assert!(matches!(fault, LabelsError::Cell { line: 2, column: "taken", .. }), "{taken}: {fault}");
        }
        assert!(matches!(fault("photo,person\n,1\n"), LabelsError::Cell { column: "photo", .. }));
        assert!(matches!(fault("photo,person\n1\n"), LabelsError::Csv(_)));
        assert!(matches!(fault("photo,person\n1,1\n2,2\n3,3\n"), LabelsError::Count { vectors: 1, labels: 2 }));
        assert!(matches!(fault("photo,person\n"), LabelsError::Count { vectors: 1, labels: 0 }));
    }
}
