//! A reference to an actor that follows its restarts.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, Message};
use parking_lot::Mutex;
use tokio::sync::Notify;

enum Slot<A: Actor> {
    /// The actor is not started yet, or is being restarted: senders wait.
    Empty,
    Open(Addr<A>),
    /// The actor ended for good; messages are returned to their senders.
    Closed,
}

struct Inner<A: Actor> {
    slot: Mutex<Slot<A>>,
    changed: Notify,
}

/// A reference to the current actor of a child, also after a restart. A message that cannot be sent is returned to its
/// sender.
pub(crate) struct ActorRef<A: Actor>(Arc<Inner<A>>);

impl<A: Actor> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor> Default for ActorRef<A> {
    fn default() -> Self {
        Self(Arc::new(Inner { slot: Mutex::new(Slot::Empty), changed: Notify::new() }))
    }
}

impl<A: Actor<Context = Context<A>>> ActorRef<A> {
    fn set(&self, slot: Slot<A>) {
        let mut current = self.0.slot.lock();
        if !matches!(*current, Slot::Closed) {
            *current = slot;
        }
        drop(current);
        self.0.changed.notify_waiters();
    }

    /// Directs messages to the actor at `address` from now on.
    pub(crate) fn open(&self, address: Addr<A>) {
        self.set(Slot::Open(address));
    }

    /// Empties the reference because the actor died; another may follow.
    pub(crate) fn vacate(&self) {
        self.set(Slot::Empty);
    }

    /// Closes the reference because no actor will follow.
    pub(crate) fn close(&self) {
        self.set(Slot::Closed);
    }

    fn now(&self) -> Option<Addr<A>> {
        match &*self.0.slot.lock() {
            Slot::Open(address) => Some(address.clone()),
            Slot::Empty | Slot::Closed => None,
        }
    }

    /// Returns the current address, and waits for it during a restart; `None` when closed.
    async fn address(&self) -> Option<Addr<A>> {
        loop {
            let changed = self.0.changed.notified();
            match &*self.0.slot.lock() {
                Slot::Open(address) => return Some(address.clone()),
                Slot::Closed => return None,
                Slot::Empty => {}
            }
            changed.await;
        }
    }

    /// Sends a message, and waits during a restart. The message is returned when no actor will follow.
    pub(crate) async fn send<M>(&self, message: M) -> Result<(), M>
    where
        M: Message<Result = ()> + Send + 'static,
        A: Handler<M>,
        Context<A>: ToEnvelope<A, M>,
    {
        match self.address().await {
            Some(address) => {
                address.do_send(message);
                Ok(())
            }
            None => Err(message),
        }
    }

    /// Sends a message as [`send`](Self::send) does. One that cannot be sent is dropped, and whatever it holds is
    /// released.
    pub(crate) async fn send_or_release<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        A: Handler<M>,
        Context<A>: ToEnvelope<A, M>,
    {
        drop(self.send(message).await);
    }

    /// Sends a message to the actor that is there now. If there is none the message is dropped, and whatever it
    /// holds is released.
    pub(crate) fn tell<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        A: Handler<M>,
        Context<A>: ToEnvelope<A, M>,
    {
        if let Some(address) = self.now() {
            address.do_send(message);
        }
    }
}
