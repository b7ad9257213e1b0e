//! Traffic: the listener rules of a service, and the weights that ECS gives its two target groups.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Region;
use super::facts::{Fact, Facts, Question};
use super::json::{last_part, list, text};
use super::service::Service;
use super::task::{Effect, Target};

/// Target groups and their weights.
pub(crate) type Weights = Vec<(String, i64)>;

/// What a network configuration that ECS cannot work with is called.
const INVALID: &str = "Service deployment rolled back because of invalid networking configuration";

/// A load balancer between whose two target groups ECS shifts traffic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    /// `targetGroupArn` and `alternateTargetGroupArn`.
    pub(crate) target_groups: [String; 2],
    production: String,
    test: Option<String>,
    role: String,
}

impl Service {
    /// The load balancers between whose target groups ECS may shift.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let route = |balancer: &Value| {
            let advanced = &balancer["advancedConfiguration"];
            let owned = |value: &Value, name| text(value, name).map(str::to_owned);
            Some(Route {
                target_groups: [owned(balancer, "targetGroupArn")?, owned(advanced, "alternateTargetGroupArn")?],
                production: owned(advanced, "productionListenerRule")?,
                test: owned(advanced, "testListenerRule"),
                role: owned(advanced, "roleArn")?,
            })
        };
        list(&self.settings, "loadBalancers").iter().filter_map(route).collect()
    }

    /// Every target group that its tasks may be in.
    pub(crate) fn target_groups(&self) -> BTreeSet<String> {
        let placed = self.placement.targets.iter().map(|target| target.target_group.clone());
        placed.chain(self.routes().into_iter().flat_map(|route| route.target_groups)).collect()
    }

    /// Whether a revision's tasks are in the alternate target groups.
    pub(crate) fn is_alternate(&self, revision: &str) -> bool {
        self.revisions.iter().any(|candidate| candidate.arn == revision && candidate.alternate)
    }

    /// Where a deployment's tasks register.
    pub(crate) fn targets(&self, position: usize) -> Vec<Target> {
        let mut targets = self.placement.targets.clone();
        let revision = self.deployments.get(position).map_or("", |deployment| deployment.revision.as_str());
        if self.is_alternate(revision) {
            for target in &mut targets {
                let route = self.routes().into_iter().find(|route| route.target_groups[0] == target.target_group);
                if let Some(route) = route {
                    let [_, alternate] = route.target_groups;
                    target.target_group = alternate;
                }
            }
        }
        targets
    }

    /// What DescribeServiceRevisions shows of where a revision is reached.
    pub(crate) fn resolved(&self, revision: &str) -> Value {
        let alternate = usize::from(self.is_alternate(revision));
        let shown = |route: Route| json!({"targetGroupArn": route.target_groups[alternate], "productionListenerRule": route.production});
        json!({"loadBalancers": self.routes().into_iter().map(shown).collect::<Vec<_>>()})
    }
}

