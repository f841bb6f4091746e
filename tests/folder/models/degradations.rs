//! Every quality measure moves as it should when a face gets worse: real faces, degraded on purpose.
//!
//! The figures (`cargo test --test folder models::degradations -- --nocapture`) are the table of docs/quality.md. AUC is the
//! probability that the measure tells a degraded face from a clean one: 0.5 is a coin, 1 is always. The people are those
//! that the occlusion weights were not learned from.

use muster_actors::domain::face::{BBox, Quality, QualityReason};
use muster_actors::domain::image::Pixels;
use muster_inference::onnx::detector::DetectorModel;
use muster_inference::onnx::embedder::EmbedderModel;
use muster_inference::onnx::execution_target::ExecutionTarget;
use muster_vision::decode::{Limits, VisionDecoder};
use muster_vision::quality::{Thresholds, assess};
use muster_vision::{Detection, align};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{open, photo_bytes};

const NAMES: [&str; 6] =
    ["studio_portrait", "studio_posture", "amateur_selfie", "amateur_posture", "emotions_sheet", "character_sheet"];

struct Clean {
    photo: usize,
    face: Detection,
    crop: Pixels,
}

/// Photos of P006 to P010 and their faces that are large enough to be degraded.
fn clean(detector: &mut DetectorModel) -> (Vec<Pixels>, Vec<Clean>) {
    let decoder = VisionDecoder { limits: Limits::default(), side: 1600 };
    let (mut photos, mut faces) = (Vec::new(), Vec::new());
    for person in 6..=10 {
        for name in NAMES {
            let pixels = decoder.decode(photo_bytes(person, name)).unwrap().pixels;
            for face in detector.find(&pixels).unwrap() {
                if face.score >= 0.8 && face.bbox.width.min(face.bbox.height) >= 60.0 {
                    let crop = align::to_template(&pixels, &face.landmarks).unwrap();
                    faces.push(Clean { photo: photos.len(), face, crop });
                }
            }
            photos.push(pixels);
        }
    }
    assert!(faces.len() >= 60, "{} faces", faces.len());
    (photos, faces)
}

fn judge(crop: &Pixels, face: &Detection, norm: f32) -> Quality {
    assess(crop, &face.bbox, &face.landmarks, face.score, norm, &Thresholds::default())
}

/// The probability that a value of `worse` is above one of `better`; ties count half.
fn auc(better: &[f32], worse: &[f32]) -> f64 {
    let wins = better.iter().flat_map(|b| worse.iter().map(move |w| f64::from(w > b) + 0.5 * f64::from(w == b)));
    wins.sum::<f64>() / (better.len() * worse.len()) as f64
}

fn each(crop: &Pixels, value: impl Fn(u32, u32, f32) -> f32) -> Pixels {
    let at = |i: usize| ((i / 3) as u32 % crop.width, (i / 3) as u32 / crop.width);
    let change = |(i, v): (usize, &u8)| value(at(i).0, at(i).1, f32::from(*v)).round().clamp(0.0, 255.0) as u8;
    Pixels { data: crop.data.iter().enumerate().map(change).collect(), ..*crop }
}

/// A Gaussian blur of `sigma` pixels.
fn blur(crop: &Pixels, sigma: f32) -> Pixels {
    let reach = (3.0 * sigma).ceil() as i32;
    let weights: Vec<f32> = (-reach..=reach).map(|d| (-0.5 * (d as f32 / sigma).powi(2)).exp()).collect();
    let total: f32 = weights.iter().sum();
    let side = |length: u32, at: i32| at.clamp(0, length as i32 - 1) as usize;
    let pass = |from: &Pixels, dx: i32, dy: i32| {
        let sample = |x: u32, y: u32, c: usize| {
            let tap = |(weight, d): (&f32, i32)| {
                let (x, y) = (side(from.width, x as i32 + d * dx), side(from.height, y as i32 + d * dy));
                weight * f32::from(from.data[(y * from.width as usize + x) * 3 + c])
            };
            (weights.iter().zip(-reach..).map(tap).sum::<f32>() / total).round() as u8
        };
        let pixels = (0..from.height).flat_map(|y| (0..from.width).map(move |x| (x, y)));
        Pixels { data: pixels.flat_map(|(x, y)| [0, 1, 2].map(|c| sample(x, y, c))).collect(), ..*from }
    };
    pass(&pass(crop, 1, 0), 0, 1)
}

