//! Constrained agglomerative clustering of one connected component of the similarity graph.
//!
//! It starts from single faces (or units that a person tied together), and joins the two most similar clusters, again
//! and again. The measure is the quality-weighted mean of the excess over all pairs of two clusters (average linkage,
//! Sokal & Michener 1958), compared with what that many pairs need: two single faces need more than two groups, whose
//! mean is more certain (`evidence.rs`). Three rules prevent a join: a constraint (both in one photo, or a person said
//! so), odds below [`Params::caution`], and look-alikes in a library that knows few strangers ([`are_look_alikes`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::domain::gallery::GroupId;
use crate::domain::image::ImageId;
use crate::grouping::evidence::needed;
use crate::grouping::graph::Graph;
use crate::grouping::links::{Link, Links};
use crate::grouping::params::Params;
use crate::grouping::voices::{Score, Sum, are_look_alikes, speakers};

/// A unit of clustering: a face, or faces that a person tied together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    /// Slots of all its faces.
    pub faces: Vec<u32>,
    /// Slots of the faces whose vectors count: the good ones, or all where none is good.
    pub voices: Vec<u32>,
    /// Whether it may connect clusters; contested faces may not, and are only attached.
    pub bridges: bool,
    /// Person to whom people assigned it; two persons are never joined.
    pub person: Option<GroupId>,
}

struct Cluster {
    items: Vec<usize>,
    sum: Sum,
    photos: Vec<ImageId>,
    speakers: Vec<u32>,
    foes: Vec<usize>,
    person: Option<GroupId>,
    /// Whether it holds an item that may connect clusters.
    seeded: bool,
    alive: bool,
    /// Neighbouring clusters.
    near: Links,
    /// The most similar of the neighbours with larger numbers that it may join.
    best: Option<(Score, Reverse<usize>)>,
}

/// The passes of the clustering, by which joins each one makes.
#[derive(Clone, Copy, PartialEq)]
enum Pass {
    /// Joins items that may connect clusters, among themselves.
    Seeds,
    /// Attaches each other item to the one cluster that it resembles most, best first, and one for each photo. If the
    /// cluster has a face in the photo already, the item stays alone: it is the same person a second time in one photo,
    /// so it goes neither to the second most similar person nor into another group of that person.
    Attach,
    /// Joins items that resemble no cluster of the first pass, among themselves.
    Rest,
    /// Joins items that stayed alone in the first pass to the clusters that have grown since.
    Late,
}

/// Clusters items (ascending by their smallest face), and returns each cluster as ascending positions of items. `edges`
/// are pairs of items with their excess, and may repeat a pair a few times. `apart` are pairs that must not end in one
/// cluster.
pub(crate) fn agglomerate(
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
    let mut near = vec![Vec::new(); items.len()];
    for (a, b, excess) in edges.iter().filter(|(a, b, _)| a != b) {
        let link = match (&items[*a].voices[..], &items[*b].voices[..]) {
            // The two clusters are one pair, whose excess is known.
            ([_], [_]) => state.pair(*a, *b, *excess),
            _ => state.stranger(*a, *b),
        };
        near[*a].push((*b, link));
        near[*b].push((*a, link));
    }
    state.clusters.iter_mut().zip(near).for_each(|(cluster, near)| cluster.near = Links::new(near));
    state.run(Pass::Seeds, &vec![None; items.len()]);
    if items.iter().any(|item| !item.bridges) {
        let likest = state.likest();
        state.run(Pass::Attach, &likest);
        state.run(Pass::Rest, &likest);
        state.run(Pass::Late, &likest);
    }
    let mut clusters: Vec<_> = state.clusters.into_iter().filter(|c| c.alive).map(|c| c.items).collect();
    clusters.iter_mut().for_each(|items| items.sort_unstable());
    clusters.sort();
    clusters
}

