//! `muster scale`: against AWS Batch's rules, emulators and processes of this machine.

use crate::support;

mod batch;
mod ecs;
mod local;
mod simulate;

use std::sync::{Arc, OnceLock};

use support::stack::Stack;

fn stack() -> Arc<Stack> {
    static STACK: OnceLock<Arc<Stack>> = OnceLock::new();
    Arc::clone(STACK.get_or_init(|| Arc::new(Stack::start(&["mongo", "redis", "aws"]))))
}
