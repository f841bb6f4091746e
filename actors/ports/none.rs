//! Image ports for a worker that only groups galleries. They are never called.

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::image::{Frame, Locator};
use crate::errors::Class;
use crate::ports::decoder::{DecodeError, Decoder};
use crate::ports::objects::{Object, Objects, ObjectsError};

/// A source and decoder of images that always fails.
pub(crate) struct NoImages;

const WHY: &str = "this worker reads no images";

fn none() -> ObjectsError {
    ObjectsError::Failed { class: Class::Bug, message: WHY.to_owned() }
}

#[async_trait]
impl Objects for NoImages {
    async fn get(&self, _: &Locator, _: u64) -> Result<Object, ObjectsError> {
        Err(none())
    }

    async fn head(&self, _: &Locator, _: u64) -> Result<Object, ObjectsError> {
        Err(none())
    }
}

impl Decoder for NoImages {
    fn decode(&self, _: Bytes) -> Result<Frame, DecodeError> {
        Err(DecodeError::Failed(WHY.to_owned()))
    }

    fn judge_header(&self, _: &[u8]) -> Option<f32> {
        None
    }

    fn judge_thumbnail(&self, _: &[u8]) -> Option<f32> {
        None
    }
}
