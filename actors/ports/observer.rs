//! What is seen of a cutover.

use async_trait::async_trait;

use crate::cutover::state::State;
use crate::cutover::trigger::Observed;

/// Looks at both sides.
#[async_trait]
pub trait Observer: Send + Sync {
    /// What is seen since the state is in force, within the window. What cannot be found out is left open.
    async fn observe(&self, state: &State) -> Observed;
    /// Messages in the dead-letter queue; `None` where nobody says.
    async fn dead_letters(&self) -> Option<u64>;
}
