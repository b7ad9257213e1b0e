//! What nobody is allowed to do, whatever the policies say.

use serde::Deserialize;

use super::{Weather, pattern};

/// Something that nobody is allowed to do: a call of it is refused, and a simulation of it says `implicitDeny`.
///
/// `iam:PassRole` is no call: the calls that pass such a role are refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deny {
    /// The action as policies name it, with `*` for anything: "iam:PassRole", "ecr:Get*".
    pub action: String,
    /// Only with this resource, with `*` for anything: an ARN where roles are passed or a simulation asks, what the
    /// recorder calls the resource where it is called.
    #[serde(default = "anything")]
    pub resource: String,
}

fn anything() -> String {
    "*".to_owned()
}

impl Weather {
    /// Whether nobody is allowed an action with a resource. IAM tells no case of actions.
    pub(crate) fn denies(&self, action: &str, resource: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.denies.iter().any(|deny| {
            pattern::matches(&deny.action.to_ascii_lowercase(), &action) && pattern::matches(&deny.resource, resource)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_denied_with_the_resources_that_are_named() {
        let scenario = "[[deny]]\naction = 'iam:PassRole'\nresource = '*:role/api*'\n[[deny]]\naction = 'ecr:Get*'";
        let weather = Weather::parse(scenario).expect("a scenario");
        assert!(weather.denies("iam:passrole", "arn:aws:iam::1:role/api-task"));
        assert!(!weather.denies("iam:PassRole", "arn:aws:iam::1:role/web-task"));
        assert!(weather.denies("ecr:GetDownloadUrlForLayer", "") && !weather.denies("ecr:BatchGetImage", ""));
    }
}
