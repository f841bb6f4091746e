//! Judges groupings of faces by labels.
//!
//! Labelled faces come from files of vectors ([`vectors`]), from a program that has labels of its
//! own ([`LabelledFaces::new`]), such as those of [`folders`], or from a seeded world of synthetic people ([`synthetic`]). Grouped
//! by muster or by [`peers`], which are other programs' and textbooks' ways to group, they are
//! scored ([`scores`]) and set side by side in a [`report`]. docs/evaluation.md defines every
//! figure.

mod bootstrap;
pub mod folders;
mod labelled;
mod labels;
mod npy;
pub mod peers;
pub mod report;
pub mod scores;
mod similarities;
pub mod synthetic;
pub mod vectors;

pub use labelled::LabelledFaces;

/// Groups of faces, each face by its position among the labelled faces. A face in no group is
/// ungrouped.
pub type Groups = Vec<Vec<usize>>;
