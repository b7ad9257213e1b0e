//! The listener rules that route hosts and paths to a service.
//!
//! A service whose traffic ECS shifts has two target groups, and its rule forwards to both, at first with the weights 1
//! and 0. From then on the weights are ECS's: a rule that forwards to exactly the two is as it should be
//! (<https://github.com/terraform-aws-modules/terraform-aws-alb/issues/409>).
//!
//! Once it is deployed task by task again, ECS goes on in the target group that serves, and keeps the load balancer's
//! configuration (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-bluegreen-to-rolling.html>). So the
//! rule and both target groups stay what they are, whichever of them serves: nothing is cut off.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{
    Action, HostHeaderConditionConfig, PathPatternConditionConfig, Rule as Described, RuleCondition, RulePriorityPair,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{ListenerArn, ListenerRuleArn, TargetGroupArn};
use ecs_core::{All as _, Change, Error, Held, Identity, Listing, Owner, Resource, Result, Stack};
use futures::join;

use crate::listener::{Listener, explain};
use crate::{Elb, LAYER, elb};

/// Name of the condition on a path.
const PATH_PATTERN: &str = "path-pattern";
/// Name of the condition on a host.
const HOST_HEADER: &str = "host-header";
/// What differs, as [`Change::field`].
const PRIORITY: &str = "priority";
const CONDITION: &str = "condition";
const ACTION: &str = "action";

/// The rules of one listener: those that the stack wants, and those that are there, listed once for all of them.
#[derive(Debug)]
pub struct Rules {
    listener: ListenerArn,
    listener_name: String,
    listener_is_new: bool,
    /// Somebody else has made the listener: rules beside the wanted ones are theirs
    shared: bool,
    wanted: Vec<Wanted>,
    /// Rules beside the wanted ones are deleted: then they are in nobody's way.
    others_go: bool,
    list: Listing<Vec<Described>>,
}

/// What the stack wants of one rule.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The service's key
    pub key: String,
    /// Host names that it matches; none: any
    pub hosts: Vec<String>,
    /// Path patterns that it matches; none: any
    pub paths: Vec<String>,
    /// Priority, unique on the listener
    pub priority: i32,
    /// It stands for the listener's default action, which no rule of its own is
    pub default: bool,
    /// Target group that it forwards to
    pub group: TargetGroupArn,
    /// Second target group that it forwards to
    pub alternate: Option<Alternate>,
}

/// The second target group of a rule.
#[derive(Debug, Clone)]
pub struct Alternate {
    /// Its ARN
    pub group: TargetGroupArn,
    /// The service's strategy needs it; else it is left from before, and may be the one that serves
    pub needed: bool,
    /// Nothing can be in it
    pub new: bool,
}

impl Wanted {
    fn conditions(&self) -> Vec<RuleCondition> {
        let mut conditions = Vec::new();
        if !self.hosts.is_empty() {
            let hosts = HostHeaderConditionConfig::builder().set_values(Some(self.hosts.clone())).build();
            conditions.push(RuleCondition::builder().field(HOST_HEADER).host_header_config(hosts).build());
        }
        if !self.paths.is_empty() {
            let paths = PathPatternConditionConfig::builder().set_values(Some(self.paths.clone())).build();
            conditions.push(RuleCondition::builder().field(PATH_PATTERN).path_pattern_config(paths).build());
        }
        conditions
    }

    /// Says whether actions forward to the service.
    fn leads(&self, actions: &[Action]) -> bool {
        let alternate = self.alternate.as_ref().is_some_and(|other| elb::forwards_to(actions, other.group.as_str()));
        alternate || elb::forwards_to(actions, self.group.as_str())
    }

    /// Says whether actions are as they are to be, whatever their weights.
    fn fits(&self, actions: &[Action]) -> bool {
        match &self.alternate {
            Some(alternate) if alternate.needed => {
                let targets = elb::targets(actions);
                targets.len() == 2 && [&self.group, &alternate.group].iter().all(|arn| targets.contains(&arn.as_str()))
            }
            Some(_) | None => self.leads(actions),
        }
    }

