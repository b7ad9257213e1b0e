//! Names: of the stack, the account, the region, the roles, the load balancer and the cluster.

use std::collections::BTreeMap;

use super::{Mistake, one_of};
use crate::stack::pointer::pointer;
use crate::stack::{Github, Stack};

/// Longest name of a stack: names are made from it, and `NAME-private-REGIONa` must still be readable.
const STACK_NAME: usize = 40;

/// Characters of a name that is too long that are shown.
const SHOWN: usize = 24;

/// Values that CloudWatch Logs takes, in days. Source: `PutRetentionPolicy`, `retentionInDays`.
const RETENTION_DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// Says what a kind of name may look like.
pub(super) struct Rule {
    /// What it is the name of
    pub what: &'static str,
    /// Greatest number of characters
    pub longest: usize,
    /// Whether a character may be in it
    pub allowed: fn(char) -> bool,
    /// The same in words
    pub allowed_words: &'static str,
    /// Whether it may neither start nor end with a hyphen
    pub no_outer_hyphen: bool,
}

/// Source: `CreateLoadBalancer`, `Name`.
const LOAD_BALANCER: Rule = Rule { what: "load balancer name", ..TARGET_GROUP };

/// Source: `CreateTargetGroup`, `Name`.
pub(super) const TARGET_GROUP: Rule = Rule {
    what: "target group name",
    longest: 32,
    allowed: |c| c.is_ascii_alphanumeric() || c == '-',
    allowed_words: "letters, digits and hyphens",
    no_outer_hyphen: true,
};

/// Source: `CreateRole`, `RoleName`; 64 characters by IAM's quotas.
pub(super) const ROLE: Rule = Rule {
    what: "role name",
    longest: 64,
    allowed: |c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c),
    allowed_words: "letters, digits and _+=,.@-",
    no_outer_hyphen: false,
};

/// Source: `CreateUser`, `UserName`; 64 characters by IAM's quotas.
const USER: Rule = Rule { what: "user name", ..ROLE };

/// Source: `PutRolePolicy`, `PolicyName`; 128 characters by IAM's quotas.
const POLICY: Rule = Rule { what: "policy name", longest: 128, ..ROLE };

/// Source: `CreateRole`, `Description`: at most 1000 characters of printable Latin-1.
const ROLE_DESCRIPTION: Rule = Rule {
    what: "role description",
    longest: 1000,
    allowed: |c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a1}'..='\u{ff}'),
    allowed_words: "printable Latin-1 characters",
    no_outer_hyphen: false,
};

/// Source: `CreateSecurityGroup`, `GroupName`.
pub(super) const SECURITY_GROUP: Rule = Rule {
    what: "security group name",
    longest: 255,
    allowed: |c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c),
    allowed_words: "letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*",
    no_outer_hyphen: false,
};

/// Source: `CreateCluster`, `clusterName`.
const CLUSTER: Rule = Rule { what: "cluster name", ..ECS };

/// Source: `CreateService`, `serviceName`; `RegisterTaskDefinition`, `family`; `ContainerDefinition`, `name`.
pub(super) const ECS: Rule = Rule {
    what: "name",
    longest: 255,
    allowed: |c| c.is_ascii_alphanumeric() || c == '-' || c == '_',
    allowed_words: "letters, digits, hyphens and underscores",
    no_outer_hyphen: false,
};

/// Source: EC2's tag restrictions, on the value of a tag.
const VPC: Rule = Rule {
    what: "VPC name",
    longest: 256,
    allowed: |c| c.is_alphanumeric() || " _.:/=+-@".contains(c),
    allowed_words: "letters, digits, spaces and _.:/=+-@",
    no_outer_hyphen: false,
};

/// Our own: what every name that is made from it accepts.
const STACK: Rule = Rule {
    what: "stack name",
    longest: STACK_NAME,
    allowed: |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    allowed_words: "lower-case letters, digits and hyphens",
    no_outer_hyphen: true,
};

