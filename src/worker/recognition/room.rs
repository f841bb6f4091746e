//! Room for photos: a place is taken before a byte of a photo is read, and given back when its caller has an answer or has left.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::recognizer::Refusal;

/// How many photos may be here at once, and how large they may be together.
#[derive(Clone, Debug)]
pub struct Room {
    places: Arc<Semaphore>,
    kilobytes: Arc<Semaphore>,
    size: (usize, usize),
}

/// A place for one photo.
#[derive(Debug)]
pub struct Place {
    _place: OwnedSemaphorePermit,
    _kilobytes: OwnedSemaphorePermit,
}

fn kilobytes(bytes: usize) -> usize {
    bytes.div_ceil(1 << 10)
}

impl Room {
    /// For so many photos of so many bytes together.
    pub fn new(photos: usize, bytes: usize) -> Self {
        let size = (photos.min(Semaphore::MAX_PERMITS), kilobytes(bytes).min(Semaphore::MAX_PERMITS));
        Self { places: Arc::new(Semaphore::new(size.0)), kilobytes: Arc::new(Semaphore::new(size.1)), size }
    }

    /// A place for a photo of at most `bytes`; one larger than the whole room waits for nobody else to be there.
    ///
    /// # Errors
    /// There is no room.
    pub fn place(&self, bytes: usize) -> Result<Place, Refusal> {
        let busy = |_| Refusal::Busy(self.taken());
        let kilobytes = u32::try_from(kilobytes(bytes).min(self.size.1)).unwrap_or(u32::MAX);
        let kilobytes = Arc::clone(&self.kilobytes).try_acquire_many_owned(kilobytes).map_err(busy)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        Ok(Place { _place: place, _kilobytes: kilobytes })
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        self.size.0 - self.places.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_for_one_photo_however_large() {
        let room = Room::new(2, 10 << 10);
        let large = room.place(100 << 10).unwrap();
        assert_eq!(room.place(1).err(), Some(Refusal::Busy(1)), "no bytes left");
        drop(large);
        let _two = [room.place(4 << 10).unwrap(), room.place(4 << 10).unwrap()];
        assert_eq!(room.place(0).err(), Some(Refusal::Busy(2)), "no place left");
    }
}