    /// Makes the action, with the weights of both target groups.
    fn action(&self, weights: (i32, i32)) -> Action {
        match &self.alternate {
            Some(alternate) => {
                elb::forward_to_all(&[(self.group.as_str(), weights.0), (alternate.group.as_str(), weights.1)])
            }
            None => elb::forward_to(self.group.as_str()),
        }
    }

    /// Returns the weights that keep the requests where they are answered: those that the actions give now; when they
    /// lead elsewhere, all to the target group that has targets.
    async fn weights(&self, elb: &Elb, actions: &[Action]) -> Result<(i32, i32)> {
        let Some(alternate) = &self.alternate else { return Ok((1, 0)) };
        let now = (elb::weight(actions, self.group.as_str()), elb::weight(actions, alternate.group.as_str()));
        if now != (0, 0) {
            return Ok(now);
        }
        if alternate.new {
            return Ok((1, 0));
        }
        let found = join!(elb::has_targets(elb, self.group.as_str()), elb::has_targets(elb, alternate.group.as_str()));
        Ok(if found.all()? == (false, true) { (0, 1) } else { (1, 0) })
    }
}

impl Rules {
    /// Makes the list of a listener's rules: known to be empty when the listener is new, but for its default rule.
    pub fn of(listener: &Held<Listener>, wanted: Vec<Wanted>, others_go: bool) -> Rc<Self> {
        let listener_is_new = listener.is_new() || listener.arn.is_planned();
        let list = if listener_is_new { Listing::known(Vec::new()) } else { Listing::default() };
        let (listener, listener_name) = (listener.arn.clone(), listener.name.clone());
        Rc::new(Self { listener, listener_name, listener_is_new, shared: false, wanted, others_go, list })
    }

    /// Makes the list of the rules of a listener that somebody else has made; `name` is what the stack's are called after.
    pub fn shared(listener: &ListenerArn, name: &str, wanted: Vec<Wanted>) -> Rc<Self> {
        let (listener, listener_name) = (listener.clone(), name.to_owned());
        let (listener_is_new, others_go) = (false, false);
        let list = Listing::default();
        Rc::new(Self { listener, listener_name, listener_is_new, shared: true, wanted, others_go, list })
    }

    /// Returns the rules that are there.
    pub async fn get(&self, elb: &Elb) -> Result<Rc<Vec<Described>>> {
        self.list.get(async || Self::read(elb, &self.listener).await).await
    }

    /// Reads a listener's rules.
    pub async fn read(elb: &Elb, listener: &ListenerArn) -> Result<Vec<Described>> {
        let all = elb.read.describe_rules().listener_arn(listener.as_str()).into_paginator().items().send();
        all.collect::<Result<Vec<_>, _>>().await.answer("elasticloadbalancing:DescribeRules")
    }

    /// Returns the listener.
    pub fn listener(&self) -> &ListenerArn {
        &self.listener
    }

    /// Makes the next caller look again.
    pub fn forget(&self) {
        self.list.forget();
    }

    /// Returns those of the rules that are none of the stack's, nor the listener's default.
    pub fn others<'r>(&self, rules: &'r [Described]) -> Vec<&'r Described> {
        others(&self.wanted, rules)
    }
}

/// The rule of one service.
#[derive(Debug)]
pub struct Rule {
    identity: Identity,
    wanted: Wanted,
    rules: Rc<Rules>,
}

/// What ELB says the rule is.
#[derive(Debug, Clone)]
pub struct Live {
    arn: String,
    rule: Described,
}

impl Live {
    /// Returns its ARN.
    pub fn arn(&self) -> ListenerRuleArn {
        self.arn.as_str().into()
    }

