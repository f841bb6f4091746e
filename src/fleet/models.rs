//! A model pack that lies in S3: brought into the data folder once, and checked like any other.

use std::path::{Path, PathBuf};

use muster_actors::gallery::GalleryId;
use muster_actors::image::Locator;
use muster_actors::ports::objects::{Objects, ObjectsError};

use super::FleetError;
use crate::aws::clients::Clients;
use crate::aws::s3::S3Objects;
use crate::onnx::manifest::{MAX_FILE_BYTES, Manifest};
use crate::onnx::pack::sha256;
use crate::settings::Settings;

const MANIFEST: &str = "manifest.toml";
const MANIFEST_BYTES: u64 = 1 << 20;

/// Bucket and prefix of `s3://bucket/prefix`; `None` where a pack is called otherwise.
fn place(pack: &str) -> Option<(&str, &str)> {
    let (bucket, prefix) = pack.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty()).then(|| (bucket, prefix.trim_end_matches('/')))
}

/// The folder of the pack that the settings name, where it lies in S3: below `models`, with every file that differs from the
/// manifest brought anew. `None` for a pack that is here already.
///
/// # Errors
/// S3 or the disk; whether the files are right is for [`crate::onnx::pack::Pack::verify`].
pub async fn bring(settings: &Settings, models: &Path) -> Result<Option<PathBuf>, FleetError> {
    let Some((bucket, prefix)) = place(&settings.models.pack) else { return Ok(None) };
    let objects = S3Objects::new(Clients::new(settings).await.s3);
    let get = async |file: &str, limit: u64| {
        let key = if prefix.is_empty() { file.to_owned() } else { format!("{prefix}/{file}") };
        let locator = Locator { gallery: GalleryId(String::new()), bucket: bucket.to_owned(), key };
        match objects.get(&locator, limit).await {
            Ok(object) => Ok(object.bytes),
            Err(ObjectsError::Rejected(why)) => {
                Err(FleetError::Models(format!("{}/{file}: {why}", settings.models.pack)))
            }
            Err(ObjectsError::Failed { class, message }) => {
                Err(FleetError::Aws(crate::aws::classify::Fault { class, code: None, status: None, message }))
            }
        }
    };
    let text = get(MANIFEST, MANIFEST_BYTES).await?;
    let manifest = Manifest::parse(&String::from_utf8_lossy(&text))
        .map_err(|fault| FleetError::Models(format!("{}/{MANIFEST}: {fault}", settings.models.pack)))?;
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
        put(&path, &get(&file.file, MAX_FILE_BYTES).await?).map_err(disk)?;
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
