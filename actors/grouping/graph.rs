//! The graph of similar faces. Each face has edges to its `k` nearest faces of other photos whose excess (similarity
//! above the level of both faces' strangers, `calibration.rs`) reaches a floor. The graph depends only on the set of
//! faces and on the calibration, and is kept up to date as faces come and go.
//!
//! The index proposes neighbours; their similarities are computed again here by [`dot`], because the rounding of a
//! matrix product depends on how many vectors it is given at once.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use crate::domain::capture::Capture;
use crate::domain::face::FaceId;
use crate::domain::gallery::FaceVector;
use crate::domain::image::ImageId;
use crate::grouping::calibration::Calibration;
use crate::grouping::dot::dot;
use crate::grouping::heap_size;
use crate::grouping::touched::Touched;
use crate::ports::index::{Index, IndexError, IndexFactory};

/// Queries that the index gets at once: enough for an efficient matrix product, and few enough that the answers fit
/// into memory even if a gallery shows one person only.
const BLOCK: usize = 1024;
/// Number of new faces from which neighbours are searched in cells, because the time of an exact search grows with the
/// square.
const MANY: usize = 200_000;
/// Cells into which a face is put. Most pairs that matter share one (docs/grouping.md has the figures).
const CELLS: usize = 28;
/// Tolerance for the rounding of the index.
const SLACK: f32 = 1e-3;
/// Marks a position of the index whose face was removed.
const GONE: u32 = u32::MAX;

fn digest_of(vector: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    vector.iter().for_each(|v| hasher.write_u32(v.to_bits()));
    hasher.finish()
}

/// An edge to a similar face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge {
    /// Slot of that face.
    pub(crate) to: u32,
    /// Similarity minus the mean level of the strangers of both faces.
    pub(crate) excess: f32,
}

/// A face in a slot of the graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    /// Id of the face.
    pub(crate) id: FaceId,
    /// Photo of the face.
    pub(crate) image: ImageId,
    /// Quality, 0 to 1.
    pub(crate) quality: f32,
    /// Similarity that the nearest strangers of the face reach.
    pub(crate) level: f32,
    /// Time, series and picture hash of its photo.
    pub(crate) capture: Capture,
    /// Digest of the vector before calibration.
    given: u64,
}

/// The changes that adding faces made.
pub(crate) struct Inserted {
    /// Slots whose edges changed, those of the new faces included.
    pub(crate) touched: Vec<u32>,
    /// Faces that are new or differ from what was here.
    pub(crate) fresh: Vec<FaceId>,
}

/// Faces with their nearest neighbours. A slot is a small number that a face keeps while it is in the graph.
pub(crate) struct Graph {
    calibration: Calibration,
    /// Lower bound of the levels of all faces.
    lowest: f32,
    dimensions: usize,
    floor: f32,
    k: usize,
    nodes: Vec<Option<Node>>,
    vectors: Vec<f32>,
    /// The `k` nearest neighbours of each face, nearest first.
    near: Vec<Vec<Edge>>,
    /// Faces that have this one among their nearest neighbours, in no order.
    held: Vec<Vec<Edge>>,
    slots: HashMap<FaceId, u32>,
    photos: HashMap<ImageId, Vec<u32>>,
    index: Box<dyn Index>,
    /// Slot of each position in the index.
    at: Vec<u32>,
    /// Position in the index of each slot.
    position: Vec<u32>,
    free: Vec<u32>,
    many: usize,
}

impl Graph {
    /// Creates an empty graph whose edges have an excess of at least `floor`, with `k` neighbours for each face.
    pub(crate) fn new(
        calibration: Calibration,
        floor: f32,
        k: usize,
        factory: &dyn IndexFactory,
    ) -> Result<Self, IndexError> {
        let dimensions = calibration.dimensions();
        Ok(Self {
            calibration,
            lowest: f32::INFINITY,
            dimensions,
            floor,
            k: k.max(1),
            nodes: Vec::new(),
            vectors: Vec::new(),
            near: Vec::new(),
            held: Vec::new(),
            slots: HashMap::new(),
            photos: HashMap::new(),
            index: factory.create(dimensions)?,
            at: Vec::new(),
            position: Vec::new(),
            free: Vec::new(),
            many: MANY,
        })
    }

