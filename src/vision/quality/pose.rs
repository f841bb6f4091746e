//! Estimates the pose of a head from five landmarks.

use muster_actors::domain::face::Landmarks;

/// A pose in degrees; the signs are those of [`muster_actors::domain::face::Quality`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pose {
    /// Yaw: 0 looks at the camera, positive is turned to the image's right.
    pub yaw: f32,
    /// Pitch: positive looks up.
    pub pitch: f32,
    /// Roll: positive is clockwise in the image.
    pub roll: f32,
}

/// A frontal head in millimetres, with x to the image's right, y down and z away from the camera. The eye centres are
/// 63 mm apart, the nose tip lies 31 mm before them, and the corners of the mouth are about level with them. In x and y
/// it is the alignment template (1.79 mm a pixel), made symmetric, so that a face on the template has no angle. The
/// depths are those of the generic model of Mallick, "Head Pose Estimation using OpenCV and Dlib", 2016, scaled to the
/// same distance of the eyes.
const MODEL: [[f64; 3]; 5] =
    [[-31.5, -36.0, 0.0], [31.5, -36.0, 0.0], [0.0, 0.0, -31.0], [-26.1, 37.0, -2.3], [26.1, 37.0, -2.3]];

/// Estimates yaw, pitch and roll under a scaled orthographic camera. It computes the least-squares affine map from the
/// model to the points, and then the rotation nearest to its two rows (the first step of POSIT: DeMenthon and Davis,
/// "Model-based object pose in 25 lines of code", IJCV 1995). `None` for landmarks that coincide or are not finite.
pub(crate) fn estimate(landmarks: &Landmarks) -> Option<Pose> {
    let centre = |column: usize| MODEL.iter().map(|p| p[column]).sum::<f64>() / 5.0;
    let centres = [centre(0), centre(1), centre(2)];
    let model = MODEL.map(|p| [p[0] - centres[0], p[1] - centres[1], p[2] - centres[2]]);
    let mean = |axis: usize| landmarks.iter().map(|p| f64::from(p[axis])).sum::<f64>() / 5.0;
    let means = [mean(0), mean(1)];
    let normal = invert(std::array::from_fn(|i| std::array::from_fn(|j| model.iter().map(|p| p[i] * p[j]).sum())))?;
    let row = |axis: usize| -> [f64; 3] {
        let moment: [f64; 3] = std::array::from_fn(|i| {
            model.iter().zip(landmarks).map(|(m, p)| m[i] * (f64::from(p[axis]) - means[axis])).sum()
        });
        std::array::from_fn(|i| (0..3).map(|j| normal[i][j] * moment[j]).sum())
    };
    let (right, down) = (unit(row(0))?, unit(row(1))?);
    // The rows' deviation from a right angle is divided equally between them.
    let sum = unit(std::array::from_fn(|i| right[i] + down[i]))?;
    let difference = unit(std::array::from_fn(|i| right[i] - down[i]))?;
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let right: [f64; 3] = std::array::from_fn(|i| half * (sum[i] + difference[i]));
    let down: [f64; 3] = std::array::from_fn(|i| half * (sum[i] - difference[i]));
    // This is the model's forward axis (0, 0, -1) in the image's axes: the direction of the nose.
    let away = [
        right[1] * down[2] - right[2] * down[1],
        right[2] * down[0] - right[0] * down[2],
        right[0] * down[1] - right[1] * down[0],
    ];
    let nose = [-right[2], -down[2], -away[2]];
    let roll = down[0].atan2(right[0]);
    // The roll is undone first, so that yaw and pitch refer to the face's own upright.
    let (sin, cos) = roll.sin_cos();
    let (x, y) = (nose[0] * cos + nose[1] * sin, nose[1] * cos - nose[0] * sin);
    let degrees = |v: f64| v.to_degrees() as f32;
    Some(Pose { yaw: degrees(x.atan2(-nose[2])), pitch: degrees((-y).clamp(-1.0, 1.0).asin()), roll: degrees(roll) })
}

fn unit(v: [f64; 3]) -> Option<[f64; 3]> {
    let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    (length.is_finite() && length > 1e-9).then(|| v.map(|x| x / length))
}

/// Inverts a 3 × 3 matrix by cofactors.
fn invert(m: [[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    let minor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
    (determinant.abs() > 1e-9).then(|| std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r) / determinant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The model seen by a camera, turned about its own axes: yaw, then pitch, then roll.
    fn seen(yaw: f64, pitch: f64, roll: f64) -> Landmarks {
        let [(sy, cy), (sp, cp), (sr, cr)] = [yaw, pitch, roll].map(|d| d.to_radians().sin_cos());
        MODEL.map(|[x, y, z]| {
            // Nose (z < 0) goes right for a positive yaw, up for a positive pitch.
            let (y, z) = (cp * y + sp * z, -sp * y + cp * z);
            let (x, _) = (cy * x - sy * z, sy * x + cy * z);
            [(3.0 * (cr * x - sr * y) + 500.0) as f32, (3.0 * (sr * x + cr * y) + 400.0) as f32]
        })
    }

    #[test]
    fn known_angles_come_back() {
        for (yaw, pitch, roll) in [
            (0.0, 0.0, 0.0),
            (30.0, 0.0, 0.0),
            (-45.0, 0.0, 0.0),
            (0.0, 20.0, 0.0),
            (0.0, -25.0, 0.0),
            (0.0, 0.0, 35.0),
            (0.0, 0.0, -120.0),
            (25.0, 15.0, 0.0),
        ] {
            let pose = estimate(&seen(yaw, pitch, roll)).unwrap();
            let off = [(pose.yaw, yaw), (pose.pitch, pitch), (pose.roll, roll)].map(|(a, b)| (f64::from(a) - b).abs());
            assert!(off.iter().all(|o| *o < 1.0), "{pose:?} for {yaw} {pitch} {roll}");
        }
    }

    #[test]
    fn the_template_looks_at_the_camera() {
        let pose = estimate(&crate::align::TEMPLATE).unwrap();
        assert!(pose.yaw.abs() < 3.0 && pose.pitch.abs() < 3.0 && pose.roll.abs() < 1.0, "{pose:?}");
    }

    #[test]
    fn degenerate_landmarks_have_no_pose() {
        assert_eq!(estimate(&[[4.0, 4.0]; 5]), None);
        assert_eq!(estimate(&[[f32::NAN, 4.0]; 5]), None);
    }
}
