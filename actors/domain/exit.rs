//! The end of a run, and its exit code.

use serde::Serialize;

/// The remedy that the program needs from a person before it can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Settings are wrong (`EX_CONFIG`, 78).
    Settings,
    /// A permission is missing (`EX_NOPERM`, 77).
    Permission,
    /// A model is missing or does not match (`EX_NOINPUT`, 66).
    Model,
}

/// How a run ended. Codes 80 to 84 ask AWS Batch for another attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "exit", content = "detail")]
pub enum Exit {
    /// Everything is done.
    #[error("drained")]
    Drained,
    /// Work was handed back: SIGTERM, Spot notice, or a drain cut by its deadline.
    #[error("handed back")]
    HandedBack,
    /// Something we depend on is down.
    #[error("a dependency is down: {0}")]
    DependencyDown(String),
    /// The machine is broken.
    #[error("the host is broken: {0}")]
    HostFault(String),
    /// No progress past the watchdog.
    #[error("no progress: {0}")]
    Hang(String),
    /// The model or its thread stayed broken after a rebuild.
    #[error("the engine is broken: {0}")]
    Engine(String),
    /// A person must fix something.
    #[error("cannot run: {1}; `muster check` says how to fix it")]
    Misconfigured(Remedy, String),
    /// Our own fault.
    #[error("bug: {0}")]
    Bug(String),
}

impl Exit {
    /// How a run ended that had lost `lost` of its devices: whatever it got done, its machine is broken. An end that says
    /// what else was wrong keeps saying so.
    #[must_use]
    pub(crate) fn with_losses(self, lost: u64, devices: usize) -> Self {
        match self {
            Self::Drained | Self::HandedBack if lost > 0 => {
                Self::HostFault(format!("{lost} of {devices} devices lost; {self}"))
            }
            Self::Drained
            | Self::HandedBack
            | Self::DependencyDown(_)
            | Self::HostFault(_)
            | Self::Hang(_)
            | Self::Engine(_)
            | Self::Misconfigured(..)
            | Self::Bug(_) => self,
        }
    }

    /// The process exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::HandedBack => 80,
            Self::DependencyDown(_) => 81,
            Self::HostFault(_) => 82,
            Self::Hang(_) => 83,
            Self::Engine(_) => 84,
            Self::Misconfigured(Remedy::Settings, _) => 78,
            Self::Misconfigured(Remedy::Permission, _) => 77,
            Self::Misconfigured(Remedy::Model, _) => 66,
            Self::Bug(_) => 70,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_lost_a_device_ends_as_on_a_broken_machine_unless_something_worse_ended_it() {
        let text = String::new;
        for (exit, whole, lossy) in [
            (Exit::Drained, 0, 82),
            (Exit::HandedBack, 80, 82),
            (Exit::DependencyDown(text()), 81, 81),
            (Exit::HostFault(text()), 82, 82),
            (Exit::Hang(text()), 83, 83),
            (Exit::Engine(text()), 84, 84),
            (Exit::Misconfigured(Remedy::Settings, text()), 78, 78),
            (Exit::Bug(text()), 70, 70),
        ] {
            assert_eq!(exit.clone().with_losses(0, 2).code(), whole, "{exit:?}");
            assert_eq!(exit.clone().with_losses(1, 2).code(), lossy, "{exit:?}");
        }
        let said = Exit::Drained.with_losses(1, 4).to_string();
        assert_eq!(said, "the host is broken: 1 of 4 devices lost; drained");
    }

    #[test]
    fn codes_are_those_of_the_error_table() {
        let text = String::new;
        for (exit, code) in [
            (Exit::Drained, 0),
            (Exit::HandedBack, 80),
            (Exit::DependencyDown(text()), 81),
            (Exit::HostFault(text()), 82),
            (Exit::Hang(text()), 83),
            (Exit::Engine(text()), 84),
            (Exit::Misconfigured(Remedy::Settings, text()), 78),
            (Exit::Misconfigured(Remedy::Permission, text()), 77),
            (Exit::Misconfigured(Remedy::Model, text()), 66),
            (Exit::Bug(text()), 70),
        ] {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