    /// Sets the number of faces from which a first insertion searches in cells.
    pub(crate) fn set_many(&mut self, many: usize) {
        self.many = many;
    }

    /// Returns the number of slots, empty ones included.
    pub(crate) fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the length of a vector.
    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Returns the bytes that the graph keeps on the heap, those of the index included.
    pub(crate) fn heap_size(&self) -> usize {
        let Self { calibration, nodes, vectors, near, held, slots, photos, index, at, position, free, .. } = self;
        let of_slots = heap_size::vec(nodes) + heap_size::vec(vectors) + heap_size::vecs(near) + heap_size::vecs(held);
        let tables = heap_size::map(slots) + heap_size::map_of_vecs(photos);
        let places = heap_size::vec(at) + heap_size::vec(position) + heap_size::vec(free);
        calibration.heap_size() + of_slots + tables + index.bytes() + places
    }

    /// Returns the face in a slot.
    pub(crate) fn node(&self, slot: u32) -> Option<&Node> {
        self.nodes.get(slot as usize)?.as_ref()
    }

    /// Returns the slot of a face.
    pub(crate) fn slot(&self, id: FaceId) -> Option<u32> {
        self.slots.get(&id).copied()
    }

    /// Returns the calibration.
    pub(crate) fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Returns the calibrated vector of a slot.
    pub(crate) fn vector(&self, slot: u32) -> &[f32] {
        &self.vectors[slot as usize * self.dimensions..][..self.dimensions]
    }

    /// Returns the level of a face's strangers.
    pub(crate) fn level(&self, slot: u32) -> f32 {
        self.node(slot).map_or(0.0, |node| node.level)
    }

    /// Computes the cosine similarity of the calibrated vectors of two faces.
    pub(crate) fn similarity(&self, a: u32, b: u32) -> f32 {
        dot(self.vector(a), self.vector(b))
    }

    /// Computes the excess of two faces: their similarity minus the mean level of their strangers.
    pub(crate) fn excess(&self, a: u32, b: u32) -> f32 {
        self.similarity(a, b) - 0.5 * (self.level(a) + self.level(b))
    }

    /// Returns the slots of the faces of a photo.
    pub(crate) fn photo(&self, image: ImageId) -> &[u32] {
        self.photos.get(&image).map_or(&[], Vec::as_slice)
    }

