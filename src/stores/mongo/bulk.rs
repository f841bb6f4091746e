//! Writes unordered bulks with an outcome for each statement. From MongoDB 8.0 on, a bulk is one `bulkWrite`; before,
//! it is one command for each collection and kind (`update`, `delete`; MongoDB manual, "Database Commands"). The
//! commands are built here, because the driver's own bulk has no time limit on the server: it would continue after the
//! worker gave it up, and might write images that were forgotten in the meantime.
//!
//! A server may refuse a whole command because of one of its statements. Then the command is sent in halves, until that
//! statement is alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use futures_util::future::join_all;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::{Connection, MongoError, classify};

/// Version of the wire protocol in MongoDB 8.0, the first that has `bulkWrite`.
const BULK_WRITE: i32 = 25;
/// Bytes of statements in one command, at most. A command is one document, and a document has at most 16 MiB (BSON).
const COMMAND_BYTES: usize = 12 << 20;
const COMMAND_STATEMENTS: usize = 10_000;
/// Id that no document has.
const NOBODY: &str = "nobody";
/// Milliseconds after which the server gives a command up. This is less than the Writer's own limit, so that no command
/// continues after the Writer gave it up.
const TIME_LIMIT: i64 = 45_000;

/// Write to one collection, on behalf of one item of the caller.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// Position of the caller's item.
    pub item: usize,
    /// Whether it goes to the database of metadata instead of that of faces.
    pub metadata: bool,
    /// Name of the collection.
    pub collection: &'static str,
    /// Upsert or delete that the statement executes.
    pub op: Op,
}

/// The operation of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Updates the document that matches, or creates it.
    Upsert {
        /// Selects the document.
        filter: Document,
        /// Changes that are made to it.
        update: Document,
    },
    /// Deletes all documents that match.
    Delete {
        /// Selects the documents.
        filter: Document,
    },
    /// Updates a document that does not exist, which changes nothing.
    Nothing,
}

/// Writes bulks in the way that this server supports.
#[derive(Clone, Debug)]
pub(crate) struct Bulks {
    faces: Database,
    metadata: Option<Database>,
    /// Whether the server has a `bulkWrite` over several collections.
    whole: bool,
}

/// The outcome of a bulk.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// First failure of the statements of each item, if any.
    pub outcomes: Vec<Result<(), MongoError>>,
    /// Items by which documents were deleted, or may have been.
    pub deleted: BTreeSet<usize>,
}

/// Form of a command, for statements that one command can hold.
#[derive(Clone, Debug)]
enum Form {
    /// `bulkWrite` over several collections of the database of faces (MongoDB manual, "bulkWrite").
    Whole,
    /// `update` or `delete` on one collection.
    Collection { metadata: bool, collection: &'static str, delete: bool },
}

impl Bulks {
    /// Uses `bulkWrite` where the server has it and no separate database of metadata is set. Each database has its own
    /// client, and one command reaches only one of them.
    pub(crate) fn new(connection: &Connection) -> Self {
        let metadata = connection.metadata.clone();
        Self { faces: connection.faces.clone(), whole: metadata.is_none() && connection.wire >= BULK_WRITE, metadata }
    }

    /// Writes statements of `items` items. Within a collection, deletes are done before updates.
    ///
    /// # Errors
    /// [`MongoError::Driver`] or [`MongoError::Unconfirmed`] when a whole call failed; then the outcome of every item
    /// is unknown.
    pub(crate) async fn run(&self, statements: Vec<Statement>, items: usize) -> Result<Written, MongoError> {
        let mut outcomes = vec![Ok(()); items];
        let Answered { failures, deleted } = self.write(statements).await?;
        for (item, error) in failures {
            if let Some(outcome) = outcomes.get_mut(item).filter(|outcome| outcome.is_ok()) {
                *outcome = Err(error);
            }
        }
        Ok(Written { outcomes, deleted })
    }

