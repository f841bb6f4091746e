//! Connects to the two databases, and checks the server's version.

use std::time::Duration;

use mongodb::bson::doc;
use mongodb::options::{Acknowledgment, ClientOptions, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Database};

use super::MongoError;
use muster_config::Secret;

/// Addresses of the two databases. A connection string may name its database; otherwise the databases have their usual
/// names.
#[derive(Clone, Debug)]
pub struct Uris<'a> {
    /// Connection string for faces and groups.
    pub gallery_images: &'a Secret,
    /// Connection string for the images' metadata, which is not written when this is empty.
    pub huemn: &'a Secret,
}

/// Connection to a server with the features that muster needs.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Database of faces, images, groups and facts.
    pub faces: Database,
    /// Database of the images' metadata, where it is set.
    pub metadata: Option<Database>,
    /// Version that the server reports.
    pub version: String,
    /// Newest version of the wire protocol that the server speaks: 25 is MongoDB 8.0.
    pub wire: i32,
}

/// Time after which a server that is not found counts as down.
const SELECTION: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);
/// Version of the wire protocol in MongoDB 4.4, the first server whose transactions may write to a collection that does
/// not exist yet.
const OLDEST_WIRE: i32 = 9;

impl Connection {
    /// Connects and asks the server for its features; writes nothing.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server is down or refuses the connection; [`MongoError::Unfit`] when it is too
    /// old, or no replica set.
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
    // muster retries by itself; a second layer below would multiply the load of an outage.
    options.retry_writes = Some(false);
    options.retry_reads = Some(false);
    // A worker that writes, groups or forgets must see the last write, which a secondary may not have yet.
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    let name = options.default_database.clone().unwrap_or_else(|| usual.to_owned());
    Ok(Client::with_options(options)?.database(&name))
}
