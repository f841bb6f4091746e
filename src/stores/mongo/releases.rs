//! Records the receives of messages that ended well although the message was given back to the queue. There is one
//! document for each message; it expires when the queue cannot hold the message any more.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::ports::releases::{Receive, Releases, ReleasesError};

use super::bulk::{Bulks, Op, Statement};
use super::{MongoError, MongoFaces, classify, names};

/// Time after which the server gives a query up.
const TIME_LIMIT: std::time::Duration = std::time::Duration::from_secs(8);

/// Records about the messages of one queue.
#[derive(Clone)]
pub struct MongoReleases {
    store: MongoFaces,
    bulks: Bulks,
    queue: String,
}

impl MongoFaces {
    /// Creates the records about the messages of the queue with this name.
    pub fn releases(&self, queue: &str) -> MongoReleases {
        MongoReleases { store: self.clone(), bulks: self.bulks.clone(), queue: queue.to_owned() }
    }
}

impl From<MongoError> for ReleasesError {
    fn from(error: MongoError) -> Self {
        Self { class: classify::class(&error), message: error.to_string() }
    }
}

impl MongoReleases {
    fn id(&self, message: &str) -> String {
        format!("{}/{message}", self.queue)
    }

    async fn noted(&self, receives: &[Receive]) -> Result<HashMap<String, Vec<i64>>, MongoError> {
        let ids: Vec<String> = receives.iter().map(|receive| self.id(&receive.message)).collect();
        let releases = self.store.collection(names::RELEASES);
        let mut found = releases.find(doc! { "_id": { "$in": ids } }).max_time(TIME_LIMIT).await?;
        let mut noted = HashMap::new();
        while let Some(document) = found.try_next().await? {
            let id = document.get_str("_id").map_err(|error| MongoError::Document(error.to_string()))?;
            let receives = document.get_array("receives").map_err(|error| MongoError::Document(error.to_string()))?;
            noted.insert(id.to_owned(), receives.iter().filter_map(Bson::as_i64).collect());
        }
        Ok(noted)
    }
}

#[async_trait]
impl Releases for MongoReleases {
    async fn note(&self, receives: &[Receive]) -> Result<(), ReleasesError> {
        let statement = |(item, receive): (usize, &Receive)| {
            let filter: Document = doc! { "_id": self.id(&receive.message) };
            // The receives are a set, so that recording one twice counts once.
            let update = doc! {
                "$addToSet": { "receives": i64::from(receive.number) }, "$currentDate": { "at": true },
            };
            Statement { item, metadata: false, collection: names::RELEASES, op: Op::Upsert { filter, update } }
        };
        let statements = receives.iter().enumerate().map(statement).collect();
        let outcomes = self.bulks.run(statements, receives.len()).await?.outcomes;
        outcomes.into_iter().collect::<Result<(), MongoError>>()?;
        Ok(())
    }

    async fn count(&self, receives: &[Receive]) -> Result<Vec<u32>, ReleasesError> {
        let noted = self.noted(receives).await?;
        let count = |receive: &Receive| {
            let before = |number: &&i64| **number < i64::from(receive.number);
            let noted = noted.get(&self.id(&receive.message)).map_or(0, |all| all.iter().filter(before).count());
            u32::try_from(noted).unwrap_or(u32::MAX)
        };
        Ok(receives.iter().map(count).collect())
    }
}