    /// Says whether it sends all requests to a service's second target group.
    pub fn serves(&self, group: &TargetGroupArn, alternate: &TargetGroupArn) -> bool {
        let weight = |arn: &TargetGroupArn| elb::weight(self.rule.actions(), arn.as_str());
        weight(group) == 0 && weight(alternate) > 0
    }
}

impl Rule {
    /// Makes the rules of a listener that the stack wants.
    pub fn all(stack: &Stack, rules: &Rc<Rules>) -> Vec<Self> {
        let rule = |wanted: &Wanted| Self {
            identity: Identity::new(&stack.name, LAYER, format!("{}-{}", rules.listener_name, wanted.key)),
            wanted: wanted.clone(),
            rules: Rc::clone(rules),
        };
        rules.wanted.iter().map(rule).collect()
    }

    /// Returns the key of its service.
    pub fn key(&self) -> &str {
        &self.wanted.key
    }
}

impl Resource for Rule {
    type Api = Elb;
    type Live = Live;
    const KIND: &'static str = "listener rule";
    /// It exists at once and is deleted with its listener.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.clone()
    }

    fn planned(&self) -> Live {
        let rule = Described::builder().priority(self.wanted.priority.to_string());
        let rule = rule.set_conditions(Some(self.wanted.conditions()));
        let rule = rule.actions(self.wanted.action((1, 0))).build();
        Live { arn: ecs_core::id::planned(Self::KIND, &self.identity.name), rule }
    }

    /// Returns the rule if it exists.
    ///
    /// # Errors
    /// When somebody else's rule has the priority: priorities are unique on a listener.
    async fn find(&self, elb: &Elb) -> Result<Option<Live>> {
        let rules = self.rules.get(elb).await?;
        let mut others = others(&self.rules.wanted, &rules).into_iter();
        let priority = self.wanted.priority.to_string();
        let holder = others.find(|rule| !self.rules.others_go && rule.priority() == Some(&priority));
        if let Some(other) = holder {
            let (arn, text) = (other.rule_arn().unwrap_or_default(), describe(other));
            let hint = if self.rules.shared {
                format!("give the service `{}` another `priority`", self.wanted.key)
            } else if self.wanted.default {
                "give that rule another priority, or run with --prune: it is then deleted".to_owned()
            } else {
                let key = &self.wanted.key;
                format!("give the service `{key}` another `priority`, or run with --prune: that rule is then deleted")
            };
            let taken = format!("its priority is taken by a rule that is not in the stack file: {text} ({arn})");
            return Err(Error::other(taken).hint(hint));
        }
        let rule = of(&self.rules.wanted, &self.wanted, &rules);
        Ok(rule.map(|rule| Live { arn: rule.rule_arn().unwrap_or_default().to_owned(), rule: rule.clone() }))
    }

    async fn create(&self, elb: &Elb) -> Result<Live> {
        if !self.rules.listener_is_new && !self.rules.shared {
            elb::insist_on_ours(elb, self.rules.listener.as_str(), "listener", &self.identity).await?;
        }
        let call = elb.write.create_rule().listener_arn(self.rules.listener.as_str()).priority(self.wanted.priority);
        let action = self.wanted.action(self.wanted.weights(elb, &[]).await?);
        let call = call.set_conditions(Some(self.wanted.conditions())).actions(action);
        let reply = call.set_tags(elb::tags(&self.identity)).send().await;
        let reply = reply.answer("elasticloadbalancing:CreateRule").map_err(explain)?;
        let made = reply.rules.unwrap_or_default().into_iter().next();
        let rule = present(made, "elasticloadbalancing:CreateRule", "the rule")?;
        Ok(Live { arn: rule.rule_arn().unwrap_or_default().to_owned(), rule })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let wanted = self.planned().rule;
        let priority = live.rule.priority().unwrap_or_default().to_owned();
        let action = (!self.wanted.fits(live.rule.actions())).then(|| {
            let change = Change::update(ACTION, elb::describe(live.rule.actions()), elb::describe(wanted.actions()));
            if elb::authenticates(live.rule.actions()) {
                change.refused("somebody has set up authentication, which would get lost: point it there by hand")
            } else {
                change
            }
        });
        let changes = [
            Change::of(PRIORITY, &priority, &self.wanted.priority.to_string()),
            Change::of(CONDITION, &conditions(live.rule.conditions()), &conditions(wanted.conditions())),
            action,
        ];
        changes.into_iter().flatten().collect()
    }

    async fn update(&self, elb: &Elb, live: &Live, changes: &[Change]) -> Result<()> {
        let touches = |field: &str| changes.iter().any(|change| change.field == field);
        let (condition, action) = (touches(CONDITION), touches(ACTION));
        if condition || action {
            let call = elb.write.modify_rule().rule_arn(&live.arn);
            let mut call = call.set_conditions(condition.then(|| self.wanted.conditions()));
            if action {
                call = call.actions(self.wanted.action(self.wanted.weights(elb, live.rule.actions()).await?));
            }
            call.send().await.answer("elasticloadbalancing:ModifyRule")?;
        }
        if touches(PRIORITY) {
            // All at once, or two services could not change places.
            let moves = moves(&self.rules.wanted, &self.rules.get(elb).await?);
            let call = elb.write.set_rule_priorities().set_rule_priorities(Some(moves));
            call.send().await.answer("elasticloadbalancing:SetRulePriorities")?;
        }
        Ok(())
    }

    async fn delete(&self, elb: &Elb, live: &Live) -> Result<()> {
        delete(elb, &live.arn).await
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, elb: &Elb, live: &Live) -> Result<Owner> {
        elb::read_owner(elb, &live.arn, &self.identity).await
    }

    async fn adopt(&self, elb: &Elb, live: &Live) -> Result<()> {
        elb::adopt(elb, &live.arn, &self.identity).await
    }

    fn forget(&self) {
        self.rules.forget();
    }
}

