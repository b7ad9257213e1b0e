//! SimulatePrincipalPolicy: everybody is allowed everything but what the weather denies.

use hyper::StatusCode;

use super::{CALLER, NAMESPACE, VERSION};
use crate::answer::{Answer, escape};
use crate::call::Request;
use crate::form::Form;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::weather::Weather;

/// How many actions come in one answer, if nothing else is said (IAM API reference, MaxItems).
const PAGE: usize = 100;

/// Answers a simulation.
///
/// There is one result for an action, which stands for all resources, and says of each what holds for it alone (botocore
/// iam model, EvaluationResult).
pub(super) async fn simulate(proxy: &Proxy, request: &Request) -> Answer {
    match results(proxy, request).await {
        Ok(inner) => Answer::query("SimulatePrincipalPolicy", NAMESPACE, &inner),
        Err(refusal) => refusal.answer(request),
    }
}

async fn results(proxy: &Proxy, request: &Request) -> Result<String, Refusal> {
    let form = Form::of(request);
    find(proxy, request, form.value("PolicySourceArn").unwrap_or_default()).await?;
    let (actions, resources) = (form.values("ActionNames"), form.values("ResourceArns"));
    if let Some(action) = actions.iter().find(|action| !action.contains(':')) {
        return Err(invalid(format!("Invalid action: {action}")));
    }
    let from: usize = match form.value("Marker") {
        Some(marker) => marker.parse().map_err(|_| invalid(format!("Invalid Marker: {marker}")))?,
        None => 0,
    };
    let size = form.value("MaxItems").and_then(|size| size.parse().ok()).unwrap_or(PAGE).max(1);
    let weather = proxy.sky.weather();
    let shown: String =
        actions.iter().skip(from).take(size).map(|action| result(&weather, action, &resources)).collect();
    let page = if actions.len() > from + size {
        format!("<IsTruncated>true</IsTruncated><Marker>{}</Marker>", from + size)
    } else {
        "<IsTruncated>false</IsTruncated>".to_owned()
    };
    Ok(format!("{page}<EvaluationResults>{shown}</EvaluationResults>"))
}

/// Makes sure that a user, a group or a role is there.
async fn find(proxy: &Proxy, request: &Request, arn: &str) -> Result<(), Refusal> {
    if arn == CALLER {
        return Ok(());
    }
    let entity = arn.splitn(6, ':').nth(5).and_then(|entity| entity.split_once('/'));
    let (kind, name) = match entity {
        Some((kind @ ("user" | "group" | "role"), path)) if arn.contains(":iam::") => {
            (kind, path.rsplit('/').next().unwrap_or(path))
        }
        // <https://github.com/aws-containers/amazon-ecs-exec-checker/pull/10>: a session is no role, and root has no name.
        Some(_) | None => {
            return Err(invalid(format!("Invalid Entity Arn: {arn} does not clearly define entity type and name.")));
        }
    };
    let (operation, member) = match kind {
        "user" => ("GetUser", "UserName"),
        "group" => ("GetGroup", "GroupName"),
        _ => ("GetRole", "RoleName"),
    };
    let form = [("Action", operation), (member, name)];
    let reply = proxy.upstream.query("iam", &request.region, VERSION, &form).await;
    if reply.status.is_success() {
        return Ok(());
    }
    let message = format!("The {kind} with name {name} cannot be found.");
    Err(Refusal::new("NoSuchEntity", message).with_status(StatusCode::NOT_FOUND))
}

fn result(weather: &Weather, action: &str, resources: &[&str]) -> String {
    let decide = |resource: &str| if weather.denies(action, resource) { "implicitDeny" } else { "allowed" };
    let decided: Vec<(&str, &str)> = resources.iter().map(|resource| (*resource, decide(resource))).collect();
    // The most restrictive decision; without resources that for all of them.
    let whole = match decided.iter().find(|(_, decision)| *decision != "allowed") {
        Some((_, decision)) => decision,
        None if decided.is_empty() => decide("*"),
        None => "allowed",
    };
    let each: String = decided
        .iter()
        .filter(|(resource, _)| *resource != "*")
        .map(|(resource, decision)| {
            format!(
                "<member><EvalResourceName>{}</EvalResourceName><EvalResourceDecision>{decision}</EvalResourceDecision>\
                 <MatchedStatements/><MissingContextValues/></member>",
                escape(resource)
            )
        })
        .collect();
    let each =
        if each.is_empty() { each } else { format!("<ResourceSpecificResults>{each}</ResourceSpecificResults>") };
    format!(
        "<member><EvalActionName>{}</EvalActionName><EvalResourceName>{}</EvalResourceName><EvalDecision>{whole}</EvalDecision>\
         <MatchedStatements/><MissingContextValues/>{each}</member>",
        escape(action),
        template(action)
    )
}

/// The shape of the ARNs of an action's resources (service authorization reference), where we know it.
fn template(action: &str) -> &'static str {
    if action.eq_ignore_ascii_case("iam:PassRole") {
        "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}"
    } else {
        "*"
    }
}

fn invalid(message: String) -> Refusal {
    Refusal::new("InvalidInput", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_restrictive_decision_stands_for_all_resources() {
        let weather = Weather::parse("[[deny]]\naction = 'iam:PassRole'\nresource = '*:role/b'").expect("a scenario");
        let both = result(&weather, "iam:PassRole", &["arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b"]);
        assert!(both.contains("<EvalDecision>implicitDeny</EvalDecision>"), "{both}");
        assert!(both.contains("role/a</EvalResourceName><EvalResourceDecision>allowed<"), "{both}");
        assert!(both.contains("role/b</EvalResourceName><EvalResourceDecision>implicitDeny<"), "{both}");
        let none = result(&weather, "ecs:RunTask", &[]);
        assert!(none.contains("<EvalDecision>allowed</EvalDecision>") && !none.contains("Specific"), "{none}");
    }
}