    async fn write(&self, statements: Vec<Statement>) -> Result<Answered, MongoError> {
        if self.whole {
            return self.send(&Form::Whole, statements).await;
        }
        let mut all = Answered::default();
        let (deletes, upserts): (Vec<_>, Vec<_>) =
            statements.into_iter().partition(|statement| matches!(statement.op, Op::Delete { .. }));
        for (delete, statements) in [(true, deletes), (false, upserts)] {
            let mut kinds: BTreeMap<(bool, &'static str), Vec<Statement>> = BTreeMap::new();
            for statement in statements {
                kinds.entry((statement.metadata, statement.collection)).or_default().push(statement);
            }
            let calls = kinds.into_iter().map(|((metadata, collection), statements)| async move {
                self.send(&Form::Collection { metadata, collection, delete }, statements).await
            });
            // All of them are awaited even if one fails: none may still be on its way when the caller looks at the
            // data.
            for answer in join_all(calls).await.into_iter().collect::<Result<Vec<Answered>, MongoError>>()? {
                all.add(answer);
            }
        }
        Ok(all)
    }

    /// Sends statements of one form, in as many commands as their size requires.
    async fn send(&self, form: &Form, statements: Vec<Statement>) -> Result<Answered, MongoError> {
        let mut all = Answered::default();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for statement in statements {
            let size = mongodb::bson::serialize_to_vec(&statement.op.document())?.len();
            if batch.len() == COMMAND_STATEMENTS || bytes + size > COMMAND_BYTES {
                all.add(self.in_parts(form, &batch).await?);
                (batch, bytes) = (Vec::new(), 0);
            }
            bytes += size;
            batch.push(statement);
        }
        all.add(self.in_parts(form, &batch).await?);
        Ok(all)
    }

    /// Sends statements in one command, or in parts where the server refuses the whole command.
    async fn in_parts(&self, form: &Form, statements: &[Statement]) -> Result<Answered, MongoError> {
        let (mut all, mut parts, mut taken) = (Answered::default(), Parts::of(statements.len()), false);
        while let Some(part) = parts.next() {
            let error = match self.command(form, &statements[part.clone()]).await {
                Ok(more) => {
                    all.add(more);
                    continue;
                }
                Err(error) => error,
            };
            let Some(of_one) = classify::of_one(&error) else { return Err(error) };
            if !taken {
                // If the server refuses every command of this form, no statement is at fault.
                self.command(form, &[harmless(&statements[part.start])]).await?;
                taken = true;
            }
            all.failures.extend(parts.refused(part).map(|one| (statements[one].item, of_one)));
        }
        Ok(all)
    }

    /// Sends one command and reads its answer.
    async fn command(&self, form: &Form, statements: &[Statement]) -> Result<Answered, MongoError> {
        let database = match form {
            Form::Whole => Some(self.faces.client().database("admin")),
            Form::Collection { metadata: true, .. } => self.metadata.clone(),
            Form::Collection { metadata: false, .. } => Some(self.faces.clone()),
        };
        let Some(database) = database else { return Ok(Answered::default()) };
        read(&database.run_command(form.command(self.faces.name(), statements)).await?, statements)
    }
}

impl Form {
    /// Builds the command for some statements; `faces` is the name of the database of faces.
    fn command(&self, faces: &str, statements: &[Statement]) -> Document {
        let list = |each: &dyn Fn(&Statement) -> Document| -> Vec<Bson> {
            statements.iter().map(|statement| Bson::Document(each(statement))).collect()
        };
        let mut command = match self {
            Self::Whole => {
                let all: BTreeSet<&str> = statements.iter().map(|statement| statement.collection).collect();
                let place = |name: &str| all.iter().take_while(|collection| **collection != name).count() as i32;
                let ops = list(&|statement| statement.op.of_several(place(statement.collection)));
                let names: Vec<Bson> =
                    all.iter().map(|name| Bson::Document(doc! { "ns": format!("{faces}.{name}") })).collect();
                doc! { "bulkWrite": 1, "ops": ops, "nsInfo": names, "errorsOnly": true }
            }
            Self::Collection { collection, delete, .. } => {
                let (verb, key) = if *delete { ("delete", "deletes") } else { ("update", "updates") };
                doc! { verb: *collection, key: list(&|statement| statement.op.document()) }
            }
        };
        command.extend(doc! {
            "ordered": false, "writeConcern": { "w": "majority", "j": true }, "maxTimeMS": TIME_LIMIT,
        });
        command
    }
}

/// The statements' outcomes as the server reported them.
#[derive(Debug, Default)]
struct Answered {
    /// Items that failed, with the error.
    failures: Vec<(usize, MongoError)>,
    /// Items by which documents were deleted, or may have been, because a command only reports the number of deletions
    /// of all its statements.
    deleted: BTreeSet<usize>,
}

impl Answered {
    fn add(&mut self, other: Self) {
        self.failures.extend(other.failures);
        self.deleted.extend(other.deleted);
    }
}

impl Op {
    /// Renders the operation for a command on one collection.
    fn document(&self) -> Document {
        match self {
            Self::Upsert { filter, update } => doc! { "q": filter, "u": update, "upsert": true },
            Self::Delete { filter } => doc! { "q": filter, "limit": 0 },
            Self::Nothing => doc! { "q": { "_id": NOBODY }, "u": { "$set": { NOBODY: true } } },
        }
    }

