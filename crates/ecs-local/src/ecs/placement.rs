//! What a service refers to, checked, and how it is to be deployed.

use serde_json::{Value, json};

use super::Region;
use super::error::{Stop, invalid_parameter};
use super::facts::{Fact, Facts, Question, Subnet};
use super::json::{list, number, text, texts};
use super::strategy;
use super::task::Target;

/// Where a revision's tasks go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placement {
    pub(crate) subnets: Vec<Subnet>,
    /// Ids of security groups.
    pub(crate) groups: Vec<String>,
    pub(crate) targets: Vec<Target>,
}

impl Region {
    /// Checks what a service refers to, and works out where its tasks go.
    pub(crate) fn placement(&self, settings: &Value, definition: &str, facts: &Facts) -> Result<Placement, Stop> {
        let content = self.task_definition(definition).map_or(&Value::Null, |definition| &definition.content);
        let network = &settings["networkConfiguration"]["awsvpcConfiguration"];
        let awsvpc = text(content, "networkMode") == Some("awsvpc");
        if awsvpc && network.is_null() {
            return Err(invalid_parameter(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ));
        }
        if !awsvpc && !network.is_null() {
            return Err(invalid_parameter(
                "Network Configuration is not valid for the given networkMode of this task definition.",
            ));
        }
        let subnets = texts(network, "subnets");
        let groups = texts(network, "securityGroups");
        let balancers = list(settings, "loadBalancers");
        if awsvpc && (subnets.is_empty() || subnets.len() > 16) {
            return Err(invalid_parameter("subnets must be 1 to 16 in number."));
        }
        if groups.len() > 5 {
            return Err(invalid_parameter("securityGroups can have at most 5 items."));
        }
        let mut targets = Vec::new();
        for balancer in balancers {
            targets.push(target(balancer, content)?);
        }
        let owned = |names: &[&str], question: fn(String) -> Question| {
            names.iter().map(|&name| question(name.to_owned())).collect::<Vec<_>>()
        };
        let subnets = owned(&subnets, Question::Subnet);
        let groups = owned(&groups, Question::SecurityGroup);
        let target_groups: Vec<Question> =
            targets.iter().map(|target| Question::TargetGroup(target.target_group.clone())).collect();
        facts.require(subnets.iter().chain(&groups).chain(&target_groups).cloned())?;
        let mut found = Vec::new();
        for question in subnets.iter().chain(&groups) {
            match (facts.get(question), question) {
                (Some(Fact::Subnet(subnet)), _) => found.push(subnet),
                (Some(Fact::Missing) | None, Question::Subnet(id)) => {
                    return Err(invalid_parameter(format!(
                        "Error retrieving subnet information for [{id}]: The subnet ID '{id}' does not exist (ErrorCode: InvalidSubnetID.NotFound)"
                    )));
                }
                (Some(Fact::Missing) | None, Question::SecurityGroup(id)) => {
                    return Err(invalid_parameter(format!(
                        "Error retrieving security group information for [{id}]: The security group '{id}' does not exist (ErrorCode: InvalidGroup.NotFound)"
                    )));
                }
                (Some(_) | None, _) => {}
            }
        }
        for target in &mut targets {
            let arn = &target.target_group;
            match facts.get(&Question::TargetGroup(arn.clone())) {
                Some(Fact::TargetGroup { attached: true, deregistration_delay }) => {
                    target.deregistration_delay = deregistration_delay
                }
                Some(Fact::TargetGroup { attached: false, .. }) => {
                    return Err(invalid_parameter(format!(
                        "The target group with targetGroupArn {arn} does not have an associated load balancer."
                    )));
                }
                Some(
                    Fact::Missing
                    | Fact::Empty
                    | Fact::Found
                    | Fact::Image { .. }
                    | Fact::Subnet(_)
                    | Fact::Rule { .. }
                    | Fact::Alarm { .. },
                )
                | None => {
                    return Err(invalid_parameter(format!("The specified target group does not exist: {arn}")));
                }
            }
        }
        Ok(Placement {
            subnets: found,
            groups: texts(network, "securityGroups").into_iter().map(str::to_owned).collect(),
            targets,
        })
    }
}

/// The target of one of a service's load balancers; its container and port must be in the task definition.
fn target(balancer: &Value, content: &Value) -> Result<Target, Stop> {
    let Some(target_group) = text(balancer, "targetGroupArn") else {
        return Err(invalid_parameter("targetGroupArn must be specified."));
    };
    let name = text(balancer, "containerName").unwrap_or_default();
    let port = number(balancer, "containerPort").unwrap_or_default();
    let containers = list(content, "containerDefinitions");
    let Some(container) = containers.iter().find(|container| text(container, "name") == Some(name)) else {
        return Err(invalid_parameter(format!("The container {name} does not exist in the task definition.")));
    };
    if !list(container, "portMappings").iter().any(|mapping| number(mapping, "containerPort") == Some(port)) {
        return Err(invalid_parameter(format!("The container {name} did not have a container port {port} defined.")));
    }
    Ok(Target { target_group: target_group.to_owned(), port, deregistration_delay: 0.0 })
}

/// The deployment configuration of a request, over what there is, with ECS's defaults.
pub(crate) fn complete_configuration(present: &Value, request: &Value) -> Result<Value, Stop> {
    let mut configuration = json!({
        "deploymentCircuitBreaker": {"enable": false, "rollback": false},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    });
    for source in [present, &request["deploymentConfiguration"]] {
        for (name, value) in source.as_object().into_iter().flatten() {
            configuration[name] = value.clone();
        }
    }
    strategy::complete(configuration, request)
}

pub(crate) fn check_percents(configuration: &Value) -> Result<(), Stop> {
    let (least, most) = (number(configuration, "minimumHealthyPercent"), number(configuration, "maximumPercent"));
    if least.is_some_and(|least| !(0..=100).contains(&least)) || most.is_some_and(|most| !(100..=200).contains(&most)) {
        return Err(invalid_parameter("minimumHealthyPercent must be 0 to 100, and maximumPercent 100 to 200."));
    }
    if least == Some(100) && most == Some(100) && !strategy::is_staged(configuration) {
        return Err(invalid_parameter(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ));
    }
    Ok(())
}
