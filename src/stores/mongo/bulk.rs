//! Unordered bulks with an outcome for each statement: one `bulkWrite` of the client from MongoDB 8.0 on, else one command for
//! each collection and kind (`update`, `delete`; MongoDB manual, "Database Commands").

use std::collections::BTreeMap;

use futures_util::future::join_all;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{DeleteManyModel, UpdateOneModel, WriteModel};
use mongodb::{Client, Database, Namespace};

use super::{Connection, MongoError};

/// Wire protocol of MongoDB 8.0, the first with a `bulkWrite` of the client.
const BULK_WRITE: i32 = 25;
/// A command is one document, and a document has at most 16 MiB (BSON).
const COMMAND_BYTES: usize = 12 << 20;
const COMMAND_STATEMENTS: usize = 10_000;
/// Milliseconds after which the server gives a command up: before the Writer does, so that none goes on behind its back.
const TIME_LIMIT: i64 = 45_000;

/// One statement for one item of the caller's.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// The caller's item.
    pub item: usize,
    /// In the database of metadata instead of that of faces.
    pub metadata: bool,
    /// Which collection.
    pub collection: &'static str,
    /// What to do.
    pub op: Op,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Updates the document that matches, or makes it.
    Upsert {
        /// Which.
        filter: Document,
        /// How.
        update: Document,
    },
    /// Deletes all documents that match.
    Delete {
        /// Which.
        filter: Document,
    },
}

/// How bulks are written on this server.
#[derive(Clone, Debug)]
pub enum Bulks {
    /// MongoDB 8.0 and newer, where there is no database of metadata.
    Client { client: Client, faces: String },
    /// Older servers, and deployments where the two databases are not on one server.
    Commands { faces: Database, metadata: Option<Database> },
}

type Outcomes = Vec<Result<(), MongoError>>;

impl Bulks {
    /// As this server can. The two databases have clients of their own, so only one of them can be written through the
    /// client's bulk: with metadata elsewhere the commands it is.
    pub fn new(connection: &Connection) -> Self {
        match (&connection.metadata, connection.wire) {
            (None, BULK_WRITE..) => {
                Self::Client { client: connection.faces.client().clone(), faces: connection.faces.name().to_owned() }
            }
            (metadata, _) => Self::Commands { faces: connection.faces.clone(), metadata: metadata.clone() },
        }
    }

    /// Writes statements; one outcome for each of `items` items: the first failure of its statements.
    ///
    /// # Errors
    /// A whole call failed: nothing is known of any item.
    pub async fn run(&self, statements: Vec<Statement>, items: usize) -> Result<Outcomes, MongoError> {
        let mut outcomes: Outcomes = vec![Ok(()); items];
        let failures = match self {
            Self::Client { client, faces } => whole(client, faces, statements).await?,
            Self::Commands { faces, metadata } => commands(faces, metadata.as_ref(), statements).await?,
        };
        for (item, error) in failures {
            if let Some(outcome) = outcomes.get_mut(item).filter(|outcome| outcome.is_ok()) {
                *outcome = Err(error);
            }
        }
        Ok(outcomes)
    }
}

/// In the database of metadata, collection, a delete: what one command can hold.
type Kind = (bool, &'static str, bool);
type Failures = Vec<(usize, MongoError)>;

async fn whole(client: &Client, faces: &str, statements: Vec<Statement>) -> Result<Failures, MongoError> {
    let items: Vec<usize> = statements.iter().map(|statement| statement.item).collect();
    let models: Vec<WriteModel> = statements
        .into_iter()
        .map(|statement| {
            let namespace = Namespace::new(faces, statement.collection);
            match statement.op {
                Op::Upsert { filter, update } => WriteModel::UpdateOne(
                    UpdateOneModel::builder().namespace(namespace).filter(filter).update(update).upsert(true).build(),
                ),
                Op::Delete { filter } => {
                    WriteModel::DeleteMany(DeleteManyModel::builder().namespace(namespace).filter(filter).build())
                }
            }
        })
        .collect();
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let Err(error) = client.bulk_write(models).ordered(false).await else { return Ok(Vec::new()) };
    let ErrorKind::BulkWrite(bulk) = error.kind.as_ref() else { return Err(error.into()) };
    if !bulk.write_concern_errors.is_empty() || std::error::Error::source(&error).is_some() {
        // Not known to be with a majority: all of it is written again.
        return Err(error.into());
    }
    let fault = |code, message: &str| MongoError::Statement { code, message: message.to_owned() };
    Ok(bulk.write_errors.iter().map(|(index, error)| (items[*index], fault(error.code, &error.message))).collect())
}

async fn commands(
    faces: &Database,
    metadata: Option<&Database>,
    statements: Vec<Statement>,
) -> Result<Failures, MongoError> {
    let mut kinds: BTreeMap<Kind, Vec<(usize, Document)>> = BTreeMap::new();
    for Statement { item, metadata, collection, op } in statements {
        let (delete, statement) = match op {
            Op::Upsert { filter, update } => (false, doc! { "q": filter, "u": update, "upsert": true }),
            Op::Delete { filter } => (true, doc! { "q": filter, "limit": 0 }),
        };
        kinds.entry((metadata, collection, delete)).or_default().push((item, statement));
    }
    let calls = kinds.into_iter().filter_map(|((in_metadata, collection, delete), statements)| {
        let database = if in_metadata { metadata? } else { faces };
        Some(command(database, collection, delete, statements))
    });
    // All of them, also where one fails: none may still be on its way when the caller looks at what is there.
    let answers = join_all(calls).await.into_iter().collect::<Result<Vec<Failures>, MongoError>>()?;
    Ok(answers.into_iter().flatten().collect())
}

/// One kind of statement on one collection, in as many commands as its size asks for.
async fn command(
    database: &Database,
    collection: &str,
    delete: bool,
    statements: Vec<(usize, Document)>,
) -> Result<Failures, MongoError> {
    let mut failures = Vec::new();
    let mut rest = statements.into_iter().peekable();
    while rest.peek().is_some() {
        let (mut items, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some((item, statement)) = rest.next_if(|_| batch.len() < COMMAND_STATEMENTS && bytes < COMMAND_BYTES)
        {
            bytes += mongodb::bson::serialize_to_vec(&statement)?.len();
            items.push(item);
            batch.push(Bson::Document(statement));
        }
        let (verb, list) = if delete { ("delete", "deletes") } else { ("update", "updates") };
        let answer = database
            .run_command(doc! {
                verb: collection, list: batch, "ordered": false, "writeConcern": { "w": "majority", "j": true },
                "maxTimeMS": TIME_LIMIT,
            })
            .await?;
        failures.extend(read(&answer, &items)?);
    }
    Ok(failures)
}

/// What a write command says of its statements.
fn read(answer: &Document, items: &[usize]) -> Result<Failures, MongoError> {
    let code = |error: &Document| error.get_i32("code").unwrap_or_default();
    let message = |error: &Document| error.get_str("errmsg").unwrap_or("no message").to_owned();
    if let Ok(error) = answer.get_document("writeConcernError") {
        return Err(MongoError::Statement { code: code(error), message: message(error) });
    }
    let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let failure = |error: &Document| {
        let index = usize::try_from(error.get_i32("index").unwrap_or(-1)).ok()?;
        Some((*items.get(index)?, MongoError::Statement { code: code(error), message: message(error) }))
    };
    Ok(errors.iter().filter_map(Bson::as_document).filter_map(failure).collect())
}
