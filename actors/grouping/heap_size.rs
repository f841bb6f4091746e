//! Estimates the bytes that a value keeps on the heap, from the capacities of its collections.
//!
//! [`ALLOCATION`] stands for what an allocator adds to each allocation. The tests compare the sums with what was really
//! allocated.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem::size_of;

/// Bytes that an allocator adds to each small allocation.
const ALLOCATION: usize = 16;

/// Returns the bytes of a vector, without the heap memory of its elements.
pub(crate) fn vec<T>(values: &Vec<T>) -> usize {
    match values.capacity() {
        0 => 0,
        capacity => capacity * size_of::<T>() + ALLOCATION,
    }
}

/// Returns the bytes of a vector of vectors.
pub(crate) fn vecs<T>(rows: &Vec<Vec<T>>) -> usize {
    vec(rows) + rows.iter().map(vec).sum::<usize>()
}

/// Returns the bytes of a map, without the heap memory of its keys and values.
pub(crate) fn map<K, V>(map: &HashMap<K, V>) -> usize {
    table(map.capacity(), size_of::<(K, V)>())
}

/// Returns the bytes of a map to vectors.
pub(crate) fn map_of_vecs<K, T>(of: &HashMap<K, Vec<T>>) -> usize {
    map(of) + of.values().map(vec).sum::<usize>()
}

/// Returns the bytes of a set, without the heap memory of its elements.
pub(crate) fn set<T>(set: &HashSet<T>) -> usize {
    table(set.capacity(), size_of::<T>())
}

/// Returns the bytes of an ordered set, without the heap memory of its elements; its nodes have eleven places, two
/// thirds of them full.
pub(crate) fn tree<T>(set: &BTreeSet<T>) -> usize {
    set.len() * size_of::<T>() * 3 / 2 + set.len() * size_of::<usize>()
}

/// Returns the bytes of a hash table: one byte for each bucket beside its entry, with at most seven of eight buckets in
/// use.
fn table(capacity: usize, entry: usize) -> usize {
    match capacity {
        0 => 0,
        capacity => (capacity * 8 / 7).next_power_of_two() * (entry + 1) + ALLOCATION,
    }
}
