//! Bytes that a value holds on the heap, from the capacities of its collections.
//!
//! What an allocator adds to each allocation is counted with [`ALLOCATION`]; the tests compare the sums with what was
//! allocated.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem::size_of;

/// Bytes that an allocator needs for itself beside each small allocation.
const ALLOCATION: usize = 16;

/// A vector without what its elements hold.
pub(crate) fn vec<T>(values: &Vec<T>) -> usize {
    match values.capacity() {
        0 => 0,
        capacity => capacity * size_of::<T>() + ALLOCATION,
    }
}

/// A vector of vectors.
pub(crate) fn vecs<T>(rows: &Vec<Vec<T>>) -> usize {
    vec(rows) + rows.iter().map(vec).sum::<usize>()
}

/// A map without what its keys and values hold.
pub(crate) fn map<K, V>(map: &HashMap<K, V>) -> usize {
    table(map.capacity(), size_of::<(K, V)>())
}

/// A map to vectors.
pub(crate) fn map_of_vecs<K, T>(of: &HashMap<K, Vec<T>>) -> usize {
    map(of) + of.values().map(vec).sum::<usize>()
}

/// A set without what its elements hold.
pub(crate) fn set<T>(set: &HashSet<T>) -> usize {
    table(set.capacity(), size_of::<T>())
}

/// An ordered set without what its elements hold: nodes of eleven, two thirds full.
pub(crate) fn tree<T>(set: &BTreeSet<T>) -> usize {
    set.len() * size_of::<T>() * 3 / 2 + set.len() * size_of::<usize>()
}

/// A hash table: a byte a bucket beside its entry, and seven of eight buckets in use at most.
fn table(capacity: usize, entry: usize) -> usize {
    match capacity {
        0 => 0,
        capacity => (capacity * 8 / 7).next_power_of_two() * (entry + 1) + ALLOCATION,
    }
}
