//! A fleet's stores: MongoDB for images, faces, groups and decisions, and a cache in Redis.

pub mod embeddings;
pub mod mongo;
pub mod redis;
