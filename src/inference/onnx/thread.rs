//! An OS thread that owns models.
//!
//! A run blocks for tens of milliseconds, and a session should stay on one thread; neither suits an async runtime. So
//! the models live on a thread of their own behind a bounded channel, and every call carries a channel for its answer.
//! If that channel is closed without an answer, the call fails with [`EngineError::Gone`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use muster_actors::ports::engine::EngineError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// Most calls that wait in the channel before a sender has to wait.
const WAITING: usize = 2;

type Call<S> = Box<dyn FnOnce(&mut State<S>) + Send>;
type Factory<S> = dyn Fn() -> Result<S, EngineError> + Send + Sync;

enum Message<S> {
    Run(Call<S>),
    Stop,
}

/// The models that the thread owns, or the reason why it has none.
enum State<S> {
    Ready(S),
    Broken(EngineError),
}

/// A thread that owns an `S` and runs calls on it, one after the other.
pub(crate) struct ModelThread<S> {
    name: String,
    factory: Arc<Factory<S>>,
    sender: Mutex<mpsc::Sender<Message<S>>>,
}

impl<S: 'static> ModelThread<S> {
    /// Starts a thread called `name` and makes its `S` there. Blocks until that is done.
    ///
    /// # Errors
    /// The error of `factory`; [`EngineError::Sticky`] when it panics or the thread cannot be started.
    pub fn start(
        name: &str,
        factory: impl Fn() -> Result<S, EngineError> + Send + Sync + 'static,
    ) -> Result<Self, EngineError> {
        let factory: Arc<Factory<S>> = Arc::new(factory);
        let (reply, ready) = std::sync::mpsc::channel();
        let sender = spawn(name, Arc::clone(&factory), move |made| drop(reply.send(made)))?;
        ready.recv().unwrap_or(Err(EngineError::Gone))?;
        Ok(Self { name: name.to_string(), factory, sender: Mutex::new(sender) })
    }

    /// Runs `call` on the thread. After a panic in it, nothing is run on the same `S` again.
    ///
    /// # Errors
    /// The error of `call`; [`EngineError::Sticky`] after a panic, until [`Self::rebuild`]; [`EngineError::Gone`] when
    /// the thread has ended.
    pub async fn call<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut S) -> Result<R, EngineError> + Send + 'static,
    ) -> Result<R, EngineError> {
        let (reply, answer) = oneshot::channel();
        let run = move |state: &mut State<S>| {
            let result = match state {
                State::Broken(error) => Err(error.clone()),
                State::Ready(models) => match catch_unwind(AssertUnwindSafe(|| call(models))) {
                    Ok(result) => result,
                    Err(panic) => {
                        let error = panicked(panic.as_ref());
                        *state = State::Broken(error.clone());
                        Err(error)
                    }
                },
            };
            // The caller no longer waits, because a drain's deadline passed.
            let _ = reply.send(result);
        };
        self.send(Message::Run(Box::new(run))).await?;
        answer.await.unwrap_or(Err(EngineError::Gone))
    }

    /// Drops the `S` and makes it again, on a new thread if the old one has ended.
    ///
    /// # Errors
    /// The error of the factory; [`EngineError::Sticky`] when it panics or no thread can be started.
    pub async fn rebuild(&self) -> Result<(), EngineError> {
        let (reply, answer) = oneshot::channel();
        let factory = Arc::clone(&self.factory);
        let run = move |state: &mut State<S>| {
            // The old models are dropped first, because both may not fit into the device's memory.
            *state = State::Broken(EngineError::Gone);
            let made = make(&factory);
            let result = made.as_ref().map(|_| ()).map_err(Clone::clone);
            *state = made.map_or_else(State::Broken, State::Ready);
            let _ = reply.send(result);
        };
        if self.send(Message::Run(Box::new(run))).await.is_ok() {
            return answer.await.unwrap_or(Err(EngineError::Gone));
        }
        let (reply, ready) = oneshot::channel();
        let sender = spawn(&self.name, Arc::clone(&self.factory), move |made| drop(reply.send(made)))?;
        ready.await.unwrap_or(Err(EngineError::Gone))?;
        *self.sender.lock() = sender;
        Ok(())
    }

    /// Ends the thread after the waiting calls. Later calls fail with [`EngineError::Gone`].
    pub async fn stop(&self) {
        let _ = self.send(Message::Stop).await;
    }

    async fn send(&self, message: Message<S>) -> Result<(), EngineError> {
        let sender = self.sender.lock().clone();
        sender.send(message).await.map_err(|_| EngineError::Gone)
    }
}

