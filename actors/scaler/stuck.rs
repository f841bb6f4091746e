//! Classifies why jobs wait and never start, with the remedy. Pure functions.

use serde::Serialize;

/// The cause why a job waits for a machine.
///
/// Source: AWS Batch User Guide, "Jobs stuck in RUNNABLE status" and `jobStateTimeLimitActions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StuckCause {
    /// The market has no such machine now.
    Capacity,
    /// The compute environment is as large as it may be.
    Largest,
    /// No machine of the compute environment is large enough for the job.
    Requirement,
    /// A role lacks a permission.
    Permission,
    /// The compute environment or the job queue is disabled or invalid.
    Environment,
    /// The fleet does not say.
    Unsaid,
}

impl StuckCause {
    /// Classifies the reason that a fleet gives.
    pub fn from_reason(reason: Option<&str>) -> Self {
        let Some(reason) = reason.map(str::to_ascii_uppercase).filter(|reason| !reason.is_empty()) else {
            return Self::Unsaid;
        };
        let has = |parts: &[&str]| parts.iter().any(|part| reason.contains(part));
        if has(&["MAX_RESOURCE", "MAX_VCPU"]) {
            Self::Largest
        } else if has(&["RESOURCE_REQUIREMENT"]) {
            Self::Requirement
        } else if has(&["PERMISSION"]) {
            Self::Permission
        } else if has(&["CAPACITY"]) {
            Self::Capacity
        } else if has(&["MISCONFIGURATION", "ACTION_REQUIRED", "COMPUTE_ENVIRONMENT", "INVALID", "DISABLED"]) {
            Self::Environment
        } else {
            Self::Unsaid
        }
    }

    /// Returns the remedy, in a sentence.
    pub fn mend(self) -> &'static str {
        match self {
            Self::Capacity => "wait, or allow more instance types and zones in the compute environment",
            Self::Largest => {
                "raise the compute environment's largest vCPUs, or lower scale.primary and scale.secondary"
            }
            Self::Requirement => {
                "make the job definition's vCPUs, memory and GPUs fit an instance type, less 5 % of memory for the host"
            }
            Self::Permission => "add the permission that the reason names to the compute environment's role",
            Self::Environment => "look at the compute environment and the job queue: enabled and valid?",
            Self::Unsaid => "look at the job in AWS Batch: the compute environment's instances, subnets and agent log",
        }
    }
}

/// Workers that wait for too long, by cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StuckWorkers {
    /// The cause.
    pub cause: StuckCause,
    /// Number of workers.
    pub workers: u64,
    /// Seconds that the first of them waits.
    pub seconds: u64,
    /// The fleet's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The remedy.
    pub mend: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_cause() {
        for (reason, cause) in [
            (None, StuckCause::Unsaid),
            (Some(""), StuckCause::Unsaid),
            (
                Some("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity"),
                StuckCause::Capacity,
            ),
            (
                Some("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE max vCPU is less than the job's"),
                StuckCause::Largest,
            ),
            (Some("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - no instance fits"), StuckCause::Requirement),
            (Some("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - ..."), StuckCause::Permission),
            (Some("ACTION_REQUIRED - CE(s) associated with the job queue are INVALID"), StuckCause::Environment),
            (Some("something new"), StuckCause::Unsaid),
        ] {
            assert_eq!(StuckCause::from_reason(reason), cause, "{reason:?}");
        }
    }
}
