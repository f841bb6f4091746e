//! Limits how many photos, and bytes of photos, are held at once. A permit is taken before the first byte of a photo is
//! read, and returned when the caller has an answer or has left.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::recognizer::Refusal;

/// Limit on the number and the total size of photos that are held at once.
#[derive(Clone, Debug)]
pub struct AdmissionLimit {
    permits: Arc<Semaphore>,
    kilobytes: Arc<Semaphore>,
    size: (usize, usize),
}

/// The right to hold one photo in memory; dropping it returns it.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
    _kilobytes: OwnedSemaphorePermit,
}

fn kilobytes(bytes: usize) -> usize {
    bytes.div_ceil(1 << 10)
}

impl AdmissionLimit {
    /// Creates a limit of `photos` photos with `bytes` bytes together.
    pub fn new(photos: usize, bytes: usize) -> Self {
        let size = (photos.min(Semaphore::MAX_PERMITS), kilobytes(bytes).min(Semaphore::MAX_PERMITS));
        Self { permits: Arc::new(Semaphore::new(size.0)), kilobytes: Arc::new(Semaphore::new(size.1)), size }
    }

    /// Takes a permit for a photo of at most `bytes`. A photo above the whole limit is admitted when no other is held.
    ///
    /// # Errors
    /// [`Refusal::Busy`] where the photos that are held leave too little.
    pub fn admit(&self, bytes: usize) -> Result<Permit, Refusal> {
        let busy = |_| Refusal::Busy(self.taken());
        let kilobytes = u32::try_from(kilobytes(bytes).min(self.size.1)).unwrap_or(u32::MAX);
        let kilobytes = Arc::clone(&self.kilobytes).try_acquire_many_owned(kilobytes).map_err(busy)?;
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(busy)?;
        Ok(Permit { _permit: permit, _kilobytes: kilobytes })
    }

    /// Returns the number of permits that are taken.
    pub fn taken(&self) -> usize {
        self.size.0 - self.permits.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_for_one_photo_however_large() {
        let admission = AdmissionLimit::new(2, 10 << 10);
        let large = admission.admit(100 << 10).unwrap();
        assert_eq!(admission.admit(1).err(), Some(Refusal::Busy(1)), "no bytes left");
        drop(large);
        let _two = [admission.admit(4 << 10).unwrap(), admission.admit(4 << 10).unwrap()];
        assert_eq!(admission.admit(0).err(), Some(Refusal::Busy(2)), "no place left");
    }
}