    /// Renders the operation for `bulkWrite`; `collection` is a position in the command's list of collections.
    fn of_several(&self, collection: i32) -> Document {
        match self {
            Self::Upsert { filter, update } => {
                doc! { "update": collection, "filter": filter, "updateMods": update, "multi": false, "upsert": true }
            }
            Self::Delete { filter } => doc! { "delete": collection, "filter": filter, "multi": true },
            Self::Nothing => {
                let update = doc! { "$set": { NOBODY: true } };
                doc! { "update": collection, "filter": { "_id": NOBODY }, "updateMods": update, "multi": false }
            }
        }
    }
}

/// Builds a statement like another, on a document that does not exist. It changes nothing, and shows whether the server
/// takes commands of this form.
fn harmless(like: &Statement) -> Statement {
    let op = match like.op {
        Op::Upsert { .. } | Op::Nothing => Op::Nothing,
        Op::Delete { .. } => Op::Delete { filter: doc! { "_id": NOBODY } },
    };
    Statement { op, ..*like }
}

/// The ranges of statements that are sent next. Halving finds the statements for which a server refuses whole commands.
struct Parts(Vec<Range<usize>>);

impl Parts {
    /// Starts with all statements in one range.
    fn of(statements: usize) -> Self {
        Self(Vec::from_iter((statements > 0).then_some(0..statements)))
    }

    /// Returns the next range to send.
    fn next(&mut self) -> Option<Range<usize>> {
        self.0.pop()
    }

