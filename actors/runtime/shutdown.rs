//! The two ways in which a supervisor ends a child.

use actix::Message;

use crate::runtime::drain::Mode;

/// To a child: everything in front of you has ended; end too, in this mode.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Shutdown(pub(crate) Mode);

/// To a child: your time is over.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Abort;

/// Lets an actor be stopped at once: what it holds is dropped, and so released.
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
