//! What the roles may do beside what the tools give them: statements of policies, and the permissions boundary.

use super::Mistake;
use super::parameters::table_references;
use crate::stack::pointer::pointer;
use crate::stack::{Stack, Statement};

/// Checks the statements of all policies.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    statements(stack, &["iam", "execution_statements"], &stack.iam.execution_statements, found);
    for (key, service) in &stack.services {
        statements(stack, &["services", key, "policy"], &service.policy, found);
    }
    given_roles(stack, found);
    if let Some(arn) = stack.iam.permissions_boundary.as_ref().filter(|arn| !is_policy(arn)) {
        found.push(
            Mistake::value("/iam/permissions_boundary", format!("`{arn}` is not the ARN of a managed policy"))
                .hint("write `arn:aws:iam::ACCOUNT:policy/NAME`"),
        );
    }
}

fn statements(stack: &Stack, path: &[&str], statements: &[Statement], found: &mut Vec<Mistake>) {
    for (index, Statement { actions, resources, conditions, .. }) in statements.iter().enumerate() {
        let index = index.to_string();
        let place = |rest: &[&str]| pointer(&[path, &[index.as_str()], rest].concat());
        for (member, values, what) in [("actions", actions, "an action"), ("resources", resources, "a resource")] {
            if values.is_empty() {
                found.push(Mistake::value(place(&[member]), format!("a statement needs {what}")));
            }
        }
        for (position, action) in actions.iter().enumerate().filter(|(_, action)| !is_action(action)) {
            found.push(
                Mistake::value(place(&["actions", &position.to_string()]), format!("`{action}` is not an action"))
                    .hint("write it like `s3:GetObject`"),
            );
        }
        for (position, resource) in resources.iter().enumerate() {
            found.extend(table_references(stack, &place(&["resources", &position.to_string()]), resource));
        }
        for (position, resource) in resources.iter().enumerate().filter(|(_, resource)| !is_resource(resource)) {
            found.push(
                Mistake::value(place(&["resources", &position.to_string()]), format!("`{resource}` is not an ARN"))
                    .hint("write it like `arn:aws:s3:::bucket/*`"),
            );
        }
        for (operator, _) in conditions.iter().filter(|(operator, keys)| operator.is_empty() || keys.is_empty()) {
            let message = format!("the condition `{operator}` says nothing");
            let hint = "write it like `{ StringEquals = { \"aws:RequestedRegion\" = \"eu-west-1\" } }`";
            found.push(Mistake::key(place(&["conditions", operator]), message).hint(hint));
        }
    }
}

/// Checks the roles that somebody else made: nothing of theirs can be said in the file.
fn given_roles(stack: &Stack, found: &mut Vec<Mistake>) {
    let iam = &stack.iam;
    let mut given: Vec<(Vec<&str>, &str, Vec<&str>, bool)> = Vec::new();
    if let Some(arn) = &iam.execution_role_arn {
        let path = |member| vec!["iam", member];
        given.push((
            path("execution_role_arn"),
            arn,
            path("execution_statements"),
            !iam.execution_statements.is_empty(),
        ));
    }
    if let Some(arn) = &iam.infrastructure_role_arn {
        given.push((vec!["iam", "infrastructure_role_arn"], arn, Vec::new(), false));
    }
    for (key, service) in &stack.services {
        let Some(arn) = &service.task_role_arn else { continue };
        let path = |member| vec!["services", key.as_str(), member];
        given.push((path("task_role_arn"), arn, path("policy"), !service.policy.is_empty()));
        if service.task_role.is_some() {
            found.push(
                Mistake::value(pointer(&path("task_role")), "`task_role` and `task_role_arn` exclude each other")
                    .hint("`task_role` is the name of a role of this stack, `task_role_arn` is somebody else's role")
                    .related(&path("task_role_arn")),
            );
        }
    }
    for (place, arn, statements, any) in given {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let role = match parts.as_slice() {
            ["arn", partition, "iam", "", account, resource] if partition.starts_with("aws") => {
                resource.strip_prefix("role/").filter(|name| !name.is_empty() && !name.contains(' ')).map(|_| *account)
            }
            _ => None,
        };
        match (role, &stack.account) {
            (None, _) => found.push(
                Mistake::value(pointer(&place), format!("`{arn}` is not the ARN of a role"))
                    .hint("write `arn:aws:iam::ACCOUNT:role/NAME`"),
            ),
            // Source: IAM's guide, "Grant a user permissions to pass a role": only one of the same account.
            (Some(account), Some(own)) if account != own => {
                let message = format!("the role is of account {account}, the stack of {own}: it cannot be passed");
                found.push(Mistake::value(pointer(&place), message).related(&["account"]));
            }
            (Some(_), _) => {}
        }
        if any {
            let message = format!("the role `{arn}` is somebody else's: what it may do cannot stand in the file");
            let hint =
                format!("let its owner allow that, or leave out `{}`", place.last().copied().unwrap_or_default());
            found.push(Mistake::value(pointer(&statements), message).hint(hint).related(&place));
        }
    }
}

/// Source: IAM's guide, "IAM JSON policy elements: Action": a service's prefix, a colon, a name with wildcards; or all.
fn is_action(action: &str) -> bool {
    let word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    action == "*" || action.split_once(':').is_some_and(|(service, name)| word(service, "-") && word(name, "*?"))
}

/// Source: IAM's guide, "IAM JSON policy elements: Resource": an ARN, with wildcards and policy variables; or all.
///
/// A reference to a table's ARN is one, and may be followed by what belongs to the table: `/index/*`.
fn is_resource(resource: &str) -> bool {
    if let Some((_, rest)) = resource.strip_prefix("${table.").and_then(|inner| inner.split_once(".arn}")) {
        return rest.is_empty() || (rest.starts_with('/') && !rest.contains(char::is_whitespace));
    }
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let arn =
        matches!(parts.as_slice(), ["arn", _, service, _, _, resource] if !service.is_empty() && !resource.is_empty());
    resource == "*" || (arn && !resource.contains(char::is_whitespace))
}

/// Source: `PutRolePermissionsBoundary`, `PermissionsBoundary`: a managed policy, the account's own or AWS's.
fn is_policy(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else { return false };
    let twelve = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let named = resource.strip_prefix("policy/").is_some_and(|name| !name.is_empty() && !name.contains(' '));
    partition.starts_with("aws") && (twelve || *account == "aws") && named
}