    /// Halves a refused range, so that its halves come next. Returns the statement instead if it is alone.
    fn refused(&mut self, part: Range<usize>) -> Option<usize> {
        let middle = part.start + part.len() / 2;
        if part.len() < 2 {
            return Some(part.start);
        }
        self.0.extend([middle..part.end, part.start..middle]);
        None
    }
}

/// Reads the outcomes of statements from the answer to a write command.
fn read(answer: &Document, statements: &[Statement]) -> Result<Answered, MongoError> {
    let code = |error: &Document| error.get_i32("code").unwrap_or_default();
    let message = |error: &Document| error.get_str("errmsg").unwrap_or("no message").to_owned();
    if let Ok(error) = answer.get_document("writeConcernError") {
        // The write may not be on a majority of the servers, so all of it is written again.
        return Err(MongoError::Unconfirmed { code: code(error), message: message(error) });
    }
    let (errors, index) = match answer.get_document("cursor") {
        Ok(cursor) => (cursor.get_array("firstBatch"), "idx"),
        Err(_) => (answer.get_array("writeErrors"), "index"),
    };
    let errors = errors.map(Vec::as_slice).unwrap_or_default();
    if answer.get_i32("nErrors").is_ok_and(|all| usize::try_from(all) != Ok(errors.len())) {
        return Err(MongoError::Unconfirmed { code: 0, message: "more errors than an answer holds".to_owned() });
    }
    let failure = |error: &Document| {
        let index = usize::try_from(error.get_i32(index).unwrap_or(-1)).ok()?;
        Some((statements.get(index)?.item, MongoError::Statement { code: code(error), message: message(error) }))
    };
    let errors = errors.iter().filter_map(Bson::as_document).filter(|error| code(error) != 0);
    let deletes = statements.iter().filter(|statement| matches!(statement.op, Op::Delete { .. }));
    let deleted = if deleted(answer) == 0 { BTreeSet::new() } else { deletes.map(|delete| delete.item).collect() };
    Ok(Answered { failures: errors.filter_map(failure).collect(), deleted })
}

/// Returns how many documents a delete command deleted, by its answer; 1 where the answer does not say.
fn deleted(answer: &Document) -> i64 {
    let count = answer.get("nDeleted").or_else(|| answer.get("n"));
    count.and_then(|count| count.as_i64().or_else(|| count.as_i32().map(i64::from))).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_for_which_commands_are_refused_are_found_and_all_others_are_sent() {
        for (statements, bad) in [
            (0, vec![]),
            (1, vec![]),
            (1, vec![0]),
            (500, vec![]),
            (500, vec![499]),
            (500, vec![0, 7, 8]),
            (3, vec![0, 1, 2]),
        ] {
            let (mut parts, mut sent, mut found, mut commands) = (Parts::of(statements), Vec::new(), Vec::new(), 0);
            while let Some(part) = parts.next() {
                commands += 1;
                match part.clone().any(|one| bad.contains(&one)) {
                    true => found.extend(parts.refused(part)),
                    false => sent.extend(part),
                }
            }
            let good: Vec<usize> = (0..statements).filter(|one| !bad.contains(one)).collect();
            assert_eq!((found, sent), (bad.clone(), good), "{statements} {bad:?}");
            // Each goes down the whole tree at most.
            assert!(commands <= 1 + 20 * bad.len(), "{statements} {bad:?}: {commands}");
        }
    }

    fn statement(item: usize, collection: &'static str) -> Statement {
        Statement { item, metadata: false, collection, op: Op::Delete { filter: doc! {} } }
    }

    #[test]
    fn every_command_has_an_end_on_the_server_and_is_answered_by_a_majority() {
        let statements = [statement(0, "images"), statement(1, "faces"), statement(2, "images")];
        let one = |delete| Form::Collection { metadata: false, collection: "images", delete };
        for form in [Form::Whole, one(true), one(false)] {
            let command = form.command("db", &statements);
            assert_eq!(command.get_i64("maxTimeMS").unwrap(), TIME_LIMIT, "{form:?}");
            let concern = command.get_document("writeConcern").unwrap();
            assert_eq!((concern.get_str("w").unwrap(), concern.get_bool("j").unwrap()), ("majority", true), "{form:?}");
        }
        let whole = Form::Whole.command("db", &statements);
        let names: Vec<&Document> = whole.get_array("nsInfo").unwrap().iter().filter_map(Bson::as_document).collect();
        assert_eq!(names, [&doc! { "ns": "db.faces" }, &doc! { "ns": "db.images" }]);
        let ops = whole.get_array("ops").unwrap().iter().filter_map(Bson::as_document);
        assert_eq!(ops.map(|op| op.get_i32("delete").unwrap()).collect::<Vec<_>>(), [1, 0, 1]);
    }

    #[test]
    fn answers_of_both_kinds_of_commands_name_the_statement() {
        let statements = [statement(3, "faces"), statement(5, "images")];
        let error = doc! { "ok": 0.0, "idx": 1, "index": 1, "code": 121, "errmsg": "no" };
        let whole = |errors: i32| doc! { "cursor": { "id": 0i64, "firstBatch": [error.clone()] }, "nErrors": errors };
        for answer in [whole(1), doc! { "n": 1, "writeErrors": [error.clone()] }] {
            let Answered { failures, .. } = read(&answer, &statements).unwrap();
            assert!(matches!(failures.as_slice(), [(5, MongoError::Statement { code: 121, .. })]), "{failures:?}");
        }
        for (answer, expected) in [
            (doc! { "n": 2 }, vec![3, 5]),
            (doc! { "n": 0 }, vec![]),
            (doc! { "nDeleted": 0, "nErrors": 0, "cursor": { "firstBatch": [] } }, vec![]),
            (doc! { "nDeleted": 1i64, "nErrors": 0, "cursor": { "firstBatch": [] } }, vec![3, 5]),
        ] {
            let Answered { failures, deleted } = read(&answer, &statements).unwrap();
            assert!(failures.is_empty(), "{answer}: {failures:?}");
            assert_eq!(Vec::from_iter(deleted), expected, "{answer}");
        }
        let unconfirmed = doc! { "n": 2, "writeConcernError": { "code": 64, "errmsg": "timed out" } };
        for answer in [whole(2), unconfirmed] {
            let error = read(&answer, &statements).unwrap_err();
            assert!(matches!(error, MongoError::Unconfirmed { .. }), "{answer}: {error}");
        }
    }
}
