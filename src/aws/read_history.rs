//! Decides from the latest answers of a bucket whether a refused read is the fault of one object or of the whole
//! bucket.
//!
//! A policy or a key may break in the middle of a run. Reads that began before still succeed, and for a few seconds so
//! do some that begin after it. So an object is only at fault when it is refused each time that it is tried, and nearly
//! all other reads since its first refusal succeeded.

use std::collections::{BTreeSet, HashMap, VecDeque};

use parking_lot::Mutex;

/// Number of a bucket's answers that are remembered.
const REMEMBERED: usize = 4096;
/// Number of refusals from which an object may be at fault, which is less than the attempts of an item.
const REFUSALS: usize = 4;
/// Number of reads of other objects that must have succeeded since the first refusal.
const READS: usize = 3;
/// Number of successful reads that each other refused object requires in addition.
const READS_FOR_EACH_REFUSED: usize = 32;

/// The cause of a refused read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalCause {
    /// The bucket, because nothing was ever read from it.
    Bucket,
    /// The object, because it is refused again while nearly all others can be read.
    Object,
    /// Unknown: the bucket could be read before, and may be unreadable now.
    Unknown,
}

/// An answer of a bucket. Its times are counters, not clock times.
#[derive(Clone, Debug)]
struct ReadOutcome {
    key: String,
    begun: u64,
    ended: u64,
    is_read: bool,
}

/// The latest answers of one bucket, the oldest first.
#[derive(Debug, Default)]
struct ReadOutcomes {
    recent: VecDeque<ReadOutcome>,
    /// The object that was read last.
    readable: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    moment: u64,
    buckets: HashMap<String, ReadOutcomes>,
}

/// The latest answers of the buckets that could be read.
#[derive(Debug, Default)]
pub(crate) struct ReadHistory(Mutex<State>);

/// Finds the cause of the latest refusal of `key`, which is among the answers.
fn cause<'a>(recent: impl Iterator<Item = &'a ReadOutcome> + Clone, key: &str) -> RefusalCause {
    let (own, others): (Vec<&ReadOutcome>, Vec<&ReadOutcome>) = recent.partition(|answer| answer.key == key);
    let last_read = own.iter().rposition(|answer| answer.is_read).map_or(0, |place| place + 1);
    let Some(first) = own.get(last_read).map(|answer| answer.ended) else { return RefusalCause::Unknown };
    // Photos of several galleries may be one object, whose reads are refused at the same time; that counts as one
    // refusal.
    let (mut refusals, mut ended) = (0, None);
    for refusal in &own[last_read..] {
        if ended.is_none_or(|ended| refusal.begun > ended) {
            (refusals, ended) = (refusals + 1, Some(refusal.ended));
        }
    }
    if refusals < REFUSALS {
        return RefusalCause::Unknown;
    }
    let (read, refused): (Vec<&ReadOutcome>, Vec<&ReadOutcome>) =
        others.into_iter().filter(|answer| answer.begun > first).partition(|answer| answer.is_read);
    let refused: BTreeSet<&str> = refused.iter().map(|answer| answer.key.as_str()).collect();
    let are_read = read.len() >= READS && refused.len() * READS_FOR_EACH_REFUSED <= read.len();
    if are_read { RefusalCause::Object } else { RefusalCause::Unknown }
}

impl ReadHistory {
    /// Records the start of a read, and returns its time.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.0.lock();
        state.moment += 1;
        state.moment
    }

    /// Records that a read which began at `begun` succeeded.
    pub(crate) fn read(&self, bucket: &str, key: &str, begun: u64) {
        let mut state = self.0.lock();
        state.buckets.entry(bucket.to_owned()).or_default().readable = Some(key.to_owned());
        state.remember(bucket, key, begun, true);
    }

    /// Records that a read which began at `begun` was refused, and returns the cause.
    pub(crate) fn refused(&self, bucket: &str, key: &str, begun: u64) -> RefusalCause {
        let mut state = self.0.lock();
        // A bucket that was never read has no history, because messages may name any number of buckets.
        if !state.buckets.contains_key(bucket) {
            return RefusalCause::Bucket;
        }
        state.remember(bucket, key, begun, false);
        state.buckets.get(bucket).map_or(RefusalCause::Bucket, |answers| cause(answers.recent.iter(), key))
    }

    /// Returns the object of a bucket that was last read successfully.
    pub(crate) fn readable(&self, bucket: &str) -> Option<String> {
        self.0.lock().buckets.get(bucket)?.readable.clone()
    }
}

