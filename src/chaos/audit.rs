//! Audits a run: compares databases, queues and dead letters with the messages that were sent.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::image::RejectReason;
use serde::Serialize;

use super::ChaosError;
use super::site::Site;
use super::workload::{RequestedImage, Workload};

/// The findings of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Number of messages that were sent.
    pub sent: usize,
    /// Number of images that are stored, with faces or without any.
    pub stored: usize,
    /// Number of images with a dead letter.
    pub dead: usize,
    /// Dead letters beyond the first for one image, from workers that died between sending one and deleting the
    /// message.
    pub repeated_letters: usize,
    /// Images that are neither stored nor dead-lettered.
    pub lost: Vec<String>,
    /// Effects that exist twice, or without a message.
    pub doubled: Vec<String>,
    /// Good images that were rejected, and bad ones that were not, or were for another reason.
    pub misjudged: Vec<String>,
    /// Hash of images, faces and the membership of groups.
    pub fingerprint: String,
}

async fn documents(site: &Site, database: &str, collection: &str) -> Result<Vec<Document>, ChaosError> {
    let of = site.database(database).await?.collection::<Document>(collection);
    let found = of.find(doc! {}).sort(doc! { "_id": 1 }).await.map_err(ChaosError::server("MongoDB"))?;
    let mut documents: Vec<Document> = found.try_collect().await.map_err(ChaosError::server("MongoDB"))?;
    for document in &mut documents {
        // These fields hold times, durations, the worker and locations in S3, which differ between runs.
        for field in ["indexed_at", "changed_at", "changed", "timings", "queue", "worker", "crop", "result"] {
            document.remove(field);
        }
    }
    Ok(documents)
}

/// Takes all dead letters out of their queue, each with its body and reason.
async fn letters(site: &Site) -> Result<Vec<(String, String)>, ChaosError> {
    let sqs = &site.servers.clients().sqs;
    let mut letters = Vec::new();
    loop {
        let asked = sqs.receive_message().queue_url(&site.dead_letters).max_number_of_messages(10);
        let asked = asked.message_attribute_names("All").send().await.map_err(ChaosError::server("SQS"))?;
        let messages = asked.messages.unwrap_or_default();
        if messages.is_empty() {
            return Ok(letters);
        }
        let mut entries = Vec::new();
        for (number, message) in messages.into_iter().enumerate() {
            let reason = message.message_attributes.as_ref().and_then(|all| all.get("reason"));
            let reason = reason.and_then(|reason| reason.string_value.clone()).unwrap_or_default();
            letters.push((message.body.unwrap_or_default(), reason));
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
            let entry = entry.receipt_handle(message.receipt_handle.unwrap_or_default()).build();
            entries.push(entry.map_err(ChaosError::server("SQS"))?);
        }
        let deleted = sqs.delete_message_batch().queue_url(&site.dead_letters).set_entries(Some(entries)).send().await;
        deleted.map_err(ChaosError::server("SQS"))?;
    }
}

fn text(document: &Document, field: &str) -> String {
    document.get_str(field).unwrap_or_default().to_owned()
}

/// Compares the expected state of an image with the stored one.
fn judge(
    audit: &mut Audit,
    one: &RequestedImage,
    bad: Option<RejectReason>,
    image: Option<&Document>,
    letter: Option<&str>,
) {
    let name = format!("{}/{}", one.gallery, one.key);
    let state = image.map(|image| text(image, "state"));
    match (bad, state.as_deref(), letter) {
        (None, Some("indexed" | "no_faces" | "low_quality"), None) => audit.stored += 1,
        (None, Some("indexed" | "no_faces" | "low_quality"), Some(reason)) => {
            audit.stored += 1;
            audit.misjudged.push(format!("{name} is stored, and dead as {reason}"));
        }
        (Some(expected), Some("rejected"), Some(reason)) if reason == expected.as_str() => audit.dead += 1,
        (None | Some(_), None, None) => audit.lost.push(name),
        (bad, state, letter) => {
            let bad = bad.map_or("good", RejectReason::as_str);
            audit.misjudged.push(format!("{name}, {bad}, is stored as {state:?} and dead as {letter:?}"));
        }
    }
}