/// Deletes a rule.
pub async fn delete(elb: &Elb, arn: &str) -> Result<()> {
    elb.write.delete_rule().rule_arn(arn).send().await.answer("elasticloadbalancing:DeleteRule").map(drop)
}

/// Says whether it is the rule that stands for a listener's default action.
pub fn is_default(rule: &Described) -> bool {
    rule.is_default().unwrap_or_default()
}

/// Writes a rule for people: `priority 100, path-pattern /api/*: forward to backend-tg`.
pub fn describe(rule: &Described) -> String {
    let priority = rule.priority().unwrap_or_default();
    format!("priority {priority}, {}: {}", conditions(rule.conditions()), elb::describe(rule.actions()))
}

/// Writes a rule's conditions in one order and one form; ELB reads simple ones back in two.
fn conditions(conditions: &[RuleCondition]) -> String {
    let mut parts: Vec<String> = conditions.iter().map(condition).collect();
    parts.sort();
    parts.join(" and ")
}

fn condition(condition: &RuleCondition) -> String {
    let field = condition.field().unwrap_or_default();
    let mut values: Vec<String> = condition.values().to_vec();
    if let Some(path) = condition.path_pattern_config() {
        values.extend(path.values().iter().chain(path.regex_values()).cloned());
    }
    if let Some(host) = condition.host_header_config() {
        values.extend(host.values().iter().cloned());
    }
    if field == HOST_HEADER {
        // ELB compares host names without case.
        values.iter_mut().for_each(|value| value.make_ascii_lowercase());
    }
    values.sort_unstable();
    values.dedup();
    format!("{field} {}", values.join(" or "))
}