impl Rule {
    /// Returns what is wrong with a name, none if nothing.
    pub(super) fn broken(&self, name: &str) -> Option<String> {
        let Self { what, longest, allowed, allowed_words, no_outer_hyphen } = self;
        let length = name.chars().count();
        if name.is_empty() {
            return Some(format!("the {what} is empty"));
        }
        if length > *longest {
            let start: String = name.chars().take(SHOWN).collect();
            return Some(format!("the {what} `{start}…` has {length} characters, at most {longest} are allowed"));
        }
        if let Some(bad) = name.chars().find(|&c| !allowed(c)) {
            return Some(format!("the {what} `{name}` holds {bad:?}, only {allowed_words} are allowed"));
        }
        (*no_outer_hyphen && (name.starts_with('-') || name.ends_with('-')))
            .then(|| format!("the {what} `{name}` starts or ends with a hyphen"))
    }
}

/// Checks the names that stand outside the layers' own checks.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    let mut name = |rule: &Rule, segments: &[&str], value: &str| {
        let broken = rule.broken(value);
        let fine = broken.is_none();
        found.extend(broken.map(|message| Mistake::value(pointer(segments), message)));
        fine
    };
    let fine = name(&STACK, &["name"], &stack.name);
    name(&VPC, &["net", "vpc_name"], &stack.vpc_name());
    if let Some(cluster) = &stack.cluster.name {
        name(&CLUSTER, &["cluster", "name"], cluster);
    }
    name(&ROLE, &["iam", "execution_role"], &stack.iam.execution_role);
    name(&POLICY, &["iam", "parameter_policy"], &stack.iam.parameter_policy);
    name(&ROLE_DESCRIPTION, &["iam", "execution_role_description"], &stack.iam.execution_role_description);
    name(&ROLE, &["iam", "infrastructure_role"], &stack.iam.infrastructure_role);
    if let Some(flow_logs) = stack.net.flow_logs.as_ref().filter(|flow_logs| flow_logs.bucket_arn.is_none()) {
        name(&ROLE, &["net", "flow_logs", "role"], &flow_logs.role(stack));
    }
    if let Some(role) = stack.deploy_role() {
        name(&ROLE, deploy_place(stack), &role);
    }
    if let Some(user) = stack.ci_user() {
        name(&USER, &["iam", "ci_user", "name"], &user);
    }
    let balancer = name(&LOAD_BALANCER, &["alb", "name"], &stack.alb.name);
    if fine && !stack.name.starts_with(|c: char| c.is_ascii_lowercase()) {
        found.push(Mistake::value("/name", format!("the stack name `{}` does not start with a letter", stack.name)));
    }
    // Source: CreateLoadBalancer, Name: "must not begin with internal-".
    if balancer && stack.alb.name.starts_with("internal-") {
        found.push(Mistake::value("/alb/name", "a load balancer name must not start with `internal-`"));
    }
    roles(stack, found);
    if let Some(github) = &stack.iam.github {
        self::github(github, found);
    }
    account_and_region(stack, found);
    retention(stack, found);
}

/// Returns the place that the deploy role's name comes from.
pub(super) fn deploy_place(stack: &Stack) -> &'static [&'static str] {
    if stack.iam.github.is_some() { &["iam", "github", "role"] } else { &["iam", "ci_user"] }
}

/// Checks that the roles are different ones: IAM compares names without case (`CreateRole`, `RoleName`).
fn roles(stack: &Stack, found: &mut Vec<Mistake>) {
    let flow_logs = stack.net.flow_logs.as_ref().filter(|flow_logs| flow_logs.bucket_arn.is_none());
    let flow_logs = flow_logs.map(|flow_logs| flow_logs.role(stack));
    let infrastructure = Some(stack.iam.infrastructure_role.clone()).filter(|_| stack.shifts());
    let scheduler = Some(stack.iam.scheduler_role.clone()).filter(|_| !stack.schedules.is_empty());
    let names: [(&[&str], Option<String>); 5] = [
        (&["iam", "execution_role"], Some(stack.iam.execution_role.clone())),
        (&["iam", "infrastructure_role"], infrastructure),
        (&["iam", "scheduler_role"], scheduler),
        (deploy_place(stack), stack.deploy_role()),
        (&["net", "flow_logs", "role"], flow_logs),
    ];
    let mut seen: BTreeMap<String, &[&str]> = BTreeMap::new();
    for (place, name) in names {
        let Some(name) = name else { continue };
        if let Some(other) = seen.insert(name.to_lowercase(), place) {
            let message = format!("`{}` and `{}` are the same role `{name}`", other.join("."), place.join("."));
            found.push(Mistake::value(pointer(place), message).related(other));
        }
    }
}