fn cluster_of(graph: &Graph, number: usize, item: &Item) -> Cluster {
    let mut photos: Vec<_> = item.faces.iter().filter_map(|slot| graph.node(*slot)).map(|node| node.image).collect();
    photos.sort_unstable();
    photos.dedup();
    Cluster {
        items: vec![number],
        sum: Sum::over(graph, &item.voices),
        photos,
        speakers: speakers(graph, item.voices.clone()),
        foes: Vec::new(),
        person: item.person,
        seeded: item.bridges,
        alive: true,
        near: Links::default(),
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
    /// Joins the most similar pair until no pair may join. A heap holds the best partner of each cluster; entries that
    /// are no longer the best are skipped.
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
            if are_look_alikes(self.graph, self.params, &left.speakers, &right.speakers).is_some() {
                self.clusters[a].near.refuse(b);
                self.clusters[b].near.refuse(a);
                self.choose(pass, likest, a, &mut heap);
                continue;
            }
            self.join(a, b);
            self.choose(pass, likest, a, &mut heap);
            for (c, link) in self.clusters[a].near.before(a).to_vec() {
                let new = self.score(pass, likest, c, a, &link).map(|score| (score, Reverse(a)));
                match self.clusters[c].best {
                    Some((_, Reverse(old))) if old == a || old == b => self.choose(pass, likest, c, &mut heap),
                    best if new > best => self.prefer(c, new, &mut heap),
                    _ => {}
                }
            }
            for (c, _) in self.clusters[a].near.after(a).to_vec() {
                if c < b && self.clusters[c].best.is_some_and(|(_, Reverse(old))| old == b) {
                    self.choose(pass, likest, c, &mut heap);
                }
            }
        }
    }

    /// Finds the best partner of a cluster among its neighbours with larger numbers.
    fn choose(&mut self, pass: Pass, likest: &[Option<usize>], a: usize, heap: &mut BinaryHeap<Entry>) {
        let after = self.clusters[a].near.after(a).iter();
        let scored = after.filter_map(|(b, link)| Some((self.score(pass, likest, a, *b, link)?, Reverse(*b))));
        let best = scored.max();
        self.prefer(a, best, heap);
    }

    fn prefer(&mut self, a: usize, best: Option<(Score, Reverse<usize>)>, heap: &mut BinaryHeap<Entry>) {
        self.clusters[a].best = best;
        heap.extend(best.map(|(score, b)| (score, Reverse(a), b)));
    }

    /// Scores the join of two clusters in a pass; `None` where they may not join.
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
            Pass::Late => {
                let is_alone = |cluster: &Cluster| cluster.items.len() == 1;
                left.seeded && right.seeded && is_alone(left) != is_alone(right)
            }
        };
        if wanted { self.likeness(a, b, link) } else { None }
    }

    /// Computes how far the mean excess of two clusters lies above what they need to join; `None` where it is below.
    fn likeness(&self, a: usize, b: usize, link: &Link) -> Option<Score> {
        let (left, right) = (&self.clusters[a].sum, &self.clusters[b].sum);
        let mean = link.total / (left.weight * right.weight);
        let over = mean - needed(self.params, left.faces * right.faces);
        (over >= 0.0).then_some(Score(over))
    }

    /// Builds the link of two clusters without an edge.
    fn stranger(&self, a: usize, b: usize) -> Link {
        Link { total: self.clusters[a].sum.total(&self.clusters[b].sum), barred: self.barred(a, b), refused: false }
    }

    /// Builds the link of two faces with an edge.
    fn pair(&self, a: usize, b: usize, excess: f32) -> Link {
        let total = self.clusters[a].sum.weight * self.clusters[b].sum.weight * excess;
        Link { total, barred: self.barred(a, b), refused: false }
    }

    fn barred(&self, a: usize, b: usize) -> bool {
        let (left, right) = (&self.clusters[a], &self.clusters[b]);
        self.opposed(left, b) || shared(&left.photos, &right.photos).is_some()
    }

    fn opposed(&self, a: &Cluster, b: usize) -> bool {
        a.person.zip(self.clusters[b].person).is_some_and(|(one, other)| one != other)
            || a.foes.iter().any(|item| self.owner[*item] == b)
    }

    /// Returns for each item that may not connect clusters an item of the seeded cluster that it resembles most.
    fn likest(&self) -> Vec<Option<usize>> {
        let best = |n: usize| {
            let one = &self.clusters[n];
            let seeded = one.near.all().iter().filter(|(m, _)| self.clusters[*m].seeded && !self.opposed(one, *m));
            let scored = seeded.filter_map(|(m, link)| Some((self.likeness(n, *m, link)?, Reverse(*m))));
            scored.max().map(|(_, Reverse(m))| m)
        };
        let lone = |n: usize| self.clusters[n].alive && !self.clusters[n].seeded;
        (0..self.clusters.len()).map(|n| if lone(n) { best(n) } else { None }).collect()
    }

    /// Joins cluster `b` into cluster `a`, which has the smaller number.
    fn join(&mut self, a: usize, b: usize) {
        let (kept, joined) = (std::mem::take(&mut self.clusters[a].near), std::mem::take(&mut self.clusters[b].near));
        let mut near = Vec::with_capacity(kept.all().len() + joined.all().len());
        for (c, left, right) in kept.merged(joined).filter(|(c, ..)| ![a, b].contains(c)) {
            let link = left.unwrap_or_else(|| self.stranger(a, c)).with(right.unwrap_or_else(|| self.stranger(b, c)));
            self.clusters[c].near.moved(b, a, link);
            near.push((c, link));
        }
        let gone = &mut self.clusters[b];
        gone.alive = false;
        let (items, sum) = (std::mem::take(&mut gone.items), std::mem::take(&mut gone.sum));
        let (photos, foes) = (std::mem::take(&mut gone.photos), std::mem::take(&mut gone.foes));
        let (voices, seeded, person) = (std::mem::take(&mut gone.speakers), gone.seeded, gone.person);
        items.iter().for_each(|item| self.owner[*item] = a);
        let graph = self.graph;
        let kept = &mut self.clusters[a];
        kept.near = Links::new(near);
        kept.items.extend(items);
        kept.sum.add(&sum);
        kept.photos.extend(photos);
        kept.photos.sort_unstable();
        kept.photos.dedup();
        kept.foes.extend(foes);
        kept.speakers.extend(voices);
        kept.speakers = speakers(graph, std::mem::take(&mut kept.speakers));
        kept.seeded |= seeded;
        kept.person = kept.person.or(person);
    }
}

type Entry = (Score, Reverse<usize>, Reverse<usize>);

/// Returns a photo that is in both sorted lists.
pub(crate) fn shared(a: &[ImageId], b: &[ImageId]) -> Option<ImageId> {
    let (small, large) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    small.iter().find(|image| large.binary_search(image).is_ok()).copied()
}
