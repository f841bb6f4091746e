//! How long grouping takes, how good it is and what it costs in memory: `cargo bench -p muster-index --bench grouping`.
//!
//! Synthetic galleries: people on the unit sphere in sizes by Zipf's law, faces spread around them so that two faces of
//! one person have a cosine near 0.6, strangers that appear once (15 %), poor faces (15 %, spread wider), photos of one
//! to three people. Vectors fill a subspace whose size gives two strangers the spread measured on real embeddings
//! (SFace, 128-d: standard deviation 0.092; 512-d models: about 0.06). Each case runs in a process of its own.
//!
//! One case alone, with other parameters: `cargo bench -p muster-index --bench grouping -- 10000 512 contrast=1.0 trials=0`.
//! With `cells=1` neighbours are also looked for in cells, and compared with exact search.

#[path = "world.rs"]
mod world;

use std::collections::{BTreeMap, HashMap};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{FaceVector, GallerySnapshot};
use muster_actors::grouping::calibration::Calibration;
use muster_actors::grouping::cluster::Clustering;
use muster_actors::grouping::{Params, reconcile};
use muster_actors::ports::index::IndexFactory;
use muster_index::FlatFactory;
use rand::Rng;
use world::{SEED, World};

const TRIALS: usize = 300;
/// From so many faces on only the whole is measured, once: more would take an hour.
const MANY: usize = 500_000;

type Failure = Box<dyn std::error::Error>;

/// B-cubed precision, recall and F (Bagga & Baldwin 1998); an ungrouped face is a group of its own.
fn b_cubed(groups: &[Vec<FaceId>], truth: &HashMap<FaceId, usize>) -> (f64, f64, f64) {
    let mut sizes: HashMap<usize, f64> = HashMap::new();
    truth.values().for_each(|person| *sizes.entry(*person).or_default() += 1.0);
    let grouped: usize = groups.iter().map(Vec::len).sum();
    let (mut precision, mut recall) = ((truth.len() - grouped) as f64, 0.0);
    let mut alone = truth.clone();
    for group in groups {
        let mut people: BTreeMap<usize, f64> = BTreeMap::new();
        for face in group {
            alone.remove(face);
            *people.entry(truth[face]).or_default() += 1.0;
        }
        for (person, count) in people {
            precision += count * count / group.len() as f64;
            recall += count * count / sizes[&person];
        }
    }
    recall += alone.values().map(|person| 1.0 / sizes[person]).sum::<f64>();
    let (precision, recall) = (precision / truth.len() as f64, recall / truth.len() as f64);
    (precision, recall, 2.0 * precision * recall / (precision + recall))
}

/// The share of `count` faces that are with the same faces, or with none, in both groupings.
fn share_alike(groups: &[Vec<FaceId>], others: &[Vec<FaceId>], count: usize) -> f64 {
    let home: HashMap<FaceId, &Vec<FaceId>> =
        groups.iter().flat_map(|group| group.iter().map(move |face| (*face, group))).collect();
    let other: HashMap<FaceId, &Vec<FaceId>> =
        others.iter().flat_map(|group| group.iter().map(move |face| (*face, group))).collect();
    let differ = home.iter().filter(|(face, group)| other.get(face) != Some(group)).count();
    let only_there = other.keys().filter(|face| !home.contains_key(face)).count();
    1.0 - (differ + only_there) as f64 / count as f64
}

/// Resident bytes: now, and the most there ever were.
fn resident() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).map_or(0.0, |kb| kb * 1024.0)
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Parameters with some set by hand (`name=value`).
fn tuned(params: &Params, settings: &[(String, f64)]) -> Result<Params, Failure> {
    let mut all = serde_json::to_value(params)?;
    for (name, value) in settings {
        let known = all.get_mut(name).ok_or_else(|| format!("{name} is no parameter of grouping"))?;
        *known = if known.is_f64() { (*value).into() } else { (*value as u64).into() };
    }
    Ok(serde_json::from_value(all)?)
}