/// Checks who may deploy: the trust policy compares to the letter, so a wildcard would let nobody in.
fn github(github: &Github, found: &mut Vec<Mistake>) {
    let place = |member: &str| pointer(&["iam", "github", member]);
    let repository = &github.repository;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let part = |part: &str| !part.is_empty() && part.chars().all(allowed);
    if !repository.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name)) {
        found.push(
            Mistake::value(place("repository"), format!("`{repository}` is not a repository at GitHub"))
                .hint("write `organisation/repository`"),
        );
    }
    if github.branch.is_some() && github.environment.is_some() {
        found.push(
            Mistake::key(place("environment"), "`branch` and `environment` exclude each other")
                .hint("a job in an environment is known by that alone; let the environment allow only the branch")
                .related(&["iam", "github", "branch"]),
        );
    }
    for (member, what, name) in
        [("branch", "branch", &github.branch), ("environment", "environment", &github.environment)]
    {
        let Some(name) = name else { continue };
        // Source: git-check-ref-format.
        let bad = |c: char| c.is_control() || "*?[\\".contains(c) || (member == "branch" && " ~^:".contains(c));
        let problem = if name.is_empty() {
            Some(format!("the {what}'s name is empty"))
        } else {
            name.chars().find(|&c| bad(c)).map(|bad| format!("the {what}'s name `{name}` holds {bad:?}"))
        };
        found.extend(problem.map(|problem| Mistake::value(place(member), problem)));
    }
}

fn account_and_region(stack: &Stack, found: &mut Vec<Mistake>) {
    let twelve = |account: &&String| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(account) = stack.account.as_ref().filter(|account| !twelve(account)) {
        found.push(Mistake::value("/account", format!("an AWS account is twelve digits, found `{account}`")));
    }
    if let Some(region) = stack.region.as_ref().filter(|region| !is_region(region)) {
        let mistake = Mistake::value("/region", format!("`{region}` is not the name of an AWS region"));
        let zone = region.strip_suffix(|c: char| c.is_ascii_lowercase()).filter(|rest| is_region(rest));
        found.push(match zone {
            Some(rest) => mistake.hint(format!("that is a zone; its region is `{rest}`")),
            None => mistake.hint("a region is written like `us-east-1` or `us-gov-west-1`"),
        });
    }
}

/// Says whether a text is written like a region.
///
/// The SDK's partitions take `\w+-\w+-\d+` after a prefix of theirs; which regions there are changes from year to year.
pub(super) fn is_region(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let [names @ .., number] = words.as_slice() else { return false };
    (2..=3).contains(&names.len())
        && names.iter().all(|name| name.len() >= 2 && name.bytes().all(|byte| byte.is_ascii_lowercase()))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn retention(stack: &Stack, found: &mut Vec<Mistake>) {
    let flow_logs = stack.net.flow_logs.as_ref();
    let flow_logs = flow_logs.map(|flow_logs| ("/net/flow_logs/retention_days", flow_logs.retention_days));
    let all = [("/cluster/log_retention_days", stack.cluster.log_retention_days)].into_iter().chain(flow_logs);
    for (place, days) in all.filter(|(_, days)| !RETENTION_DAYS.contains(days)) {
        let nearest = RETENTION_DAYS.iter().min_by_key(|&&value| i64::from(value).abs_diff(i64::from(days)));
        found.push(Mistake::value(place, format!("CloudWatch Logs keeps nothing for {days} days")).hint(format!(
            "the nearest that it has is {}; it has {}",
            nearest.copied().unwrap_or(30),
            one_of(RETENTION_DAYS).replace('`', "")
        )));
    }
}
