//! The environment in which nothing can reach the real AWS.

use std::collections::BTreeSet;

/// The account that moto makes everything in.
pub(crate) const ACCOUNT: &str = "123456789012";

/// Where a person's profile, credentials, metadata service or proxy could come from. `AWS_*` goes as a whole besides.
const REMOVED: &[&str] = &[
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_MAX_ATTEMPTS",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "BOTO_CONFIG",
    "ECS_ENDPOINT_URL",
    "ECS_PROFILE",
    "ECS_REGION",
    "ALL_PROXY",
    "HTTP_PROXY",
    "all_proxy",
    "http_proxy",
];

/// A proxy that nobody runs: the discard port. Version 1 of the AWS CLI ignores `AWS_ENDPOINT_URL` for RDS in us-east-1
/// (its customization `overridesslcommonname`), and would otherwise call the real AWS.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The variables that a command needs to talk to the local AWS, and to nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Names and values to set.
    pub set: Vec<(String, String)>,
    /// Names to remove.
    pub remove: Vec<String>,
}

impl Environment {
    /// The environment for an endpoint and a region, given the names that the person's own environment has.
    ///
    /// Every `AWS_*` variable that is not set here is removed, known or not: a setting that AWS adds next year must
    /// not lead a command to the real AWS.
    pub fn new(endpoint: &str, region: &str, present: impl IntoIterator<Item = String>) -> Environment {
        let nothing = if cfg!(windows) { "NUL" } else { "/dev/null" };
        let set: Vec<(String, String)> = [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", region),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", nothing),
            ("AWS_SHARED_CREDENTIALS_FILE", nothing),
            ("AWS_PAGER", ""),
            ("HTTPS_PROXY", NOWHERE),
            ("https_proxy", NOWHERE),
            ("NO_PROXY", "127.0.0.1,localhost"),
            ("no_proxy", "127.0.0.1,localhost"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let remove: BTreeSet<String> = REMOVED
            .iter()
            .map(|&name| name.to_owned())
            .chain(present.into_iter().filter(|name| name.starts_with("AWS_")))
            .filter(|name| set.iter().all(|(taken, _)| taken != name))
            .collect();
        Environment { set, remove: remove.into_iter().collect() }
    }

    /// Applies this environment to a command.
    pub fn apply(&self, command: &mut std::process::Command) {
        for name in &self.remove {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
    }

    /// Applies this environment to a tokio command.
    pub fn apply_async(&self, command: &mut tokio::process::Command) {
        self.apply(command.as_std_mut());
    }

    /// This environment as lines for a POSIX shell.
    #[must_use]
    pub fn shell(&self) -> String {
        let mut lines = String::new();
        for name in &self.remove {
            lines.push_str(&format!("unset {name}\n"));
        }
        for (name, value) in &self.set {
            lines.push_str(&format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(present: &[&str]) -> Environment {
        Environment::new("http://127.0.0.1:1", "eu-west-1", present.iter().map(|name| (*name).to_owned()))
    }

    fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
        environment.set.iter().find(|(set, _)| set == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn endpoint_region_and_dummy_credentials_are_set() {
        let environment = environment(&[]);
        assert_eq!(value(&environment, "AWS_ENDPOINT_URL"), Some("http://127.0.0.1:1"));
        assert_eq!(value(&environment, "AWS_REGION"), Some("eu-west-1"));
        assert_eq!(value(&environment, "AWS_DEFAULT_REGION"), Some("eu-west-1"));
        assert_eq!(value(&environment, "AWS_ACCESS_KEY_ID"), Some("testing"));
        assert_eq!(value(&environment, "AWS_CONFIG_FILE"), Some("/dev/null"));
        assert_eq!(value(&environment, "AWS_EC2_METADATA_DISABLED"), Some("true"));
    }

    #[test]
    fn whatever_leads_to_the_real_aws_is_removed() {
        let present = ["AWS_PROFILE", "AWS_ENDPOINT_URL_ECS", "AWS_SOMETHING_NEW", "AWS_REGION", "HOME", "ECS_STACK"];
        let environment = environment(&present);
        for name in
            ["AWS_PROFILE", "AWS_ENDPOINT_URL_ECS", "AWS_SOMETHING_NEW", "HTTP_PROXY", "all_proxy", "ECS_PROFILE"]
        {
            assert!(environment.remove.iter().any(|removed| removed == name), "{name} stays");
        }
        for name in ["HOME", "ECS_STACK", "AWS_REGION"] {
            assert!(environment.remove.iter().all(|removed| removed != name), "{name} goes");
        }
        // What ignores the endpoint all the same ends at a port where nobody listens.
        assert_eq!(value(&environment, "HTTPS_PROXY"), Some("http://127.0.0.1:9"));
        assert_eq!(value(&environment, "NO_PROXY"), Some("127.0.0.1,localhost"));
    }

    #[test]
    fn shell_lines_are_quoted() {
        let lines = Environment { set: vec![("A".into(), "it's".into())], remove: vec!["B".into()] }.shell();
        assert_eq!(lines, "unset B\nexport A='it'\\''s'\n");
    }
}
