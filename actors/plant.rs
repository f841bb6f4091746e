//! Bugs that are planted to see whether the simulation finds them.

/// A bug that somebody could write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The message is deleted before its result is stored.
    AckBeforeWrite,
    /// What is given back is counted as such, and the queue never told.
    LostRelease,
    /// Leases are not renewed.
    NoRenewal,
    /// A message whose lease was lost is deleted by its stale handle.
    StaleDelete,
    /// A bulk that was done in part is taken for done.
    PartialIgnored,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::AckBeforeWrite, Self::LostRelease, Self::NoRenewal, Self::StaleDelete, Self::PartialIgnored];
}
