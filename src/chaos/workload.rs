//! The work of a run: real photos in a bucket, bad images among them, and a message for each image.

use std::collections::BTreeMap;
use std::path::Path;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use muster_actors::domain::image::RejectReason;
use serde_json::json;

use super::ChaosError;
use super::site::Site;
use super::stand_in::ABORT;

/// Largest photo that is used; a run is about messages, not pixels.
const PHOTO_BYTES: u64 = 40 << 10;
/// Most distinct photos; galleries repeat them.
const PHOTOS: usize = 300;

/// An image that a message asks to be indexed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestedImage {
    /// Gallery of the image.
    pub gallery: String,
    /// Key of the image.
    pub key: String,
}

impl RequestedImage {
    /// Renders the message.
    pub fn body(&self, bucket: &str) -> String {
        json!({ "bucket": bucket, "key": self.key, "gallery_id": self.gallery }).to_string()
    }
}

/// All images of a run.
pub struct Workload {
    /// Images in the order of their messages.
    pub images: Vec<RequestedImage>,
    /// Images that must be rejected, with the reasons.
    pub bad: BTreeMap<RequestedImage, RejectReason>,
}

/// Reads the photos of a folder, by name.
fn photos(folder: &Path) -> Result<Vec<Vec<u8>>, ChaosError> {
    let none = || ChaosError::Photos(folder.to_owned());
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).map_err(|_| none())?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let small = |path: &&std::path::PathBuf| {
        path.extension().is_some_and(|e| e == "jpg") && path.metadata().is_ok_and(|file| file.len() < PHOTO_BYTES)
    };
    let read = paths.iter().filter(small).take(PHOTOS).map(std::fs::read);
    let photos: Vec<_> = read.collect::<Result<_, _>>().map_err(ChaosError::io(folder.display().to_string()))?;
    if photos.is_empty() { Err(none()) } else { Ok(photos) }
}

/// Turns a JPEG into one that claims four thousand million pixels.
fn bomb(photo: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at) = (photo.to_vec(), 2);
    // The loop goes from segment to segment until the frame header (ITU T.81, B.2.2). Its rows and columns follow its
    // length and precision.
    while let Some([0xFF, kind, high, low, _, size @ ..]) = bytes.get_mut(at..) {
        if matches!(kind, 0xC0..=0xC2) {
            if let Some(size) = size.first_chunk_mut() {
                *size = [0xFF, 0xDC, 0xFF, 0xDC];
            }
            break;
        }
        at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    bytes
}

/// Builds bad image `number`, with the reason for which it must be rejected. Half of them kill the process that decodes
/// them.
fn bad(number: usize, photo: &[u8]) -> (Vec<u8>, RejectReason) {
    match number % 8 {
        0 | 2 | 4 | 6 => ([photo, ABORT].concat(), RejectReason::Crashed),
        1 => (Vec::new(), RejectReason::Empty),
        3 => (b"no image at all".to_vec(), RejectReason::UnknownFormat),
        5 => (bomb(photo), RejectReason::TooManyPixels),
        _ => (photo[..photo.len() / 2].to_vec(), RejectReason::Truncated),
    }
}

impl Workload {
    /// Uploads photos and bad images, for `count` messages of which `bad_ones` are bad.
    ///
    /// # Errors
    /// [`ChaosError::Photos`] when the folder has no photos, [`ChaosError::Io`] when one cannot be read,
    /// [`ChaosError::Server`] when S3 fails.
    pub async fn upload(site: &Site, folder: &Path, count: usize, bad_ones: usize) -> Result<Self, ChaosError> {
        let photos = photos(folder)?;
        let good = count.saturating_sub(bad_ones);
        let mut objects: Vec<(String, Vec<u8>)> = Vec::new();
        for (number, photo) in photos.iter().enumerate().take(good) {
            objects.push((format!("photo/{number}.jpg"), photo.clone()));
        }
        let mut images: Vec<RequestedImage> = (0..good)
            .map(|n| RequestedImage {
                gallery: format!("gallery{}", n / photos.len()),
                key: format!("photo/{}.jpg", n % photos.len()),
            })
            .collect();
        let mut rejected = BTreeMap::new();
        for number in 0..bad_ones {
            let (bytes, reason) = bad(number, &photos[number % photos.len()]);
            // Bad images are spread evenly among the good ones, in their galleries.
            let at = (number * count / bad_ones).min(images.len());
            let gallery = images.get(at.saturating_sub(1)).map_or("gallery0".into(), |near| near.gallery.clone());
            let one = RequestedImage { gallery, key: format!("bad/{number}") };
            objects.push((one.key.clone(), bytes));
            rejected.insert(one.clone(), reason);
            images.insert(at, one);
        }
        let s3 = &site.servers.clients().s3;
        let put =
            |(key, bytes): (String, Vec<u8>)| s3.put_object().bucket(&site.photos).key(key).body(bytes.into()).send();
        stream::iter(objects)
            .map(|object| async { put(object).await.map(drop) })
            .buffer_unordered(8)
            .try_collect::<()>()
            .await
            .map_err(ChaosError::server("S3"))?;
        Ok(Self { images, bad: rejected })
    }

    /// Sends the messages of some images.
    ///
    /// # Errors
    /// [`ChaosError::Server`] when SQS fails.
    pub async fn send(site: &Site, images: &[RequestedImage]) -> Result<(), ChaosError> {
        for ten in images.chunks(10) {
            let entry = |(n, one): (usize, &RequestedImage)| {
                let entry = SendMessageBatchRequestEntry::builder().id(n.to_string());
                entry.message_body(one.body(&site.photos)).build().map_err(ChaosError::server("SQS"))
            };
            let mut entries = ten.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
            while !entries.is_empty() {
                let asked = site.servers.clients().sqs.send_message_batch().queue_url(&site.images);
                let asked = asked.set_entries(Some(entries.clone())).send().await;
                let failed = asked.map_err(ChaosError::server("SQS"))?.failed;
                entries.retain(|entry| failed.iter().any(|failure| failure.id == entry.id));
            }
        }
        Ok(())
    }
}