/// Starts the thread; `report` is told whether its `S` could be made.
fn spawn<S: 'static>(
    name: &str,
    factory: Arc<Factory<S>>,
    report: impl FnOnce(Result<(), EngineError>) + Send + 'static,
) -> Result<mpsc::Sender<Message<S>>, EngineError> {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let run = move || {
        let mut state = match make(&factory) {
            Ok(models) => State::Ready(models),
            Err(error) => return report(Err(error)),
        };
        report(Ok(()));
        while let Some(Message::Run(run)) = receiver.blocking_recv() {
            run(&mut state);
        }
    };
    let spawned = thread::Builder::new().name(name.to_string()).spawn(run);
    spawned.map_err(|error| EngineError::Sticky(format!("no thread for {name}: {error}")))?;
    Ok(sender)
}

fn make<S>(factory: &Arc<Factory<S>>) -> Result<S, EngineError> {
    catch_unwind(AssertUnwindSafe(|| factory())).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> EngineError {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    EngineError::Sticky(format!("the model's thread panicked: {}", text.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Counts how often it was made, so that a rebuild is seen.
    fn counting() -> ModelThread<u32> {
        let made = AtomicU32::new(0);
        ModelThread::start("counting", move || Ok(made.fetch_add(1, Ordering::Relaxed))).unwrap()
    }

    #[tokio::test]
    async fn calls_run_in_order_on_one_thread() {
        let thread = Arc::new(ModelThread::start("ordered", || Ok(Vec::new())).unwrap());
        for value in 0..100 {
            thread
                .call(move |values: &mut Vec<i32>| {
                    values.push(value);
                    Ok(())
                })
                .await
                .unwrap();
        }
        let seen =
            thread.call(|values| Ok((values.clone(), thread::current().name().map(String::from)))).await.unwrap();
        assert_eq!(seen, ((0..100).collect(), Some("ordered".to_string())));
    }

    #[tokio::test]
    async fn a_panic_breaks_it_until_it_is_rebuilt() {
        let thread = counting();
        let panicked = thread.call(|_| -> Result<(), _> { panic!("planted") }).await;
        assert!(matches!(&panicked, Err(EngineError::Sticky(text)) if text.contains("planted")), "{panicked:?}");
        assert!(matches!(thread.call(|made| Ok(*made)).await, Err(EngineError::Sticky(_))));
        thread.rebuild().await.unwrap();
        assert_eq!(thread.call(|made| Ok(*made)).await, Ok(1));
    }

    #[tokio::test]
    async fn a_thread_that_is_gone_answers_gone_and_a_rebuild_starts_another() {
        let thread = counting();
        thread.stop().await;
        while thread.call(|made| Ok(*made)).await != Err(EngineError::Gone) {}
        thread.rebuild().await.unwrap();
        assert_eq!(thread.call(|made| Ok(*made)).await, Ok(1));
    }

    #[test]
    fn what_cannot_be_made_says_why() {
        let fault = EngineError::Misconfigured("no model".into());
        let cloned = fault.clone();
        assert_eq!(ModelThread::<()>::start("none", move || Err(cloned.clone())).err(), Some(fault));
        let panicked = ModelThread::<()>::start("none", || panic!("planted")).err();
        assert!(matches!(panicked, Some(EngineError::Sticky(_))), "{panicked:?}");
    }
}
