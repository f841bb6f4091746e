//! Sends results from the stage where they arise to the Writer.

use crate::errors::route::Terminal;
use crate::flow::retry::GaveUp;
use crate::pipeline::context::StageTools;
use crate::pipeline::item::{Finished, Item, Source};
use crate::pipeline::writer::Writer;
use crate::runtime::actor_ref::ActorRef;

/// A sender of results to the Writer.
#[derive(Clone)]
pub(crate) struct ResultSink(ActorRef<Writer>);

impl ResultSink {
    pub(crate) fn new(writer: ActorRef<Writer>) -> Self {
        Self(writer)
    }

    /// Hands a result to the Writer. When no Writer will follow, the image is released.
    pub(crate) async fn finish(&self, finished: Finished) {
        self.0.send_or_release(finished).await;
    }

    /// Ends an item after its call was given up in the stage of `tools`: rejects it, releases it,
    /// or ends the run.
    pub(crate) async fn give_up(&self, tools: &StageTools, item: Item, source: &Source, gave_up: GaveUp) {
        let GaveUp { failure, terminal } = gave_up;
        match (terminal, failure.rejection) {
            (Terminal::Reject, Some(rejection)) => {
                self.finish(item.rejected(source, rejection, &tools.context.settings.model)).await;
            }
            (Terminal::Drop, _) => drop(item),
            (Terminal::Leave(reason), _) => {
                tools.release(item.lease);
                tools.end_run(reason, &failure.message);
            }
            (Terminal::Release, _) => tools.release(item.lease),
            // The image may be the cause.
            (Terminal::Reject, None) | (Terminal::Unexpected, _) => tools.fail(item.lease),
        }
    }
}
