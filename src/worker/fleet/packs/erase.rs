//! Takes what was forgotten out of packs: its bytes are overwritten, and all others stay where they are.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use muster_actors::ports::faces::FacesError;
use muster_aws::s3::When;
use muster_stores::mongo::{PackEntry, PackKind, PackRecord};

use super::layout::blank;
use super::{Packs, content_type, transient};

/// Packs that are rewritten at once: each is held in memory twice.
const AT_ONCE: usize = 4;
/// How often a pack is read again that somebody else rewrites too.
const CONFLICTS: usize = 8;
/// A pack that was put so long ago is used by no writer that has not yet said so in the database: a message is held for twelve
/// hours at most.
const SETTLED: Duration = Duration::from_secs(24 * 3600);
/// Packs of one page of a sweep.
const PAGE: i64 = 100;

/// What was taken out of packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blanked {
    /// Crops.
    pub crops: u64,
    /// Results.
    pub results: u64,
    /// Packs that were written anew without them.
    pub rewritten: u64,
    /// Packs of which nothing was left.
    pub deleted: u64,
    /// Packs that somebody is about to put: what comes is deleted by its writer, or by a sweep where that died.
    pub awaited: u64,
    /// The bucket keeps versions: the old ones stay until its lifecycle removes them.
    pub versions_stay: bool,
}

impl Blanked {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            crops: self.crops + other.crops,
            results: self.results + other.results,
            rewritten: self.rewritten + other.rewritten,
            deleted: self.deleted + other.deleted,
            awaited: self.awaited + other.awaited,
            versions_stay: self.versions_stay || other.versions_stay,
        }
    }
}

fn is_settled(pack: &PackRecord) -> bool {
    pack.at.elapsed().is_ok_and(|age| age > SETTLED)
}

impl Packs {
    /// Takes what is `gone` out of these packs, and what nothing points at any more out of those that are a day old.
    pub async fn erase(
        &self,
        keys: BTreeSet<String>,
        gone: &(impl Fn(&PackEntry) -> bool + Sync),
    ) -> Result<Blanked, FacesError> {
        let erased: Vec<_> = keys.iter().map(|key| self.erase_in(key, gone)).collect();
        stream::iter(erased).buffer_unordered(AT_ONCE).try_fold(Blanked::default(), async |a, b| Ok(a.and(b))).await
    }

    /// Deletes what workers left that died while they put a pack, and the documents of packs of which nothing is left, when
    /// they are a day old. One query, where there is nothing to do.
    pub async fn sweep(&self) -> Result<Blanked, FacesError> {
        let (mut swept, mut after) = (Blanked::default(), String::new());
        loop {
            let keys = self.store.abandoned_packs(&after, SETTLED, PAGE).await?;
            let Some(last) = keys.last() else { return Ok(swept) };
            after.clone_from(last);
            swept = swept.and(self.erase(keys.into_iter().collect(), &|_| false).await?);
        }
    }

    async fn erase_in(&self, key: &str, gone: &(impl Fn(&PackEntry) -> bool + Sync)) -> Result<Blanked, FacesError> {
        for _ in 0..CONFLICTS {
            let Some(pack) = self.store.pack(key).await? else { return Ok(Blanked::default()) };
            let out = self.to_blank(&pack, gone).await?;
            if out.is_empty() && !pack.entries.is_empty() {
                return Ok(Blanked::default());
            }
            // Before the bytes go: a writer that is about to use it puts what it needs anew.
            self.store.close_pack(key).await?;
            if let Some(blanked) = self.overwrite(&pack, &out).await? {
                let offsets: Vec<u64> = out.iter().map(|entry| entry.offset).collect();
                self.store.drop_entries(key, &offsets).await?;
                return self.bury(key, blanked).await;
            }
        }
        Err(transient("a pack is written to all the time"))
    }

    async fn to_blank<'a>(
        &self,
        pack: &'a PackRecord,
        gone: &(impl Fn(&PackEntry) -> bool + Sync),
    ) -> Result<Vec<&'a PackEntry>, FacesError> {
        let live = if is_settled(pack) { Some(self.store.live_offsets(pack).await?) } else { None };
        let is_dead = |entry: &PackEntry| live.as_ref().is_some_and(|live| !live.contains(&entry.offset));
        Ok(pack.entries.iter().filter(|entry| gone(entry) || is_dead(entry)).collect())
    }

    /// Overwrites entries; `None` where somebody else wrote the pack meanwhile.
    async fn overwrite(&self, pack: &PackRecord, out: &[&PackEntry]) -> Result<Option<Blanked>, FacesError> {
        let Some(whole) = self.bucket.get_whole(&pack.key).await? else {
            let awaited = u64::from(!pack.is_written && !out.is_empty() && !is_settled(pack));
            return Ok(Some(Blanked { awaited, ..Blanked::default() }));
        };
        let count = |kind| if pack.kind == kind { out.len() as u64 } else { 0 };
        let mut blanked = Blanked {
            crops: count(PackKind::Crops),
            results: count(PackKind::Results),
            versions_stay: whole.versions_stay,
            ..Blanked::default()
        };
        if out.len() < pack.entries.len() {
            let bytes = blank(pack.kind, &whole.bytes, out.iter().copied());
            let when = When::Unchanged(whole.etag);
            if !self.bucket.put(&pack.key, bytes, content_type(pack.kind), None, when).await? {
                return Ok(None);
            }
            blanked.rewritten = 1;
            blanked.versions_stay |= self.bucket.has_version(&pack.key).await?;
        }
        Ok(Some(blanked))
    }

    /// Deletes a pack in which nothing is left. Its document, which names nobody, stays for a day: what a writer puts meanwhile
    /// is found by it.
    async fn bury(&self, key: &str, mut blanked: Blanked) -> Result<Blanked, FacesError> {
        let Some(pack) = self.store.pack(key).await?.filter(|pack| pack.entries.is_empty()) else { return Ok(blanked) };
        blanked.versions_stay |= self.bucket.remove(key).await?.versions_stay;
        if blanked.crops + blanked.results > 0 {
            (blanked.deleted, blanked.rewritten) = (1, 0);
        }
        match is_settled(&pack) {
            true => self.store.remove_pack(key).await?,
            false => self.store.empty_pack(key).await?,
        }
        Ok(blanked)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_pack_is_settled_when_no_message_of_its_time_can_be_held_any_more() {
        let (key, kind) = (String::new(), PackKind::Crops);
        let aged = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
        for (hours, settled) in [(0, false), (12, false), (25, true)] {
            let pack = PackRecord { key: key.clone(), kind, entries: vec![], at: aged(hours), is_written: true };
            assert_eq!(is_settled(&pack), settled, "{hours}");
        }
    }
}