fn case(
    count: usize,
    dimensions: usize,
    trials: usize,
    cells: Option<usize>,
    settings: &[(String, f64)],
) -> Result<(), Failure> {
    let mut world = World::new(dimensions);
    let (faces, truth) = world.gallery(count);
    let params = tuned(&Params::around(if dimensions >= 512 { 0.42 } else { 0.38 }), settings)?;
    if count >= MANY {
        return whole(faces, &truth, dimensions, &params);
    }
    let before = resident().0;
    let input = faces.iter().map(|face| face.embedding.capacity() * 4 + size_of::<FaceVector>()).sum::<usize>() as f64;

    let start = Instant::now();
    let calibration = Calibration::learn(&params, dimensions, &faces);
    let learned = start.elapsed();
    let mut kept = Clustering::new(params.clone(), calibration, &FlatFactory)?;
    kept.insert(&faces, &FlatFactory)?;
    let clustered = start.elapsed();
    let groups = kept.partition();
    let whole = start.elapsed();
    // The copy that was handed over is gone; what is left over `before` is the clustering itself.
    let held = (resident().0 - before) / count as f64;
    let (precision, recall, f) = b_cubed(&groups, &truth);
    println!(
        "{count} faces x {dimensions}: {:.2} s (calibration {:.2} s, graph and clusters after it {:.2} s), {} groups of {} people; B-cubed \
         precision {precision:.4}, recall {recall:.4}, F {f:.4}; {:.1} KB a face (the vector alone {:.1} KB)",
        whole.as_secs_f64(),
        learned.as_secs_f64(),
        (clustered - learned).as_secs_f64(),
        groups.len(),
        world.people.len(),
        held / 1024.0,
        input / count as f64 / 1024.0,
    );

    if let Some(cells) = cells {
        let start = Instant::now();
        let mut other = Clustering::new(params.clone(), Calibration::learn(&params, dimensions, &faces), &FlatFactory)?;
        other.search_in_cells_from(cells);
        other.insert(&faces, &FlatFactory)?;
        let time = start.elapsed();
        let found = other.partition();
        let (precision, recall, f) = b_cubed(&found, &truth);
        println!(
            "  in cells: {:.2} s; {:.3} % of faces grouped as by exact search; B-cubed precision {precision:.4}, recall {recall:.4}, \
             F {f:.4}",
            time.as_secs_f64(),
            100.0 * share_alike(&groups, &found, count),
        );
    }

    let (mut inserts, mut partitions) = (Vec::new(), Vec::new());
    for _ in 0..trials {
        let fresh: Vec<_> = (0..5)
            .map(|_| {
                let known = faces[world.rng.random_range(0..faces.len())].id;
                let person = Some(truth[&known]).filter(|person| *person < world.people.len());
                world.face(person)
            })
            .collect();
        let start = Instant::now();
        kept.insert(&fresh, &FlatFactory)?;
        inserts.push(start.elapsed());
        if partitions.len() < 20 {
            let start = Instant::now();
            let groups = kept.partition();
            partitions.push(start.elapsed());
            assert!(!groups.is_empty());
        }
    }
    inserts.sort_unstable();
    partitions.sort_unstable();
    if trials > 0 {
        println!(
            "  five new faces into them: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms ({trials} times); reading all groups {:.1} ms",
            ms(inserts[trials / 2]),
            ms(inserts[trials * 99 / 100]),
            ms(inserts[trials - 1]),
            ms(partitions[partitions.len() / 2]),
        );
    }
    drop(kept);
    if trials > 0 {
        search(&faces, dimensions, params.threshold)?;
    }
    let mut faces = faces;
    faces.sort_by_key(|face| face.id);
    let start = Instant::now();
    let snapshot = GallerySnapshot { faces, ..Default::default() };
    let first = reconcile(snapshot, &params, &FlatFactory)?;
    println!(
        "  reconcile, with ids, covers and centroids: {:.2} s; same groups: {}; peak memory {:.0} MB",
        start.elapsed().as_secs_f64(),
        {
            let mut sets: Vec<_> = first.partition.groups.into_iter().map(|group| group.faces).collect();
            sets.sort_unstable();
            sets == groups
        },
        resident().1 / 1e6,
    );
    Ok(())
}

/// Groups a large gallery, as a worker does that sees it for the first time.
fn whole(
    mut faces: Vec<FaceVector>,
    truth: &HashMap<FaceId, usize>,
    dimensions: usize,
    params: &Params,
) -> Result<(), Failure> {
    let count = faces.len();
    faces.sort_by_key(|face| face.id);
    let start = Instant::now();
    let done = reconcile(GallerySnapshot { faces, ..Default::default() }, params, &FlatFactory)?;
    let time = start.elapsed();
    let peak = resident().1;
    let groups: Vec<_> = done.partition.groups.into_iter().map(|group| group.faces).collect();
    let (precision, recall, f) = b_cubed(&groups, truth);
    println!(
        "{count} faces x {dimensions}: {:.0} s with ids, covers and centroids, {} groups; B-cubed precision \
         {precision:.4}, recall {recall:.4}, F {f:.4}; peak memory {:.0} MB",
        time.as_secs_f64(),
        groups.len(),
        peak / 1e6,
    );
    Ok(())
}

/// How long the index takes for few queries, which it sweeps, and for more, which it multiplies.
fn search(faces: &[FaceVector], dimensions: usize, similarity: f32) -> Result<(), Failure> {
    let mut index = FlatFactory.create(dimensions)?;
    let vectors: Vec<f32> = faces.iter().flat_map(|face| &face.embedding).copied().collect();
    index.add(&vectors)?;
    for queries in [5, 6, 7, 17] {
        let mut times: Vec<_> = (0..20)
            .map(|round| {
                let asked = &vectors[round * queries * dimensions..][..queries * dimensions];
                let start = Instant::now();
                index.range(asked, queries, similarity).map(|_| start.elapsed())
            })
            .collect::<Result<_, _>>()?;
        times.sort_unstable();
        println!("  index, {queries} queries: {:.1} ms", ms(times[times.len() / 2]));
    }
    Ok(())
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{cores} cores, {}; load {}",
        model.trim_start_matches([' ', '\t', ':']),
        load.split(' ').next().unwrap_or("?")
    )
}

/// Runs one case that the command line names, or all.
fn run() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [first, second, settings @ ..] = &words[..] {
        let split =
            |word: &String| Some(word.split_once('=')?).and_then(|(n, v)| Some((n.to_owned(), v.parse().ok()?)));
        let settings = settings.iter().map(|word| split(word).ok_or_else(|| format!("{word}: not name=value").into()));
        let mut settings: Vec<(String, f64)> = settings.collect::<Result<_, Failure>>()?;
        let trials = settings.iter().position(|(name, _)| name == "trials").map(|at| settings.remove(at).1 as usize);
        let cells = settings.iter().position(|(name, _)| name == "cells").map(|at| settings.remove(at).1 as usize);
        return case(first.parse()?, second.parse()?, trials.unwrap_or(TRIALS), cells, &settings);
    }
    println!("machine: {}; seed {SEED}", machine());
    let program = std::env::current_exe()?;
    for (count, dimensions) in [(10_000, 512), (10_000, 128), (100_000, 512), (100_000, 128), (1_000_000, 128)] {
        let words = [count.to_string(), dimensions.to_string()];
        let done = Command::new(&program).args(words).status()?;
        if !done.success() {
            return Err(format!("{count} faces x {dimensions}: {done}").into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
