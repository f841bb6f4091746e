//! Caches data in Redis. The cache may be slow, down or full of wrong values, and never changes a result.
//!
//! Every value carries a checksum of itself and its key; a value with another checksum counts as an error. Calls have a
//! short time limit, and after a failed call the cache is skipped for a while.

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

/// Time for which the cache is skipped after a failed call.
const PAUSE: Duration = Duration::from_secs(5);
/// Greatest number of simultaneous writes; further values are not cached.
const WRITES: usize = 16;
/// Bytes of the checksum in front of each value.
const CHECKSUM: usize = 16;

/// Connection to the cache, shared by all of its users.
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

/// Counts of the cache's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Values that were found and valid.
    pub hits: u64,
    /// Values that were not found.
    pub misses: u64,
    /// Calls that failed or took too long, and values with a wrong checksum.
    pub errors: u64,
    /// Bytes of the values that were found.
    pub bytes: u64,
}

/// Computes the checksum of a key and its value.
fn checksum(key: &str, value: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes()).update(value);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM]);
    sum
}

/// Puts the checksum in front of a value.
fn sealed(key: &str, value: &[u8]) -> Vec<u8> {
    [&checksum(key, value)[..], value].concat()
}

/// Removes the checksum from a cached value; `None` where it does not match.
fn opened(key: &str, kept: &Bytes) -> Option<Bytes> {
    let (sum, value) = kept.split_at_checked(CHECKSUM)?;
    (checksum(key, value) == sum).then(|| kept.slice(CHECKSUM..))
}

/// Creates a connection that is opened when it is first needed. Its time limit applies to every call.
fn connection(client: &Client, connect: Duration, answer: Duration) -> Result<ConnectionManager, redis::RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(connect))
        .set_response_timeout(Some(answer))
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

impl Cache {
    /// Creates the cache; the connection is opened when it is first needed.
    ///
    /// # Errors
    /// [`redis::RedisError`] when the address is invalid.
    pub fn new(settings: &muster_config::Redis) -> Result<Self, redis::RedisError> {
        let timeout = Duration::from_millis(settings.timeout_milliseconds);
        let client = Client::open(settings.url.reveal())?;
        let connection = connection(&client, timeout.max(Duration::from_secs(1)), timeout)?;
        Ok(Self { client, connection, timeout, state: Arc::new(State::default()) })
    }

    /// Returns the counts of its answers.
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

    /// Makes a call under its time limit. `None` if it fails, and for a while after that.
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

    /// Tells whether the cache answers now.
    pub async fn answers(&self) -> bool {
        self.command::<String>(&redis::cmd("PING")).await.is_some()
    }

    /// Returns the raw value that `command` reads.
    async fn read(&self, command: &Cmd) -> Option<Bytes> {
        let kept: Option<Vec<u8>> = self.command(command).await?;
        if kept.is_none() {
            self.count(|state| &state.misses, 1);
        }
        kept.map(Bytes::from)
    }

    /// Counts a value that was read; `None` stands for a wrong checksum.
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

    /// Returns the value under `key`.
    async fn get(&self, key: &str) -> Option<Bytes> {
        let kept = self.read(redis::cmd("GET").arg(key)).await?;
        self.checked(opened(key, &kept))
    }

    /// Caches a value for `seconds`, if the cache can take it now; does not wait.
    fn put(&self, key: &str, value: &[u8], seconds: u64) {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(key).arg(sealed(key, value)).arg("EX").arg(seconds).ignore();
        self.write(pipeline);
    }

    /// Writes to the cache, if it can take it now; does not wait.
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
