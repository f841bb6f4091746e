//! The parameters of grouping.

use serde::{Deserialize, Serialize};

/// Thresholds and limits of grouping. Similarities are cosines of unit vectors (-1 to 1), qualities are 0 to 1. An
/// excess is a similarity minus the mean of the levels that the strangers of both faces reach
/// ([`Calibration`](super::calibration::Calibration)); so it means the same for each pack, library and face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Params {
    /// Similarity from which two faces count as one person in pair verification, from the pack's manifest. The
    /// figures of the pack's strangers follow from it where the manifest does not give them.
    pub threshold: f32,
    /// Mean similarity of two strangers, as measured with the pack.
    pub strangers_mean: f32,
    /// Standard deviation of the similarity of two strangers, as measured with the pack.
    pub strangers_deviation: f32,
    /// Similarity from which two faces may be of one person, so that they do not count as strangers of each other.
    pub sure: f32,
    /// Excess from which two faces have an edge.
    pub edge: f32,
    /// The mean excess at which two large groups are as likely one person as two.
    pub settled: f32,
    /// Amount by which that excess is higher between two single faces.
    pub lone: f32,
    /// Exponent with which that amount falls with the number of pairs: it is `lone * pairs ^ -decay`.
    pub decay: f32,
    /// Excess from which two faces of one moment that resemble each other most are one person.
    pub moment: f32,
    /// Cost of a wrong join, where a missed one costs 1. Groups join when the odds that they are one person are at
    /// least this.
    pub caution: f32,
    /// Quality below which faces are only attached to groups, and never connect them.
    pub core_quality: f32,
    /// Excess from which two faces of one photo are contested (a collage, a mirror, twins). Nobody can tell which of
    /// them is the person, so they are attached to groups and never connect them.
    pub contested: f32,
    /// Two groups of three faces or more stay apart when their mean similarity lies this many standard deviations
    /// below the mean within them, and below [`Self::sure`]: look-alikes.
    pub contrast: f32,
    /// Similarity above which two faces are shots of one moment. In the comparison by [`Self::contrast`], such a pair
    /// counts with this similarity only.
    pub near_duplicate: f32,
    /// Neighbours kept per face, nearest first.
    pub k: usize,
    /// Size below which a group is not shown; its faces are ungrouped.
    pub min_size: usize,
}

impl Params {
    /// Returns the defaults for a pack of which only the threshold of pair verification is known.
    /// docs/grouping.md tells how they were found.
    pub fn around(threshold: f32) -> Self {
        Self {
            threshold,
            strangers_mean: threshold * 0.16,
            strangers_deviation: threshold * 0.24,
            sure: (threshold + 0.24).min(1.0),
            edge: 0.15,
            settled: 0.07,
            lone: 0.11,
            decay: 0.4,
            moment: 0.05,
            caution: 1.0,
            core_quality: 0.35,
            contested: 0.25,
            contrast: 1.0,
            near_duplicate: 0.85,
            k: 64,
            min_size: 2,
        }
    }
}

impl Default for Params {
    /// Returns the parameters for the pack `open` (SFace, best near cosine 0.38 on LFW).
    fn default() -> Self {
        Self::around(0.38)
    }
}

/// The parameters as a library or a file stores them. Releases before calibration stored a threshold, and limits around
/// it that have no meaning any more.
#[derive(Deserialize)]
struct Stored {
    threshold: f32,
    strangers_mean: Option<f32>,
    strangers_deviation: Option<f32>,
    sure: Option<f32>,
    edge: Option<f32>,
    settled: Option<f32>,
    lone: Option<f32>,
    decay: Option<f32>,
    moment: Option<f32>,
    caution: Option<f32>,
    core_quality: Option<f32>,
    contested: Option<f32>,
    contrast: Option<f32>,
    near_duplicate: Option<f32>,
    k: Option<usize>,
    min_size: Option<usize>,
}

impl From<Stored> for Params {
    fn from(stored: Stored) -> Self {
        let usual = Self::around(stored.threshold);
        // Before calibration, `contested` was a similarity and `contrast` applied everywhere. Stored parameters without
        // `edge` are of that time.
        let current = |value: Option<f32>| value.filter(|_| stored.edge.is_some());
        Self {
            threshold: stored.threshold,
            strangers_mean: stored.strangers_mean.unwrap_or(usual.strangers_mean),
            strangers_deviation: stored.strangers_deviation.unwrap_or(usual.strangers_deviation),
            sure: stored.sure.unwrap_or(usual.sure),
            edge: stored.edge.unwrap_or(usual.edge),
            settled: stored.settled.unwrap_or(usual.settled),
            lone: stored.lone.unwrap_or(usual.lone),
            decay: stored.decay.unwrap_or(usual.decay),
            moment: stored.moment.unwrap_or(usual.moment),
            caution: stored.caution.unwrap_or(usual.caution),
            core_quality: stored.core_quality.unwrap_or(usual.core_quality),
            contested: current(stored.contested).unwrap_or(usual.contested),
            contrast: current(stored.contrast).unwrap_or(usual.contrast),
            near_duplicate: stored.near_duplicate.unwrap_or(usual.near_duplicate),
            k: stored.k.unwrap_or(usual.k),
            min_size: stored.min_size.unwrap_or(usual.min_size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_release_before_keep_their_threshold_and_size() {
        let before = r#"{"threshold":0.42,"linkage":0.44,"attach_threshold":0.44,"core_quality":0.35,
            "contested":0.59,"contrast":1.3,"near_duplicate":0.85,"k":64,"min_size":3}"#;
        let read: Params = serde_json::from_str(before).expect("parameters of the release before");
        assert_eq!(read, Params { min_size: 3, ..Params::around(0.42) });
        let text = serde_json::to_string(&Params { caution: 5.0, ..read.clone() }).expect("numbers");
        assert_eq!(serde_json::from_str::<Params>(&text).expect("as written").caution, 5.0);
    }
}
