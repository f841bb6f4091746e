//! Computes the probability that a detection is a face, from the detector's scores of the views and the length of the
//! embedding. All functions are pure.

use serde::{Deserialize, Serialize};

use super::manifest::DetectorKind;

/// The rule by which a detection counts as a face: the calibration of a pack. docs/quality.md says how the figures were
/// found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceRule {
    /// Detector score, 0 to 1, from which a detection counts as a face and is not scored again.
    pub sure_score: f32,
    /// Weight of the raw embedding's length beside the mean score of the views; 0 where the length says nothing.
    pub norm_weight: f32,
    /// Sum of mean score and weighted length at which the probability is one half.
    pub centre: f32,
    /// Slope of the probability there; above 0.
    pub slope: f32,
}

/// The rule for YuNet with any embedder, by its scores alone.
const YUNET: FaceRule = FaceRule { sure_score: 0.88, norm_weight: 0.0, centre: 0.50, slope: 14.0 };

impl FaceRule {
    /// Returns the rule of a detector whose pack has none. `None` for SCRFD, whose scores of views have not been
    /// measured.
    pub(crate) fn of_detector(kind: DetectorKind) -> Option<Self> {
        match kind {
            DetectorKind::Yunet => Some(YUNET),
            DetectorKind::Scrfd => None,
        }
    }

    /// Returns whether a detection with this score is scored again.
    pub(crate) fn doubts(&self, score: f32) -> bool {
        score < self.sure_score
    }

    /// Computes the probability of being a face, 0 to 1, from the scores of the views (each 0 to 1) and the length of
    /// the raw embedding. It is 1 without views, because nothing is known then.
    pub(crate) fn probability(&self, views: &[f32], norm: f32) -> f32 {
        if views.is_empty() {
            return 1.0;
        }
        let mean = views.iter().map(|score| f64::from(*score)).sum::<f64>() / views.len() as f64;
        // An infinite length with weight 0 must not become NaN.
        let length = if self.norm_weight == 0.0 { 0.0 } else { f64::from(self.norm_weight) * f64::from(norm) };
        let above = mean + length - f64::from(self.centre);
        (1.0 / (1.0 + (-f64::from(self.slope) * above).exp())) as f32
    }

    /// Returns what is wrong with the rule; `None` where nothing is.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let Self { sure_score, norm_weight, centre, slope } = *self;
        let holds = (0.0..=1.0).contains(&sure_score)
            && norm_weight.is_finite()
            && norm_weight >= 0.0
            && centre.is_finite()
            && slope.is_finite()
            && slope > 0.0;
        (!holds).then_some(
            "faces.sure_score must be 0 to 1, faces.norm_weight not below 0, faces.slope above 0, and all finite",
        )
    }
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::face::LEAST_FACE;

    use super::*;

    /// The pack `open`'s.
    const OPEN: FaceRule = FaceRule { sure_score: 0.88, norm_weight: 0.07, centre: 0.90, slope: 14.0 };

    /// Score, norm, the six views, and what it is: rows of the measurement in docs/quality.md.
    type Row = (&'static str, f32, f32, [f32; 6], bool);
    const MEASURED: [Row; 8] = [
        ("a cake on a table", 0.812, 4.320, [0.004, 0.000, 0.012, 0.019, 0.004, 0.051], false),
        ("hands with a remote control", 0.720, 3.470, [0.577, 0.476, 0.690, 0.392, 0.355, 0.222], false),
        ("a forest out of focus", 0.604, 6.625, [0.207, 0.206, 0.131, 0.117, 0.143, 0.072], false),
        ("the top of a tower", 0.663, 7.666, [0.129, 0.099, 0.018, 0.109, 0.185, 0.083], false),
        ("bowed, with cap and sunglasses", 0.637, 7.342, [0.501, 0.612, 0.532, 0.374, 0.631, 0.500], true),
        ("a lost profile", 0.801, 5.269, [0.722, 0.674, 0.768, 0.685, 0.511, 0.695], true),
        ("in the shade of a hat", 0.703, 5.921, [0.763, 0.709, 0.530, 0.485, 0.769, 0.777], true),
        ("half a profile at the edge", 0.734, 5.295, [0.400, 0.544, 0.559, 0.804, 0.700, 0.751], true),
    ];

    #[test]
    fn measured_faces_and_objects_are_told_apart() {
        for (what, score, norm, views, is_face) in MEASURED {
            assert!(OPEN.doubts(score), "{what}");
            let probability = OPEN.probability(&views, norm);
            assert_eq!(probability >= LEAST_FACE, is_face, "{what}: {probability}");
            let alone = YUNET.probability(&views, norm);
            assert_eq!(alone >= LEAST_FACE, is_face, "{what} by the detector alone: {alone}");
        }
    }

    #[test]
    fn the_probability_is_a_half_at_the_centre_and_grows_with_both() {
        for (mean, norm, expected) in [
            (0.90, 0.0, 0.5),
            (0.20, 10.0, 0.5),
            (0.55, 5.0, 0.5),
            (0.83, 0.0, 0.272_9),
            (0.83, 2.0, 0.727_1),
            (0.0, 0.0, 0.000_003),
            (1.0, 20.0, 1.0),
        ] {
            let probability = OPEN.probability(&[mean; 6], norm);
            assert!((probability - expected).abs() < 1e-4, "{mean} {norm}: {probability}");
        }
        assert_eq!(OPEN.probability(&[], 0.0), 1.0, "nobody looked");
        assert!((YUNET.probability(&[0.5; 6], f32::INFINITY) - 0.5).abs() < 1e-6, "its length says nothing");
    }

    #[test]
    fn only_detections_below_the_sure_score_are_doubted() {
        for (score, doubted) in [(0.0, true), (0.879, true), (0.88, false), (1.0, false)] {
            assert_eq!(OPEN.doubts(score), doubted, "{score}");
        }
        assert!(!FaceRule { sure_score: 0.0, ..OPEN }.doubts(0.0), "a rule that is switched off");
    }

    #[test]
    fn a_detector_that_was_not_measured_has_no_rule() {
        assert_eq!(FaceRule::of_detector(DetectorKind::Scrfd), None);
        assert_eq!(FaceRule::of_detector(DetectorKind::Yunet).and_then(|rule| rule.fault()), None);
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused() {
        assert_eq!(OPEN.fault(), None);
        for broken in [
            FaceRule { sure_score: 1.1, ..OPEN },
            FaceRule { sure_score: f32::NAN, ..OPEN },
            FaceRule { norm_weight: -0.1, ..OPEN },
            FaceRule { centre: f32::INFINITY, ..OPEN },
            FaceRule { slope: 0.0, ..OPEN },
        ] {
            assert!(broken.fault().is_some(), "{broken:?}");
        }
    }
}