/// Returns the rule that is a service's: the one that forwards to its target group, else one with its path that forwards
/// to no service of the stack, as after a change of its target group.
///
/// Of the service without a path it is only one with that rule's own path, or one to the second target group: others may
/// well have made rules that lead there.
fn of<'r>(all: &[Wanted], wanted: &Wanted, rules: &'r [Described]) -> Option<&'r Described> {
    let wishes = conditions(&wanted.conditions());
    let priority = wanted.priority.to_string();
    let candidates = || rules.iter().filter(|rule| !is_default(rule));
    let alike = |rule: &Described| conditions(rule.conditions()) == wishes;
    let likeness = |rule: &&Described| (alike(rule), rule.priority() == Some(&priority));
    let second = |rule: &Described| {
        wanted.alternate.as_ref().is_some_and(|other| elb::forwards_to(rule.actions(), other.group.as_str()))
    };
    let by_group = candidates().filter(|rule| wanted.leads(rule.actions()));
    let by_group = by_group.filter(|rule| !wanted.default || second(rule) || alike(rule));
    by_group.max_by_key(likeness).or_else(|| {
        let free = candidates().filter(|rule| !all.iter().any(|one| one.leads(rule.actions())));
        free.filter(|rule| alike(rule)).max_by_key(likeness)
    })
}

/// Returns the rules that are no service's, nor the default.
fn others<'r>(all: &[Wanted], rules: &'r [Described]) -> Vec<&'r Described> {
    let ours: Vec<_> = all.iter().filter_map(|wanted| of(all, wanted, rules)?.rule_arn()).collect();
    let other = |rule: &&Described| !is_default(rule) && !rule.rule_arn().is_some_and(|arn| ours.contains(&arn));
    rules.iter().filter(other).collect()
}

