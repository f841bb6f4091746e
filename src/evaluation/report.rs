//! A report that compares methods.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::peers::average_linkage::AverageLinkage;
use crate::peers::chinese_whispers::ChineseWhispers;
use crate::peers::dbscan::Dbscan;
use crate::peers::hdbscan::Hdbscan;
use crate::peers::immich::Immich;
use crate::peers::photoprism::PhotoPrism;
use crate::peers::{CompareError, Peer, Similarities};
use crate::scores::{Bootstrap, Rates, ScoreError, Scores, score};
use crate::{Groups, LabelledFaces};

/// The way in which the setting of a method was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingChoice {
    /// The setting is the one that a user without labels takes.
    Default,
    /// The labels chose the setting: it has the highest B-cubed F of all that were tried. Without
    /// labels nobody can choose it.
    ByLabels,
}

/// One method with one setting, and its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Name of the method.
    pub method: String,
    /// Its setting in words.
    pub setting: String,
    /// How the setting was chosen.
    pub choice: SettingChoice,
    /// Scores of its groups.
    pub scores: Scores,
}

/// A comparison of methods over the same faces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Description of the faces.
    pub library: String,
    /// Number of faces that were grouped, those of unknown people included.
    pub faces: usize,
    /// A row for each method and setting.
    pub rows: Vec<ReportRow>,
}

/// The reason why a report cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The faces cannot be compared two by two.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// A method gave groups that cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

impl Report {
    /// Creates a report without rows. `library` describes in words what is grouped.
    pub fn new(library: impl Into<String>, faces: &LabelledFaces) -> Self {
        Self { library: library.into(), faces: faces.faces().len(), rows: Vec::new() }
    }

    /// Adds a row for groups that were made with one setting, which was chosen without labels.
    ///
    /// # Errors
    /// [`ScoreError`] when the groups cannot be scored.
    pub fn add(
        &mut self,
        method: &str,
        setting: impl Into<String>,
        faces: &LabelledFaces,
        groups: &[Vec<usize>],
    ) -> Result<(), ScoreError> {
        let scores = score(faces.people(), groups, Bootstrap::default())?;
        let row =
            ReportRow { method: method.to_owned(), setting: setting.into(), choice: SettingChoice::Default, scores };
        self.rows.push(row);
        Ok(())
    }

    /// Adds two rows for each of [`crate::peers`]: with the default setting, and with the best one
    /// by the labels. `threshold` is the model's cosine for pairs. It takes minutes with 10,000
    /// faces.
    ///
    /// # Errors
    /// [`ReportError::Compare`] when the faces are too many or their vectors differ in length;
    /// [`ReportError::Score`] when groups cannot be scored.
    pub fn add_peers(&mut self, faces: &LabelledFaces, threshold: f32) -> Result<(), ReportError> {
        let similarities = Similarities::of(faces.faces())?;
        self.add_peer::<Immich>(faces, &similarities, threshold)?;
        self.add_peer::<PhotoPrism>(faces, &similarities, threshold)?;
        self.add_peer::<Dbscan>(faces, &similarities, threshold)?;
        self.add_peer::<Hdbscan>(faces, &similarities, threshold)?;
        self.add_peer::<AverageLinkage>(faces, &similarities, threshold)?;
        self.add_peer::<ChineseWhispers>(faces, &similarities, threshold)?;
        Ok(())
    }

    /// Adds the rows of one peer: with the default setting, and with the best one by the labels.
    ///
    /// # Errors
    /// [`ScoreError`] when its groups cannot be scored.
    pub fn add_peer<P: Peer>(
        &mut self,
        faces: &LabelledFaces,
        similarities: &Similarities,
        threshold: f32,
    ) -> Result<(), ScoreError> {
        let peer = P::defaults(threshold);
        self.add(P::NAME, peer.setting(), faces, &peer.group(similarities))?;
        let settings = P::grid();
        let mut best: Option<(f64, String, Groups)> = None;
        for (setting, groups) in settings.iter().zip(P::group_each(&settings, similarities)) {
            let f = score(faces.people(), &groups, Bootstrap { draws: 0, seed: 0 })?.b_cubed.f;
            if best.as_ref().is_none_or(|(best, ..)| f > *best) {
                best = Some((f, setting.setting(), groups));
            }
        }
        if let Some((_, setting, groups)) = best {
            let scores = score(faces.people(), &groups, Bootstrap::default())?;
            self.rows.push(ReportRow { method: P::NAME.to_owned(), setting, choice: SettingChoice::ByLabels, scores });
        }
        Ok(())
    }

    /// Renders the report as a table for a terminal.
    pub fn text(&self) -> String {
        let table = self.table();
        let widths: Vec<usize> = (0..HEADER.len())
            .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
            .collect();
        let mut text = self.summary();
        text.push_str("\n\n");
        for row in &table {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push_str(&self.notes());
        text
    }

    /// Renders the report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = self.summary();
        text.push_str("\n\n");
        for (at, row) in self.table().iter().enumerate() {
            let cells = row.iter().map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
            if at == 0 {
                let _ = writeln!(text, "|{}", "---|".repeat(HEADER.len()));
            }
        }
        text.push_str(&self.notes());
        text
    }

