//! A permission that was there comes back: somebody changed a policy or a key, and changes it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_actors::domain::exit::Mend;
use muster_actors::errors::Class;

use super::classify::Fault;

/// Whether calls of one kind were allowed before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Granted(Arc<AtomicBool>);

impl Granted {
    /// A call succeeded.
    pub(crate) fn succeeded(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// What a refusal is: a missing permission where none was ever there, else an outage that is waited for.
    pub(crate) fn judge(&self, fault: Fault) -> Fault {
        match fault.class {
            Class::Misconfigured(Mend::Permission) if self.0.load(Ordering::Relaxed) => {
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
        const PERMISSION: Class = Class::Misconfigured(Mend::Permission);
        const SETTINGS: Class = Class::Misconfigured(Mend::Settings);
        let (never, before) = (Granted::default(), Granted::default());
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
