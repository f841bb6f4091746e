//! Remembers whether a permission existed before. If it did and is missing now, it is expected to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_actors::domain::exit::Remedy;
use muster_actors::errors::Class;

use super::classify::Fault;

/// A flag that says whether calls of one kind were allowed before.
#[derive(Clone, Debug, Default)]
pub(crate) struct PermissionHistory(Arc<AtomicBool>);

impl PermissionHistory {
    /// Notes a call that succeeded.
    pub(crate) fn succeeded(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Classifies a refusal: a missing permission if calls never succeeded, otherwise an outage to wait for.
    pub(crate) fn judge(&self, fault: Fault) -> Fault {
        match fault.class {
            Class::Misconfigured(Remedy::Permission) if self.0.load(Ordering::Relaxed) => {
                Fault { class: Class::Transient, ..fault }
            }
            _ => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_that_was_there_is_waited_for_and_one_that_never_was_is_missing() {
        const PERMISSION: Class = Class::Misconfigured(Remedy::Permission);
        const SETTINGS: Class = Class::Misconfigured(Remedy::Settings);
        let (never, before) = (PermissionHistory::default(), PermissionHistory::default());
        before.clone().succeeded();
        for (granted, class, expected) in [
            (&never, PERMISSION, PERMISSION),
            (&before, PERMISSION, Class::Transient),
            (&never, Class::Transient, Class::Transient),
            (&before, SETTINGS, SETTINGS),
            (&before, Class::Poison, Class::Poison),
            (&before, Class::LeaseLost, Class::LeaseLost),
        ] {
            let fault = Fault { class, code: None, status: None, message: String::new() };
            assert_eq!(granted.judge(fault).class, expected, "{granted:?} {class:?}");
        }
    }
}