    /// Returns the edges of a face in both directions; an edge that both faces have is returned twice.
    pub(crate) fn edges(&self, slot: u32) -> impl Iterator<Item = Edge> + '_ {
        self.near[slot as usize].iter().chain(&self.held[slot as usize]).copied()
    }

    /// Adds faces. A face that is here already changes nothing; one that differs replaces the old one.
    pub(crate) fn insert(&mut self, faces: &[FaceVector], factory: &dyn IndexFactory) -> Result<Inserted, IndexError> {
        if let Some(face) = faces.iter().find(|face| face.embedding.len() != self.dimensions) {
            return Err(IndexError::Dimensions { expected: self.dimensions, got: face.embedding.len() });
        }
        let fresh: Vec<&FaceVector> = faces.iter().filter(|face| !self.holds(face)).collect();
        let replaced: Vec<_> = fresh.iter().map(|face| face.id).collect();
        let mut touched: Touched = self.remove(&replaced, factory)?.into_iter().collect();
        let are_cells_quicker = self.calibration.members() >= CELLS * CELLS;
        if self.nodes.is_empty() && fresh.len() >= self.many && are_cells_quicker {
            self.insert_in_cells(&fresh, factory)?;
            touched = (0..self.nodes.len() as u32).collect();
        } else {
            self.fill_index(factory)?;
            for block in fresh.chunks(BLOCK) {
                self.insert_block(block, &mut touched)?;
            }
        }
        let fresh = fresh.iter().map(|face| face.id).collect();
        Ok(Inserted { touched: touched.into_slots(|slot| self.node(slot).is_some()), fresh })
    }

    /// Adds the first faces of a graph. It searches the neighbours of each face only among the faces that share a cell
    /// with it: those that resemble the same members of the cohort most.
    fn insert_in_cells(&mut self, faces: &[&FaceVector], factory: &dyn IndexFactory) -> Result<(), IndexError> {
        let mut cells: Vec<Vec<u32>> = vec![Vec::new(); self.calibration.members()];
        for block in faces.chunks(BLOCK) {
            for (slot, its_cells) in self.take_block(block, CELLS) {
                its_cells.iter().for_each(|cell| cells[*cell as usize].push(slot));
            }
        }
        let mut touched = Touched::default();
        for members in cells.into_iter().filter(|members| members.len() > 1) {
            let mut index = factory.create(self.dimensions)?;
            for block in members.chunks(BLOCK) {
                let queries: Vec<f32> = block.iter().flat_map(|slot| self.vector(*slot)).copied().collect();
                let lowest = block.iter().map(|slot| self.level(*slot)).fold(f32::INFINITY, f32::min);
                index.add(&queries)?;
                let rows = index.range(&queries, block.len(), self.reach(lowest))?;
                for (slot, row) in block.iter().zip(rows) {
                    // The slots of a graph that was empty ascend, as positions do, so each pair comes once.
                    let earlier = row.iter().map(|found| members[found.position]).filter(|other| other < slot);
                    earlier.for_each(|other| self.link(*slot, other, &mut touched));
                }
            }
        }
        self.ask_neighbours(&mut touched);
        Ok(())
    }

    /// Searches among the neighbours of each face's neighbours for those that share no cell with it (Dong et al. 2011).
    /// All searches see the graph as it was before.
    fn ask_neighbours(&mut self, touched: &mut Touched) {
        let (mut seen, mut found): (Vec<u32>, Vec<(u32, u32)>) = Default::default();
        for slot in 0..self.nodes.len() as u32 {
            if self.near[slot as usize].len() == self.k {
                continue;
            }
            seen.clear();
            let to = |edge: Edge| edge.to;
            seen.extend(self.edges(slot).map(to).flat_map(|near| self.edges(near).map(to)));
            seen.sort_unstable();
            seen.dedup();
            let known: Vec<u32> = self.near[slot as usize].iter().map(|edge| edge.to).collect();
            let fresh = seen.iter().filter(|other| **other != slot && !known.contains(other));
            found.extend(fresh.filter(|other| self.excess(slot, **other) >= self.floor).map(|other| (slot, *other)));
        }
        for (slot, other) in found {
            self.link(slot, other, touched);
        }
    }

    fn holds(&self, face: &FaceVector) -> bool {
        self.slot(face.id).and_then(|slot| self.node(slot)).is_some_and(|node| {
            node.image == face.image
                && node.quality == face.quality
                && node.capture == face.capture
                && node.given == digest_of(&face.embedding)
        })
    }

    /// Puts faces into slots, without neighbours and not yet in the index. Returns the slots, each with its `cells`
    /// cells.
    fn take_block(&mut self, block: &[&FaceVector], cells: usize) -> Vec<(u32, Vec<u32>)> {
        let mut fresh = Vec::with_capacity(block.len());
        let vectors: Vec<&[f32]> = block.iter().map(|face| face.embedding.as_slice()).collect();
        for (face, seen) in block.iter().zip(self.calibration.apply(&vectors, cells)) {
            if self.slots.contains_key(&face.id) {
                continue; // Twice in one call.
            }
            self.lowest = self.lowest.min(seen.level);
            let given = digest_of(&face.embedding);
            let (id, image, quality, capture) = (face.id, face.image, face.quality, face.capture);
            let node = Node { id, image, quality, level: seen.level, capture, given };
            let slot = self.take_slot(node, &seen.vector);
            self.position[slot as usize] = u32::try_from(self.at.len()).unwrap_or(GONE);
            self.at.push(slot);
            fresh.push((slot, seen.cells));
        }
        fresh
    }

    fn insert_block(&mut self, block: &[&FaceVector], touched: &mut Touched) -> Result<(), IndexError> {
        let fresh: Vec<u32> = self.take_block(block, 0).into_iter().map(|(slot, _)| slot).collect();
        let queries: Vec<f32> = fresh.iter().flat_map(|slot| self.vector(*slot)).copied().collect();
        let lowest = fresh.iter().map(|slot| self.level(*slot)).fold(f32::INFINITY, f32::min);
        self.index.add(&queries)?;
        // The answers contain every pair of this block twice, and each pair with an earlier face once.
        let rows = self.index.range(&queries, fresh.len(), self.reach(lowest))?;
        for (slot, row) in fresh.iter().zip(rows) {
            let position = self.position[*slot as usize];
            for found in row.iter().filter(|found| found.position < position as usize) {
                let other = self.at[found.position];
                if other != GONE {
                    self.link(*slot, other, touched);
                }
            }
            touched.add(*slot);
            if let Some(node) = self.node(*slot) {
                self.photo(node.image).iter().for_each(|slot| touched.add(*slot));
            }
        }
        Ok(())
    }

    /// Returns the similarity that a face of this level needs at least to have an edge to any other.
    fn reach(&self, level: f32) -> f32 {
        self.floor + 0.5 * (level + self.lowest) - SLACK
    }

    fn take_slot(&mut self, node: Node, vector: &[f32]) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.nodes[slot as usize] = Some(node);
                self.vectors[slot as usize * self.dimensions..][..self.dimensions].copy_from_slice(vector);
                slot
            }
            None => {
                self.nodes.push(Some(node));
                self.vectors.extend_from_slice(vector);
                self.near.push(Vec::new());
                self.held.push(Vec::new());
                self.position.push(GONE);
                (self.nodes.len() - 1) as u32
            }
        };
        self.slots.insert(node.id, slot);
        self.photos.entry(node.image).or_default().push(slot);
        slot
    }

    fn link(&mut self, a: u32, b: u32, touched: &mut Touched) {
        let (Some(left), Some(right)) = (self.node(a), self.node(b)) else { return };
        let excess = self.excess(a, b);
        if left.image != right.image && excess >= self.floor {
            self.offer(a, b, excess, touched);
            self.offer(b, a, excess, touched);
        }
    }

    /// Puts `to` among the nearest neighbours of `from` if it is near enough. If there are too many, the farthest is
    /// removed.
    fn offer(&mut self, from: u32, to: u32, excess: f32, touched: &mut Touched) {
        let edge = Edge { to, excess };
        let at = self.near[from as usize].partition_point(|held| self.nearer(held, &edge) == Ordering::Less);
        let known = self.near[from as usize].get(at).is_some_and(|held| held.to == to);
        if at >= self.k || known {
            return;
        }
        self.near[from as usize].insert(at, edge);
        self.held[to as usize].push(Edge { to: from, excess });
        touched.add(from);
        touched.add(to);
        if self.near[from as usize].len() > self.k
            && let Some(gone) = self.near[from as usize].pop()
        {
            self.unhold(gone.to, from);
            touched.add(gone.to);
        }
    }

    fn nearer(&self, a: &Edge, b: &Edge) -> Ordering {
        let id = |edge: &Edge| self.node(edge.to).map(|node| node.id);
        b.excess.total_cmp(&a.excess).then_with(|| id(a).cmp(&id(b)))
    }

    fn unhold(&mut self, slot: u32, holder: u32) {
        let held = &mut self.held[slot as usize];
        if let Some(at) = held.iter().position(|edge| edge.to == holder) {
            held.swap_remove(at);
        }
    }

    /// Removes faces, and returns the slots whose edges changed. Unknown ids are ignored.
    pub(crate) fn remove(&mut self, ids: &[FaceId], factory: &dyn IndexFactory) -> Result<Vec<u32>, IndexError> {
        let (mut touched, mut short) = (Touched::default(), Vec::new());
        for id in ids {
            let Some(slot) = self.slots.remove(id) else { continue };
            for edge in std::mem::take(&mut self.near[slot as usize]) {
                self.unhold(edge.to, slot);
                touched.add(edge.to);
            }
            for holder in std::mem::take(&mut self.held[slot as usize]) {
                let near = &mut self.near[holder.to as usize];
                if near.len() == self.k {
                    short.push(holder.to); // It had to leave others out.
                }
                near.retain(|edge| edge.to != slot);
                touched.add(holder.to);
            }
            if let Some(node) = self.nodes[slot as usize].take()
                && let Some(photo) = self.photos.get_mut(&node.image)
            {
                photo.retain(|other| *other != slot);
                photo.iter().for_each(|slot| touched.add(*slot));
                if photo.is_empty() {
                    self.photos.remove(&node.image);
                }
            }
            self.at[self.position[slot as usize] as usize] = GONE;
            self.free.push(slot);
        }
        if self.at.len() > 2 * self.slots.len() + BLOCK {
            self.reindex(factory)?;
        }
        if !short.is_empty() {
            self.fill_index(factory)?;
        }
        self.refill(short, &mut touched)?;
        Ok(touched.into_slots(|slot| self.node(slot).is_some()))
    }

    /// Searches for the neighbours that a full list had left out before it lost one.
    fn refill(&mut self, mut short: Vec<u32>, touched: &mut Touched) -> Result<(), IndexError> {
        short.retain(|slot| self.node(*slot).is_some());
        short.sort_unstable();
        short.dedup();
        for block in short.chunks(BLOCK) {
            let queries: Vec<f32> = block.iter().flat_map(|slot| self.vector(*slot)).copied().collect();
            let lowest = block.iter().map(|slot| self.level(*slot)).fold(f32::INFINITY, f32::min);
            let rows = self.index.range(&queries, block.len(), self.reach(lowest))?;
            for (slot, row) in block.iter().zip(rows) {
                for found in row {
                    let other = self.at[found.position];
                    let known = self.near[*slot as usize].iter().any(|edge| edge.to == other);
                    let (Some(mine), Some(theirs)) = (self.node(*slot), self.node(other)) else { continue };
                    let excess = self.excess(*slot, other);
                    if !known && other != *slot && mine.image != theirs.image && excess >= self.floor {
                        self.offer(*slot, other, excess, touched);
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts the faces into the index that were compared in cells. Only later additions and removals need them there.
    fn fill_index(&mut self, factory: &dyn IndexFactory) -> Result<(), IndexError> {
        if self.index.len() == self.at.len() { Ok(()) } else { self.reindex(factory) }
    }

    /// Builds the index again without the faces that were removed.
    fn reindex(&mut self, factory: &dyn IndexFactory) -> Result<(), IndexError> {
        self.index = factory.create(self.dimensions)?;
        self.at.retain(|slot| *slot != GONE);
        for block in self.at.chunks(BLOCK) {
            let vectors: Vec<f32> = block
                .iter()
                .flat_map(|slot| &self.vectors[*slot as usize * self.dimensions..][..self.dimensions])
                .copied()
                .collect();
            self.index.add(&vectors)?;
        }
        for (position, slot) in self.at.iter().enumerate() {
            self.position[*slot as usize] = position as u32;
        }
        Ok(())
    }
}
