//! Constrained agglomeration of one connected component of the similarity graph.
//!
//! Starts from single faces (or units that a person tied together) and joins the two most similar clusters, again and
//! again. Similarity of two clusters is four parts their quality-weighted average linkage (Sokal & Michener 1958) and one
//! part their strongest edge: the average alone lets two look-alike photos of two people join before either finds its own
//! person, the strongest edge alone chains. Three rules stop a join: a constraint (one photo, a person's word), an
//! average below [`Params::linkage`], and [`contrast`] between two established clusters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::grouper::graph::{Graph, dot};
use crate::grouper::params::Params;
use crate::image::ImageId;

/// Faces that speak for a cluster in [`contrast`]: enough for a stable mean, few enough for a quick one.
const SPEAKERS: usize = 24;
/// Faces that [`contrast`] needs on either side to judge.
const ESTABLISHED: usize = 3;
/// A small side says little: [`contrast`] is less by this over the number of its pairs.
const SMALL_SIDE: f32 = 1.5;
/// Share of the average in the similarity of two clusters; the rest is their strongest edge.
const AVERAGE: f32 = 0.8;

/// What is joined: a face, or faces that a person tied together.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Slots of all its faces.
    pub faces: Vec<u32>,
    /// Slots of the faces whose vectors count: the good ones, or all where none is good.
    pub voices: Vec<u32>,
    /// Whether it may bridge: false for contested faces, which only attach.
    pub bridges: bool,
}

/// A finite figure with a total order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Score(f32);
impl Eq for Score {}
impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The weight of a face in averages: its quality, never nothing.
pub fn weight(graph: &Graph, slot: u32) -> f32 {
    graph.node(slot).map_or(0.0, |node| if node.quality > 0.05 { node.quality.min(1.0) } else { 0.05 })
}

/// Quality-weighted sum of vectors, and the sum of the weights.
pub fn weighted_sum(graph: &Graph, slots: &[u32]) -> (Vec<f32>, f32) {
    let (mut sum, mut total) = (vec![0.0; graph.dimensions()], 0.0);
    for slot in slots {
        let w = weight(graph, *slot);
        total += w;
        sum.iter_mut().zip(graph.vector(*slot)).for_each(|(s, v)| *s += w * v);
    }
    (sum, total)
}

/// The best faces of a cluster, best first.
pub fn speakers(graph: &Graph, mut slots: Vec<u32>) -> Vec<u32> {
    let key = |slot: &u32| graph.node(*slot).map(|node| (Reverse(Score(node.quality)), node.id));
    slots.sort_by_cached_key(key);
    slots.truncate(SPEAKERS);
    slots
}

/// How many standard deviations the similarities between two clusters lie below those within them (d' with pooled
/// variance), less where a side is small. Shots of one moment count as `near_duplicate` and no nearer. `None` where either has too few faces.
pub fn contrast(graph: &Graph, a: &[u32], b: &[u32], near_duplicate: f32) -> Option<f32> {
    if a.len().min(b.len()) < ESTABLISHED {
        return None;
    }
    let within = |slots: &[u32]| {
        let pairs = slots.iter().enumerate().flat_map(|(n, x)| slots[..n].iter().map(|y| graph.similarity(*x, *y)));
        pairs.map(|similarity| similarity.min(near_duplicate)).collect::<Vec<f32>>()
    };
    let (mut inside, others) = (within(a), within(b));
    let pairs = inside.len().min(others.len()) as f32;
    inside.extend(others);
    let between: Vec<f32> = a.iter().flat_map(|x| b.iter().map(|y| graph.similarity(*x, *y))).collect();
    let moments = |values: &[f32]| {
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n)
    };
    let ((inner, inner_variance), (outer, outer_variance)) = (moments(&inside), moments(&between));
    let deviation = ((inner_variance + outer_variance) / 2.0).sqrt().max(1e-3);
    Some((inner - outer) / deviation * (1.0 - SMALL_SIDE / pairs))
}

struct Cluster {
    items: Vec<usize>,
    sum: Vec<f32>,
    weight: f32,
    photos: Vec<ImageId>,
    speakers: Vec<u32>,
    foes: Vec<usize>,
    /// Holds an item that may bridge.
    seeded: bool,
    alive: bool,
    /// Neighbouring clusters.
    near: BTreeMap<usize, Link>,
    /// The likest of the neighbours with larger numbers that it may join.
    best: Option<(Score, Reverse<usize>)>,
}

/// What is known of two neighbouring clusters; for a join it is the sum of what was known of the parts.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The strongest edge between them.
    strongest: f32,
    /// Quality-weighted sum over all their pairs.
    total: f32,
    /// Whether a photo or a person's word keeps them apart.
    barred: bool,
    /// Whether [`contrast`] refused them as they are.
    refused: bool,
}

impl Link {
    fn with(self, other: Self) -> Self {
        Self {
            strongest: self.strongest.max(other.strongest),
            total: self.total + other.total,
            barred: self.barred || other.barred,
            refused: false,
        }
    }
}

