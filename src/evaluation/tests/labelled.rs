//! The peers on real vectors, as a check of them: `MUSTER_EVAL` names a folder with
//! `lfw-dev-PACK.npy` and `.csv`. Without it there is nothing to do. In release, because all faces
//! are compared two by two:
//!
//! ```console
//! $ MUSTER_EVAL=FOLDER cargo test --release -p muster-evaluation --test labelled -- --nocapture
//! ```

use std::path::Path;

use muster_actors::grouping::dot::dot;
use muster_actors::grouping::{Params, reconcile};
use muster_actors::ports::index::{Index, IndexError, IndexFactory, Neighbour};
use muster_evaluation::report::Report;
use muster_evaluation::synthetic::{self, LibraryKind};
use muster_evaluation::{LabelledFaces, vectors};

/// Compares each query with every vector.
struct Exhaustive {
    dimensions: usize,
    vectors: Vec<f32>,
}

impl Exhaustive {
    fn near(&self, query: &[f32], least: f32) -> Vec<Neighbour> {
        let all = self.vectors.chunks(self.dimensions).enumerate();
        let all = all.map(|(position, vector)| Neighbour { position, similarity: dot(query, vector) });
        let mut near: Vec<_> = all.filter(|neighbour| neighbour.similarity >= least).collect();
        near.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.position.cmp(&b.position)));
        near
    }
}

impl Index for Exhaustive {
    fn len(&self) -> usize {
        self.vectors.len() / self.dimensions
    }

    fn bytes(&self) -> usize {
        self.vectors.capacity() * size_of::<f32>()
    }

    fn add(&mut self, vectors: &[f32]) -> Result<(), IndexError> {
        self.vectors.extend_from_slice(vectors);
        Ok(())
    }

    fn search(&self, queries: &[f32], k: usize) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        let mut rows = self.range(queries, 0, f32::NEG_INFINITY)?;
        rows.iter_mut().for_each(|row| row.truncate(k));
        Ok(rows)
    }

    fn range(&self, queries: &[f32], _: usize, similarity: f32) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        Ok(queries.chunks(self.dimensions).map(|query| self.near(query, similarity)).collect())
    }
}

struct Factory;

impl IndexFactory for Factory {
    fn create(&self, dimensions: usize) -> Result<Box<dyn Index>, IndexError> {
        Ok(Box::new(Exhaustive { dimensions, vectors: Vec::new() }))
    }
}

/// muster and its peers on these faces.
fn report(library: &str, faces: &LabelledFaces, threshold: f32) -> Report {
    let mut report = Report::new(library, faces);
    let partition = reconcile(faces.snapshot(), &Params::around(threshold), &Factory).unwrap().partition;
    report.add("muster", format!("threshold {threshold}"), faces, &faces.groups(&partition)).unwrap();
    report.add_peers(faces, threshold).unwrap();
    report
}

#[test]
fn peers_on_labelled_vectors() {
    let Some(folder) = std::env::var_os("MUSTER_EVAL") else {
        eprintln!("MUSTER_EVAL is not set: there are no labelled vectors to look at");
        return;
    };
    for (pack, threshold) in [("open", 0.38), ("insightface-s", 0.28)] {
        let file = |end: &str| Path::new(&folder).join(format!("lfw-dev-{pack}.{end}"));
        let faces = vectors::read(&file("npy"), &file("csv")).unwrap();
        println!("{}", report(pack, &faces, threshold).text());
    }
    for kind in [LibraryKind::Children, LibraryKind::Mixed] {
        println!("{}", report(&format!("{kind:?}"), &synthetic::library(kind, 1), 0.38).text());
    }
}
