//! Reads the cards through NVML. All calls of NVML are in this file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::device::Device;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::event::EventSet;
use parking_lot::Mutex;

use super::health::{CardEvent, CardEventResponse, CardStatus, respond};

/// Interval of readings.
const EVERY: Duration = Duration::from_secs(5);
/// Longest wait for an event, which is also the longest time that a stop takes.
const EVENT_WAIT: Duration = Duration::from_millis(500);
/// NVML's Xid for an error without a number.
const UNNUMBERED: u64 = 999;

/// A thread that watches cards through NVML.
pub(super) struct NvmlWatch {
    seen: Arc<Mutex<Vec<CardStatus>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NvmlWatch {
    pub(super) fn start(uuids: &[String], fault: impl Fn(String) + Send + 'static) -> Result<Self, NvmlError> {
        let nvml = Nvml::init()?;
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (uuids, looks, stopped) = (uuids.to_vec(), Arc::clone(&seen), Arc::clone(&stop));
        // If no thread can be started, the cards are not monitored, as on a machine without NVML.
        let thread = thread::Builder::new().name(String::from("muster-nvml"));
        let thread =
            thread.spawn(move || watch(&nvml, &uuids, &looks, &stopped, fault)).map_err(|_| NvmlError::Unknown)?;
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    pub(super) fn vitals(&self) -> Vec<CardStatus> {
        self.seen.lock().clone()
    }
}

impl Drop for NvmlWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported already.
            let _ = thread.join();
        }
    }
}

fn watch(nvml: &Nvml, uuids: &[String], seen: &Mutex<Vec<CardStatus>>, stop: &AtomicBool, fault: impl Fn(String)) {
    let cards: Vec<Device<'_>> = uuids.iter().filter_map(|uuid| nvml.device_by_uuid(uuid.as_str()).ok()).collect();
    let begun: Vec<Option<u64>> = cards.iter().map(|card| card.total_energy_consumption().ok()).collect();
    let mut events: Vec<EventSet<'_>> = cards.iter().filter_map(|card| listen(nvml, card)).collect();
    let mut looked = None::<Instant>;
    while !stop.load(Ordering::Relaxed) {
        if looked.is_none_or(|at| at.elapsed() >= EVERY) {
            looked = Some(Instant::now());
            let vitals = cards.iter().zip(&begun).map(|(card, begun)| look(card, *begun)).collect();
            *seen.lock() = vitals;
        }
        if events.is_empty() {
            thread::sleep(EVENT_WAIT);
        }
        let wait = EVENT_WAIT / u32::try_from(events.len().max(1)).unwrap_or(1);
        let heard: Vec<CardEvent> = events.iter().filter_map(|set| hear(set, wait)).collect();
        for event in heard {
            match respond(&event) {
                CardEventResponse::Leave(text) => {
                    tracing::error!(reason = text, "device.fault");
                    fault(text);
                    // A lost card would report the same event again at once, for ever.
                    events.clear();
                    break;
                }
                CardEventResponse::Tell(text) => tracing::warn!(event = text, "device.event"),
            }
        }
    }
}

/// Waits for an event of one card.
fn hear(set: &EventSet<'_>, patience: Duration) -> Option<CardEvent> {
    match set.wait(u32::try_from(patience.as_millis()).unwrap_or(u32::MAX)) {
        Ok(data) => data.event_data.map(|xid| CardEvent::Xid {
            uuid: data.device.uuid().unwrap_or_default(),
            id: match xid {
                XidError::Value(id) => id,
                XidError::Unknown => UNNUMBERED,
            },
        }),
        Err(NvmlError::GpuLost) => Some(CardEvent::Lost),
        Err(NvmlError::Timeout) => None,
        Err(error) => {
            tracing::debug!(%error, "device.health");
            thread::sleep(patience);
            None
        }
    }
}

/// Subscribes to the errors of a card; `None` for one that does not report them, such as a virtual one.
fn listen<'a>(nvml: &'a Nvml, card: &Device<'a>) -> Option<EventSet<'a>> {
    let heard = card.register_events(EventTypes::CRITICAL_XID_ERROR, nvml.create_event_set().ok()?);
    heard
        .inspect_err(|error| tracing::warn!(error = %error.error, "device.health: a card does not tell of its errors"))
        .ok()
}

/// Reads the status of a card; values that it does not report are zero.
fn look(card: &Device<'_>, begun: Option<u64>) -> CardStatus {
    let memory = card.memory_info().ok();
    let energy = begun.zip(card.total_energy_consumption().ok());
    CardStatus {
        uuid: card.uuid().unwrap_or_default(),
        busy: card.utilization_rates().map_or(0, |rates| rates.gpu),
        used: memory.as_ref().map_or(0, |memory| memory.used),
        total: memory.as_ref().map_or(0, |memory| memory.total),
        temperature: card.temperature(TemperatureSensor::Gpu).unwrap_or(0),
        power: card.power_usage().map_or(0.0, |milliwatts| f64::from(milliwatts) / 1e3),
        energy: energy.map(|(begun, now)| now.saturating_sub(begun) as f64 / 1e3),
        throttled: card.current_throttle_reasons().map_or_else(|_| Vec::new(), reasons),
    }
}

fn reasons(all: ThrottleReasons) -> Vec<&'static str> {
    [
        (ThrottleReasons::SW_POWER_CAP, "power cap"),
        (ThrottleReasons::HW_SLOWDOWN, "hardware slowdown"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "heat (driver)"),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "heat (hardware)"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "power brake"),
        (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "clock setting"),
    ]
    .into_iter()
    .filter(|(reason, _)| all.contains(*reason))
    .map(|(_, name)| name)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_nvml_is_an_answer() {
        // On a machine with NVML the watch starts, looks and stops.
        if let Ok(watch) = NvmlWatch::start(&[], |_| {}) {
            assert!(watch.vitals().is_empty());
        }
    }

    #[test]
    fn reasons_of_a_lower_clock_are_named_and_idleness_is_none() {
        assert_eq!(reasons(ThrottleReasons::GPU_IDLE), [""; 0]);
        assert_eq!(reasons(ThrottleReasons::SW_POWER_CAP | ThrottleReasons::GPU_IDLE), ["power cap"]);
    }
}
