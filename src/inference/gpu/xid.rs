//! Tells which errors of NVIDIA's driver (numbered "Xid") make a card unusable.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The effect of an Xid on the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XidEffect {
    /// The card must be reset, or the machine replaced.
    Fatal,
    /// A program's own error, or information.
    Ignorable,
}

/// A kind of error that the driver reports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Xid {
    /// Number that NVIDIA gives this error.
    pub id: u64,
    /// Short description of the error.
    pub name: String,
    /// Effect on the work.
    pub verdict: XidEffect,
    /// Source of this effect.
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

/// Looks an Xid up. `None` where it is unknown; such an error is only logged.
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
            (79, Some(XidEffect::Fatal)),
            (48, Some(XidEffect::Fatal)),
            (13, Some(XidEffect::Ignorable)),
            (31, Some(XidEffect::Ignorable)),
            (9_999, None),
        ] {
            assert_eq!(known(id).map(|xid| xid.verdict), verdict, "{id}");
        }
    }
}