/// Audits a run whose queues are empty.
///
/// # Errors
/// [`ChaosError::Server`] when a server fails.
pub async fn audit(site: &Site, load: &Workload) -> Result<Audit, ChaosError> {
    let mut audit = Audit { sent: load.images.len(), ..Audit::default() };
    let images = documents(site, "gallery_images", "images").await?;
    let faces = documents(site, "gallery_images", "faces").await?;
    let mut of: BTreeMap<RequestedImage, &Document> = BTreeMap::new();
    for image in &images {
        let one = RequestedImage { gallery: text(image, "gallery"), key: text(image, "key") };
        if of.insert(one.clone(), image).is_some() {
            audit.doubled.push(format!("{}/{} is stored twice", one.gallery, one.key));
        }
    }
    let mut dead: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (body, reason) in letters(site).await? {
        dead.entry(body).or_insert((0, reason)).0 += 1;
    }
    audit.repeated_letters = dead.values().map(|(count, _)| count - 1).sum();
    for one in &load.images {
        let letter = dead.remove(&one.body(&site.photos)).map(|(_, reason)| reason);
        judge(&mut audit, one, load.bad.get(one).copied(), of.remove(one), letter.as_deref());
    }
    audit.doubled.extend(of.keys().map(|one| format!("{}/{} was never sent", one.gallery, one.key)));
    audit.misjudged.extend(dead.iter().map(|(body, (_, reason))| format!("{body} is dead as {reason}")));
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for face in &faces {
        *counts.entry(face.get("image").map(Bson::to_string).unwrap_or_default()).or_default() += 1;
    }
    for image in &images {
        let found = counts.remove(&image.get("_id").map(Bson::to_string).unwrap_or_default()).unwrap_or(0);
        let said = image.get("face_count").and_then(|count| count.as_i64().or_else(|| count.as_i32().map(i64::from)));
        if said.unwrap_or(0) != found {
            audit.doubled.push(format!("{} has {found} faces and says {said:?}", text(image, "key")));
        }
    }
    audit.doubled.extend(counts.keys().map(|image| format!("faces of {image}, which is not stored")));
    let existing = documents(site, "huemn", "images").await?;
    audit.fingerprint = fingerprint(&images, faces, &existing);
    Ok(audit)
}

/// Hashes everything that must not depend on the injected faults. Ids of groups depend on history, and membership does
/// not.
fn fingerprint(images: &[Document], faces: Vec<Document>, existing: &[Document]) -> String {
    let mut hash = blake3::Hasher::new();
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for document in images.iter().chain(existing) {
        hash.update(document.to_string().as_bytes());
    }
    for mut face in faces {
        let id = face.get("_id").map(Bson::to_string).unwrap_or_default();
        let group = face.remove("group").map_or_else(|| format!("alone {id}"), |group| group.to_string());
        groups.entry(group).or_default().insert(id);
        hash.update(face.to_string().as_bytes());
    }
    for members in groups.into_values().collect::<BTreeSet<_>>() {
        hash.update(format!("{members:?}").as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_lost_doubled_or_misjudged_only_where_it_is() {
        let one = RequestedImage { gallery: "g".into(), key: "k".into() };
        let stored = doc! { "state": "indexed" };
        let rejected = doc! { "state": "rejected" };
        let crashed = Some(RejectReason::Crashed);
        for (bad, image, letter, counts) in [
            (None, Some(&stored), None, [1, 0, 0, 0]),
            (None, None, None, [0, 0, 1, 0]),
            (None, Some(&rejected), Some("CRASHED"), [0, 0, 0, 1]),
            (None, Some(&stored), Some("CRASHED"), [1, 0, 0, 1]),
            (crashed, Some(&rejected), Some("CRASHED"), [0, 1, 0, 0]),
            (crashed, Some(&rejected), Some("TOO_MANY_ATTEMPTS"), [0, 0, 0, 1]),
            (crashed, Some(&stored), None, [0, 0, 0, 1]),
            (crashed, None, None, [0, 0, 1, 0]),
        ] {
            let mut audit = Audit::default();
            judge(&mut audit, &one, bad, image, letter);
            assert_eq!([audit.stored, audit.dead, audit.lost.len(), audit.misjudged.len()], counts, "{audit:?}");
        }
    }

    #[test]
    fn the_fingerprint_knows_who_is_with_whom_and_not_what_groups_are_called() {
        let face = |id: i32, group: &str| doc! { "_id": id, "group": group };
        let of = |groups: [&str; 3]| fingerprint(&[], groups.iter().zip(0..).map(|(g, id)| face(id, g)).collect(), &[]);
        assert_eq!(of(["a", "a", "b"]), of(["x", "x", "y"]));
        assert_ne!(of(["a", "a", "b"]), of(["a", "b", "b"]));
    }
}
