//! A model pack that lies in S3: brought into the data folder once, and checked like any other.

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

/// Bucket and prefix of `s3://bucket/prefix`; `None` where a pack is called otherwise.
fn place(pack: &str) -> Option<(&str, &str)> {
    let (bucket, prefix) = pack.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty()).then(|| (bucket, prefix.trim_end_matches('/')))
}

/// A pack in S3.
struct Remote<'a> {
    objects: S3Objects,
    pack: &'a str,
    bucket: &'a str,
    prefix: &'a str,
}

impl<'a> Remote<'a> {
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

/// The manifest of the pack that the settings name, where it lies in S3; nothing else is brought. `None` for a pack that is here
/// already.
///
/// # Errors
/// S3, or the manifest is wrong.
pub async fn manifest(settings: &Settings) -> Result<Option<Manifest>, FleetError> {
    match Remote::from_settings(settings).await {
        Some(remote) => Ok(Some(remote.manifest().await?.1)),
        None => Ok(None),
    }
}

/// The folder of the pack that the settings name, where it lies in S3: below `models`, with every file that differs from the
/// manifest brought anew. `None` for a pack that is here already.
///
/// # Errors
/// S3 or the disk; whether the files are right is for [`muster_inference::onnx::pack::Pack::verify`].
pub async fn bring(settings: &Settings, models: &Path) -> Result<Option<PathBuf>, FleetError> {
    let Some(remote) = Remote::from_settings(settings).await else { return Ok(None) };
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

/// A whole file or none, also where two workers of one machine bring the same.
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
