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
    /// The actor ended for good: messages come back.
    Closed,
}

struct Inner<A: Actor> {
    slot: Mutex<Slot<A>>,
    changed: Notify,
}

/// Refers to whichever actor has a place now. A message that cannot be sent comes back to its sender.
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

    /// From now on messages go to the actor at `address`.
    pub(crate) fn open(&self, address: Addr<A>) {
        self.set(Slot::Open(address));
    }

    /// The actor died; another may follow.
    pub(crate) fn vacate(&self) {
        self.set(Slot::Empty);
    }

    /// No actor will follow.
    pub(crate) fn close(&self) {
        self.set(Slot::Closed);
    }

    fn now(&self) -> Option<Addr<A>> {
        match &*self.0.slot.lock() {
            Slot::Open(address) => Some(address.clone()),
            Slot::Empty | Slot::Closed => None,
        }
    }

    /// The present address, which it waits for during a restart; `None` when closed.
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

    /// Sends a message, waiting through a restart. The message comes back when no actor will follow.
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

    /// Sends a message as [`send`](Self::send) does. One that cannot be sent is dropped, and whatever it holds is released.
    pub(crate) async fn send_or_release<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        A: Handler<M>,
        Context<A>: ToEnvelope<A, M>,
    {
        drop(self.send(message).await);
    }

    /// Sends a message to the actor that is there now. Where there is none the message is dropped, and whatever it holds is
    /// released.
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
