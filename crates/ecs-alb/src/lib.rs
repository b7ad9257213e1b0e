//! The load balancer layer: target groups, load balancer, listeners and rules, and the parameters that hold its address.

mod alias;
mod alias_tag;
mod association;
mod certificate;
mod destroy;
mod dns;
mod elb;
mod former;
mod former_aliases;
mod given;
mod https;
mod listener;
mod listener_certificates;
mod load_balancer;
mod others;
mod policy;
mod rule;
mod target_group;
mod validation;

use std::collections::BTreeMap;
use std::rc::Rc;

use aws_sdk_elasticloadbalancingv2::Client;
use ecs_aws::former_parameters::{self, Spared};
use ecs_aws::parameter::{self, Wanted};
use ecs_aws::{Api, Session};
use ecs_core::id::{ListenerRuleArn, TargetGroupArn};
use ecs_core::member::{self, Member as _, Net, Sg};
use ecs_core::stack::{DEFAULT_PATH, LAST_PRIORITY, ParameterLayer, Service};
use ecs_core::tool::{Cloud as _, Tool};
use ecs_core::{All as _, Error, Held, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::alias::{Alias, Known, Target};
use crate::alias_tag::AliasTag;
use crate::certificate::Certificates;
use crate::dns::Zones;
use crate::elb::Listings;
use crate::former::Former;
use crate::former_aliases::FormerAliases;
use crate::given::Given;
use crate::listener::{Listener, Listeners};
use crate::listener_certificates::ListenerCertificates;
use crate::load_balancer::LoadBalancer;
use crate::others::Others;
use crate::rule::{Alternate, Rule, Rules};
use crate::target_group::TargetGroup;
use crate::validation::Dns;

/// Name of the layer in the identity tags.
const LAYER: &str = "alb";
/// Fewest subnets, each in another zone, of an application load balancer:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html>
const MIN_SUBNETS: usize = 2;

/// The tool `ecs-alb`.
#[derive(Debug)]
pub struct Alb;

/// Flags that only ecs-alb has: none.
#[derive(Debug, clap::Args)]
pub struct Options {}

impl Tool for Alb {
    const NAME: &'static str = "ecs-alb";
    const ABOUT: &'static str = "Create or update the load balancer of an ECS stack: target groups, listeners, rules";
    const EXAMPLES: &'static str = "  ecs-net --stack prod.toml | ecs-sg | ecs-alb > stack.json
  ecs-net plan --stack prod.toml | ecs-sg plan | ecs-alb plan
  ecs-alb < stack.json | jq -r .alb.url
  ecs-alb destroy < stack.json";
    const MEMBERS: &'static [&'static str] = &["alb"];
    const STOOD_ON_BY: &'static [&'static str] = &["svc"];
    type Options = Options;
    type Cloud = Session;

    fn policy() -> Value {
        policy::policy()
    }

    fn schema() -> Value {
        json!({ "alb": member::schema::<member::Alb>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, _options: &Options) -> Result<()> {
        let elb = session.api(Client::new);
        let ssm = session.api(aws_sdk_ssm::Client::new);
        let dns =
            Dns { acm: session.api(aws_sdk_acm::Client::new), route53: session.api(aws_sdk_route53::Client::new) };
        let (zones, certificates) = (Rc::default(), Certificates::of(stack));
        let listings = Rc::new(Listings::default());
        let region = session.region().unwrap_or_default();
        if run.destroys() {
            let alias = alias(stack, region, None, &zones);
            let found = destroy::look(run, (&elb, &ssm, &dns), stack, &listings, (alias, &certificates));
            let former = former_parameters::ensure(run, session, &ssm, stack, LAYER, Spared::default());
            let (found, former) = join!(found, former);
            return (found, former).all().map(drop);
        }
        let alias_tag = match alias(stack, region, None, &zones) {
            // Before anything is made that would then have no name.
            Some(alias) => AliasTag::new(stack, &alias.zone(&dns.route53).await?, alias.domain()),
            None => None,
        };

        // What is there is read while the members that this layer needs are still on their way. Should that fail, the
        // resources read again, and say so.
        let look = async {
            let _ = join!(listings.load_balancers(&elb), listings.target_groups(&elb));
        };
        // The address is known before anything listens there: parameters need no more.
        let (tell, told) = oneshot::channel();
        let parameters = async {
            match told.await {
                Ok(address) => parameter::ensure_all(run, &ssm, stack, LAYER, wanted(stack, &address)?).await,
                // There is no load balancer, and its own error says why.
                Err(_) => Ok(()),
            }
        };
        let routing = async {
            let net: Net = run.input().await?;
            run.expect_lag(net.new);
            let given = Given::look(&elb, stack, &net.vpc_id, &listings).await?;
            match &given {
                Some(given) => given.check_priorities(&elb, stack).await?,
                None => check(&net)?,
            }
            // Before anything is made that would then lead nowhere.
            association::insist(&elb, stack, &listings).await?;
            let group = |(key, service): (&String, &Service)| {
                run.ensure(&elb, TargetGroup::new(stack, key, service, &net.vpc_id, &listings))
            };
            let groups = stack.services.iter().map(group);
            let alternates = async {
                let used = others::second_in_use(&elb, stack, &listings).await?;
                let has =
                    |(key, service): &(&String, &Service)| service.shift().is_some() || used.contains(key.as_str());
                let alternates = stack.services.iter().filter(has).map(async |(key, service)| {
                    let made = TargetGroup::alternate(stack, key, service, &net.vpc_id, &listings);
                    let held = run.ensure(&elb, made).await?;
                    let needed = service.shift().is_some();
                    Ok((key.clone(), Alternate { group: held.arn.clone(), needed, new: held.is_new() }))
                });
                Ok(join_all(alternates).await.all()?.into_iter().collect::<BTreeMap<String, Alternate>>())
            };
            let balancer = async {
                let sg: Sg = run.input().await?;
                run.expect_lag(sg.new);
                if let Some(given) = given {
                    given.check_group(run, &sg);
                    let _ = tell.send(Address::of(stack, &given.balancer, given.https));
                    return Ok(Front::Given(given));
                }
                let balancer = LoadBalancer::new(stack, &net, &sg, &listings);
                let balancer = balancer.tagged(alias_tag.clone(), run.seeks_former());
                let balancer = run.ensure(&elb, balancer).await?;
                // Nobody is told when the other branch was dropped, and then nobody needs to know.
                let _ = tell.send(Address::of(stack, &balancer, stack.alb.serves_https()));
                let listeners = Listeners::of(&balancer);
                // Read beside the target groups; should that fail, the listener reads again, and says so.
                let _ = listeners.get(&elb).await;
                Ok(Front::Made(balancer, listeners))
            };
            let certificate = https::certificate(run, &dns, stack, &zones, &certificates);
            let (groups, alternates, balancer, certificate) =
                join!(join_all(groups), alternates, balancer, certificate);
            let ((groups, alternates), (front, certificate)) =
                ((groups.all(), alternates).all(), (balancer, certificate).all()).all()?;
            let groups: BTreeMap<String, TargetGroupArn> =
                stack.services.keys().cloned().zip(groups.iter().map(|group| group.arn.clone())).collect();

            let wanted = wanted_rules(stack, &groups, &alternates);
            let wanted_certificate = certificate.clone();
            let (listener, rules) = match &front {
                Front::Made(balancer, listeners) => {
                    let (default, _) = stack
                        .default_service()
                        .ok_or_else(|| Error::usage("every service has a host or a path: one must have neither"))?;
                    let listener = Listener::serving(stack, balancer, listeners, &groups[default], certificate);
                    let listener = run.ensure(&elb, listener).await?;
                    let rules = Rules::of(&listener, wanted, run.prunes());
                    // First of all, or a rule that is to go could hold a priority that is wanted.
                    Others::among_rules(stack, &listings, &rules).ensure(run, &elb).await?;
                    (Some(listener), rules)
                }
                Front::Given(given) => {
                    let rules = Rules::shared(&given.listener, &stack.name, wanted);
                    Others::our_rules(stack, &listings, given.balancer.arn.as_str(), Some(&rules))
                        .ensure(run, &elb)
                        .await?;
                    (None, rules)
                }
            };
            let listener_arn = rules.listener().clone();
            let made = Rule::all(stack, &rules).into_iter().map(async |rule| {
                let key = rule.key().to_owned();
                Ok((key, run.ensure(&elb, rule).await?.into_live()))
            });
            let rules: BTreeMap<String, rule::Live> = join_all(made).await.all()?.into_iter().collect();
            Ok((front, (listener, listener_arn, wanted_certificate), Routes { groups, alternates, rules }))
        };
        let ((), routing, parameters) = join!(look, routing, parameters);
        let ((front, (listener, listener_arn, wanted_certificate), routes), ()) = (routing, parameters).all()?;
        let balancer = front.balancer();
        let Address { dns_name, url } = Address::of(stack, balancer, front.serves_https(stack));
        run.publish(&member::Alb {
            load_balancer_arn: Some(balancer.arn.clone()),
            dns_name,
            url,
            listener_arn: Some(listener_arn),
            target_group_arns: routes.target_groups(),
            alternate_target_group_arns: routes.alternate_target_groups(),
            production_rule_arns: routes.production_rules(),
        })?;

        // From here on it is about requests: services can be made already.
        let redirect = async {
            let listeners = match &front {
                Front::Made(balancer, listeners) => {
                    if stack.alb.serves_https() && stack.alb.redirect {
                        // Only now: before, 443 might not have known all the paths.
                        let redirecting = Listener::redirecting(stack, balancer, listeners, &routes.all_groups());
                        run.ensure(&elb, redirecting).await?;
                    }
                    Some(listeners)
                }
                Front::Given(_) => None,
            };
            Others::beside(stack, &listings, listeners, routes.alternates.keys()).ensure(run, &elb).await
        };
        let secure = async {
            let Some(listener) = &listener else { return Ok(()) };
            if stack.alb.serves_https() {
                run.ensure(&elb, ListenerCertificates::new(stack, listener)).await?;
            }
            // One that an earlier file asked for may be there although this one asks for none.
            if stack.alb.certificate.is_some() || run.seeks_former() {
                // Only now: before, the listener may have had one of them. In a plan it has it still.
                let used = listener.certificate().into_iter().chain(wanted_certificate.as_deref());
                Former::new(stack, used, &certificates).ensure(run, &dns.acm).await?;
            }
            Ok(())
        };
        let alias = async {
            if let Some(alias) = alias(stack, region, Some(balancer), &zones) {
                let alias = run.ensure(&dns.route53, alias).await?;
                run.ready(&dns.route53, &alias).await?;
            }
            // Only now: the stack answers under its new name.
            FormerAliases::new(&elb, balancer, alias_tag.as_ref()).ensure(run, &dns.route53).await
        };
        let former = former_parameters::ensure(run, session, &ssm, stack, LAYER, Spared::default());
        let ready = async {
            match &front {
                Front::Made(balancer, _) => run.ready(&elb, balancer).await,
                Front::Given(given) => Ok(given.balancer.clone()),
            }
        };
        let (redirect, secure, alias, former, balancer) = join!(redirect, secure, alias, former, ready);
        let (((), ()), ((), ()), balancer) = ((redirect, secure).all(), (alias, former).all(), balancer).all()?;
        if let Some(reason) = balancer.impaired() {
            run.console().warn(&format!("load balancer {} is impaired: {reason}", stack.alb.name));
        }
        Ok(())
    }
}

/// The load balancer that the stack stands behind.
#[derive(Debug)]
enum Front {
    /// One that the stack makes, and its listeners
    Made(Held<LoadBalancer>, Rc<Listeners>),
    /// One that somebody else has made
    Given(Given),
}

impl Front {
    fn balancer(&self) -> &load_balancer::Live {
        match self {
            Self::Made(held, _) => held,
            Self::Given(given) => &given.balancer,
        }
    }

    fn serves_https(&self, stack: &Stack) -> bool {
        match self {
            Self::Made(..) => stack.alb.serves_https(),
            Self::Given(given) => given.https,
        }
    }
}

/// Returns the stack's name in DNS, where it has one; without a load balancer, only to be looked for.
fn alias(stack: &Stack, region: &str, balancer: Option<&load_balancer::Live>, zones: &Rc<Zones>) -> Option<Alias> {
    let target = match balancer {
        Some(balancer) => Target::Known { dns_name: balancer.dns_name.clone(), zone: balancer.zone.clone() },
        None => Target::Unknown,
    };
    let known = match balancer {
        Some(balancer) if stack.alb.load_balancer_arn.is_some() => Known::Exactly(balancer.dns_name.clone()),
        Some(_) | None => Known::Name { name: stack.alb.name.clone(), region: region.to_owned() },
    };
    Some(Alias::new(stack.alb.domain.as_ref()?, stack.alb.zone.clone(), target, known, zones))
}

/// Checks that a load balancer can stand on the network.
fn check(net: &Net) -> Result<()> {
    let count = net.public_subnet_ids.len();
    if count >= MIN_SUBNETS {
        return Ok(());
    }
    Err(Error::usage(format!("the document's member `net` has {count} `public_subnet_ids`, a load balancer needs two"))
        .hint("name public subnets in two zones, with a route to an internet gateway"))
}

/// Where the stack is to be reached.
#[derive(Debug)]
struct Address {
    dns_name: String,
    url: String,
}

impl Address {
    fn of(stack: &Stack, balancer: &load_balancer::Live, https: bool) -> Self {
        let dns_name = balancer.dns_name.clone();
        let scheme = if https { "https" } else { "http" };
        let url = match &stack.alb.domain {
            Some(domain) => format!("{scheme}://{domain}"),
            None if balancer.arn.is_planned() => ecs_core::id::planned("URL", &stack.alb.name),
            None => format!("{scheme}://{dns_name}"),
        };
        Self { dns_name, url }
    }

    fn unknown() -> Self {
        let member::Alb { dns_name, url, .. } = member::Alb::unknown();
        Self { dns_name, url }
    }
}

/// Returns the parameters of this layer, with the address in them.
fn wanted(stack: &Stack, address: &Address) -> Result<Vec<Wanted>> {
    let values = [("alb.dns_name", address.dns_name.as_str()), ("alb.url", address.url.as_str())];
    let parameters = stack.parameters_of(ParameterLayer::Alb).map(|(name, given)| {
        let value = parameter::resolve(given.template(), &values)?;
        Ok(Wanted { name: name.to_owned(), value: Zeroizing::new(value), secure: given.secure() })
    });
    parameters.collect::<Vec<_>>().all()
}

/// Returns the rules of the services that have a host or a path, and of the one without where it has a second target group.
///
/// That one's requests would go by the listener's default action as well. But ECS shifts traffic in a *rule*, which it is
/// told by its ARN (`AdvancedConfiguration`, `productionListenerRule`), and ELB does not let anybody change the rule that
/// stands for the default action: only the listener can be (`ModifyRule` answers `OperationNotPermitted`). So it gets a
/// rule for every path, behind all others.
fn wanted_rules(
    stack: &Stack,
    groups: &BTreeMap<String, TargetGroupArn>,
    alternates: &BTreeMap<String, Alternate>,
) -> Vec<rule::Wanted> {
    let wanted = |(key, service): (&String, &Service)| {
        let alternate = alternates.get(key).cloned();
        let (paths, priority, default) = match (service.is_routed(), service.priority) {
            (true, Some(priority)) => (service.paths().to_vec(), priority, false),
            (false, _) if alternate.is_some() => (vec![DEFAULT_PATH.to_owned()], LAST_PRIORITY, true),
            (true, None) | (false, _) => return None,
        };
        let (key, hosts) = (key.clone(), service.hosts());
        let group = groups.get(&key)?.clone();
        Some(rule::Wanted { key, hosts, paths, priority, default, group, alternate })
    };
    stack.services.iter().filter_map(wanted).collect()
}

/// Where the services' requests go, by service.
#[derive(Debug)]
struct Routes {
    groups: BTreeMap<String, TargetGroupArn>,
    alternates: BTreeMap<String, Alternate>,
    rules: BTreeMap<String, rule::Live>,
}

impl Routes {
    /// Returns the target group of each service: the first one; of a service that was deployed by shifting traffic and is
    /// no longer, the one that serves, so that a service made anew is reached.
    fn target_groups(&self) -> BTreeMap<String, TargetGroupArn> {
        self.pairs(|group, _| group)
    }

    /// Returns the other target group of each service that has two.
    fn alternate_target_groups(&self) -> BTreeMap<String, TargetGroupArn> {
        self.pairs(|_, alternate| alternate).into_iter().filter(|(key, _)| self.alternates.contains_key(key)).collect()
    }

    fn pairs(
        &self,
        which: for<'g> fn(&'g TargetGroupArn, &'g TargetGroupArn) -> &'g TargetGroupArn,
    ) -> BTreeMap<String, TargetGroupArn> {
        let pair = |(key, group): (&String, &TargetGroupArn)| {
            let alternate = self.alternates.get(key);
            let swapped = |alternate: &&Alternate| {
                !alternate.needed && self.rules.get(key).is_some_and(|rule| rule.serves(group, &alternate.group))
            };
            let chosen = match (alternate.filter(swapped), alternate) {
                (Some(swapped), _) => which(&swapped.group, group),
                (None, Some(alternate)) => which(group, &alternate.group),
                (None, None) => group,
            };
            (key.clone(), chosen.clone())
        };
        self.groups.iter().map(pair).collect()
    }

    /// Returns the rules in which ECS shifts traffic.
    fn production_rules(&self) -> BTreeMap<String, ListenerRuleArn> {
        let shifted = self.rules.iter().filter(|(key, _)| self.alternates.contains_key(*key));
        shifted.map(|(key, rule)| (key.clone(), rule.arn())).collect()
    }

    fn all_groups(&self) -> Vec<TargetGroupArn> {
        self.groups.values().chain(self.alternates.values().map(|alternate| &alternate.group)).cloned().collect()
    }
}

/// The clients of Elastic Load Balancing.
type Elb = Api<Client>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_without_a_path_has_a_rule_only_where_it_has_a_second_target_group() {
        let stack = Stack::default();
        let groups = [("backend", "b"), ("frontend", "f")].map(|(key, arn)| (key.to_owned(), arn.into()));
        let groups = BTreeMap::from(groups);
        let rules = |alternates: &BTreeMap<String, Alternate>| -> Vec<_> {
            let rules = wanted_rules(&stack, &groups, alternates).into_iter();
            rules.map(|rule| (rule.key, rule.paths.concat(), rule.priority, rule.alternate.is_some())).collect()
        };
        let row = |key: &str, path: &str, priority, second| (key.to_owned(), path.to_owned(), priority, second);
        assert_eq!(rules(&BTreeMap::new()), [row("backend", "/api/*", 100, false)]);
        let second = Alternate { group: "f2".into(), needed: true, new: true };
        let second = BTreeMap::from([("frontend".to_owned(), second)]);
        assert_eq!(rules(&second), [row("backend", "/api/*", 100, false), row("frontend", "/*", 50_000, true)]);
    }

    #[test]
    fn parameters_hold_the_address() {
        let stack = Stack::default();
        let address = Address { dns_name: "x.elb.amazonaws.com".into(), url: "http://x.elb.amazonaws.com".into() };
        let wanted = wanted(&stack, &address).expect("all references are known");
        let values: Vec<_> = wanted.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect();
        assert_eq!(
            values,
            [
                ("/ecs/backend/FRONTEND_URL", "http://x.elb.amazonaws.com"),
                ("/ecs/frontend/API_URL", "http://x.elb.amazonaws.com/api")
            ]
        );
    }

    #[test]
    fn one_public_subnet_is_refused_before_anything_is_made() {
        let net = |count: usize| Net { public_subnet_ids: vec!["subnet-1".into(); count], ..Net::unknown() };
        assert!(check(&net(1)).is_err());
        assert!(check(&net(2)).is_ok());
    }
}
