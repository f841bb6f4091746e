//! The log of what people said of a gallery.

use mongodb::ClientSession;
use mongodb::bson::{Document, doc};
use muster_actors::domain::gallery::{Decision, GalleryId, Verdict};

use super::documents::{self, signed, uuid};
use super::transaction::{begin, end, guard, raise};
use super::{MongoError, MongoFaces, names};

fn document(gallery: &GalleryId, Decision { seq, batch, verdict }: &Decision) -> Document {
    let mut fields = doc! { "gallery": &gallery.0, "seq": signed(*seq), "batch": signed(*batch) };
    fields.extend(match verdict {
        Verdict::Same { a, b } => doc! { "say": "same", "a": uuid(a.0), "b": uuid(b.0) },
        Verdict::NotSame { a, b } => doc! { "say": "not_same", "a": uuid(a.0), "b": uuid(b.0) },
        Verdict::Name { face, name } => doc! { "say": "name", "a": uuid(face.0), "name": name },
        Verdict::Face { face, is_face: true } => doc! { "say": "face", "a": uuid(face.0) },
        Verdict::Face { face, is_face: false } => doc! { "say": "not_face", "a": uuid(face.0) },
    });
    fields
}

impl MongoFaces {
    /// Appends verdicts as one batch, which raises the gallery's generation by one; where a generation is given, only if the
    /// gallery's still is that.
    ///
    /// # Errors
    /// [`MongoError::Conflict`] when somebody else changed the gallery meanwhile.
    pub async fn note(&self, of: &GalleryId, generation: Option<u64>, verdicts: &[Verdict]) -> Result<(), MongoError> {
        let mut session = begin(self).await?;
        let noted = self.append(&mut session, of, generation, verdicts).await;
        end(session, noted).await
    }

    async fn append(
        &self,
        session: &mut ClientSession,
        of: &GalleryId,
        generation: Option<u64>,
        verdicts: &[Verdict],
    ) -> Result<(), MongoError> {
        if let Some(generation) = generation {
            guard(self, session, of, generation).await?;
        }
        // First: from now on others wait, and this is not lost against them.
        raise(self, session, of).await?;
        let last = self.last(session, of).await?;
        let (seq, batch) = last.map_or((0, 0), |last| (last.seq, last.batch));
        let decisions = (seq + 1..).zip(verdicts);
        let decisions = decisions.map(|(seq, verdict)| Decision { seq, batch: batch + 1, verdict: verdict.clone() });
        let documents: Vec<Document> = decisions.map(|decision| document(of, &decision)).collect();
        if !documents.is_empty() {
            self.collection(names::DECISIONS).insert_many(documents).session(&mut *session).await?;
        }
        Ok(())
    }

    /// Takes the last batch back; its decisions, or none where the log is empty.
    ///
    /// # Errors
    /// [`MongoError::Conflict`] when somebody else changed the gallery meanwhile.
    pub async fn take_back(&self, of: &GalleryId) -> Result<Vec<Decision>, MongoError> {
        let mut session = begin(self).await?;
        let taken = self.remove_last(&mut session, of).await;
        end(session, taken).await
    }

    async fn remove_last(&self, session: &mut ClientSession, of: &GalleryId) -> Result<Vec<Decision>, MongoError> {
        raise(self, session, of).await?;
        let Some(last) = self.last(session, of).await? else { return Ok(Vec::new()) };
        let decisions = self.collection(names::DECISIONS);
        let batch = doc! { "gallery": &of.0, "batch": signed(last.batch) };
        let mut cursor = decisions.find(batch.clone()).sort(doc! { "seq": 1 }).session(&mut *session).await?;
        let mut taken = Vec::new();
        while cursor.advance(session).await? {
            taken.push(documents::decision(&cursor.deserialize_current()?)?);
        }
        decisions.delete_many(batch).session(&mut *session).await?;
        Ok(taken)
    }

    /// What was said last.
    async fn last(&self, session: &mut ClientSession, of: &GalleryId) -> Result<Option<Decision>, MongoError> {
        let decisions = self.collection(names::DECISIONS);
        let asked = decisions.find_one(doc! { "gallery": &of.0 }).sort(doc! { "seq": -1 });
        asked.session(session).await?.as_ref().map(documents::decision).transpose()
    }
}