    fn summary(&self) -> String {
        let Some(ReportRow { scores, .. }) = self.rows.first() else {
            return format!("{}: {} faces, grouped by nothing.", self.library, self.faces);
        };
        format!(
            "{}: {} faces, {} of them scored, of {} people; {} people are strangers, with one scored face.",
            self.library, self.faces, scores.faces, scores.people, scores.strangers
        )
    }

    fn table(&self) -> Vec<[String; HEADER.len()]> {
        std::iter::once(HEADER.map(str::to_owned)).chain(self.rows.iter().map(ReportRow::cells)).collect()
    }

    /// Returns the notes that a reader of the rows needs.
    fn notes(&self) -> String {
        let chosen = self.rows.iter().any(|row| row.choice == SettingChoice::ByLabels);
        let note = "\n* Of all settings tried, the one with the highest B-cubed F by the labels. Nobody without labels can \
                    choose it.\n";
        if chosen { note.to_owned() } else { String::new() }
    }
}

const HEADER: [&str; 8] = [
    "Method",
    "Setting",
    "B-cubed P / R / F",
    "95 % of F",
    "Pairwise P / R / F",
    "Mixed groups",
    "Strangers grouped",
    "People split",
];

impl ReportRow {
    fn cells(&self) -> [String; HEADER.len()] {
        let rates = |rates: &Rates| format!("{:.4} / {:.4} / {:.4}", rates.precision, rates.recall, rates.f);
        let scores = &self.scores;
        let interval = scores.b_cubed.intervals.map(|[.., f]| format!("{:.4} to {:.4}", f.low, f.high));
        let mark = if self.choice == SettingChoice::ByLabels { " *" } else { "" };
        [
            self.method.clone(),
            format!("{}{mark}", self.setting),
            rates(&scores.b_cubed),
            interval.unwrap_or_default(),
            rates(&scores.pairwise),
            format!("{} of {}", scores.mixed_groups, scores.groups),
            format!("{} of {}", scores.strangers_grouped, scores.strangers),
            scores.people_split.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::gallery::FaceVector;

    use super::*;
    use crate::vectors::{numbered_face, numbered_image};

    /// Two people of three faces on the plane and a stranger.
    fn library() -> LabelledFaces {
        let degrees = [0.0, 90.0, 1.0, 91.0, 2.0, 92.0, 200.0_f32];
        let face = |n: usize, degrees: f32| FaceVector {
            id: numbered_face(n),
            image: numbered_image(n),
            embedding: vec![degrees.to_radians().cos(), degrees.to_radians().sin()],
            quality: 1.0,
            capture: Default::default(),
            place: None,
        };
        let faces = degrees.iter().enumerate().map(|(n, degrees)| (face(n, *degrees), Some(n as u32 % 2)));
        let mut faces: Vec<_> = faces.collect();
        faces[6].1 = Some(2);
        LabelledFaces::new(faces)
    }

    #[test]
    fn every_method_has_a_row_by_default_and_one_at_its_best() {
        let faces = library();
        let mut report = Report::new("Two people", &faces);
        assert_eq!(report.text().lines().next(), Some("Two people: 7 faces, grouped by nothing."));
        report.add("muster", "as it is", &faces, &[vec![0, 2, 4], vec![1, 3, 5, 6]]).unwrap();
        report.add_peers(&faces, 0.4).unwrap();
        assert_eq!(report.rows.len(), 13);
        for pair in report.rows[1..].chunks(2) {
            assert_eq!((pair[0].choice, pair[1].choice), (SettingChoice::Default, SettingChoice::ByLabels));
            assert_eq!(pair[0].method, pair[1].method);
            assert_eq!(pair[1].scores.b_cubed.f, 1.0, "{}", pair[1].method);
        }
        let text = report.text();
        assert!(text.starts_with("Two people: 7 faces, 7 of them scored, of 3 people; 1 people are"), "{text}");
        assert!(text.contains("1 of 2 ") && text.contains("\n* Of all settings tried"), "{text}");
        let rows: Vec<_> = text.lines().skip(2).take(14).collect();
        assert!(rows[1].starts_with("muster            as it is "), "{text}");
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn markdown_has_a_cell_for_each_column() {
        let faces = library();
        let mut report = Report::new("Two people", &faces);
        report.add("muster", "a | b", &faces, &[]).unwrap();
        let markdown = report.markdown();
        let lines: Vec<_> = markdown.lines().skip(2).collect();
        assert_eq!(lines[1], "|---|---|---|---|---|---|---|---|");
        assert!(lines[2].starts_with("| muster | a \\| b | 1.0000 / 0.4286 / 0.6000 | "), "{markdown}");
        assert!(lines[2].ends_with(" | 0 of 0 | 0 of 1 | 0 |"), "{markdown}");
        assert_eq!(lines.len(), 3);
    }
}
