//! Downloads a model pack from S3 into the data folder, where it is checked like any other.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::Locator;
use muster_actors::ports::objects::{Objects, ObjectsError};

use super::FleetError;
use muster_aws::classify::Fault;
use muster_aws::clients::Clients;
use muster_aws::s3::S3Objects;
use muster_config::Settings;
use muster_inference::onnx::manifest::{MAX_FILE_BYTES, Manifest};
use muster_inference::onnx::pack::sha256;

const MANIFEST: &str = "manifest.toml";
const MANIFEST_BYTES: u64 = 1 << 20;

/// Parses bucket and prefix of `s3://bucket/prefix`; `None` for other names of packs.
fn place(pack: &str) -> Option<(&str, &str)> {
    let (bucket, prefix) = pack.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty()).then(|| (bucket, prefix.trim_end_matches('/')))
}

/// A model pack in S3.
struct RemotePack<'a> {
    objects: S3Objects,
    pack: &'a str,
    bucket: &'a str,
    prefix: &'a str,
}

impl<'a> RemotePack<'a> {
    async fn from_settings(settings: &'a Settings) -> Option<Self> {
        let (bucket, prefix) = place(&settings.models.pack)?;
        let objects = S3Objects::new(Clients::new(settings).await.s3, bucket);
        Some(Self { objects, pack: &settings.models.pack, bucket, prefix })
    }

    async fn get(&self, file: &str, limit: u64) -> Result<Bytes, FleetError> {
        let key = if self.prefix.is_empty() { file.to_owned() } else { format!("{}/{file}", self.prefix) };
        let locator = Locator { gallery: GalleryId(String::new()), bucket: self.bucket.to_owned(), key };
        match self.objects.get(&locator, limit).await {
            Ok(object) => Ok(object.bytes),
            Err(ObjectsError::Rejected(why)) => Err(FleetError::Models(format!("{}/{file}: {why}", self.pack))),
            Err(ObjectsError::Failed { class, message }) => {
                Err(FleetError::Aws(Fault { class, code: None, status: None, message }))
            }
        }
    }

    async fn manifest(&self) -> Result<(Bytes, Manifest), FleetError> {
        let text = self.get(MANIFEST, MANIFEST_BYTES).await?;
        let manifest = Manifest::parse(&String::from_utf8_lossy(&text))
            .map_err(|fault| FleetError::Models(format!("{}/{MANIFEST}: {fault}", self.pack)))?;
        Ok((text, manifest))
    }
}

/// Reads the manifest of the pack of the settings, where it is in S3, without its other files. `None` for a pack that is not in
/// S3.
///
/// # Errors
/// S3 fails, or the manifest is invalid.
pub async fn manifest(settings: &Settings) -> Result<Option<Manifest>, FleetError> {
    match RemotePack::from_settings(settings).await {
        Some(remote) => Ok(Some(remote.manifest().await?.1)),
        None => Ok(None),
    }
}

/// Downloads the pack of the settings, where it is in S3, into a folder below `models`; only files that differ from the manifest
/// are downloaded. `None` for a pack that is not in S3.
///
/// # Errors
/// S3 or the disk fails. Checksums are checked later, by [`muster_inference::onnx::pack::Pack::verify`].
pub async fn bring(settings: &Settings, models: &Path) -> Result<Option<PathBuf>, FleetError> {
    let Some(remote) = RemotePack::from_settings(settings).await else { return Ok(None) };
    let (text, manifest) = remote.manifest().await?;
    let name = blake3::hash(settings.models.pack.as_bytes()).to_hex();
    let folder = models.join(format!("s3-{}", &name[..16]));
    let disk = |error: std::io::Error| FleetError::Models(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(disk)?;
    for file in &manifest.files {
        let path = folder.join(&file.file);
        if std::fs::read(&path).is_ok_and(|bytes| sha256(&bytes) == file.sha256) {
            continue;
        }
        tracing::info!(file = file.file, "models.bring");
        put(&path, &remote.get(&file.file, MAX_FILE_BYTES).await?).map_err(disk)?;
    }
    // Last: a folder with a manifest has its files.
    put(&folder.join(MANIFEST), &text).map_err(disk)?;
    Ok(Some(folder))
}

/// Writes a file completely or not at all, also where two workers of one machine download the same.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension(format!("part{}", std::process::id()));
    std::fs::write(&part, bytes)?;
    std::fs::rename(part, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_in_s3_is_told_from_a_folder() {
        for (pack, expected) in [
            ("s3://models/buffalo/2", Some(("models", "buffalo/2"))),
            ("s3://models/buffalo/", Some(("models", "buffalo"))),
            ("s3://models/", Some(("models", ""))),
            ("s3://models", None),
            ("s3:///x", None),
            ("open", None),
            ("/srv/models", None),
        ] {
            assert_eq!(place(pack), expected, "{pack}");
        }
    }
}