/// Which joins a pass makes.
#[derive(Clone, Copy, PartialEq)]
enum Pass {
    /// Items that may bridge, among themselves.
    Seeds,
    /// Each of the others to the one cluster it resembles most, one a photo, best first. Who finds the place of its
    /// photo taken stays alone: it is the same person a second time in one photo, and neither the second-likest person
    /// nor a second group of that person.
    Attach,
    /// What resembles no cluster of the first pass, among itself.
    Rest,
}

/// Joins items (ascending by their smallest face) and returns clusters as lists of item numbers, each ascending.
/// `edges` are pairs of items with a similarity, each pair at most a few times; `apart` pairs never end together.
pub fn agglomerate(
    graph: &Graph,
    items: &[Item],
    edges: &[(usize, usize, f32)],
    apart: &[(usize, usize)],
    params: &Params,
) -> Vec<Vec<usize>> {
    let mut state = State { graph, params, owner: (0..items.len()).collect(), clusters: Vec::new() };
    state.clusters = items.iter().enumerate().map(|(n, item)| cluster_of(graph, n, item)).collect();
    for (a, b) in apart {
        state.clusters[*a].foes.push(*b);
        state.clusters[*b].foes.push(*a);
    }
    for (a, b, similarity) in edges.iter().filter(|(a, b, _)| a != b) {
        let known = state.clusters[*a].near.get(b).copied();
        let mut link = known.unwrap_or_else(|| state.stranger(*a, *b));
        link.strongest = link.strongest.max(*similarity);
        state.clusters[*a].near.insert(*b, link);
        state.clusters[*b].near.insert(*a, link);
    }
    state.run(Pass::Seeds, &vec![None; items.len()]);
    if items.iter().any(|item| !item.bridges) {
        let likest = state.likest();
        state.run(Pass::Attach, &likest);
        state.run(Pass::Rest, &likest);
    }
    let mut clusters: Vec<_> = state.clusters.into_iter().filter(|c| c.alive).map(|c| c.items).collect();
    clusters.iter_mut().for_each(|items| items.sort_unstable());
    clusters.sort();
    clusters
}

fn cluster_of(graph: &Graph, number: usize, item: &Item) -> Cluster {
    let (sum, weight) = weighted_sum(graph, &item.voices);
    let mut photos: Vec<_> = item.faces.iter().filter_map(|slot| graph.node(*slot)).map(|node| node.image).collect();
    photos.sort_unstable();
    photos.dedup();
    Cluster {
        items: vec![number],
        sum,
        weight,
        photos,
        speakers: speakers(graph, item.voices.clone()),
        foes: Vec::new(),
        seeded: item.bridges,
        alive: true,
        near: BTreeMap::new(),
        best: None,
    }
}

struct State<'a> {
    graph: &'a Graph,
    params: &'a Params,
    owner: Vec<usize>,
    clusters: Vec<Cluster>,
}

