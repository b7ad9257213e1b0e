//! What all work on one service needs.

use std::time::Duration;

use ecs_core::stop::Stop;

use crate::aws::Aws;
use crate::target::Target;
use crate::voice::Voice;

/// One service, and everything to work on it with.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// The clients
    pub aws: &'c Aws,
    /// Speaks for the service
    pub voice: &'c Voice,
    /// The order to stop
    pub stop: &'c Stop,
    /// The service
    pub target: &'c Target,
    /// Longest wait; none: as long as is sensible for what is waited for
    pub timeout: Option<Duration>,
}
