//! Tests the supervisor with actors that do nothing.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::actor_ref::ActorRef;
use super::child::{Child, Phase, Supervision};
use super::drain::{Drain, Mode};
use super::hooks::{RunHooks, SupervisorSettings};
use super::restart::Intensity;
use super::shutdown::{Shutdown, abortable};
use super::supervisor::Supervisor;
use crate::domain::exit::Exit;

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl RunHooks for Log {
    fn restarting(&self, child: &str) {
        self.add(format!("restart {child}"));
    }

    fn hand_back(&self, _: Option<&Exit>) {
        self.add("hand back");
    }

    fn stragglers(&self, names: Vec<String>) {
        self.add(format!("late {}", names.join(" ")));
    }

    fn abandon(&self) -> usize {
        0
    }

    fn exit(&self, exit: Exit) -> Exit {
        exit
    }

    fn publish(&self) {}
}

/// Dies when it is told to. It ends when it is asked to, unless it is stubborn.
struct Idle {
    name: &'static str,
    stubborn: bool,
    log: Log,
    supervision: Supervision,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Die;

#[derive(Message)]
#[rtype(result = "()")]
struct Hang;

impl Actor for Idle {
    type Context = Context<Self>;
}

impl Handler<Die> for Idle {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Self::Context) {
        // Unwinds without the panic hook: no noise.
        resume_unwind(Box::new("a test"));
    }
}

impl Handler<Hang> for Idle {
    type Result = ();

    fn handle(&mut self, _: Hang, ctx: &mut Self::Context) {
        let busy = self.supervision.heartbeat.busy();
        ctx.run_later(Duration::from_secs(3_600), move |_, _| drop(busy));
    }
}

impl Handler<Shutdown> for Idle {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        if !self.stubborn {
            self.log.add(format!("{} ends {mode:?}", self.name));
            self.supervision.guard.drained();
            actix::ActorContext::stop(ctx);
        }
    }
}

abortable!(Idle);

struct Run {
    log: Log,
    children: Vec<ActorRef<Idle>>,
    supervisor: actix::Addr<Supervisor>,
    done: oneshot::Receiver<Exit>,
}

/// Starts children with these names and phases. Those up to phase 1 end together when work is handed back; phase 9
/// settles.
fn start(names: &[(&'static str, u8, bool)]) -> Run {
    let second = Duration::from_secs(1);
    let settings = SupervisorSettings {
        intensity: Intensity { max: 2, within: 60 * second, delay: second },
        watchdog: 100 * second,
        drain_deadline: 10 * second,
        finish_deadline: 10 * second,
        publish_every: second,
        together: Phase(1),
        settles: Phase(9),
    };
    let log = Log::default();
    let (done, ended) = oneshot::channel();
    let children: Vec<ActorRef<Idle>> = names.iter().map(|_| ActorRef::default()).collect();
    let child = |(actor, (name, phase, stubborn)): (&ActorRef<Idle>, &(&'static str, u8, bool))| {
        let (name, stubborn, log) = (*name, *stubborn, log.clone());
        let make = move |supervision| Idle { name, stubborn, log: log.clone(), supervision };
        Child::new(name, Phase(*phase), actor.clone(), make)
    };
    let supervised = children.iter().zip(names).map(child).collect();
    let supervisor = Supervisor::new(settings, Box::new(log.clone()), supervised, done).start();
    Run { log, children, supervisor, done: ended }
}

async fn exit(run: Run) -> Exit {
    timeout(Duration::from_secs(3_600), run.done).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_child_that_dies_is_started_again_and_senders_follow_it_until_it_dies_too_often() {
    let work = async {
        let run = start(&[("a", 0, false), ("b", 9, false)]);
        for _ in 0..2 {
            assert!(run.children[0].send(Die).await.is_ok());
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        assert_eq!(run.log.take(), ["restart a", "restart a"]);
        assert!(run.children[0].send(Die).await.is_ok());
        let (log, actor) = (run.log.clone(), run.children[0].clone());
        assert_eq!(exit(run).await.code(), 70);
        assert_eq!(log.take(), ["hand back", "b ends HandBack"]);
        assert!(actor.send(Die).await.is_err(), "nobody follows: the message comes back");
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn phases_end_one_after_another_and_together_where_work_is_handed_back() {
    // In another order than their phases.
    let names = [("settles", 9, false), ("second", 1, false), ("third", 5, false), ("first", 0, false)];
    for (mode, expected, code) in [
        (Mode::Finish, vec!["first ends Finish", "second ends Finish", "third ends Finish", "settles ends Finish"], 0),
        (
            Mode::HandBack,
            vec![
                "hand back",
                "second ends HandBack",
                "first ends HandBack",
                "third ends HandBack",
                "settles ends HandBack",
            ],
            80,
        ),
    ] {
        let work = async {
            let run = start(&names);
            run.supervisor.do_send(Drain { mode, deadline: Duration::from_secs(20) });
            let log = run.log.clone();
            assert_eq!(exit(run).await.code(), code);
            assert_eq!(log.take(), expected);
        };
        LocalSet::new().run_until(work).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_named_and_stopped_before_the_last_phase() {
    let work = async {
        let run = start(&[("settles", 9, false), ("slow", 0, true)]);
        run.supervisor.do_send(Drain::finish(Duration::from_secs(20)));
        let log = run.log.clone();
        assert_eq!(exit(run).await.code(), 80);
        assert_eq!(log.take(), ["hand back", "late slow", "settles ends Finish"]);
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_work_does_not_end_is_a_hang() {
    let work = async {
        let run = start(&[("hangs", 0, false), ("settles", 9, false)]);
        assert!(run.children[0].send(Hang).await.is_ok());
        let exit = exit(run).await;
        assert_eq!((exit.code(), exit.to_string().contains("hangs")), (83, true), "{exit}");
    };
    LocalSet::new().run_until(work).await;
}