impl State<'_> {
    /// Joins the likest pair until none may join. A heap holds the best partner of each cluster; an entry that is no
    /// longer its cluster's best is passed over.
    fn run(&mut self, pass: Pass, likest: &[Option<usize>]) {
        let mut heap = BinaryHeap::new();
        for a in 0..self.clusters.len() {
            self.choose(pass, likest, a, &mut heap);
        }
        while let Some((score, Reverse(a), Reverse(b))) = heap.pop() {
            let (left, right) = (&self.clusters[a], &self.clusters[b]);
            if !left.alive || left.best != Some((score, Reverse(b))) {
                continue;
            }
            let between = contrast(self.graph, &left.speakers, &right.speakers, self.params.near_duplicate);
            if between.is_some_and(|deviations| deviations > self.params.contrast) {
                for (from, to) in [(a, b), (b, a)] {
                    self.clusters[from].near.entry(to).and_modify(|link| link.refused = true);
                }
                self.choose(pass, likest, a, &mut heap);
                continue;
            }
            self.join(a, b);
            self.choose(pass, likest, a, &mut heap);
            let before: Vec<_> = self.clusters[a].near.range(..a).map(|(c, link)| (*c, *link)).collect();
            for (c, link) in before {
                let new = self.score(pass, likest, c, a, &link).map(|score| (score, Reverse(a)));
                match self.clusters[c].best {
                    Some((_, Reverse(old))) if old == a || old == b => self.choose(pass, likest, c, &mut heap),
                    best if new > best => self.prefer(c, new, &mut heap),
                    _ => {}
                }
            }
            let between: Vec<_> = self.clusters[a].near.range(a + 1..b).map(|(c, _)| *c).collect();
            for c in between {
                if self.clusters[c].best.is_some_and(|(_, Reverse(old))| old == b) {
                    self.choose(pass, likest, c, &mut heap);
                }
            }
        }
    }

    /// Finds the best partner of a cluster among its neighbours with larger numbers.
    fn choose(&mut self, pass: Pass, likest: &[Option<usize>], a: usize, heap: &mut BinaryHeap<Entry>) {
        let after = self.clusters[a].near.range(a + 1..);
        let scored = after.filter_map(|(b, link)| Some((self.score(pass, likest, a, *b, link)?, Reverse(*b))));
        let best = scored.max();
        self.prefer(a, best, heap);
    }

    fn prefer(&mut self, a: usize, best: Option<(Score, Reverse<usize>)>, heap: &mut BinaryHeap<Entry>) {
        self.clusters[a].best = best;
        heap.extend(best.map(|(score, b)| (score, Reverse(a), b)));
    }

    /// How much two clusters want to join in a pass; `None` where they may not.
    fn score(&self, pass: Pass, likest: &[Option<usize>], a: usize, b: usize, link: &Link) -> Option<Score> {
        if link.barred || link.refused {
            return None;
        }
        let (left, right) = (&self.clusters[a], &self.clusters[b]);
        let wanted = match pass {
            Pass::Seeds => left.seeded && right.seeded,
            Pass::Attach => {
                let (lone, seeded) = if left.seeded { (b, a) } else { (a, b) };
                left.seeded != right.seeded && likest[lone].is_some_and(|item| self.owner[item] == seeded)
            }
            Pass::Rest => {
                let new = |n: usize| !self.clusters[n].seeded && likest[n].is_none();
                new(a) && new(b)
            }
        };
        let average = link.total / (left.weight * right.weight);
        (wanted && average >= self.params.linkage).then(|| Score(likeness(average, link.strongest)))
    }

    /// Two clusters without an edge.
    fn stranger(&self, a: usize, b: usize) -> Link {
        let (left, right) = (&self.clusters[a], &self.clusters[b]);
        Link {
            strongest: f32::NEG_INFINITY,
            total: dot(&left.sum, &right.sum),
            barred: self.opposed(left, b) || shared(&left.photos, &right.photos).is_some(),
            refused: false,
        }
    }

    fn opposed(&self, a: &Cluster, b: usize) -> bool {
        a.foes.iter().any(|item| self.owner[*item] == b)
    }

    /// For each item that may not bridge, an item of the seeded cluster that it resembles most.
    fn likest(&self) -> Vec<Option<usize>> {
        let best = |n: usize| {
            let one = &self.clusters[n];
            let seeded = one.near.iter().filter(|(m, _)| self.clusters[**m].seeded && !self.opposed(one, **m));
            let scored = seeded.filter_map(|(m, link)| {
                let average = link.total / (one.weight * self.clusters[*m].weight);
                (average >= self.params.linkage).then(|| (Score(likeness(average, link.strongest)), Reverse(*m)))
            });
            scored.max().map(|(_, Reverse(m))| m)
        };
        let lone = |n: usize| self.clusters[n].alive && !self.clusters[n].seeded;
        (0..self.clusters.len()).map(|n| if lone(n) { best(n) } else { None }).collect()
    }

    /// `b` goes into `a`, which is the smaller number.
    fn join(&mut self, a: usize, b: usize) {
        let mut near = std::mem::take(&mut self.clusters[a].near);
        let mut joined = std::mem::take(&mut self.clusters[b].near);
        near.remove(&b);
        joined.remove(&a);
        for (c, link) in &mut near {
            *link = link.with(joined.remove(c).unwrap_or_else(|| self.stranger(b, *c)));
            self.clusters[*c].near.remove(&b);
            self.clusters[*c].near.insert(a, *link);
        }
        for (c, link) in joined {
            let link = link.with(self.stranger(a, c));
            self.clusters[c].near.remove(&b);
            self.clusters[c].near.insert(a, link);
            near.insert(c, link);
        }
        let gone = &mut self.clusters[b];
        gone.alive = false;
        let (items, sum, weight) = (std::mem::take(&mut gone.items), std::mem::take(&mut gone.sum), gone.weight);
        let (photos, foes) = (std::mem::take(&mut gone.photos), std::mem::take(&mut gone.foes));
        let (voices, seeded) = (std::mem::take(&mut gone.speakers), gone.seeded);
        items.iter().for_each(|item| self.owner[*item] = a);
        let graph = self.graph;
        let kept = &mut self.clusters[a];
        kept.near = near;
        kept.items.extend(items);
        kept.sum.iter_mut().zip(&sum).for_each(|(s, v)| *s += v);
        kept.weight += weight;
        kept.photos.extend(photos);
        kept.photos.sort_unstable();
        kept.photos.dedup();
        kept.foes.extend(foes);
        kept.speakers.extend(voices);
        kept.speakers = speakers(graph, std::mem::take(&mut kept.speakers));
        kept.seeded |= seeded;
    }
}

type Entry = (Score, Reverse<usize>, Reverse<usize>);

/// By which the likest clusters join first.
pub fn likeness(average: f32, strongest: f32) -> f32 {
    AVERAGE * average + (1.0 - AVERAGE) * strongest
}

/// A photo in both sorted lists.
pub fn shared(a: &[ImageId], b: &[ImageId]) -> Option<ImageId> {
    let (small, large) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    small.iter().find(|image| large.binary_search(image).is_ok()).copied()
}
