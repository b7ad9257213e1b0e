//! What became of it: the word in the report, and the exit code.

use schemars::JsonSchema;
use serde::Serialize;

/// What became of a deployment, or of what else was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The new version has all the traffic, and ECS calls the deployment a success
    Deployed,
    /// Nothing differs: no revision was made, nothing was deployed
    Unchanged,
    /// A plan: this is what would change
    Planned,
    /// The one-off tasks have all ended with exit code 0
    Finished,
    /// The service is well
    Healthy,
    /// It has begun, and nobody waits for its end (`--detach`)
    Begun,
    /// As far as `--until` asked to wait: the new version has all production traffic, or bakes
    Reached,
    /// It waits for a person to continue it
    Paused,
    /// The time limit came first; ECS goes on
    TimedOut,
    /// ECS went back to the version before
    RolledBack,
    /// Something that was looked at beforehand is wrong: nothing was changed
    Refused,
    /// The one-off task before the deployment failed: the service was left as it was
    RunFailed,
    /// The service is not well
    Unhealthy,
    /// Another deployment took its place
    Superseded,
    /// Somebody stopped it
    Stopped,
    /// It failed, and ECS did not go back
    Failed,
    /// Credentials are missing, expired, refused, or for another account or region
    Credentials,
    /// Interrupted while waiting; ECS goes on
    Interrupted,
}

impl Verdict {
    /// Returns the exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Deployed
            | Self::Unchanged
            | Self::Planned
            | Self::Finished
            | Self::Healthy
            | Self::Begun
            | Self::Reached => 0,
            Self::Refused | Self::RunFailed | Self::Unhealthy | Self::Superseded | Self::Stopped | Self::Failed => 1,
            Self::RolledBack => 4,
            Self::TimedOut => 5,
            Self::Paused => 6,
            Self::Credentials => 8,
            Self::Interrupted => 130,
        }
    }

    /// Returns the verdict of a failure, for its kind.
    pub fn of_error(error: &ecs_core::Error) -> Self {
        match error.exit_code() {
            4 => Self::RolledBack,
            5 => Self::TimedOut,
            8 => Self::Credentials,
            130 => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// Returns the worst of several exit codes: the one that a person should hear of first.
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    const BADNESS: [u8; 8] = [0, 3, 6, 5, 4, 1, 8, 130];
    let rank = |code: &u8| BADNESS.iter().position(|known| known == code).unwrap_or(5);
    codes.into_iter().max_by_key(rank).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_code_is_what_a_person_should_hear_of_first() {
        let cases: [(&[u8], u8); 6] =
            [(&[], 0), (&[0, 0], 0), (&[0, 4], 4), (&[5, 4, 0], 4), (&[4, 1, 6], 1), (&[1, 130, 8], 130)];
        for (codes, code) in cases {
            assert_eq!(worst(codes.iter().copied()), code, "{codes:?}");
        }
    }
}
