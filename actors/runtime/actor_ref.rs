//! The slot in which senders find an actor: it follows a restart.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, Message};
use parking_lot::Mutex;
use tokio::sync::Notify;

enum Slot<A: Actor> {
    /// Not started yet, or being restarted: senders wait.
    Empty,
    Open(Addr<A>),
    /// Ended for good: items come back.
    Closed,
}

struct Inner<A: Actor> {
    slot: Mutex<Slot<A>>,
    changed: Notify,
}

/// Where to send to an actor. What cannot be sent comes back, and dropping it releases its lease.
pub struct Outlet<A: Actor>(Arc<Inner<A>>);

impl<A: Actor> Clone for Outlet<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor> Default for Outlet<A> {
    fn default() -> Self {
        Self(Arc::new(Inner { slot: Mutex::new(Slot::Empty), changed: Notify::new() }))
    }
}

impl<A: Actor<Context = Context<A>>> Outlet<A> {
    fn set(&self, slot: Slot<A>) {
        let mut current = self.0.slot.lock();
        if !matches!(*current, Slot::Closed) {
            *current = slot;
        }
        drop(current);
        self.0.changed.notify_waiters();
    }

    /// A new actor stands behind this outlet.
    pub fn open(&self, address: Addr<A>) {
        self.set(Slot::Open(address));
    }

    /// The actor died; another may follow.
    pub fn empty(&self) {
        self.set(Slot::Empty);
    }

    /// No actor will ever stand here again.
    pub fn close(&self) {
        self.set(Slot::Closed);
    }

    /// Who stands here now.
    pub fn now(&self) -> Option<Addr<A>> {
        match &*self.0.slot.lock() {
            Slot::Open(address) => Some(address.clone()),
            Slot::Empty | Slot::Closed => None,
        }
    }

    /// Who stands here, waiting while nobody does; `None` when closed.
    pub async fn address(&self) -> Option<Addr<A>> {
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

    /// Sends, waiting through a restart; the message comes back when the outlet is closed.
    pub async fn send<M>(&self, message: M) -> Result<(), M>
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

    /// Sends to whoever is there now; the message comes back when nobody is.
    pub fn tell<M>(&self, message: M) -> Result<(), M>
    where
        M: Message<Result = ()> + Send + 'static,
        A: Handler<M>,
        Context<A>: ToEnvelope<A, M>,
    {
        match self.now() {
            Some(address) => {
                address.do_send(message);
                Ok(())
            }
            None => Err(message),
        }
    }
}
