//! Monitors the cards while they work. It reads their status every few seconds, and reports a lost card at once.

use serde::Serialize;

use super::Card;
use super::xid::{XidEffect, known};

/// The status of a card at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CardStatus {
    /// Id of the card.
    pub uuid: String,
    /// Percent of the time since the last reading in which a kernel ran.
    pub busy: u32,
    /// Bytes of memory in use by all processes.
    pub used: u64,
    /// Bytes of memory.
    pub total: u64,
    /// Temperature in degrees Celsius.
    pub temperature: u32,
    /// Power in watts.
    pub power: f64,
    /// Energy in joules since the first reading; `None` where the card does not count them (before Volta).
    pub energy: Option<f64>,
    /// Reasons why the clock is slower than it could be; idleness is not included.
    pub throttled: Vec<&'static str>,
}

/// An error event of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardEvent {
    /// The driver reported an error, by its number.
    Xid {
        /// Uuid of the card.
        uuid: String,
        /// NVIDIA's number of the error.
        id: u64,
    },
    /// NVML cannot reach a card any more.
    Lost,
}

/// The reaction to an event of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardEventResponse {
    /// The machine is broken, for this reason, and the worker ends.
    Leave(String),
    /// The event is logged and the work goes on; faults of a program show in its runs.
    Tell(String),
}

/// Decides how to react to an event.
pub fn respond(event: &CardEvent) -> CardEventResponse {
    match event {
        CardEvent::Lost => CardEventResponse::Leave(String::from("NVML: a card is lost")),
        CardEvent::Xid { uuid, id } => match known(*id) {
            Some(xid) => {
                let text = format!("Xid {id} on {uuid}: {}", xid.name);
                match xid.verdict {
                    XidEffect::Fatal => CardEventResponse::Leave(text),
                    XidEffect::Ignorable => CardEventResponse::Tell(text),
                }
            }
            None => CardEventResponse::Tell(format!("Xid {id} on {uuid}: not in config/xids.toml")),
        },
    }
}

/// Monitors cards until it is dropped.
pub struct CardMonitor {
    #[cfg(feature = "gpu")]
    watch: super::nvml::NvmlWatch,
}

impl CardMonitor {
    /// Starts to monitor these cards. `fault` is called when one is lost, at most once. `None` where there are no cards
    /// or no NVML; then a lost card shows only in a run that fails.
    #[cfg(feature = "gpu")]
    pub fn watch(cards: &[Card], fault: impl Fn(String) + Send + 'static) -> Option<Self> {
        let uuids: Vec<String> = cards.iter().map(|card| card.uuid.clone()).collect();
        if uuids.is_empty() {
            return None;
        }
        match super::nvml::NvmlWatch::start(&uuids, fault) {
            Ok(watch) => Some(Self { watch }),
            Err(error) => {
                tracing::warn!(%error, "device.health: the cards are not watched");
                None
            }
        }
    }

    /// Does nothing: without the feature `gpu` there are no cards.
    #[cfg(not(feature = "gpu"))]
    pub fn watch(_: &[Card], _: impl Fn(String) + Send + 'static) -> Option<Self> {
        None
    }

    /// Returns the last status of each card.
    pub fn vitals(&self) -> Vec<CardStatus> {
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
        let xid = |id| CardEvent::Xid { uuid: String::from("GPU-1"), id };
        for (event, leaves, part) in [
            (xid(79), true, "Xid 79 on GPU-1: "),
            (xid(31), false, "Xid 31"),
            (xid(9_999), false, "not in config/xids.toml"),
            (CardEvent::Lost, true, "lost"),
        ] {
            let (left, text) = match respond(&event) {
                CardEventResponse::Leave(text) => (true, text),
                CardEventResponse::Tell(text) => (false, text),
            };
            assert!(left == leaves && text.contains(part), "{event:?}: {text}");
        }
    }
}
