//! Scores groupings of faces against labels. `muster` uses it to judge its own grouping and other methods on labelled
//! faces, and to check models that it converts. It groups nothing by muster's method itself and reads no library.
//!
//! ```text
//! vectors and labels in files (`vectors`) ─┐
//! a caller's own labels (`folders`) ───────┼─► LabelledFaces ─┬─ muster ──► Groups ─┬─ scores ─► report
//! synthetic people (`synthetic`) ──────────┘                  └─ `peers` ─► Groups ─┘
//! ```
//!
//! Labelled faces come from files ([`vectors`]), from a program with labels of its own ([`LabelledFaces::new`]), such
//! as those of [`folders`], or from a seeded world of synthetic people ([`synthetic`]). [`peers`] are the methods of
//! other programs and of textbooks. [`scores`] compares groups with labels, and a [`report`] puts the scores of several
//! methods side by side. docs/evaluation.md defines every figure.

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
