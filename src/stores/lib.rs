//! The stores of a fleet: MongoDB holds images, faces, groups, facts and tombstones, and Redis caches what is expensive
//! to compute or to download. They implement the ports `Faces`, `Releases`, `Analyses` and `Objects` of
//! `muster-actors`. Workers, the web server and the commands of a fleet use them. The crate does not decide which faces
//! belong together, and a library on one machine does not use it: its store is SQLite.
//!
//! ```text
//! detecting workers ── results ────────────► mongo::MongoFaces ──► MongoDB: database of faces, database of metadata
//! grouping workers ◄── snapshot, partition ─►        │
//! web server ◄── pages, corrections ────────►        │ embeddings
//!                                                    └──────► redis::Vectors ───┐
//! detecting workers ── analyses ────────────► redis::CachedAnalyses ────────────┼─► redis::Cache ──► Redis
//!                   ── bytes of images ─────► redis::CachedObjects ─────────────┘
//!                                                    └──────► S3 (is the object unchanged?)
//! ```

pub mod embeddings;
pub mod mongo;
pub mod redis;