impl State {
    fn remember(&mut self, bucket: &str, key: &str, begun: u64, is_read: bool) {
        self.moment += 1;
        let ended = self.moment;
        let Some(answers) = self.buckets.get_mut(bucket) else { return };
        if answers.recent.len() == REMEMBERED {
            answers.recent.pop_front();
        }
        answers.recent.push_back(ReadOutcome { key: key.to_owned(), begun, ended, is_read });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: bool = true;
    const NO: bool = false;

    /// Answers one after the other: each begins when the one before has ended.
    fn after_each_other(answers: &[(&str, bool)]) -> Vec<ReadOutcome> {
        let answer = |(n, (key, is_read)): (usize, &(&str, bool))| ReadOutcome {
            key: (*key).to_owned(),
            begun: 2 * n as u64,
            ended: 2 * n as u64 + 1,
            is_read: *is_read,
        };
        answers.iter().enumerate().map(answer).collect()
    }

    #[test]
    fn an_object_is_at_fault_when_it_is_refused_each_time_while_the_others_are_read() {
        let [no, b, c, d] = [("a", NO), ("b", OK), ("c", OK), ("d", OK)];
        let many =
            |refused: &[(&'static str, bool)], read: usize| [&[no, no, no], refused, &vec![b; read], &[no]].concat();
        for (answers, expected) in [
            (vec![no, b, no, c, no, d, no], RefusalCause::Object),
            (vec![no, b, c, d, no, no, no], RefusalCause::Object),
            // The only other object of a quiet bucket.
            (vec![no, b, no, b, no, b, no], RefusalCause::Object),
            // Refused too seldom.
            (vec![no, b, no, c, d, b, no], RefusalCause::Unknown),
            (vec![b, c, d, no], RefusalCause::Unknown),
            // Too few were read since, or all before it.
            (vec![no, b, no, c, no, no], RefusalCause::Unknown),
            (vec![no, no, no, no], RefusalCause::Unknown),
            (vec![b, c, d, no, no, no, no], RefusalCause::Unknown),
            // It was read once: its own policy is not the matter.
            (vec![no, b, no, c, ("a", OK), no, d, no], RefusalCause::Unknown),
            // A policy breaks: a caller whose reads succeeded before is refused too.
            (vec![b, c, d, no, ("b", NO), ("c", NO), no, ("d", NO), no, no], RefusalCause::Unknown),
            // A policy that breaks for half of the objects, or has not reached all servers.
            (vec![no, b, ("x", NO), no, c, ("y", NO), no, d, no], RefusalCause::Unknown),
            // Another object is refused too, however often it is tried.
            (many(&[("x", NO), ("x", NO), ("x", NO)], 32), RefusalCause::Object),
            (many(&[("x", NO)], 31), RefusalCause::Unknown),
            (many(&[("x", NO), ("y", NO)], 63), RefusalCause::Unknown),
        ] {
            assert_eq!(cause(after_each_other(&answers).iter(), "a"), expected, "{answers:?}");
        }
    }

    #[test]
    fn reads_that_began_before_the_refusal_do_not_speak_for_the_bucket() {
        let history = ReadHistory::default();
        let begun: Vec<u64> = (0..100).map(|_| history.begin()).collect();
        history.read("bucket", "0", begun[0]);
        assert_eq!(history.refused("bucket", "1", begun[1]), RefusalCause::Unknown);
        (2..100).for_each(|n| history.read("bucket", &n.to_string(), begun[n]));
        for _ in 0..REFUSALS {
            assert_eq!(history.refused("bucket", "1", history.begin()), RefusalCause::Unknown);
        }
        // These began after it.
        ["a", "b", "c"].iter().for_each(|key| history.read("bucket", key, history.begin()));
        assert_eq!(history.refused("bucket", "1", history.begin()), RefusalCause::Object);
        assert_eq!(history.readable("bucket").as_deref(), Some("c"));
    }

    #[test]
    fn refusals_at_once_are_one() {
        let history = ReadHistory::default();
        history.read("bucket", "b", history.begin());
        for expected in [RefusalCause::Unknown, RefusalCause::Unknown, RefusalCause::Unknown, RefusalCause::Object] {
            let begun: Vec<u64> = (0..REFUSALS).map(|_| history.begin()).collect();
            let causes: Vec<RefusalCause> = begun.iter().map(|begun| history.refused("bucket", "a", *begun)).collect();
            assert_eq!(causes, [expected; REFUSALS]);
            (0..READS).for_each(|_| history.read("bucket", "b", history.begin()));
        }
    }

    #[test]
    fn a_bucket_that_was_never_read_leaves_nothing_behind() {
        let history = ReadHistory::default();
        history.read("read", "a", history.begin());
        for n in 0..100 {
            assert_eq!(history.refused(&n.to_string(), "a", history.begin()), RefusalCause::Bucket);
        }
        assert_eq!(history.readable("1"), None);
        assert_eq!(history.0.lock().buckets.len(), 1);
        for n in 0..2 * REMEMBERED {
            history.refused("read", &n.to_string(), history.begin());
        }
        assert_eq!(history.0.lock().buckets["read"].recent.len(), REMEMBERED);
    }
}
