//! The clustering of a gallery, kept up to date as faces and facts come and go.
//!
//! The result depends on the set of faces and facts, never on their order: the graph does ([`crate::grouping::graph`]),
//! and each connected component of it is clustered on its own, from scratch, in the order of face ids (`linkage.rs`). A
//! change costs a search for the new faces and the clustering of the components that they touch. Faces of poor quality
//! connect nothing: each is attached to the group that it resembles most.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::capture::is_one_picture;
use crate::domain::face::FaceId;
use crate::domain::gallery::{FaceVector, GroupId};
use crate::domain::image::ImageId;
use crate::grouping::calibration::Calibration;
use crate::grouping::constraints::Constraints;
use crate::grouping::evidence::needed;
use crate::grouping::graph::{Graph, Inserted};
use crate::grouping::heap_size;
use crate::grouping::linkage::{Item, agglomerate};
use crate::grouping::moments::Moments;
use crate::grouping::params::Params;
use crate::grouping::units::Units;
use crate::grouping::voices::Sum;
use crate::ports::index::{IndexError, IndexFactory};

/// The cluster to which a poor face wants to be attached.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Claim {
    cluster: u32,
    score: f32,
}

/// A clustering with its graph.
pub struct Clustering {
    params: Params,
    graph: Graph,
    constraints: Constraints,
    moments: Moments,
    /// Cluster of each slot; the smallest slot of a cluster is its number.
    cluster: Vec<Option<u32>>,
    members: HashMap<u32, Vec<u32>>,
    claims: HashMap<u32, Claim>,
    /// Scratch space of an update: which slots were reached, then the item of each slot. Between updates every entry is
    /// [`UNSEEN`].
    place: Vec<u32>,
}

/// Cosine similarity from which two vectors are of one shot: the same file twice, another size or encoding, or a frame
/// of a burst. Two shots of a person at two moments do not reach it (docs/grouping.md).
const COPY: f32 = 0.97;

/// Cosine similarity from which two vectors are of one picture when its hash says so too. It is lower because a small
/// copy shows the face in fewer pixels.
const COPY_OF_PICTURE: f32 = 0.85;

/// Marks a slot that was not reached.
const UNSEEN: u32 = u32::MAX;

impl Clustering {
    /// Creates an empty clustering for vectors that `calibration` fits.
    ///
    /// # Errors
    /// The factory cannot create an index.
    pub fn new(params: Params, calibration: Calibration, factory: &dyn IndexFactory) -> Result<Self, IndexError> {
        let graph = Graph::new(calibration, params.edge, params.k, factory)?;
        Ok(Self {
            params,
            graph,
            constraints: Constraints::default(),
            moments: Moments::default(),
            cluster: Vec::new(),
            members: HashMap::new(),
            claims: HashMap::new(),
            place: Vec::new(),
        })
    }

    /// Searches in cells when at least `faces` faces come at once into an empty clustering; such a search is faster and
    /// finds most neighbours. This is for measurements; the default is 200,000.
    pub fn search_in_cells_from(&mut self, faces: usize) {
        self.graph.set_many(faces);
    }

