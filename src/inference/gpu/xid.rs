//! Which of the errors that NVIDIA's driver numbers (Xid) mean that a card is of no use any more.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// What an Xid means for the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The card must be reset, or the machine replaced.
    Fatal,
    /// A program's own error, or something told for information.
    Ignorable,
}

/// One kind of error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Xid {
    /// NVIDIA's number.
    pub id: u64,
    /// In a few words.
    pub name: String,
    /// What it means for the work.
    pub verdict: Verdict,
    /// Where that is said.
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    xid: Vec<Xid>,
}

static XIDS: LazyLock<BTreeMap<u64, Xid>> = LazyLock::new(|| {
    let list = toml::from_str::<List>(include_str!("../../../config/xids.toml"));
    // The list is built in, and a test reads it.
    list.map(|list| list.xid.into_iter().map(|xid| (xid.id, xid)).collect()).unwrap_or_default()
});

/// What is known of an Xid; `None` where nothing is: it is told, and the work goes on.
pub(crate) fn known(id: u64) -> Option<&'static Xid> {
    XIDS.get(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_readable_and_says_where_it_has_its_verdicts_from() {
        let list: List = toml::from_str(include_str!("../../../config/xids.toml")).unwrap();
        assert_eq!(list.xid.len(), XIDS.len(), "an id stands there twice");
        for xid in &list.xid {
            assert!(!xid.name.is_empty() && xid.source.starts_with("https://"), "{xid:?}");
        }
    }

    #[test]
    fn a_card_off_the_bus_is_fatal_and_a_faulty_program_is_not() {
        for (id, verdict) in [
            (79, Some(Verdict::Fatal)),
            (48, Some(Verdict::Fatal)),
            (13, Some(Verdict::Ignorable)),
            (31, Some(Verdict::Ignorable)),
            (9_999, None),
        ] {
            assert_eq!(known(id).map(|xid| xid.verdict), verdict, "{id}");
        }
    }
}
