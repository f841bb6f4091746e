//! A set of the slots that a change of the graph touched.

/// Slots whose edges changed, each once.
#[derive(Default)]
pub(crate) struct Touched {
    slots: Vec<u32>,
    is_in: Vec<bool>,
}

impl Touched {
    /// Adds a slot.
    pub(crate) fn add(&mut self, slot: u32) {
        let at = slot as usize;
        if at >= self.is_in.len() {
            self.is_in.resize((at + 1).next_power_of_two(), false);
        }
        if !std::mem::replace(&mut self.is_in[at], true) {
            self.slots.push(slot);
        }
    }

    /// Returns the slots that hold a face, ascending.
    pub(crate) fn into_slots(mut self, holds_face: impl Fn(u32) -> bool) -> Vec<u32> {
        self.slots.retain(|slot| holds_face(*slot));
        self.slots.sort_unstable();
        self.slots
    }
}

impl FromIterator<u32> for Touched {
    fn from_iter<Slots: IntoIterator<Item = u32>>(slots: Slots) -> Self {
        let mut touched = Self::default();
        slots.into_iter().for_each(|slot| touched.add(slot));
        touched
    }
}
