//! Caches analyses by the content of the image and by everything else that they depend on. All analyses of one content
//! are under one key, so that they are deleted together when the image is forgotten.

use async_trait::async_trait;
use muster_actors::domain::capture::{PictureHash, Taken};
use muster_actors::ports::analyses::{Analyses, CachedAnalysis, Content};
use serde::{Deserialize, Serialize};

use super::{Cache, opened, sealed};

/// Cache of analyses.
pub struct CachedAnalyses {
    cache: Cache,
    /// Name of the models, provider, limits and version, because another maker finds other faces.
    maker: String,
    seconds: u64,
}

/// Returns the key of all analyses of a content. The key's value is a hash with one field for each maker.
pub(super) fn key(content: &Content) -> String {
    format!("muster:analysis:{}", blake3::Hash::from_bytes(*content).to_hex())
}

impl CachedAnalyses {
    /// Caches the analyses of one `maker`; those of a content are kept for `seconds` after the last of them was added.
    pub fn new(cache: Cache, maker: String, seconds: u64) -> Self {
        Self { cache, maker, seconds }
    }

    /// Returns the name that an analysis's checksum includes. All keys have the same length, so that no two pairs have
    /// the same name.
    fn name(&self, key: &str) -> String {
        format!("{key}:{}", self.maker)
    }
}

/// An analysis in the format of older releases. Postcard has neither field names nor defaults, so new fields follow
/// behind it, where older releases do not read.
#[derive(Serialize, Deserialize)]
struct Before<Faces> {
    width: u32,
    height: u32,
    orientation: u8,
    faces: Faces,
}

/// Fields of an analysis that follow behind the older format.
#[derive(Default, Serialize, Deserialize)]
struct Behind {
    taken: Option<Taken>,
    picture: Option<PictureHash>,
}

fn packed(known: &CachedAnalysis) -> Option<Vec<u8>> {
    let &CachedAnalysis { width, height, orientation, taken, picture, ref faces } = known;
    postcard::to_allocvec(&(Before { width, height, orientation, faces }, Behind { taken, picture })).ok()
}

fn unpacked(bytes: &[u8]) -> Option<CachedAnalysis> {
    let (Before { width, height, orientation, faces }, rest) = postcard::take_from_bytes(bytes).ok()?;
    let Behind { taken, picture } =
        if rest.is_empty() { Behind::default() } else { postcard::from_bytes(rest).ok()? };
    Some(CachedAnalysis { width, height, orientation, taken, picture, faces })
}

#[async_trait]
impl Analyses for CachedAnalyses {
    async fn find(&self, content: &Content) -> Option<CachedAnalysis> {
        let key = key(content);
        let kept = self.cache.read(redis::cmd("HGET").arg(&key).arg(&self.maker)).await?;
        unpacked(&self.cache.checked(opened(&self.name(&key), &kept))?)
    }

    fn keep(&self, content: Content, known: CachedAnalysis) {
        // An analysis that cannot be serialised is not cached.
        let Some(value) = packed(&known) else { return };
        let key = key(&content);
        let value = sealed(&self.name(&key), &value);
        let mut pipeline = redis::pipe();
        pipeline.cmd("HSET").arg(&key).arg(&self.maker).arg(value).ignore();
        pipeline.cmd("EXPIRE").arg(&key).arg(self.seconds).ignore();
        self.cache.write(pipeline);
    }
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::face::{BBox, Quality};
    use muster_actors::ports::engine::FoundFace;

    use super::*;

    #[test]
    fn an_analysis_is_read_by_the_release_before_and_the_other_way_round() {
        let bbox = BBox { x: 1.0, y: 2.0, width: 3.0, height: 4.0 };
        let (landmarks, quality, embedding) = ([[0.5; 2]; 5], Quality::default(), vec![0.6, 0.8]);
        let faces = vec![FoundFace { bbox, landmarks, quality, embedding, thumbnail: vec![1, 2] }];
        let taken = Some(Taken { local_ms: -1, offset_minutes: Some(-570) });
        let known = CachedAnalysis {
            width: 4000,
            height: 3,
            orientation: 6,
            taken,
            picture: Some(PictureHash(u64::MAX)),
            faces,
        };
        let bytes = packed(&known).unwrap();
        assert_eq!(unpacked(&bytes).as_ref(), Some(&known));
        let old: Before<Vec<FoundFace>> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!((old.width, old.orientation, &old.faces), (4000, 6, &known.faces));
        let unknown = CachedAnalysis { taken: None, picture: None, ..known };
        assert_eq!(unpacked(&postcard::to_allocvec(&old).unwrap()), Some(unknown));
        assert_eq!(unpacked(&bytes[..bytes.len() - 1]), None);
    }
}
