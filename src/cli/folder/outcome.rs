//! The summary of `muster index`: every image in exactly one state, as text and as one JSON object.

use std::collections::BTreeMap;
use std::path::Path;

use muster_actors::flow::progress::{Progress, StageProgress};
use serde::Serialize;

use super::progress::span;
use crate::cli::text::{count, printable};
use muster_gallery::view::Totals;
use muster_inference::onnx::tally::TensorRuns;
use muster_library::ScanReport;
use muster_library::removals::Missing;

/// Lines of a list that fit a terminal.
pub(super) const SHOWN: usize = 20;

/// The summary of a run. `images` is the sum of the six states below it.
#[derive(Debug, Default, Serialize)]
pub struct IndexOutcome {
    /// Photos found under the paths.
    pub images: u64,
    /// Stored with faces, in this run.
    pub indexed: u64,
    /// Decoded, no face found, in this run.
    pub no_faces: u64,
    /// Judged too poor by their thumbnail, in this run.
    pub low_quality: u64,
    /// Rejected with a reason, in this run.
    pub rejected: u64,
    /// Not looked at: unchanged since the last run, forgotten by a person, or not to be read now.
    pub skipped: u64,
    /// Files that are no photos by their names: not among the images.
    pub ignored: u64,
    /// Given back: the run was stopped before they were looked at.
    pub left: u64,
    /// Photos taken out of the library because their files are gone.
    pub removed: u64,
    /// Photos that were renamed or moved, among the skipped: their faces and names went along.
    pub moved: u64,
    /// Photos that cannot be read now, among the skipped and the rejected: their faces were kept.
    pub kept: u64,
    /// Paths below which photos are gone that were not taken out, because they are too many.
    pub missing: Vec<Missing>,
    /// Faces in the library now.
    pub faces: u64,
    /// Groups in the library now.
    pub groups: u64,
    /// Faces in no group now.
    pub ungrouped: u64,
    /// Detections in the library that are no faces: not among the faces.
    pub non_faces: u64,
    /// Wall time of the run, models loaded.
    pub seconds: f64,
    /// Images looked at a second.
    pub images_per_second: f64,
    /// Where the models ran: cpu, openvino, cuda, tensorrt.
    pub device: &'static str,
    /// Model lanes, side by side.
    pub lanes: usize,
    /// Lanes that were lost while others went on.
    pub devices_lost: u64,
    /// Peak resident memory of this process, where the system tells.
    pub peak_megabytes: Option<f64>,
    /// What each stage did.
    pub stages: BTreeMap<&'static str, StageFigures>,
    /// Rejected photos of this run, with reasons.
    pub rejections: Vec<ListedPath>,
    /// Folders and links that could not be looked into.
    pub problems: Vec<ListedPath>,
    /// Folders of other libraries below the paths: their names and decisions are theirs.
    pub other_libraries: Vec<String>,
    /// Actors restarted, by name.
    pub restarts: BTreeMap<String, u64>,
}

/// The figures of one stage; a device has its batches too.
#[derive(Debug, Default, Serialize)]
pub struct StageFigures {
    #[serde(flatten)]
    progress: StageProgress,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    batch_sizes: BTreeMap<usize, u64>,
    /// Every tensor shape the models ran, with its count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<TensorRuns>,
}

/// A path with what is wrong with it.
#[derive(Debug, Serialize)]
pub struct ListedPath {
    /// The path, as people know it.
    pub path: String,
    /// `TRUNCATED`
    pub reason: &'static str,
    /// One sentence.
    pub detail: String,
}

/// Where and how the models ran.
#[derive(Debug, Default)]
pub struct UsedModels {
    /// Name of the execution target.
    pub device: &'static str,
    /// Number of lanes.
    pub lanes: usize,
    /// Every tensor shape they ran.
    pub tensors: Vec<TensorRuns>,
}

impl IndexOutcome {
    /// Combines the figures of the scan, the pipeline and the library.
    pub fn new(scan: &ScanReport, run: &Progress, totals: &Totals, seconds: f64, ran: UsedModels) -> Self {
        let counts = run.counts;
        let done = counts.indexed + counts.no_faces + counts.low_quality + counts.rejected;
        let delivered = scan.new + scan.changed;
        let mut stages: BTreeMap<&'static str, StageFigures> = run
            .stages
            .iter()
            .map(|(stage, progress)| {
                (stage.as_str(), StageFigures { progress: progress.clone(), ..StageFigures::default() })
            })
            .collect();
        if let Some(device) = stages.get_mut("device") {
            device.batch_sizes.clone_from(&run.batch_sizes);
            device.tensors = ran.tensors;
        }
        Self {
            images: scan.found,
            indexed: counts.indexed,
            no_faces: counts.no_faces,
            low_quality: counts.low_quality,
            rejected: counts.rejected,
            skipped: scan.unchanged + scan.forgotten + scan.unreadable,
            ignored: scan.ignored,
            left: delivered.saturating_sub(done),
            removed: scan.removed,
            moved: scan.moved,
            kept: scan.kept,
            missing: scan.missing.clone(),
            faces: totals.faces,
            groups: totals.groups,
            ungrouped: totals.ungrouped,
            non_faces: totals.non_faces,
            seconds,
            images_per_second: if seconds > 0.0 { done as f64 / seconds } else { 0.0 },
            device: ran.device,
            lanes: ran.lanes,
            devices_lost: run.devices_lost,
            peak_megabytes: peak_megabytes(),
            stages,
            rejections: run
                .rejections
                .iter()
                .map(|rejected| ListedPath {
                    path: rejected
                        .locator
                        .as_ref()
                        .map_or_else(String::new, |l| muster_library::key::shown(&l.bucket, &l.key)),
                    reason: rejected.rejection.reason.as_str(),
                    detail: rejected.rejection.detail.clone(),
                })
                .collect(),
            problems: scan
                .problems
                .iter()
                .map(|problem| ListedPath {
                    path: problem.path.clone(),
                    reason: problem.rejection.reason.as_str(),
                    detail: problem.rejection.detail.clone(),
                })
                .collect(),
            other_libraries: scan.other_libraries.clone(),
            restarts: run.restarts.clone(),
        }
    }