impl Region {
    /// What must be known before a deployment that shifts traffic can begin.
    pub(crate) fn traffic_questions(&self) -> Vec<Question> {
        let begins = |service: &&Service| {
            service.in_flight().is_some_and(|deployment| deployment.started.is_none() && deployment.lifecycle.is_some())
        };
        let routes = self.services.iter().filter(begins).flat_map(Service::routes);
        routes
            .flat_map(|route| {
                let rules = route.test.into_iter().chain([route.production]).map(Question::Rule);
                rules.chain([Question::Trust(last_part(&route.role).to_owned())]).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Looks at a service's rules, and gives its new revision the target groups that serve no traffic.
    ///
    /// # Errors
    /// Why ECS cannot shift traffic there, in its own words (developer guide, "Troubleshooting blue/green deployments").
    pub(crate) fn begin_traffic(&mut self, index: usize, facts: &Facts) -> Result<(), String> {
        let service = &mut self.services[index];
        let routes = service.routes();
        // A deployment that this one replaces in its midst has shifted: its weights are ECS's own.
        let left = service.service_deployments.iter().rev().skip(1).take(1);
        let shifted: Vec<(String, Weights)> = left
            .filter_map(|deployment| deployment.lifecycle.as_ref())
            .filter(|lifecycle| lifecycle.production > 0.0 || lifecycle.test > 0.0)
            .filter(|_| service.deployments.len() > 1 && service.source() != Some(1))
            .flat_map(|lifecycle| lifecycle.before.clone())
            .collect();
        let mut before = Vec::new();
        for route in &routes {
            if !facts.has(&Question::Trust(last_part(&route.role).to_owned())) {
                return Err(format!(
                    "{INVALID}. ECS was unable to manage the ELB resources due to missing permissions on ECS Infrastructure Role '{}'.",
                    route.role
                ));
            }
            for rule in [Some(&route.production), route.test.as_ref()].into_iter().flatten() {
                let Some(Fact::Rule { weights }) = facts.get(&Question::Rule(rule.clone())) else {
                    return Err(format!("{INVALID}. One or more rules not found"));
                };
                let own = shifted.iter().find(|(shifted, _)| shifted == rule).map(|(_, weights)| weights.clone());
                before.push((rule.clone(), own.unwrap_or(weights)));
            }
            check_route(route, &before)?;
        }
        let source = service.source().and_then(|position| service.deployments.get(position));
        let alternate = match (source, routes.first()) {
            (Some(source), Some(_)) => !service.is_alternate(&source.revision),
            (None, Some(route)) => serving(&before, &route.production).contains(&route.target_groups[0].as_str()),
            (_, None) => false,
        };
        let target = service.deployments[0].revision.clone();
        for revision in service.revisions.iter_mut().filter(|revision| revision.arn == target) {
            revision.alternate = alternate;
        }
        if let Some(lifecycle) = service.under_way().and_then(|deployment| deployment.lifecycle.as_mut()) {
            lifecycle.before = before;
        }
        Ok(())
    }

    /// Gives the new revision its share of production traffic.
    pub(crate) fn shift_production(&mut self, index: usize) {
        let service = &self.services[index];
        let Some(lifecycle) = service.in_flight().and_then(|deployment| deployment.lifecycle.as_ref()) else { return };
        let percent = lifecycle.production;
        for route in service.routes() {
            self.shift(index, &route, &route.production, percent);
        }
    }

    /// Gives the new revision all test traffic.
    pub(crate) fn shift_test(&mut self, index: usize) {
        for route in self.services[index].routes() {
            if let Some(rule) = &route.test {
                self.shift(index, &route, rule, 100.0);
            }
        }
    }

    /// Gives every rule the weights that it had before the deployment.
    pub(crate) fn return_traffic(&mut self, index: usize) {
        let last = self.services[index].service_deployments.last_mut();
        let Some(lifecycle) = last.and_then(|deployment| deployment.lifecycle.as_mut()) else { return };
        lifecycle.production = 0.0;
        lifecycle.test = 0.0;
        let before = lifecycle.before.clone();
        self.effects.extend(before.into_iter().map(|(rule, weights)| Effect::Shift { rule, weights }));
    }

    fn shift(&mut self, index: usize, route: &Route, rule: &str, percent: f64) {
        let service = &self.services[index];
        let new = usize::from(service.is_alternate(&service.deployments[0].revision));
        let (share, rest) = weights(percent);
        let weights = vec![(route.target_groups[1 - new].clone(), rest), (route.target_groups[new].clone(), share)];
        self.effects.push(Effect::Shift { rule: rule.to_owned(), weights });
    }
}

/// Refuses rules that do not lead to the two target groups, one of which serves.
fn check_route(route: &Route, rules: &[(String, Weights)]) -> Result<(), String> {
    let [main, alternate] = &route.target_groups;
    let serving = serving(rules, &route.production);
    if let Some(other) = serving.iter().find(|arn| *arn != main && *arn != alternate) {
        return Err(format!(
            "{INVALID}. Production listener rule is forwarding traffic to unexpected target group {other}. Expected traffic to be \
             forwarded to either targetGroupArn: {main} or alternateTargetGroupArn: {alternate}"
        ));
    }
    if serving.len() != 1 {
        return Err(format!(
            "{INVALID}. productionListenerRule {} should have exactly one target group serving traffic but found {} target groups \
             which are serving traffic",
            route.production,
            serving.len()
        ));
    }
    for target_group in &route.target_groups {
        let own = [Some(&route.production), route.test.as_ref()];
        let leads = |(rule, weights): &(String, Weights)| {
            own.contains(&Some(rule)) && weights.iter().any(|(arn, _)| arn == target_group)
        };
        if !rules.iter().any(leads) {
            return Err(format!(
                "{INVALID}: Target group {target_group} is not associated with either productionListenerRule or testListenerRule."
            ));
        }
    }
    Ok(())
}

/// The target groups to which a rule sends traffic.
fn serving<'a>(rules: &'a [(String, Weights)], rule: &str) -> Vec<&'a str> {
    let rules = rules.iter().filter(|(arn, _)| arn == rule).flat_map(|(_, weights)| weights);
    rules.filter(|(_, weight)| *weight > 0).map(|(arn, _)| arn.as_str()).collect()
}

/// The weights of the new and of the old target group. ELBv2 takes whole numbers up to 999 (botocore elbv2 model,
/// TargetGroupWeight); 100 and 0 after a whole shift is what ECS leaves behind (terraform-aws-alb#409).
fn weights(percent: f64) -> (i64, i64) {
    let tenths = (percent * 10.0).round() as i64;
    if tenths % 10 == 0 { (tenths / 10, 100 - tenths / 10) } else { (tenths, 1000 - tenths) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_whole_and_within_the_range() {
        assert_eq!(weights(25.0), (25, 75));
        assert_eq!(weights(0.1), (1, 999));
        assert_eq!(weights(99.9), (999, 1));
        assert_eq!(weights(100.0), (100, 0));
    }
}
