//! How the cards fare while they work: looked at every few seconds, and told of at once where one is lost.

use serde::Serialize;

use super::Card;
use super::xid::{Verdict, known};

/// One look at a card.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Vitals {
    /// Which.
    pub uuid: String,
    /// Percent of the time since the last look in which a kernel ran.
    pub busy: u32,
    /// Bytes of memory in use, by anybody.
    pub used: u64,
    /// Bytes of memory.
    pub total: u64,
    /// Degrees Celsius.
    pub temperature: u32,
    /// Watts.
    pub power: f64,
    /// Joules since the look at the beginning; `None` where the card does not count them (before Volta).
    pub energy: Option<f64>,
    /// Why its clock is lower than it might be; an idle card's is not told.
    pub throttled: Vec<&'static str>,
}

/// What a card says went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An error of the driver's, by its number.
    Xid {
        /// The card.
        uuid: String,
        /// NVIDIA's number.
        id: u64,
    },
    /// NVML cannot reach a card any more.
    Lost,
}

/// What to do about an event. Pure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The machine is broken, and this says how.
    Leave(String),
    /// It is told, and the work goes on: what a program did to itself shows in its runs.
    Tell(String),
}

/// What an event asks for.
pub fn respond(event: &Event) -> Response {
    match event {
        Event::Lost => Response::Leave(String::from("NVML: a card is lost")),
        Event::Xid { uuid, id } => match known(*id) {
            Some(xid) => {
                let text = format!("Xid {id} on {uuid}: {}", xid.name);
                match xid.verdict {
                    Verdict::Fatal => Response::Leave(text),
                    Verdict::Ignorable => Response::Tell(text),
                }
            }
            None => Response::Tell(format!("Xid {id} on {uuid}: not in config/xids.toml")),
        },
    }
}

/// Looks after the cards until it is dropped.
pub struct Health {
    #[cfg(feature = "gpu")]
    watch: super::nvml::Watch,
}

impl Health {
    /// Watches these cards; `fault` is told when one is lost, at most once. `None` where there are none, or NVML is not there: then
    /// only a run that fails says that a card is lost.
    #[cfg(feature = "gpu")]
    pub fn watch(cards: &[Card], fault: impl Fn(String) + Send + 'static) -> Option<Self> {
        let uuids: Vec<String> = cards.iter().map(|card| card.uuid.clone()).collect();
        if uuids.is_empty() {
            return None;
        }
        match super::nvml::Watch::start(&uuids, fault) {
            Ok(watch) => Some(Self { watch }),
            Err(error) => {
                tracing::warn!(%error, "device.health: the cards are not watched");
                None
            }
        }
    }

    /// Without the feature `gpu` there are no cards.
    #[cfg(not(feature = "gpu"))]
    pub fn watch(_: &[Card], _: impl Fn(String) + Send + 'static) -> Option<Self> {
        None
    }

    /// The last look at each card.
    pub fn vitals(&self) -> Vec<Vitals> {
        #[cfg(feature = "gpu")]
        return self.watch.vitals();
        #[cfg(not(feature = "gpu"))]
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_card_ends_the_work_and_an_unknown_error_is_told() {
        let xid = |id| Event::Xid { uuid: String::from("GPU-1"), id };
        for (event, leaves, part) in [
            (xid(79), true, "Xid 79 on GPU-1: "),
            (xid(31), false, "Xid 31"),
            (xid(9_999), false, "not in config/xids.toml"),
            (Event::Lost, true, "lost"),
        ] {
            let (left, text) = match respond(&event) {
                Response::Leave(text) => (true, text),
                Response::Tell(text) => (false, text),
            };
            assert!(left == leaves && text.contains(part), "{event:?}: {text}");
        }
    }
}
