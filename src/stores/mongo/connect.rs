//! Connecting: two databases, and the server's version.

use std::time::Duration;

use mongodb::bson::doc;
use mongodb::options::{Acknowledgment, ClientOptions, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Database};

use super::MongoError;
use muster_config::Secret;

/// Where the two databases are. A connection string may name its database; else they have their usual names.
#[derive(Clone, Debug)]
pub struct Uris<'a> {
    /// Faces and groups.
    pub gallery_images: &'a Secret,
    /// The images' metadata; not written when empty.
    pub huemn: &'a Secret,
}

/// A server that can do what muster needs.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Faces, images, groups, decisions.
    pub faces: Database,
    /// The images' metadata.
    pub metadata: Option<Database>,
    /// What the server calls its version.
    pub version: String,
    /// The newest wire protocol the server speaks: 25 is MongoDB 8.0.
    pub wire: i32,
}

/// A server that is not found within this is not there.
const SELECTION: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);
/// MongoDB 4.4, the first in which a transaction may write to a collection that is not there yet.
const OLDEST_WIRE: i32 = 9;

impl Connection {
    /// Connects and asks the server what it is; writes nothing.
    ///
    /// # Errors
    /// The server is away, refuses us, is too old, or is no replica set.
    pub async fn open(uris: &Uris<'_>) -> Result<Self, MongoError> {
        let faces = database(uris.gallery_images, "gallery_images").await?;
        let metadata = match uris.huemn.is_empty() {
            true => None,
            false => Some(database(uris.huemn, "huemn").await?),
        };
        let hello = faces.run_command(doc! { "hello": 1 }).await?;
        let build = faces.run_command(doc! { "buildInfo": 1 }).await?;
        let wire = hello.get_i32("maxWireVersion").unwrap_or(0);
        if wire < OLDEST_WIRE {
            return Err(MongoError::Unfit("the server is older than 4.4: upgrade it".to_owned()));
        }
        let sharded = hello.get_str("msg").is_ok_and(|role| role == "isdbgrid");
        if !sharded && hello.get_str("setName").is_err() {
            let fault = "the server is no member of a replica set, and groups are saved in transactions: start it with --replSet";
            return Err(MongoError::Unfit(fault.to_owned()));
        }
        let version = build.get_str("version").unwrap_or("unknown").to_owned();
        Ok(Self { faces, metadata, version, wire })
    }
}

async fn database(uri: &Secret, usual: &str) -> Result<Database, MongoError> {
    let mut options = ClientOptions::parse(uri.reveal()).await?;
    options.app_name.get_or_insert_with(|| "muster".to_owned());
    options.server_selection_timeout.get_or_insert(SELECTION);
    options.connect_timeout.get_or_insert(CONNECT);
    // muster retries; a second layer below it would multiply the load of an outage.
    options.retry_writes = Some(false);
    options.retry_reads = Some(false);
    // Whoever writes, groups or forgets must see what was written: a secondary may not have heard of it yet.
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    let name = options.default_database.clone().unwrap_or_else(|| usual.to_owned());
    Ok(Client::with_options(options)?.database(&name))
}