    /// Returns the bytes that the clustering keeps on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        let Self { graph, constraints, moments, cluster, members, claims, place, params: _ } = self;
        let of_slots = heap_size::vec(cluster) + heap_size::vec(place);
        let tables = heap_size::map_of_vecs(members) + heap_size::map(claims);
        graph.heap_size() + constraints.heap_size() + moments.heap_size() + of_slots + tables
    }

    /// Returns the graph.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the constraints that people set.
    pub(crate) fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// Returns the parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Adds faces. A face that is here already changes nothing; one that differs replaces the old one.
    ///
    /// # Errors
    /// [`IndexError::Dimensions`] when a vector has another length than those of the calibration;
    /// [`IndexError::Failed`] when the index fails.
    pub fn insert(&mut self, faces: &[FaceVector], factory: &dyn IndexFactory) -> Result<(), IndexError> {
        // Photos that faces leave because they are in another photo now.
        let image = |face: &FaceVector| Some(self.graph.node(self.graph.slot(face.id)?)?.image);
        let moved = |face: &FaceVector| image(face).filter(|image| *image != face.image);
        let mut images: BTreeSet<ImageId> = faces.iter().filter_map(moved).collect();
        let Inserted { touched, fresh } = self.graph.insert(faces, factory)?;
        self.cluster.resize(self.graph.slots(), None);
        let node = |id: &FaceId| self.graph.node(self.graph.slot(*id)?);
        images.extend(fresh.iter().filter_map(node).map(|node| node.image));
        self.follow(touched, &fresh, &images, &[]);
        Ok(())
    }

    /// Removes faces. Unknown ids are ignored.
    ///
    /// # Errors
    /// [`IndexError`] when the index fails while neighbours are searched again.
    pub fn remove(&mut self, ids: &[FaceId], factory: &dyn IndexFactory) -> Result<(), IndexError> {
        let gone: Vec<_> = ids.iter().filter_map(|id| self.graph.slot(*id)).collect();
        let node = |id: &FaceId| self.graph.node(self.graph.slot(*id)?);
        let images: BTreeSet<ImageId> = ids.iter().filter_map(node).map(|node| node.image).collect();
        let mut touched = self.graph.remove(ids, factory)?;
        for slot in gone {
            self.claims.remove(&slot);
            if let Some(key) = self.cluster[slot as usize].take() {
                touched.extend(self.members.remove(&key).unwrap_or_default());
            }
        }
        self.follow(touched, ids, &images, ids);
        Ok(())
    }

    /// Updates moments and clusters after slots were touched and faces of some photos were added or removed; `gone` are
    /// the removed ones.
    fn follow(&mut self, mut touched: Vec<u32>, faces: &[FaceId], images: &BTreeSet<ImageId>, gone: &[FaceId]) {
        let stirred = self.moments.update(&self.graph, &self.params, &self.constraints, images, gone);
        touched.extend(self.reach(faces.iter().chain(&stirred)));
        self.update(&touched);
    }

    /// Sets the constraints that people's statements put on the clusters.
    pub(crate) fn constrain(&mut self, constraints: Constraints) {
        let mut spoken = self.constraints.differing(&constraints);
        self.constraints = constraints;
        if !spoken.is_empty() {
            spoken.extend(self.moments.settle(&self.graph, &self.params, &self.constraints, &spoken));
            let touched = self.reach(&spoken);
            self.update(&touched);
        }
    }

    /// Returns the groups with at least [`Params::min_size`] faces, and those of persons of any size. Members ascend,
    /// and groups are ordered by their smallest member.
    pub fn partition(&self) -> Vec<Vec<FaceId>> {
        let mut groups: BTreeMap<u32, Vec<u32>> = self.members.iter().map(|(key, all)| (*key, all.clone())).collect();
        let mut seats: BTreeSet<(u32, ImageId)> = BTreeSet::new();
        let mut claims: Vec<_> = self.claims.iter().collect();
        claims.sort_by(|(a, x), (b, y)| y.score.total_cmp(&x.score).then_with(|| self.id(**a).cmp(&self.id(**b))));
        for (slot, claim) in claims {
            let (Some(node), Some(group)) = (self.graph.node(*slot), groups.get_mut(&claim.cluster)) else { continue };
            let apart = |other: &u32| self.id(*other).is_some_and(|id| self.constraints.said_apart(node.id, id));
            if !group.iter().any(apart) && seats.insert((claim.cluster, node.image)) {
                group.push(*slot);
            }
        }
        let is_person = |slot: &u32| self.person(*slot).is_some();
        let is_shown = |group: &Vec<u32>| {
            let least = self.params.min_size.max(1);
            (group.len() >= least && self.shots(group) >= least) || group.iter().any(is_person)
        };
        let mut groups: Vec<Vec<FaceId>> = groups
            .into_values()
            .filter(is_shown)
            .map(|group| group.into_iter().filter_map(|slot| self.id(slot)).collect())
            .collect();
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort_unstable();
        groups
    }

    fn id(&self, slot: u32) -> Option<FaceId> {
        self.graph.node(slot).map(|node| node.id)
    }

    /// Returns the person to whom people assigned the face in a slot.
    fn person(&self, slot: u32) -> Option<GroupId> {
        self.constraints.person(self.id(slot)?)
    }

    /// Returns the slots of all faces that people assigned to the same person as this face, itself included; none where
    /// nobody assigned it.
    fn mates(&self, id: FaceId) -> impl Iterator<Item = u32> + '_ {
        self.constraints.unit(id).unwrap_or_default().iter().filter_map(|mate| self.graph.slot(*mate))
    }

    /// Returns the faces that are one person with this one in one moment, itself included.
    pub(crate) fn moment(&self, id: FaceId) -> &[FaceId] {
        self.moments.faces(id)
    }

    /// Returns the slots of some faces, of the faces tied to them, and of all their neighbours, whose clusters may
    /// change.
    fn reach<'a>(&self, ids: impl IntoIterator<Item = &'a FaceId>) -> Vec<u32> {
        let (mut slots, mut units, mut persons) = (HashSet::new(), HashSet::new(), HashSet::new());
        for id in ids {
            slots.extend(self.graph.slot(*id));
            if self.constraints.person(*id).is_some_and(|person| persons.insert(person)) {
                slots.extend(self.mates(*id));
            }
            let unit = self.moment(*id);
            if unit.first().is_some_and(|first| units.insert(*first)) {
                slots.extend(unit.iter().filter_map(|ally| self.graph.slot(*ally)));
            }
        }
        let near: Vec<u32> = slots.iter().flat_map(|slot| self.graph.edges(*slot)).map(|edge| edge.to).collect();
        slots.extend(near);
        let mut slots: Vec<u32> = slots.into_iter().collect();
        slots.sort_unstable();
        slots
    }

    /// Returns whether the quality of a face lets it connect clusters.
    pub(crate) fn is_core(&self, slot: u32) -> bool {
        self.graph.node(slot).is_some_and(|node| node.quality >= self.params.core_quality)
    }

    /// Returns whether the vector of a face counts in clustering. It does when its quality is good, or when the face is
    /// tied to others of which none is good.
    pub(crate) fn is_voice(&self, slot: u32) -> bool {
        self.is_core(slot)
            || self.id(slot).is_some_and(|id| {
                let unit = self.moments.unit(id);
                (self.constraints.person(id).is_some() || unit.is_some())
                    && !unit.is_some_and(|unit| unit.has_good)
                    && !self.mates(id).any(|mate| self.is_core(mate))
            })
    }

    /// Returns whether another good face of the same photo looks like this one.
    pub(crate) fn is_contested(&self, slot: u32) -> bool {
        self.graph.node(slot).is_some_and(|node| {
            let alike = |other: &u32| self.graph.excess(slot, *other) >= self.params.contested;
            self.is_core(slot)
                && self.graph.photo(node.image).iter().any(|o| *o != slot && self.is_core(*o) && alike(o))
        })
    }

    /// Returns the neighbours through which a face connects to others, with the excess.
    fn links(&self, slot: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        let voice = self.is_voice(slot);
        let near = self.graph.edges(slot).filter(move |_| voice);
        near.filter(|edge| self.is_voice(edge.to)).map(|edge| (edge.to, edge.excess))
    }

    fn is_free(&self, slot: u32) -> bool {
        !self.is_voice(slot)
            && self.id(slot).is_none_or(|id| self.constraints.person(id).is_none() && self.moments.unit(id).is_none())
    }

    /// Clusters the components of the touched slots again, and lets the poor faces near them choose a cluster again.
    fn update(&mut self, touched: &[u32]) {
        let mut place = std::mem::take(&mut self.place);
        place.resize(self.graph.slots(), UNSEEN);
        let mut poor: BTreeSet<u32> = BTreeSet::new();
        let mut components = Vec::new();
        for start in touched.iter().copied().filter(|slot| self.graph.node(*slot).is_some()) {
            if self.is_free(start) {
                poor.insert(start);
            } else if place[start as usize] == UNSEEN {
                components.push(self.component(start, &mut place));
            }
        }
        for slot in touched.iter().chain(components.iter().flatten()) {
            place[*slot as usize] = UNSEEN;
            self.claims.remove(slot);
            if let Some(key) = self.cluster[*slot as usize].take() {
                self.members.remove(&key);
            }
        }
        for component in &components {
            for cluster in self.clusters(component, &mut place) {
                let Some(key) = cluster.iter().min().copied() else { continue };
                cluster.iter().for_each(|slot| self.cluster[*slot as usize] = Some(key));
                self.members.insert(key, cluster);
            }
        }
        for slot in components.iter().flatten() {
            poor.extend(self.graph.edges(*slot).map(|edge| edge.to).filter(|slot| self.is_free(*slot)));
        }
        self.place = place;
        let mut sums = HashMap::new();
        for slot in poor {
            match self.claim(slot, &mut sums) {
                Some(claim) => self.claims.insert(slot, claim),
                None => self.claims.remove(&slot),
            };
        }
    }

    fn component(&self, start: u32, place: &mut [u32]) -> Vec<u32> {
        place[start as usize] = 0;
        let mut all = vec![start];
        let (mut next, mut persons) = (0, HashSet::new());
        while let Some(slot) = all.get(next).copied() {
            next += 1;
            // Faces that are tied to this one belong to the component: those of its person, and of its moment.
            let id = self.id(slot);
            let is_new = self.person(slot).is_some_and(|person| persons.insert(person));
            let mates = id.filter(|_| is_new).into_iter().flat_map(|id| self.mates(id));
            let of_moment = id.map(|id| self.moment(id)).unwrap_or_default();
            let of_moment = of_moment.iter().filter_map(|ally| self.graph.slot(*ally));
            for other in mates.chain(of_moment).chain(self.links(slot).map(|(to, _)| to)) {
                if place[other as usize] == UNSEEN {
                    place[other as usize] = 0;
                    all.push(other);
                }
            }
        }
        all.sort_by_cached_key(|slot| self.id(*slot));
        all
    }

    /// Returns the clusters of a component (ascending by face id), as slots.
    fn clusters(&self, component: &[u32], place: &mut [u32]) -> Vec<Vec<u32>> {
        if let [alone] = component {
            return vec![vec![*alone]];
        }
        let mut items = Vec::new();
        for faces in self.units(component) {
            faces.iter().for_each(|face| place[*face as usize] = items.len() as u32);
            let mut voices: Vec<_> = faces.iter().copied().filter(|face| self.is_voice(*face)).collect();
            self.keep_best_shots(&mut voices);
            let bridges = voices.iter().any(|face| self.is_core(*face) && !self.is_contested(*face));
            let person = faces.iter().find_map(|face| self.person(*face));
            items.push(Item { faces, voices, bridges, person });
        }
        let item = |slot: u32| Some(place[slot as usize]).filter(|item| *item != UNSEEN).map(|item| item as usize);
        let mut edges = Vec::new();
        let mut apart = Vec::new();
        for slot in component {
            let Some(from) = item(*slot) else { continue };
            let near = self.links(*slot).filter_map(|(to, excess)| Some((from, item(to)?, excess)));
            edges.extend(near.filter(|(from, to, _)| from < to));
            if let Some(id) = self.id(*slot) {
                let foes = self.constraints.apart.range((id, FaceId([0; 16]))..=(id, FaceId([255; 16])));
                apart.extend(foes.filter_map(|(_, foe)| Some((from, item(self.graph.slot(*foe)?)?))));
            }
        }
        component.iter().for_each(|slot| place[*slot as usize] = UNSEEN);
        let clusters = agglomerate(&self.graph, &items, &edges, &apart, &self.params);
        clusters.into_iter().map(|c| c.into_iter().flat_map(|item| items[item].faces.clone()).collect()).collect()
    }

    /// Returns the faces of a component (ascending by face id) in units that stay together: faces that a person tied
    /// together, faces that are one person in one moment, and copies of one shot.
    fn units(&self, component: &[u32]) -> Vec<Vec<u32>> {
        let mut units = Units::new(component);
        for slot in component {
            let first = self.id(*slot).and_then(|id| self.mates(id).next());
            first.into_iter().for_each(|mate| units.unite(*slot, mate));
        }
        let image = |slot: u32| self.graph.node(slot).map(|node| node.image);
        let are_two = |a: u32, b: u32| {
            let said = self.id(a).zip(self.id(b)).is_some_and(|(a, b)| self.constraints.said_apart(a, b));
            said || image(a) == image(b)
        };
        for slot in component {
            let of_moment = self.id(*slot).map(|id| self.moment(id)).unwrap_or_default();
            for other in of_moment.iter().filter_map(|id| self.graph.slot(*id)).chain(self.copies(*slot)) {
                let (own, theirs) = (units.get(*slot), units.get(other));
                if !std::ptr::eq(own, theirs) && own.iter().all(|a| theirs.iter().all(|b| !are_two(*a, *b))) {
                    units.unite(*slot, other);
                }
            }
        }
        units.into_sets()
    }

    /// Returns the voices in other photos that show the same shot. Faces of a collage, which are in one photo, do not
    /// count as copies: several of them would tear their person apart.
    fn copies(&self, slot: u32) -> impl Iterator<Item = u32> + '_ {
        let picture = move |slot: u32| {
            let capture = self.graph.node(slot)?.capture;
            Some((capture.picture?, capture.taken))
        };
        let own = picture(slot);
        let is_same = move |to: u32| own.zip(picture(to)).is_some_and(|(a, b)| is_one_picture(a, b));
        let least = move |to: u32| if is_same(to) { COPY_OF_PICTURE } else { COPY };
        let near = self.links(slot).map(|(to, _)| to).filter(move |to| self.graph.similarity(slot, *to) >= least(*to));
        let mut near = near.peekable();
        let collage = near.peek().is_some() && self.is_contested(slot);
        near.filter(move |to| !collage && !self.is_contested(*to))
    }

    /// Keeps the best voice of each shot, because copies are no additional evidence.
    fn keep_best_shots(&self, voices: &mut Vec<u32>) {
        if voices.len() < 2 {
            return;
        }
        let mut shots = Units::new(voices);
        for slot in voices.iter() {
            self.copies(*slot).for_each(|copy| shots.unite(*slot, copy));
            let of_moment = self.id(*slot).map(|id| self.moment(id)).unwrap_or_default();
            let others = of_moment.iter().filter_map(|id| self.graph.slot(*id));
            let alike = others.filter(|other| self.graph.similarity(*slot, *other) >= self.params.near_duplicate);
            alike.for_each(|other| shots.unite(*slot, other));
        }
        let best = |shot: Vec<u32>| {
            shot.into_iter().max_by(|a, b| {
                let quality = |slot: u32| self.graph.node(slot).map_or(0.0, |node| node.quality);
                quality(*a).total_cmp(&quality(*b)).then_with(|| self.id(*b).cmp(&self.id(*a)))
            })
        };
        *voices = shots.into_sets().into_iter().filter_map(best).collect();
    }

    /// Returns the number of shots from which some faces come.
    fn shots(&self, faces: &[u32]) -> usize {
        let mut shots = Units::new(faces);
        for slot in faces {
            self.copies(*slot).for_each(|copy| shots.unite(*slot, copy));
        }
        shots.into_sets().len()
    }

    /// Returns the cluster that a poor face resembles most; `None` where it resembles none, or where that cluster has a
    /// face in the photo already.
    fn claim(&self, slot: u32, sums: &mut HashMap<u32, Sum>) -> Option<Claim> {
        let node = self.graph.node(slot)?;
        let own = Sum::over(&self.graph, &[slot]);
        let near: BTreeSet<u32> = self
            .graph
            .edges(slot)
            .filter(|edge| self.is_voice(edge.to))
            .filter_map(|edge| self.cluster[edge.to as usize])
            .collect();
        let claims = near.into_iter().filter_map(|key| {
            let members = self.members.get(&key)?;
            // The face shows the same person a second time in one photo, so it stays alone, and starts no other group
            // of that person.
            if members.len() == 1 && members.iter().all(|m| self.is_contested(*m)) {
                return None;
            }
            let foe = |m: &u32| self.id(*m).is_some_and(|id| self.constraints.said_apart(node.id, id));
            if members.iter().any(foe) {
                return None;
            }
            let sum = sums.entry(key).or_insert_with(|| {
                let mut voices: Vec<_> = members.iter().copied().filter(|m| self.is_voice(*m)).collect();
                voices.sort_by_cached_key(|m| self.id(*m));
                Sum::over(&self.graph, &voices)
            });
            let score = own.mean(sum) - needed(&self.params, sum.faces);
            (score >= 0.0).then_some(Claim { cluster: key, score })
        });
        let smallest = |key: u32| self.members.get(&key).and_then(|m| m.iter().filter_map(|s| self.id(*s)).min());
        let best = claims.max_by(|a, b| {
            a.score.total_cmp(&b.score).then_with(|| Reverse(smallest(a.cluster)).cmp(&Reverse(smallest(b.cluster))))
        })?;
        let taken = |m: &u32| self.graph.node(*m).is_some_and(|other| other.image == node.image);
        (!self.members.get(&best.cluster)?.iter().any(taken)).then_some(best)
    }
}
