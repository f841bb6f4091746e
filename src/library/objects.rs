//! Reads photos on disk as objects.

use std::fs::{Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::image::{Locator, RejectReason, Rejection};
use muster_actors::errors::Class;
use muster_actors::ports::objects::{Object, Objects, ObjectsError};

use super::file_version::file_version;
use super::key::PathMap;

// Opening a pipe without it waits for somebody to write into it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const O_NONBLOCK: i32 = 0o4000;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const O_NONBLOCK: i32 = 0x4;

/// Reads photos that a [`super::FolderQueue`] found. The etag is that of the bytes that were read.
#[derive(Clone, Debug)]
pub struct FolderObjects {
    places: PathMap,
}

impl FolderObjects {
    /// Creates a reader of the photos of a library.
    pub fn new(places: PathMap) -> Self {
        Self { places }
    }

    async fn read(&self, locator: &Locator, want: ReadPart) -> Result<Object, ObjectsError> {
        let path = self
            .places
            .path(&locator.bucket, &locator.key)
            .map_err(|e| reject(RejectReason::BadMessage, e.to_string()))?;
        tokio::task::spawn_blocking(move || read(&path, want))
            .await
            .map_err(|e| ObjectsError::Failed { class: Class::Bug, message: e.to_string() })?
    }
}

#[async_trait]
impl Objects for FolderObjects {
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        self.read(locator, ReadPart::Whole { limit }).await
    }

    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError> {
        self.read(locator, ReadPart::Head { bytes }).await
    }
}

#[derive(Clone, Copy, Debug)]
enum ReadPart {
    Whole { limit: u64 },
    Head { bytes: u64 },
}

fn reject(reason: RejectReason, detail: impl Into<String>) -> ObjectsError {
    ObjectsError::Rejected(Rejection::new(reason, detail))
}

fn read(path: &Path, want: ReadPart) -> Result<Object, ObjectsError> {
    let mut file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path).map_err(|e| classify(&e))?;
    let before = file.metadata().map_err(|e| classify(&e))?;
    if !before.is_file() {
        return Err(reject(RejectReason::Unreadable, format!("not a file but {}", kind(&before))));
    }
    let size = before.len();
    if size == 0 {
        return Err(reject(RejectReason::Empty, "the file has no bytes"));
    }
    let take = match want {
        ReadPart::Whole { limit } if size > limit => {
            return Err(reject(RejectReason::TooManyBytes, format!("{size} bytes, the limit is {limit}")));
        }
        ReadPart::Whole { .. } => size,
        ReadPart::Head { bytes } => size.min(bytes),
    };
    // `take` is within the limit, whatever the file grows to meanwhile.
    let mut bytes = Vec::with_capacity(usize::try_from(take).unwrap_or(0));
    Read::by_ref(&mut file).take(take).read_to_end(&mut bytes).map_err(|e| classify(&e))?;
    let after = file.metadata().map_err(|e| classify(&e))?;
    if file_version(&before) != file_version(&after) || bytes.len() as u64 != take {
        return Err(changing());
    }
    Ok(Object { bytes: Bytes::from(bytes), size, etag: file_version(&after), modified_ms: None })
}

fn changing() -> ObjectsError {
    ObjectsError::Failed { class: Class::Transient, message: "the file changed while it was read".to_owned() }
}

fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "a pipe, socket or device" }
}

fn classify(error: &std::io::Error) -> ObjectsError {
    let detail = error.to_string();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => reject(RejectReason::Missing, detail),
        // Out of file handles or memory: ours to wait for, not the file's fault.
        ErrorKind::OutOfMemory | ErrorKind::Interrupted | ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            ObjectsError::Failed { class: Class::Transient, message: detail }
        }
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => {
            ObjectsError::Failed { class: Class::Transient, message: detail }
        }
        ErrorKind::StaleNetworkFileHandle | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            ObjectsError::Failed { class: Class::DependencyDown, message: detail }
        }
        // No permission, a circle of links, a name that is too long, a bad sector: this file's fault.
        _ => reject(RejectReason::Unreadable, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn world() -> (tempfile::TempDir, FolderObjects) {
        let folder = tempfile::tempdir().unwrap();
        let places = PathMap::new(folder.path().canonicalize().unwrap());
        (folder, FolderObjects::new(places))
    }

    async fn reason(objects: &FolderObjects, path: &Path) -> RejectReason {
        match objects.get(&objects.places.locate(path), 10).await {
            Err(ObjectsError::Rejected(rejection)) => rejection.reason,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn each_fault_of_a_file_has_its_reason() {
        let (folder, objects) = world();
        let base = folder.path().canonicalize().unwrap();
        std::fs::write(base.join("empty.jpg"), b"").unwrap();
        std::fs::write(base.join("large.jpg"), [0; 11]).unwrap();
        std::fs::create_dir(base.join("folder.jpg")).unwrap();
        std::os::unix::fs::symlink("circle.jpg", base.join("circle.jpg")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(base.join("pipe.jpg")).status().unwrap();
        assert!(made.success());
        for (name, want) in [
            ("nope.jpg", RejectReason::Missing),
            ("large.jpg/x.jpg", RejectReason::Missing),
            ("empty.jpg", RejectReason::Empty),
            ("large.jpg", RejectReason::TooManyBytes),
            ("folder.jpg", RejectReason::Unreadable),
            ("circle.jpg", RejectReason::Unreadable),
            ("pipe.jpg", RejectReason::Unreadable),
            (&"long".repeat(2000), RejectReason::Unreadable),
        ] {
            assert_eq!(reason(&objects, &base.join(name)).await, want, "{name:.20}");
        }
        let mut outside = objects.places.locate(&base.join("x"));
        outside.key = "../x".to_owned();
        assert!(
            matches!(objects.get(&outside, 10).await, Err(ObjectsError::Rejected(r)) if r.reason == RejectReason::BadMessage)
        );
        let secret = base.join("secret.jpg");
        std::fs::write(&secret, b"x").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
        if std::fs::File::open(&secret).is_err() {
            // Not when run as root, who may read everything.
            assert_eq!(reason(&objects, &secret).await, RejectReason::Unreadable);
        }
    }

    #[tokio::test]
    async fn a_whole_file_and_its_head_have_one_version() {
        let (folder, objects) = world();
        let path = folder.path().canonicalize().unwrap().join("a.jpg");
        std::fs::write(&path, b"0123456789").unwrap();
        let locator = objects.places.locate(&path);
        let whole = objects.get(&locator, 10).await.unwrap();
        let head = objects.head(&locator, 4).await.unwrap();
        assert_eq!((&whole.bytes[..], &head.bytes[..]), (&b"0123456789"[..], &b"0123"[..]));
        assert_eq!((whole.size, &whole.etag), (head.size, &head.etag));
        assert_eq!(whole.etag, file_version(&std::fs::metadata(&path).unwrap()));
    }
}