/// A flat patch of the face's own mean colour with a little noise over `[x0, y0, x1, y1]`.
fn patch(crop: &Pixels, [x0, y0, x1, y1]: [u32; 4], random: &mut ChaCha8Rng) -> Pixels {
    let mut out = crop.clone();
    let mean = |c: usize| crop.data.iter().skip(c).step_by(3).map(|v| f32::from(*v)).sum::<f32>() / 12_544.0;
    let means = [mean(0), mean(1), mean(2)];
    for (x, y) in (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y))) {
        let noise = random.random_range(-4.0..4.0);
        let at = ((y * crop.width + x) * 3) as usize;
        out.data[at..at + 3].copy_from_slice(&means.map(|m| (m + noise) as u8));
    }
    out
}

/// The square around a face, turned by `degrees` (counter-clockwise as seen), with the face in the middle.
fn turned(photo: &Pixels, bbox: &BBox, degrees: f32) -> Pixels {
    let side = (2.4 * bbox.width.max(bbox.height)) as u32;
    let (cx, cy) = (bbox.x + bbox.width / 2.0, bbox.y + bbox.height / 2.0);
    let (sin, cos) = degrees.to_radians().sin_cos();
    let sample = |x: u32, y: u32| {
        let (dx, dy) = (x as f32 - side as f32 / 2.0, y as f32 - side as f32 / 2.0);
        let at = |v: f32, length: u32| v.round().clamp(0.0, length as f32 - 1.0) as usize;
        let (x, y) = (at(cx + cos * dx - sin * dy, photo.width), at(cy + sin * dx + cos * dy, photo.height));
        let start = (y * photo.width as usize + x) * 3;
        [photo.data[start], photo.data[start + 1], photo.data[start + 2]]
    };
    let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    Pixels { width: side, height: side, data: pixels.flat_map(|(x, y)| sample(x, y)).collect() }
}

type Measure = fn(&Quality) -> f32;
type Degrade = Box<dyn Fn(&Pixels, &mut ChaCha8Rng) -> Pixels>;

/// What is done to a crop, the measure that must notice (larger is worse), its reason, and the least AUC of the measure.
fn degradations() -> Vec<(&'static str, Degrade, Measure, QualityReason, f64)> {
    const EYES: [u32; 4] = [26, 42, 86, 62];
    const MOUTH: [u32; 4] = [36, 82, 76, 104];
    let side_light = |crop: &Pixels, _: &mut ChaCha8Rng| each(crop, |x, _, v| v * (0.1 + 1.2 * x as f32 / 112.0));
    vec![
        ("blur, sigma 1.5 px", Box::new(|c, _| blur(c, 1.5)), |q| -q.sharpness, QualityReason::Blurred, 0.90),
        ("blur, sigma 3 px", Box::new(|c, _| blur(c, 3.0)), |q| -q.sharpness, QualityReason::Blurred, 0.97),
        ("light x 0.4", Box::new(|c, _| each(c, |_, _, v| v * 0.4)), |q| -q.level, QualityReason::TooDark, 0.97),
        ("light x 0.15", Box::new(|c, _| each(c, |_, _, v| v * 0.15)), |q| -q.level, QualityReason::TooDark, 0.99),
        ("overexposed", Box::new(|c, _| each(c, |_, _, v| v * 2.5)), |q| q.level, QualityReason::TooBright, 0.97),
        (
            "contrast x 0.2",
            Box::new(|c, _| each(c, |_, _, v| 120.0 + (v - 120.0) * 0.2)),
            |q| -q.contrast,
            QualityReason::LowContrast,
            0.97,
        ),
        ("light from the side", Box::new(side_light), |q| q.unevenness, QualityReason::UnevenLight, 0.95),
        (
            "half in shadow (x 0.2)",
            Box::new(|c, _| each(c, |x, _, v| if x < 56 { v * 0.2 } else { v })),
            |q| q.unevenness,
            QualityReason::UnevenLight,
            0.99,
        ),
        ("patch over the eyes", Box::new(|c, r| patch(c, EYES, r)), |q| q.occlusion, QualityReason::Occluded, 0.95),
        ("patch over the mouth", Box::new(|c, r| patch(c, MOUTH, r)), |q| q.occlusion, QualityReason::Occluded, 0.90),
    ]
}

