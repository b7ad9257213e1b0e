//! The inline policy of a role: what it is about, and in which order it comes and goes.

use aws_sdk_iam::types::Tag;
use ecs_core::id::RoleArn;
use serde_json::Value;

use crate::deploy_access::DeployAccess;
use crate::scheduler_access::SchedulerAccess;
use crate::secret_access::SecretAccess;
use crate::task_access::TaskAccess;

/// Tag of a task role that has an inline policy, with the policy's name: a run looks for one where there is none any more
/// in the stack file, and asks IAM nothing of all other task roles.
pub const POLICY_TAG: &str = "ecs-pipe:policy";

/// A role's inline policy.
#[derive(Debug)]
pub struct Inline {
    /// Its name
    pub name: String,
    /// What it is about
    pub access: Access,
}

/// What an inline policy is about.
#[derive(Debug)]
pub enum Access {
    /// Secrets that ECS reads
    Secrets(SecretAccess),
    /// Deployments by CI
    Deployments(Box<DeployAccess>),
    /// Tasks that run at certain times
    Schedules(Box<SchedulerAccess>),
    /// What a task may do: all that the stack file says
    Task(Box<TaskAccess>),
}

impl Access {
    /// Returns the policy for a role, none when there is nothing to allow.
    pub fn document(&self, role: &RoleArn) -> Option<Value> {
        match self {
            Access::Secrets(access) => access.document(role),
            Access::Deployments(access) => Some(access.document(role)),
            Access::Schedules(access) => Some(access.document(role)),
            Access::Task(access) => access.document(role),
        }
    }
}

/// One call about an inline policy.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'n> {
    /// Remember the policy's name
    Tag,
    /// Write it
    Put,
    /// Delete one of that name
    Delete(&'n str),
    /// Forget the name
    Untag,
}

/// Returns the calls that make a policy be as it is wanted, in their order.
///
/// The tag comes before the first policy and goes after the last, and one of another name is remembered until it is gone: a
/// run that was killed in between leaves none unseen.
pub fn steps<'n>(remembered: Option<&'n str>, name: &'n str, wanted: bool, tagged: bool) -> Vec<Step<'n>> {
    match (wanted, remembered) {
        (true, Some(before)) if before != name => vec![Step::Put, Step::Delete(before), Step::Tag],
        (true, None) if tagged => vec![Step::Tag, Step::Put],
        (true, _) => vec![Step::Put],
        // The next name's may be there already.
        (false, Some(before)) if before != name => vec![Step::Delete(before), Step::Delete(name), Step::Untag],
        (false, Some(_)) => vec![Step::Delete(name), Step::Untag],
        (false, None) => vec![Step::Delete(name)],
    }
}

/// Returns the name of the inline policy that a task role has.
pub fn remembered(tags: &[Tag]) -> Option<&str> {
    tags.iter().find(|tag| tag.key() == POLICY_TAG).map(Tag::value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a role has: its policies, and the name in its tag.
    type State = (BTreeSet<&'static str>, Option<&'static str>);

    /// Takes as many steps as a run did before it was killed.
    fn run((policies, tag): &State, name: &'static str, wanted: bool, most: usize) -> State {
        let (mut policies, mut tag) = (policies.clone(), *tag);
        if !wanted && tag.is_none() {
            // IAM is not even asked.
            return (policies, tag);
        }
        for step in steps(tag, name, wanted, wanted).into_iter().take(most) {
            match step {
                Step::Tag => tag = Some(name),
                Step::Put => drop(policies.insert(name)),
                Step::Delete(policy) => drop(policies.remove(policy)),
                Step::Untag => tag = None,
            }
        }
        (policies, tag)
    }

    #[test]
    fn no_policy_stays_unseen_wherever_a_run_is_killed() {
        let none = (BTreeSet::new(), None);
        let old = run(&none, "old", true, usize::MAX);
        assert_eq!(old, (BTreeSet::from(["old"]), Some("old")));
        for (before, killed_at) in [&none, &old].into_iter().flat_map(|before| (0..4).map(move |most| (before, most))) {
            for wanted in [true, false] {
                let killed = run(before, "new", wanted, killed_at);
                let again = run(&killed, "new", true, usize::MAX);
                assert_eq!(again, (BTreeSet::from(["new"]), Some("new")), "{before:?} {wanted} {killed_at}");
                let (policies, _) = run(&killed, "new", false, usize::MAX);
                assert_eq!(policies, BTreeSet::new(), "{before:?} {wanted} {killed_at}");
            }
        }
    }
}
