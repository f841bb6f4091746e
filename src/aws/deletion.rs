//! Deletes objects. In a bucket that keeps versions, S3 only hides the last version behind a marker, and its answer
//! says so.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::classify::{Fault, class, fault};
use super::s3::S3Bucket;

/// Keys that one call lists or deletes (Amazon S3 API Reference, "DeleteObjects", "ListObjectsV2").
const BATCH: i32 = 1_000;

/// Counts of a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeletionCounts {
    /// Number of deleted objects.
    pub objects: u64,
    /// Whether the bucket keeps versions, so that old ones stay until its lifecycle removes them.
    pub versions_stay: bool,
}

impl DeletionCounts {
    /// Adds another deletion.
    pub fn and(self, other: Self) -> Self {
        Self { objects: self.objects + other.objects, versions_stay: self.versions_stay || other.versions_stay }
    }
}

impl S3Bucket {
    /// Counts the objects whose key begins with `prefix`, up to `most`.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails.
    pub async fn count(&self, prefix: &str, most: u64) -> Result<u64, Fault> {
        let (mut count, mut next) = (0, None);
        loop {
            let asked = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(BATCH);
            let page = asked.set_continuation_token(next).send().await;
            let page = page.map_err(|error| fault("ListObjectsV2", &error))?;
            count += page.contents().len() as u64;
            next = page.next_continuation_token;
            if next.is_none() || count >= most {
                return Ok(count.min(most));
            }
        }
    }

    /// Deletes every object whose key begins with `prefix`.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails, or a single object could not be deleted.
    pub async fn clear(&self, prefix: &str) -> Result<DeletionCounts, Fault> {
        let mut deleted = DeletionCounts::default();
        loop {
            let asked = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(BATCH);
            let page = asked.send().await.map_err(|error| fault("ListObjectsV2", &error))?;
            let keys: Vec<String> = page.contents().iter().filter_map(|object| object.key.clone()).collect();
            if keys.is_empty() {
                return Ok(deleted);
            }
            // Deleted objects are not listed again, so the next page is the first of the remaining ones.
            deleted = deleted.and(self.delete(&keys).await?);
        }
    }

    /// Lists the keys that begin with `prefix`, ascending.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let (mut keys, mut next) = (Vec::new(), None);
        loop {
            let asked = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(BATCH);
            let page = asked.set_continuation_token(next).send().await;
            let page = page.map_err(|error| fault("ListObjectsV2", &error))?;
            keys.extend(page.contents().iter().filter_map(|object| object.key.clone()));
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Deletes objects, whether they exist or not.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails, or a single object could not be deleted.
    pub async fn delete_all(&self, keys: &[String]) -> Result<DeletionCounts, Fault> {
        let mut deleted = DeletionCounts::default();
        for keys in keys.chunks(BATCH as usize) {
            deleted = deleted.and(self.delete(keys).await?);
        }
        Ok(deleted)
    }

    /// Deletes an object if it exists.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails.
    pub async fn remove(&self, key: &str) -> Result<DeletionCounts, Fault> {
        match self.generation(key).await? {
            Some(_) => self.delete(&[key.to_owned()]).await,
            None => Ok(DeletionCounts::default()),
        }
    }

    /// Deletes an object, whether it exists or not.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails.
    pub async fn discard(&self, key: &str) -> Result<(), Fault> {
        let deleted = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        deleted.map(drop).map_err(|error| fault("DeleteObject", &error))
    }

    async fn delete(&self, keys: &[String]) -> Result<DeletionCounts, Fault> {
        const WHAT: &str = "DeleteObjects";
        let wrong = |error: aws_smithy_types::error::operation::BuildError| Fault {
            class: muster_actors::errors::Class::Bug,
            code: None,
            status: None,
            message: format!("{WHAT}: {error}"),
        };
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let delete = Delete::builder().set_objects(Some(objects)).build().map_err(wrong)?;
        let asked = self.client.delete_objects().bucket(&self.bucket).delete(delete);
        let answer = asked.send().await.map_err(|error| fault(WHAT, &error))?;
        if let Some(error) = answer.errors().first() {
            let code = error.code().map(str::to_owned);
            let message = format!(
                "{WHAT}: {} ({})",
                code.as_deref().unwrap_or("no code"),
                error.message().unwrap_or("no message")
            );
            return Err(Fault { class: class(code.as_deref(), None), code, status: None, message });
        }
        let versions_stay = answer.deleted().iter().any(|object| object.delete_marker() == Some(true));
        Ok(DeletionCounts { objects: keys.len() as u64, versions_stay })
    }
}