#[test]
fn every_measure_moves_as_its_degradation_does() {
    let (pack, environment) = open();
    let mut detector = DetectorModel::load(&environment, &pack, &ExecutionTarget::Cpu, 1, 1).unwrap();
    let mut embedder = EmbedderModel::load(&environment, &pack, &ExecutionTarget::Cpu, 1, 16).unwrap();
    let (_, faces) = clean(&mut detector);
    let crops: Vec<Pixels> = faces.iter().map(|face| face.crop.clone()).collect();
    let mut judged = |crops: &[Pixels]| -> Vec<Quality> {
        let norms = embedder.embed(crops, usize::MAX).unwrap();
        faces.iter().zip(crops).zip(norms).map(|((clean, crop), e)| judge(crop, &clean.face, e.norm)).collect()
    };
    let before = judged(&crops);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    println!("{} faces", faces.len());
    println!("| degradation | reason | AUC of its measure | of overall | of norm | named, clean | named, degraded |");
    let mut failed = Vec::new();
    for (name, degrade, measure, reason, least) in degradations() {
        let after = judged(&crops.iter().map(|crop| degrade(crop, &mut random)).collect::<Vec<_>>());
        let of = |measure: Measure| {
            let values = |all: &[Quality]| all.iter().map(measure).collect::<Vec<_>>();
            auc(&values(&before), &values(&after))
        };
        let named = |all: &[Quality]| {
            100.0 * all.iter().filter(|q| q.reasons.contains(&reason)).count() as f64 / all.len() as f64
        };
        let (own, overall, norm) = (of(measure), of(|q| -q.overall), of(|q| -q.norm));
        let (clean, degraded) = (named(&before), named(&after));
        println!("| {name} | {reason:?} | {own:.3} | {overall:.3} | {norm:.3} | {clean:.0} % | {degraded:.0} % |");
        if own < least || overall < 0.55 || degraded < clean {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// YuNet draws the points of a turned face towards upright, so the roll that is measured falls short of the real one
/// and past 45 degrees means nothing; up to there it must grow with it.
#[test]
fn roll_grows_with_the_angle_a_face_is_turned_by() {
    let (pack, environment) = open();
    let mut detector = DetectorModel::load(&environment, &pack, &ExecutionTarget::Cpu, 1, 1).unwrap();
    let (photos, faces) = clean(&mut detector);
    let mut roll_of = |clean: &Clean, degrees: f32| {
        let found = detector.find(&turned(&photos[clean.photo], &clean.face.bbox, degrees)).unwrap();
        found.first().map(|face| judge(&clean.crop, face, 1.0).roll)
    };
    let upright: Vec<f32> = faces.iter().map(|clean| judge(&clean.crop, &clean.face, 1.0).roll).collect();
    for sign in [-1.0, 1.0] {
        let mut before = 0.0;
        for degrees in [15.0, 30.0, 45.0] {
            let rolls: Vec<_> =
                faces.iter().zip(&upright).filter_map(|(c, u)| Some((roll_of(c, sign * degrees)?, *u))).collect();
            let mut by: Vec<f32> = rolls.iter().map(|(roll, upright)| (roll - upright).abs()).collect();
            by.sort_by(f32::total_cmp);
            let size = |values: Vec<f32>| values.into_iter().map(f32::abs).collect::<Vec<_>>();
            let auc = auc(&size(upright.clone()), &size(rolls.iter().map(|(roll, _)| *roll).collect()));
            let median = by[by.len() / 2];
            println!("| {:.0} | {} of {} | {median:.1} | {auc:.3} |", sign * degrees, rolls.len(), faces.len());
            assert!(rolls.len() * 10 >= faces.len() * 9 && auc > 0.85, "{degrees}: {} found, {auc}", rolls.len());
            assert!(median > before && median <= degrees + 3.0, "{degrees}: {median} after {before}");
            before = median;
        }
    }
}
