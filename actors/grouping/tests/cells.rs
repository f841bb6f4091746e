//! Many faces at once are looked for in cells, and end as by exact search.

use super::*;
use crate::grouping::calibration::Calibration;
use crate::grouping::cluster::Clustering;

#[test]
fn nearly_all_faces_are_grouped_as_by_exact_search() {
    let mut rng = Rng(21);
    let people: Vec<_> = (0..250).map(|_| rng.direction(64)).collect();
    let mut faces: Vec<_> = (0..1_500).map(|n| face(n, n, near(&mut rng, &people[n % 250], 0.75), 0.9)).collect();
    faces.extend((1_500..2_000).map(|n| face(n, n, rng.direction(64), 0.9)));
    // They come later, when all are compared.
    let late: Vec<_> = (2_000..2_010).map(|n| face(n, n, near(&mut rng, &people[n % 250], 0.75), 0.9)).collect();
    let groups = |cells_from: usize| {
        let calibration = Calibration::learn(&Params::default(), 64, &faces);
        let mut clustering = Clustering::new(Params::default(), calibration, &ScanFactory).expect("an index");
        clustering.search_in_cells_from(cells_from);
        clustering.insert(&faces, &ScanFactory).expect("equal dimensions");
        clustering.remove(&[faces[0].id, faces[1_700].id], &ScanFactory).expect("faces that go");
        clustering.insert(&late, &ScanFactory).expect("equal dimensions");
        clustering.partition()
    };
    let (exact, cells) = (groups(usize::MAX), groups(0));
    assert!(exact.len() >= 240, "{} groups", exact.len());
    let same = exact.iter().filter(|group| cells.contains(group)).map(Vec::len).sum::<usize>();
    let all = exact.iter().map(Vec::len).sum::<usize>();
    assert!(same * 100 >= all * 99, "{same} of {all} faces are with the same faces");
    assert!(late.iter().all(|face| cells.iter().any(|group| group.contains(&face.id))), "late faces find their people");
    assert_eq!(groups(0), cells, "the same each time");
}
