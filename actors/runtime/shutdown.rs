//! The two ways in which a supervisor ends a child.

use actix::Message;

use crate::runtime::drain::Mode;

/// Tells a child to end in this mode, because all children before it have ended.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Shutdown(pub(crate) Mode);

/// Tells a child to stop at once, because its time is over.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Abort;

/// Lets an actor be stopped at once. What it holds is dropped, and so released.
macro_rules! abortable {
    ($actor:ty) => {
        impl actix::Handler<$crate::runtime::shutdown::Abort> for $actor {
            type Result = ();
            fn handle(&mut self, _: $crate::runtime::shutdown::Abort, ctx: &mut actix::Context<Self>) {
                actix::ActorContext::terminate(ctx);
            }
        }
    };
}
pub(crate) use abortable;
