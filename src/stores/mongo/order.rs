//! Builds conditions on the order of an image's versions, under which a statement is executed.
//!
//! Documents of an older release have neither field, and are older than any document that has one.

use mongodb::bson::{Document, doc};
use muster_actors::domain::version::{ObjectVersion, Sequencer};

/// Field of an image and of its faces with [`ObjectVersion::modified_ms`].
pub(super) const MODIFIED: &str = "modified_ms";
/// Field of an image and of its faces with [`ObjectVersion::sequencer`].
pub(super) const SEQUENCER: &str = "sequencer";

/// Builds the known fields of a version.
pub(super) fn fields(version: &ObjectVersion) -> Document {
    let mut fields = Document::new();
    if let Some(modified) = version.modified_ms {
        fields.insert(MODIFIED, modified);
    }
    if let Some(sequencer) = &version.sequencer {
        fields.insert(SEQUENCER, sequencer.as_str());
    }
    fields
}

/// Reads the known fields of a document's version.
pub(super) fn version(document: &Document) -> ObjectVersion {
    let sequencer = document.get_str(SEQUENCER).ok().and_then(Sequencer::new);
    ObjectVersion { modified_ms: document.get_i64(MODIFIED).ok(), sequencer }
}

/// Builds conditions of which a document meets one if its version [is newer](ObjectVersion::is_newer_than) than
/// `version`. Empty if none can be.
pub(super) fn newer(version: &ObjectVersion) -> Vec<Document> {
    of(version, "$gt")
}

/// Builds conditions of which a document meets one if `version` is newer than its own.
pub(super) fn older(version: &ObjectVersion) -> Vec<Document> {
    of(version, "$lt")
}

fn of(version: &ObjectVersion, compared: &str) -> Vec<Document> {
    let by_time = version.modified_ms.map(|modified| doc! { MODIFIED: { compared: modified } });
    let by_event = version.sequencer.as_ref().map(|sequencer| {
        let mut condition = doc! { SEQUENCER: { compared: sequencer.as_str() } };
        if let Some(modified) = version.modified_ms {
            condition.insert(MODIFIED, doc! { "$in": [modified, null] });
        }
        condition
    });
    by_time.into_iter().chain(by_event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_was_written_and_a_document_of_before_has_none() {
        let sequencer = Sequencer::new("0055AED6DCD90281E5");
        for version in [
            ObjectVersion { modified_ms: Some(1_594_030_210_000), sequencer: sequencer.clone() },
            ObjectVersion { modified_ms: None, sequencer },
            ObjectVersion::default(),
        ] {
            assert_eq!(super::version(&fields(&version)), version);
        }
        assert_eq!(super::version(&doc! { "etag": "e" }), ObjectVersion::default());
        assert!(newer(&ObjectVersion::default()).is_empty());
    }
}
