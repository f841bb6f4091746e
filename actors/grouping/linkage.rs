//! Constrained agglomeration of one connected component of the similarity graph.
//!
//! Starts from single faces (or units that a person tied together) and joins the two most similar
//! clusters, again and again. What counts is the quality-weighted mean of the excess over all pairs
//! of two clusters (average linkage, Sokal & Michener 1958), against what is needed for that many
//! pairs: two single faces need more than two groups, whose mean is surer (`evidence.rs`). Three
//! rules stop a join: a constraint (one photo, a person's word), odds below [`Params::caution`],
//! and look-alikes in a library that knows few strangers ([`are_look_alikes`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::domain::gallery::GroupId;
use crate::domain::image::ImageId;
use crate::grouping::evidence::needed;
use crate::grouping::graph::Graph;
use crate::grouping::links::{Link, Links};
use crate::grouping::params::Params;
use crate::grouping::voices::{Score, Sum, are_look_alikes, speakers};

/// What is joined: a face, or faces that a person tied together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    /// Slots of all its faces.
    pub faces: Vec<u32>,
    /// Slots of the faces whose vectors count: the good ones, or all where none is good.
    pub voices: Vec<u32>,
    /// Whether it may bridge: false for contested faces, which only attach.
    pub bridges: bool,
    /// The person that it is, by word of a person: two persons are never joined.
    pub person: Option<GroupId>,
}

struct Cluster {
    items: Vec<usize>,
    sum: Sum,
    photos: Vec<ImageId>,
    speakers: Vec<u32>,
    foes: Vec<usize>,
    person: Option<GroupId>,
    /// Holds an item that may bridge.
    seeded: bool,
    alive: bool,
    /// Neighbouring clusters.
    near: Links,
    /// The likest of the neighbours with larger numbers that it may join.
    best: Option<(Score, Reverse<usize>)>,
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
    /// Single items that stayed alone in the first pass, to the clusters that have grown since.
    Late,
}

/// Joins items (ascending by their smallest face) and returns clusters as lists of item numbers, each ascending.
/// `edges` are pairs of items with an excess, each pair at most a few times; `apart` pairs never end together.
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
            // One pair, and its excess is known.
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
            Pass::Late => {
                let is_alone = |cluster: &Cluster| cluster.items.len() == 1;
                left.seeded && right.seeded && is_alone(left) != is_alone(right)
            }
        };
        if wanted { self.likeness(a, b, link) } else { None }
    }

    /// How far two clusters are above what they need to join; `None` where they are below.
    fn likeness(&self, a: usize, b: usize, link: &Link) -> Option<Score> {
        let (left, right) = (&self.clusters[a].sum, &self.clusters[b].sum);
        let mean = link.total / (left.weight * right.weight);
        let over = mean - needed(self.params, left.faces * right.faces);
        (over >= 0.0).then_some(Score(over))
    }

    /// Two clusters without an edge.
    fn stranger(&self, a: usize, b: usize) -> Link {
        Link { total: self.clusters[a].sum.total(&self.clusters[b].sum), barred: self.barred(a, b), refused: false }
    }

    /// Two faces with an edge.
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

    /// For each item that may not bridge, an item of the seeded cluster that it resembles most.
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

    /// `b` goes into `a`, which is the smaller number.
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

/// A photo in both sorted lists.
pub(crate) fn shared(a: &[ImageId], b: &[ImageId]) -> Option<ImageId> {
    let (small, large) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    small.iter().find(|image| large.binary_search(image).is_ok()).copied()
}
