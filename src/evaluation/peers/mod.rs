//! Other methods of grouping faces, each by its published description, over the same vectors.
//!
//! None of them knows which faces share a photo, because the originals do not know either.

pub mod average_linkage;
pub mod chinese_whispers;
pub mod dbscan;
pub mod hdbscan;
pub mod immich;
pub mod photoprism;
mod union;

use crate::Groups;
pub use crate::similarities::{CompareError, MAX_FACES, Similarities};

/// A method with one setting of its parameters.
pub trait Peer: Sized {
    /// Name of the method in a report.
    const NAME: &'static str;

    /// Returns the setting that a user without labels would take: the method's own defaults or, if
    /// it has none for vectors of any model, the model's `threshold` for pairs (a cosine).
    fn defaults(threshold: f32) -> Self;

    /// Returns the settings among which the best one by the labels is searched.
    fn grid() -> Vec<Self>;

    /// Describes the setting in words.
    fn setting(&self) -> String;

    /// Groups faces. Faces that the method leaves alone are in no group.
    fn group(&self, similarities: &Similarities) -> Groups;

    /// Groups faces once for each setting, which is faster than one by one where settings share
    /// work.
    fn group_each(settings: &[Self], similarities: &Similarities) -> Vec<Groups> {
        settings.iter().map(|setting| setting.group(similarities)).collect()
    }
}

/// Iterates from one value to another in equal steps, both values included.
fn steps(from: f32, to: f32, count: usize) -> impl Iterator<Item = f32> {
    (0..count).map(move |n| from + (to - from) * n as f32 / (count - 1) as f32)
}

/// Collects faces by the number of their cluster, in ascending order of the numbers.
fn gather(clusters: impl IntoIterator<Item = Option<usize>>) -> Groups {
    let mut groups = std::collections::BTreeMap::<usize, Vec<usize>>::new();
    for (face, cluster) in clusters.into_iter().enumerate() {
        if let Some(cluster) = cluster {
            groups.entry(cluster).or_default().push(face);
        }
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::gallery::FaceVector;

    use super::*;
    use crate::vectors::{numbered_face, numbered_image};

    /// Faces on a circle, at these degrees.
    pub(crate) fn circle(degrees: &[f32]) -> Similarities {
        let faces: Vec<_> = degrees
            .iter()
            .enumerate()
            .map(|(n, degrees)| FaceVector {
                id: numbered_face(n),
                image: numbered_image(n),
                embedding: vec![degrees.to_radians().cos(), degrees.to_radians().sin()],
                quality: 1.0,
                capture: Default::default(),
                place: None,
            })
            .collect();
        Similarities::of(&faces).unwrap()
    }

    /// Two people of five faces each, and a stranger: every method must see them.
    pub(crate) fn obvious() -> Similarities {
        circle(&[0.0, 100.0, 2.0, 102.0, 4.0, 220.0, 104.0, 6.0, 106.0, 8.0, 108.0])
    }

    /// The groups of [`obvious`].
    pub(crate) fn obvious_groups() -> Groups {
        vec![vec![0, 2, 4, 7, 9], vec![1, 3, 6, 8, 10]]
    }

    /// Groups of two faces or more.
    pub(crate) fn shown(groups: Groups) -> Groups {
        let mut groups: Groups = groups.into_iter().filter(|group| group.len() > 1).collect();
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort_unstable();
        groups
    }

    fn sees<P: Peer>() {
        let faces = obvious();
        assert_eq!(shown(P::defaults(0.5).group(&faces)), obvious_groups(), "{} by default", P::NAME);
        let settings = P::grid();
        let all = P::group_each(&settings, &faces);
        assert!(all.iter().any(|groups| shown(groups.clone()) == obvious_groups()), "{} at its best", P::NAME);
        for (setting, groups) in settings.iter().zip(all) {
            assert_eq!(setting.group(&faces), groups, "{} {}", P::NAME, setting.setting());
            let people = vec![Some(0); faces.len()];
            assert!(crate::scores::score(&people, &groups, Default::default()).is_ok(), "{}", P::NAME);
        }
        assert!(P::defaults(0.5).group(&circle(&[])).is_empty(), "{} of nobody", P::NAME);
        assert!(shown(P::defaults(0.5).group(&circle(&[7.0]))).is_empty(), "{} of one face", P::NAME);
    }

    #[test]
    fn every_method_sees_what_is_obvious() {
        sees::<average_linkage::AverageLinkage>();
        sees::<chinese_whispers::ChineseWhispers>();
        sees::<dbscan::Dbscan>();
        sees::<hdbscan::Hdbscan>();
        sees::<immich::Immich>();
        sees::<photoprism::PhotoPrism>();
    }

    #[test]
    fn steps_include_both_ends() {
        assert_eq!(steps(0.0, 1.0, 3).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
    }
}
