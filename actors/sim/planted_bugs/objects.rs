//! Objects with a planted bug: the adapter reports too little about them, or too much.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::image::{Locator, RejectReason, Rejection};
use crate::errors::Class;
use crate::ports::objects::{Object, Objects, ObjectsError};
use crate::sim::planted_bugs::PlantedBug;

/// Objects with a bug in their adapter.
pub(super) struct PlantedObjects {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) planted_bug: PlantedBug,
}

impl PlantedObjects {
    fn spoil(&self, read: Result<Object, ObjectsError>) -> Result<Object, ObjectsError> {
        match (self.planted_bug, read) {
            (
                PlantedBug::RefusedReadCondemns,
                Err(ObjectsError::Failed { class: Class::Misconfigured(_), message }),
            ) => Err(ObjectsError::Rejected(Rejection::new(RejectReason::Unreadable, message))),
            (PlantedBug::ShortBodyTaken, Ok(object)) => Ok(Object { size: object.bytes.len() as u64, ..object }),
            (_, read) => read,
        }
    }
}

#[async_trait]
impl Objects for PlantedObjects {
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        self.spoil(self.objects.get(locator, limit).await)
    }

    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError> {
        self.objects.head(locator, bytes).await
    }
}