    /// The summary for a person.
    pub fn text(&self, page: Option<&Path>) -> String {
        let mut lines = vec![format!(
            "{} in {} ({:.1} images/s, {} on {})",
            count(self.images, "image"),
            span(self.seconds.round() as u64),
            self.images_per_second,
            count(self.lanes as u64, "lane"),
            self.device
        )];
        if self.devices_lost > 0 {
            lines.push(format!("{} lost on the way; the others went on", count(self.devices_lost, "lane")));
        }
        let states = [
            (self.indexed, "indexed"),
            (self.no_faces, "without faces"),
            (self.low_quality, "of low quality"),
            (self.rejected, "rejected"),
            (self.skipped, "unchanged"),
            (self.left, "left for the next run"),
        ];
        for (images, state) in states.iter().filter(|(images, _)| *images > 0) {
            lines.push(format!("  {images:>7} {state}"));
        }
        if self.moved > 0 {
            lines.push(format!("{} renamed or moved: their faces and names went along", count(self.moved, "image")));
        }
        if self.removed > 0 {
            lines.push(format!("{} taken out: their files are gone", count(self.removed, "image")));
        }
        lines.push(format!(
            "{}: {} in {}, {} in none",
            count(self.faces, "face"),
            self.faces.saturating_sub(self.ungrouped),
            count(self.groups, "group"),
            self.ungrouped
        ));
        if self.non_faces > 0 {
            lines.push(format!("{} not faces: `muster people not-faces` lists them", self.non_faces));
        }
        let mut text = lines.join("\n") + "\n" + &self.remarks() + &self.lists();
        if let Some(page) = page {
            text.push_str(&format!("people: {}\n", page.display()));
        }
        text
    }

    /// The rejected photos and the folders that could not be looked into, each with its reason.
    pub fn lists(&self) -> String {
        let mut text = String::new();
        for (title, list) in [("rejected", &self.rejections), ("not looked into", &self.problems)] {
            if list.is_empty() {
                continue;
            }
            text.push_str(&format!("{title}:\n"));
            for listed in list.iter().take(SHOWN) {
                let (path, detail) = (printable(&listed.path), printable(&listed.detail));
                text.push_str(&format!("  {}: {detail} ({})\n", short(&path), listed.reason));
            }
            if list.len() > SHOWN {
                text.push_str(&format!("  and {} more; the page lists them all\n", list.len() - SHOWN));
            }
        }
        text
    }
}

/// The end of a long path says more than its start.
pub(super) fn short(path: &str) -> String {
    let count = path.chars().count();
    if count <= 160 { path.to_owned() } else { format!("…{}", path.chars().skip(count - 159).collect::<String>()) }
}

/// `VmHWM` of Linux's /proc (proc(5)), in megabytes of 1,048,576 bytes.
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_actors::flow::progress::Counts;

    #[test]
    fn every_image_is_in_one_state() {
        let scan = ScanReport { found: 20, new: 12, changed: 2, unchanged: 5, forgotten: 1, ..ScanReport::default() };
        let counts = Counts { indexed: 7, no_faces: 2, rejected: 1, released: 3, ..Counts::default() };
        let run = Progress { counts, ..Progress::default() };
        let totals = Totals { faces: 9, groups: 1, ungrouped: 4, non_faces: 3, ..Totals::default() };
        let outcome = IndexOutcome::new(
            &scan,
            &run,
            &totals,
            2.0,
            UsedModels { device: "cpu", lanes: 2, ..UsedModels::default() },
        );
        let states = outcome.indexed + outcome.no_faces + outcome.low_quality + outcome.rejected + outcome.skipped;
        assert_eq!(states + outcome.left, outcome.images);
        assert_eq!((outcome.left, outcome.images_per_second), (4, 5.0));
        assert!(
            outcome.text(None).starts_with("20 images in 2 s (5.0 images/s, 2 lanes on cpu)\n"),
            "{}",
            outcome.text(None)
        );
        assert!(outcome.text(None).contains("4 left for the next run"));
        assert!(outcome.text(None).contains("9 faces: 5 in 1 group, 4 in none\n3 not faces: "));
    }

    #[test]
    fn the_name_of_a_rejected_file_cannot_drive_the_terminal() {
        let hostile = ListedPath { path: "a\x1b[2J.jpg".into(), reason: "EMPTY", detail: "no bytes".into() };
        let outcome = IndexOutcome { rejections: vec![hostile], ..IndexOutcome::default() };
        assert_eq!(outcome.lists(), "rejected:\n  a\\u{1b}[2J.jpg: no bytes (EMPTY)\n");
    }
}
