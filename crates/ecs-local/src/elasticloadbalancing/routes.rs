//! Which load balancer forwards to which target group, by its listeners and their rules.
//!
//! moto notes a load balancer at a target group for good: with a listener deleted, it is still there.

use std::collections::BTreeSet;

use xmltree::{Element, XMLNode};

use super::VERSION;
use crate::answer::{Answer, texts};
use crate::proxy::Proxy;
use crate::upstream::Upstream;
use crate::xml;

/// The most that one call lists; moto lists 50 by default.
const PAGE: &str = "400";

/// A load balancer, and a target group that it forwards to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) balancer: String,
    pub(super) target_group: String,
}

/// All routes of a region.
pub(super) async fn all(upstream: &Upstream, region: &str) -> BTreeSet<Route> {
    let describe =
        async |form: &[(&str, &str)]| upstream.query("elasticloadbalancing", region, VERSION, form).await.ok();
    let mut routes = BTreeSet::new();
    let form = [("Action", "DescribeLoadBalancers"), ("PageSize", PAGE)];
    let balancers = describe(&form).await.unwrap_or_default();
    for balancer in texts(&balancers, "LoadBalancerArn") {
        let form = [("Action", "DescribeListeners"), ("LoadBalancerArn", balancer)];
        let listeners = describe(&form).await.unwrap_or_default();
        for listener in texts(&listeners, "ListenerArn") {
            let form = [("Action", "DescribeRules"), ("ListenerArn", listener), ("PageSize", PAGE)];
            let rules = describe(&form).await.unwrap_or_default();
            for target_group in texts(&rules, "TargetGroupArn") {
                routes.insert(Route { balancer: balancer.to_owned(), target_group: target_group.to_owned() });
            }
        }
    }
    routes
}

/// Whether any load balancer forwards to a target group.
pub(crate) async fn forwards(upstream: &Upstream, region: &str, target_group: &str) -> bool {
    all(upstream, region).await.iter().any(|route| route.target_group == target_group)
}

/// The answer with the load balancers of each target group as they are.
pub(super) async fn show(proxy: &Proxy, region: &str, answer: Answer) -> Answer {
    if !String::from_utf8_lossy(&answer.body).contains("<LoadBalancerArns><member>") {
        return answer;
    }
    let routes = all(&proxy.upstream, region).await;
    xml::change_each(answer, "member", |group| {
        let Some(arn) = xml::text(group, "TargetGroupArn") else { return };
        let Some(list) = group.get_mut_child("LoadBalancerArns") else { return };
        let namespace = list.namespace.clone();
        let member = |balancer: &str| {
            let mut member = Element::new("member");
            member.namespace.clone_from(&namespace);
            member.children.push(XMLNode::Text(balancer.to_owned()));
            XMLNode::Element(member)
        };
        let routes = routes.iter().filter(|route| route.target_group == arn);
        list.children = routes.map(|route| member(&route.balancer)).collect();
    })
}
