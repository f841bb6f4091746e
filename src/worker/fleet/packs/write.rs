//! Writes packs, each of them once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use muster_actors::errors::Class;
use muster_actors::ports::faces::FacesError;
use muster_aws::s3::When;
use muster_stores::mongo::{PackKind, PackRange};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::layout::{PACK_BYTES, Pack, Part, index, pack, share};
use super::recent_puts::{PutLocation, RecentPuts};
use super::{Packs, content_type, of_no_image, transient};

/// Packs of one bulk that are put at once.
const AT_ONCE: usize = 4;
/// What one pack may take: less than a bulk may, so that what was put of it is known when the bulk is written again.
const LIMIT: Duration = Duration::from_secs(20);
/// How often a pack is put anew of which somebody forgot a part while it was put.
const ATTEMPTS: u32 = 4;

/// Where a part lies, or why it does not.
pub(crate) type Outcome = Result<PackRange, FacesError>;

impl Packs {
    /// Puts parts into packs, where they are not in one yet; one outcome for each, in order.
    pub async fn put(&self, kind: PackKind, parts: &[Part]) -> Vec<Outcome> {
        let digests: Vec<[u8; 32]> = parts.iter().map(|part| part.digest(kind)).collect();
        let mut known = match self.known(&digests).await {
            Ok(known) => known,
            Err(error) => return vec![Err(error); parts.len()],
        };
        let rest: Vec<usize> = (0..parts.len()).filter(|n| !known.contains_key(n)).collect();
        let left: Vec<Part> = rest.iter().map(|n| parts[*n].clone()).collect();
        let shares = share(kind, &left, PACK_BYTES);
        let puts: Vec<_> = shares.iter().map(|range| self.put_pack(kind, &left[range.clone()])).collect();
        let packed: Vec<Vec<Outcome>> = stream::iter(puts).buffered(AT_ONCE).collect().await;
        known.extend(rest.into_iter().zip(packed.into_iter().flatten()));
        (0..parts.len()).map(|n| known.remove(&n).unwrap_or_else(|| Err(missing()))).collect()
    }

    /// Those that lie in a pack since a bulk before, by their numbers.
    async fn known(&self, digests: &[[u8; 32]]) -> Result<BTreeMap<usize, Outcome>, FacesError> {
        let mut found = BTreeMap::new();
        {
            let kept = self.kept.lock();
            for (n, digest) in digests.iter().enumerate() {
                if let Some(PutLocation::Pack(range)) = kept.get(digest) {
                    found.insert(n, range);
                }
            }
        }
        let mut usable = BTreeSet::new();
        for key in found.values().map(|range| range.pack.clone()).collect::<BTreeSet<_>>() {
            if self.store.claim_pack(&key).await? {
                usable.insert(key);
            }
        }
        found.retain(|_, range| usable.contains(&range.pack));
        Ok(found.into_iter().map(|(n, range)| (n, Ok(range))).collect())
    }

    async fn put_pack(&self, kind: PackKind, parts: &[Part]) -> Vec<Outcome> {
        let digests: Vec<[u8; 32]> = parts.iter().map(|part| part.digest(kind)).collect();
        let name = index(&digests);
        for _ in 0..ATTEMPTS {
            let id = match self.take_id(name) {
                Ok(id) => id,
                Err(error) => return vec![Err(error); parts.len()],
            };
            let pack = pack(kind, parts, id.id);
            match self.put_one(kind, &pack).await {
                Ok(true) => {
                    id.spend();
                    return self.keep(&digests, &pack);
                }
                Ok(false) => id.spend(),
                Err(error) => return vec![Err(error); parts.len()],
            }
        }
        vec![Err(transient("parts of a pack were forgotten while it was put")); parts.len()]
    }

    /// The id of an attempt that failed, else a new one. Nobody else has it while it is held.
    fn take_id(&self, name: [u8; 32]) -> Result<HeldId<'_>, FacesError> {
        let failed = self.failed.lock().remove(&name);
        Ok(HeldId { failed: Some(self.failed.as_ref()), name, id: failed.map_or_else(new_id, Ok)? })
    }

    /// Announces a pack, puts it, and says that it is used; `false` where somebody forgot a part of it meanwhile.
    async fn put_one(&self, kind: PackKind, Pack { key, entries, bytes }: &Pack) -> Result<bool, FacesError> {
        self.store.announce_pack(key, kind, entries).await?;
        let put = self.bucket.put(key, bytes.clone(), content_type(kind), None, When::Absent);
        let put = timeout(LIMIT, put).await.map_err(|_| transient("PutObject of a pack took too long"))?;
        let is_new = put.map_err(of_no_image)?;
        if !self.store.claim_pack(key).await? {
            // Nothing points at it, and what was to be forgotten may have been put after it was looked for.
            self.bucket.discard(key).await.map_err(of_no_image)?;
            return Ok(false);
        }
        // An attempt before has put it, unless S3 only says that one is on its way.
        if !is_new && self.bucket.generation(key).await.map_err(of_no_image)?.is_none() {
            return Err(transient("another attempt at putting the pack is on its way"));
        }
        Ok(true)
    }

    fn keep(&self, digests: &[[u8; 32]], pack: &Pack) -> Vec<Outcome> {
        let mut kept = self.kept.lock();
        let place = |entry: &muster_stores::mongo::PackEntry| PackRange {
            pack: pack.key.clone(),
            offset: entry.offset,
            length: entry.length,
        };
        let ranges: Vec<PackRange> = pack.entries.iter().map(place).collect();
        for (digest, range) in digests.iter().zip(&ranges) {
            kept.insert(*digest, PutLocation::Pack(range.clone()));
        }
        ranges.into_iter().map(Ok).collect()
    }

    /// Whether a part lies under a key of its own since a bulk before.
    pub fn has_own(&self, kind: PackKind, part: &Part) -> bool {
        self.kept.lock().get(&part.digest(kind)) == Some(PutLocation::Own)
    }

    /// Notes that a part lies under a key of its own.
    pub fn keep_own(&self, kind: PackKind, part: &Part) {
        self.kept.lock().insert(part.digest(kind), PutLocation::Own);
    }

    /// Parts are in the database: put again, they are put anew.
    pub fn release<'a>(&self, parts: impl IntoIterator<Item = (PackKind, &'a Part)>) {
        let mut kept = self.kept.lock();
        for (kind, part) in parts {
            kept.remove(&part.digest(kind));
        }
    }

    /// Somebody may have deleted what lies under keys of its own. Packs are asked for in the database.
    pub fn release_own(&self) {
        self.kept.lock().retain(|place| *place != PutLocation::Own);
    }
}

/// The id of a pack that is being put. An attempt that fails, or is given up, may be there all the same: put again, the pack
/// has the same id.
struct HeldId<'a> {
    failed: Option<&'a Mutex<RecentPuts<[u8; 16]>>>,
    name: [u8; 32],
    id: [u8; 16],
}

impl HeldId<'_> {
    /// The pack is there, or will never be.
    fn spend(mut self) {
        self.failed = None;
    }
}

impl Drop for HeldId<'_> {
    fn drop(&mut self) {
        if let Some(failed) = self.failed {
            failed.lock().insert(self.name, self.id);
        }
    }
}

fn new_id() -> Result<[u8; 16], FacesError> {
    let mut id = [0; 16];
    let bug = |error: getrandom::Error| FacesError::Failed { class: Class::Bug, message: error.to_string() };
    getrandom::fill(&mut id).map_err(bug)?;
    Ok(id)
}

fn missing() -> FacesError {
    FacesError::Failed { class: Class::Bug, message: "a part was put into no pack".to_owned() }
}
