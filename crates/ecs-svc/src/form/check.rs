//! A check that ECS runs inside a container.

use aws_sdk_ecs::types::HealthCheck;
use ecs_core::Result;

use super::line;
use crate::ecs;

/// A check that ECS runs inside a container; times are in seconds. One without a command is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// Its command
    pub command: Vec<String>,
    /// Time between two checks
    pub interval: i32,
    /// Time that a check may take
    pub timeout: i32,
    /// Number of checks in a row that must fail
    pub retries: i32,
    /// Time after the start in which failed checks do not count
    pub start_period: i32,
}

impl Check {
    /// Reads what there is: ECS fills in what was not sent, but for the start period (`HealthCheck`).
    pub fn of(check: &HealthCheck) -> Self {
        Self {
            command: check.command().to_vec(),
            interval: check.interval().unwrap_or(30),
            timeout: check.timeout().unwrap_or(5),
            retries: check.retries().unwrap_or(3),
            start_period: check.start_period().unwrap_or_default(),
        }
    }

    /// Returns it as a request has it; none for one without a command.
    ///
    /// # Errors
    /// Never: all that is required is set.
    pub fn build(&self) -> Result<Option<HealthCheck>> {
        let Self { command, interval, timeout, retries, start_period } = self;
        if command.is_empty() {
            return Ok(None);
        }
        let check = HealthCheck::builder().set_command(Some(command.clone())).interval(*interval).timeout(*timeout);
        ecs::built(check.retries(*retries).start_period(*start_period).build()).map(Some)
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, interval, timeout, retries, start_period } = self;
        if command.is_empty() {
            return Ok(());
        }
        let command = line(command);
        write!(f, "{command} every {interval} s for {timeout} s, {retries} times, after {start_period} s")
    }
}
