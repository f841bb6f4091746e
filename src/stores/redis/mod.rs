//! A cache in Redis that may be slow, down or full of rubbish and never changes a result.
//!
//! Every value carries a checksum of itself and its key: what does not match was not kept by us under that key. Calls end within
//! a short time; after one that fails the cache is passed over for a while.

mod analyses;
mod forget;
mod objects;
mod vectors;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, Pipeline};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

pub use analyses::CachedAnalyses;
pub use objects::CachedObjects;
pub use vectors::Vectors;

/// After a failed call the cache is passed over for so long.
const PAUSE: Duration = Duration::from_secs(5);
/// Values on their way into the cache at once; more are not kept.
const WRITES: usize = 16;
/// Bytes of the checksum before each value.
const CHECKSUM: usize = 16;

/// A connection to the cache, shared by all who use it.
#[derive(Clone)]
pub struct Cache {
    client: Client,
    connection: ConnectionManager,
    timeout: Duration,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    paused: Mutex<Option<Instant>>,
    hits: AtomicU64,
    misses: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
}

/// How often the cache helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Values that were there and good.
    pub hits: u64,
    /// Values that were not there.
    pub misses: u64,
    /// Calls that failed or took too long, and values that were not good.
    pub errors: u64,
    /// Bytes of the hits.
    pub bytes: u64,
}

/// What `key` and `value` have in common.
fn checksum(key: &str, value: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes()).update(value);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM]);
    sum
}

/// A value as it is kept.
fn sealed(key: &str, value: &[u8]) -> Vec<u8> {
    [&checksum(key, value)[..], value].concat()
}

/// The value in what was kept; `None` where it is not what was kept under this key.
fn opened(key: &str, kept: &Bytes) -> Option<Bytes> {
    let (sum, value) = kept.split_at_checked(CHECKSUM)?;
    (checksum(key, value) == sum).then(|| kept.slice(CHECKSUM..))
}

/// Connects when it is first needed. A connection's own time limit counts for every call on it.
fn connection(client: &Client, connect: Duration, answer: Duration) -> Result<ConnectionManager, redis::RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(connect))
        .set_response_timeout(Some(answer))
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

impl Cache {
    /// Connects when it is first needed.
    ///
    /// # Errors
    /// The address is not one.
    pub fn new(settings: &muster_config::Redis) -> Result<Self, redis::RedisError> {
        let timeout = Duration::from_millis(settings.timeout_milliseconds);
        let client = Client::open(settings.url.reveal())?;
        let connection = connection(&client, timeout.max(Duration::from_secs(1)), timeout)?;
        Ok(Self { client, connection, timeout, state: Arc::new(State::default()) })
    }

    /// How often it helped.
    pub fn counts(&self) -> Counts {
        let State { hits, misses, errors, bytes, .. } = &*self.state;
        let [hits, misses, errors, bytes] = [hits, misses, errors, bytes].map(|count| count.load(Ordering::Relaxed));
        Counts { hits, misses, errors, bytes }
    }

    fn count(&self, of: impl Fn(&State) -> &AtomicU64, by: u64) {
        of(&self.state).fetch_add(by, Ordering::Relaxed);
    }

    fn is_paused(&self) -> bool {
        let paused = self.state.paused.lock();
        paused.is_some_and(|until| Instant::now() < until)
    }

    /// A call under its time limit. `None` when it fails, and for a while after that.
    async fn ask<T: FromRedisValue>(
        &self,
        call: impl AsyncFnOnce(ConnectionManager) -> redis::RedisResult<T>,
    ) -> Option<T> {
        if self.is_paused() {
            return None;
        }
        if let Ok(Ok(value)) = timeout(self.timeout, call(self.connection.clone())).await {
            return Some(value);
        }
        self.count(|state| &state.errors, 1);
        *self.state.paused.lock() = Some(Instant::now() + PAUSE);
        None
    }

    async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        self.ask(async |mut connection| command.query_async(&mut connection).await).await
    }

    async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Option<T> {
        self.ask(async |mut connection| pipeline.query_async(&mut connection).await).await
    }

    /// Whether it answers now.
    pub async fn answers(&self) -> bool {
        self.command::<String>(&redis::cmd("PING")).await.is_some()
    }

    /// What lies where `command` reads.
    async fn read(&self, command: &Cmd) -> Option<Bytes> {
        let kept: Option<Vec<u8>> = self.command(command).await?;
        if kept.is_none() {
            self.count(|state| &state.misses, 1);
        }
        kept.map(Bytes::from)
    }

    /// A value that was read, counted: `None` where it was not what was kept there.
    fn checked(&self, value: Option<Bytes>) -> Option<Bytes> {
        match &value {
            Some(value) => {
                self.count(|state| &state.hits, 1);
                self.count(|state| &state.bytes, value.len() as u64);
            }
            None => self.count(|state| &state.errors, 1),
        }
        value
    }

    /// The value kept under `key`.
    async fn get(&self, key: &str) -> Option<Bytes> {
        let kept = self.read(redis::cmd("GET").arg(key)).await?;
        self.checked(opened(key, &kept))
    }

    /// Keeps a value for `seconds`, if the cache can take it now; does not wait.
    fn put(&self, key: &str, value: &[u8], seconds: u64) {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(key).arg(sealed(key, value)).arg("EX").arg(seconds).ignore();
        self.write(pipeline);
    }

    /// Writes, if the cache can take it now; does not wait.
    fn write(&self, pipeline: Pipeline) {
        static ROOM: Semaphore = Semaphore::const_new(WRITES);
        let Ok(room) = ROOM.try_acquire() else { return };
        if self.is_paused() {
            return;
        }
        let cache = self.clone();
        tokio::spawn(async move {
            let _room = room;
            let _: Option<()> = cache.pipeline(&pipeline).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_kept_under_a_key_comes_back() {
        let kept = Bytes::from(sealed("a", b"value"));
        assert_eq!(opened("a", &kept).as_deref(), Some(&b"value"[..]));
        assert_eq!(opened("b", &kept), None, "another's value");
        for rubbish in [&b""[..], b"short", &kept[..20], &[0; 100]] {
            assert_eq!(opened("a", &Bytes::copy_from_slice(rubbish)), None);
        }
        let mut bent = kept.to_vec();
        *bent.last_mut().unwrap() ^= 1;
        assert_eq!(opened("a", &bent.into()), None);
        assert_eq!(opened("", &Bytes::from(sealed("", b""))).as_deref(), Some(&b""[..]), "an empty value is a value");
    }
}