/// Returns the new priorities of all the stack's rules that have another.
fn moves(all: &[Wanted], rules: &[Described]) -> Vec<RulePriorityPair> {
    let pair = |wanted: &Wanted| {
        let rule = of(all, wanted, rules)?;
        let moved = rule.priority() != Some(&wanted.priority.to_string());
        let pair = RulePriorityPair::builder().set_rule_arn(rule.rule_arn.clone()).priority(wanted.priority);
        moved.then(|| pair.build())
    };
    all.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::{ActionTypeEnum, ForwardActionConfig, TargetGroupTuple};

    use super::*;

    fn group(name: &str) -> String {
        format!("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/{name}/1")
    }

    fn wanted(key: &str, path: &str, priority: i32) -> Wanted {
        let group = group(key).as_str().into();
        let (hosts, paths) = (Vec::new(), vec![path.to_owned()]);
        Wanted { key: key.to_owned(), hosts, paths, priority, default: false, group, alternate: None }
    }

    /// Makes a service's rule one to two target groups.
    fn shifting(wanted: Wanted, needed: bool) -> Wanted {
        let alternate = group(&format!("{}-alt", wanted.key)).as_str().into();
        Wanted { alternate: Some(Alternate { group: alternate, needed, new: true }), ..wanted }
    }

    /// A path condition as ELB reads it back: in the old form and in the new one.
    fn path(pattern: &str) -> RuleCondition {
        let config = PathPatternConditionConfig::builder().values(pattern).build();
        RuleCondition::builder().field(PATH_PATTERN).values(pattern).path_pattern_config(config).build()
    }

    /// An action as ELB reads it back, with two target groups when a blue/green deployment is set up.
    fn forward(groups: &[&str]) -> Action {
        let tuple = |name: &&str| TargetGroupTuple::builder().target_group_arn(group(name)).weight(1).build();
        let config = ForwardActionConfig::builder().set_target_groups(Some(groups.iter().map(tuple).collect())).build();
        let action = Action::builder().r#type(ActionTypeEnum::Forward).order(1).forward_config(config);
        if let [one] = groups { action.target_group_arn(group(one)).build() } else { action.build() }
    }

    fn rule(arn: &str, priority: &str, pattern: &str, groups: &[&str]) -> Described {
        let rule = Described::builder().rule_arn(arn).priority(priority).is_default(false);
        rule.conditions(path(pattern)).actions(forward(groups)).build()
    }

    fn default_rule() -> Described {
        let rule = Described::builder().rule_arn("default").priority("default").is_default(true);
        rule.actions(forward(&["frontend"])).build()
    }

    fn resource(all: Vec<Wanted>) -> Rule {
        let wanted = all[0].clone();
        let (listener, listener_name) = ("arn:l".into(), "ecs-alb-http-80".to_owned());
        let rules = Rules {
            listener,
            listener_name,
            listener_is_new: false,
            shared: false,
            wanted: all,
            others_go: false,
            list: Listing::default(),
        };
        Rule { identity: Identity::new("prod", LAYER, "ecs-alb-http-80-backend"), wanted, rules: Rc::new(rules) }
    }

    #[test]
    fn diff_finds_what_differs() {
        let host = HostHeaderConditionConfig::builder().values("api.example.com").build();
        let host = RuleCondition::builder().field("host-header").host_header_config(host).build();
        let narrowed = Described::builder().rule_arn("r").priority("100").conditions(path("/api/*")).conditions(host);
        let cases: [(Described, &[&str]); 6] = [
            (rule("r", "100", "/api/*", &["backend"]), &[]),
            (rule("r", "100", "/api/*", &["backend", "backend-green"]), &[]),
            (rule("r", "200", "/api/*", &["backend"]), &["priority: 200 -> 100"]),
            (rule("r", "100", "/v1/*", &["backend"]), &["condition: path-pattern /v1/* -> path-pattern /api/*"]),
            (rule("r", "100", "/api/*", &["old"]), &["action: forward to old -> forward to backend"]),
            (
                narrowed.actions(forward(&["backend"])).build(),
                &["condition: host-header api.example.com and path-pattern /api/* -> path-pattern /api/*"],
            ),
        ];
        let resource = resource(vec![wanted("backend", "/api/*", 100)]);
        for (rule, expected) in cases {
            let found: Vec<_> =
                resource.diff(&Live { arn: "r".into(), rule }).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(resource.diff(&resource.planned()), []);
    }

    #[test]
    fn hosts_and_paths_are_compared_in_any_order_and_case() {
        let mut all = vec![wanted("backend", "/v1/*", 100)];
        all[0].paths.push("/v2/*".to_owned());
        all[0].hosts = vec!["api.example.com".to_owned(), "*.api.example.com".to_owned()];
        let hosts = HostHeaderConditionConfig::builder().values("*.API.example.com").values("api.example.com").build();
        let hosts = RuleCondition::builder().field(HOST_HEADER).host_header_config(hosts).build();
        let paths = PathPatternConditionConfig::builder().values("/v2/*").values("/v1/*").build();
        let paths = RuleCondition::builder().field(PATH_PATTERN).path_pattern_config(paths).build();
        let rule = Described::builder().rule_arn("r").priority("100").conditions(paths).conditions(hosts);
        let rule = rule.actions(forward(&["backend"])).build();
        let resource = resource(all);
        assert_eq!(resource.diff(&Live { arn: "r".into(), rule }), []);
        assert_eq!(resource.diff(&resource.planned()), []);
    }

    #[test]
    fn a_rule_to_both_target_groups_is_right_whatever_the_weights() {
        let weights =
            |one: i32, other: i32| elb::forward_to_all(&[(&group("backend"), one), (&group("backend-alt"), other)]);
        let both = "action: forward to backend -> forward to backend and backend-alt";
        let cases: [(Action, bool, &[&str]); 7] = [
            (weights(1, 0), true, &[]),
            (weights(75, 25), true, &[]),
            (weights(0, 100), true, &[]),
            (forward(&["backend"]), true, &[both]),
            (
                forward(&["backend", "backend-alt", "mine"]),
                true,
                &["action: forward to backend and backend-alt and mine -> forward to backend and backend-alt"],
            ),
            // Deployed task by task again, wherever that is.
            (weights(0, 100), false, &[]),
            (forward(&["backend-alt"]), false, &[]),
        ];
        for (action, needed, expected) in cases {
            let resource = resource(vec![shifting(wanted("backend", "/api/*", 100), needed)]);
            let rule = Described::builder().rule_arn("r").priority("100").conditions(path("/api/*"));
            let live = Live { arn: "r".into(), rule: rule.actions(action.clone()).build() };
            let found: Vec<_> = resource.diff(&live).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{action:?}");
            assert_eq!(resource.diff(&resource.planned()), []);
        }
    }

    #[test]
    fn the_target_group_that_serves_is_the_one_with_weight() {
        let (one, other) = (group("backend").as_str().into(), group("backend-alt").as_str().into());
        for (weights, serves) in [((1, 0), false), ((75, 25), false), ((0, 100), true)] {
            let action = elb::forward_to_all(&[(&group("backend"), weights.0), (&group("backend-alt"), weights.1)]);
            let live = Live { arn: "r".into(), rule: Described::builder().actions(action).build() };
            assert_eq!(live.serves(&one, &other), serves, "{weights:?}");
        }
    }

    #[test]
    fn the_default_services_rule_is_none_that_somebody_else_made() {
        let default = Wanted { default: true, ..shifting(wanted("frontend", "/*", 50_000), true) };
        let cases: [(&[Described], Option<&str>); 4] = [
            (&[rule("a", "3", "/mine/*", &["frontend"])], None),
            (&[rule("a", "3", "/mine/*", &["frontend"]), rule("b", "50000", "/*", &["frontend"])], Some("b")),
            (&[rule("a", "7", "/v1/*", &["frontend", "frontend-alt"])], Some("a")),
            (&[default_rule()], None),
        ];
        for (rules, arn) in cases {
            let all = [default.clone()];
            assert_eq!(of(&all, &all[0], rules).and_then(Described::rule_arn), arn, "{rules:?}");
        }
    }

    #[test]
    fn a_rule_is_known_by_its_target_group_then_by_its_path() {
        let all = [wanted("backend", "/api/*", 100), wanted("reporting", "/reports/*", 200)];
        let cases: [(&[Described], Option<&str>); 5] = [
            (&[default_rule()], None),
            // Somebody has changed path and priority by hand.
            (&[rule("a", "7", "/v1/*", &["backend"])], Some("a")),
            // The service has got another target group.
            (&[rule("a", "100", "/api/*", &["old"])], Some("a")),
            // The path is another service's: that one's rule moves away first.
            (&[rule("a", "100", "/api/*", &["reporting"])], None),
            // A second rule to the same service, of somebody else.
            (&[rule("a", "5", "/x", &["backend"]), rule("b", "100", "/api/*", &["backend"])], Some("b")),
        ];
        for (rules, arn) in cases {
            assert_eq!(of(&all, &all[0], rules).and_then(Described::rule_arn), arn, "{rules:?}");
        }
    }

    #[test]
    fn what_is_no_services_is_another_ones() {
        let all = [wanted("backend", "/api/*", 100)];
        let rules = [
            default_rule(),
            rule("a", "100", "/api/*", &["backend"]),
            rule("b", "5", "/x", &["backend"]),
            rule("c", "6", "/y", &["z"]),
        ];
        let arns: Vec<_> = others(&all, &rules).into_iter().filter_map(Described::rule_arn).collect();
        assert_eq!(arns, ["b", "c"]);
        assert_eq!(describe(&rules[3]), "priority 6, path-pattern /y: forward to z");
    }

    #[test]
    fn two_services_change_places_in_one_call() {
        let all =
            [wanted("backend", "/api/*", 100), wanted("reporting", "/reports/*", 200), wanted("new", "/new", 300)];
        let rules = [rule("a", "200", "/api/*", &["backend"]), rule("b", "100", "/reports/*", &["reporting"])];
        let moved = moves(&all, &rules);
        let moved: Vec<_> = moved.iter().map(|pair| (pair.rule_arn().unwrap_or_default(), pair.priority())).collect();
        assert_eq!(moved, [("a", Some(100)), ("b", Some(200))]);
    }
}
