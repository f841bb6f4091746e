//! The order of an object's versions: which of two results is of the newer one, whoever is written last.

use serde::{Deserialize, Serialize};

/// Where the events of one S3 key stand among each other (Amazon S3 User Guide, "Event message structure"): hexadecimal digits,
/// compared as if the shorter were filled up with zeros on its right. Those of different keys say nothing of each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sequencer(String);

impl Sequencer {
    /// Digits that are filled up to: S3 writes 16 to 18.
    const DIGITS: usize = 32;

    /// From an event; `None` where it is none.
    pub fn new(text: &str) -> Option<Self> {
        let plausible = !text.is_empty() && text.len() <= Self::DIGITS && text.bytes().all(|c| c.is_ascii_hexdigit());
        plausible.then(|| Self(format!("{:0<width$}", text.to_ascii_uppercase(), width = Self::DIGITS)))
    }

    /// Texts that are in order where the sequencers are.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is known of where a version of an object stands among the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectVersion {
    /// When the store took the version that was read, in milliseconds since the start of 1970: whole seconds in S3. `None` of a
    /// file, whose time may be set back, and where nothing was read.
    pub modified_ms: Option<i64>,
    /// Of the event that asked for it; the version that was read is that event's or a newer one.
    pub sequencer: Option<Sequencer>,
}

impl ObjectVersion {
    /// Whether this is known to be the newer one: the later time, or in the same second the later event. Where neither can be
    /// compared it is not known, and what is written last stays.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        match (self.modified_ms, other.modified_ms) {
            (Some(this), Some(other)) if this != other => this > other,
            _ => matches!((&self.sequencer, &other.sequencer), (Some(this), Some(other)) if this > other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(modified_ms: Option<i64>, sequencer: &str) -> ObjectVersion {
        ObjectVersion { modified_ms, sequencer: Sequencer::new(sequencer) }
    }

    #[test]
    fn sequencers_are_compared_as_if_they_were_of_one_length() {
        let order = ["0055AED6DCD90281E5", "0055AED6DCD90281E5A", "0055aed6dcd90281e6", "1"];
        let read: Vec<Sequencer> = order.iter().map(|text| Sequencer::new(text).unwrap()).collect();
        assert!(read.is_sorted_by(|a, b| a < b), "{read:?}");
        assert_eq!(Sequencer::new("1A"), Sequencer::new("1a000"));
        for text in ["", "-1", "0x1", "é", &"0".repeat(33)] {
            assert_eq!(Sequencer::new(text), None, "{text}");
        }
    }

    #[test]
    fn the_later_version_is_the_newer_one_and_what_cannot_be_compared_is_not() {
        for (this, other, newer) in [
            (version(Some(2_000), ""), version(Some(1_000), "F"), true),
            (version(Some(1_000), "F"), version(Some(2_000), ""), false),
            (version(Some(1_000), "2"), version(Some(1_000), "1"), true),
            (version(Some(1_000), "1"), version(Some(1_000), "1"), false),
            // Somebody asked for it anew, by a message of their own.
            (version(Some(1_000), "2"), version(Some(1_000), ""), false),
            (version(Some(1_000), ""), version(Some(1_000), "2"), false),
            // Nothing was read, as of an object that is gone.
            (version(None, "2"), version(Some(1_000), "1"), true),
            (version(Some(1_000), "2"), version(None, "1"), true),
            (version(Some(1_000), "1"), version(None, "2"), false),
            (version(None, ""), version(Some(1_000), "1"), false),
            (version(Some(1_000), "1"), version(None, ""), false),
            (version(None, ""), version(None, ""), false),
        ] {
            assert_eq!(this.is_newer_than(&other), newer, "{this:?} {other:?}");
            assert!(!(newer && other.is_newer_than(&this)), "{this:?} {other:?}");
        }
    }
}
