//! A destroy: looks for all that the layer has made, also by files of before.

use std::rc::Rc;

use ecs_aws::parameter::{self, Ssm};
use ecs_core::member::{Member as _, Net, Sg};
use ecs_core::{All as _, Result, Run, Stack};
use futures::future::join_all;
use futures::join;

use crate::alias::Alias;
use crate::certificate::Certificates;
use crate::elb::Listings;
use crate::load_balancer::{self, LoadBalancer};
use crate::others::Others;
use crate::target_group::TargetGroup;
use crate::validation::Dns;
use crate::{Address, Elb, LAYER, association, https, wanted};

/// Looks for what is to be deleted: listeners and rules go with their load balancer.
///
/// # Errors
/// Any refusal by AWS.
pub async fn look(
    run: &Run<'_>,
    (elb, ssm, dns): (&Elb, &Ssm, &Dns),
    stack: &Stack,
    listings: &Rc<Listings>,
    (alias, certificates): (Option<Alias>, &Rc<Certificates>),
) -> Result<()> {
    let net = Net::unknown();
    // A file of before may have had a strategy with a second target group: it costs nothing to look for it.
    let groups = stack.services.iter().flat_map(|(key, service)| {
        let one = TargetGroup::new(stack, key, service, &net.vpc_id, listings);
        let other = TargetGroup::alternate(stack, key, service, &net.vpc_id, listings);
        [one, other].map(|group| run.ensure(elb, group.for_destroy()))
    });
    let parameters = parameter::ensure_all(run, ssm, stack, LAYER, wanted(stack, &Address::unknown())?);
    let secure = https::destroy(run, dns, stack, certificates);
    let others = Others::for_destroy(stack, listings).ensure(run, elb);
    let places = association::places(elb, stack, listings);
    let (groups, others, parameters, secure, places) = join!(join_all(groups), others, parameters, secure, places);
    let ((_, ()), _, (), places) = ((groups.all(), others).all(), parameters, secure, places).all()?;
    // Looked for later, so that it is deleted before: while it is there, target groups and certificate are in use.
    let rules = places.given.iter().map(|arn| Others::our_rules(stack, listings, arn, None).ensure(run, elb));
    let own = stack.alb.load_balancer_arn.is_none().then(|| LoadBalancer::new(stack, &net, &Sg::unknown(), listings));
    let own = own.into_iter().chain(places.own.iter().map(|name| LoadBalancer::former(stack, name, listings)));
    // Their tags are read in any case: they say whose they are.
    let own = own.map(|balancer| run.ensure(elb, balancer.tagged(None, true)));
    let (rules, own) = join!(join_all(rules), join_all(own));
    let (_, own) = (rules.all(), own.all()).all()?;
    // And before it the names that lead to it, now or before.
    let told: Vec<_> = own.iter().flat_map(|own| own.aliases().iter().map(|tag| (tag, &own.dns_name))).collect();
    let former = told.iter().map(|(tag, dns_name)| run.ensure(&dns.route53, Alias::former(tag, dns_name)));
    join_all(former).await.all()?;
    let alias = alias.filter(|alias| told.iter().all(|(tag, _)| tag.name != alias.domain()));
    if let Some(mut alias) = alias {
        if stack.alb.load_balancer_arn.is_some() {
            let balancers = listings.load_balancers(elb).await?;
            // Its own name may be one of many that lead there: only with it is the stack's known.
            let dns_name = load_balancer::of(&balancers, stack).and_then(|balancer| balancer.dns_name());
            let Some(dns_name) = dns_name else { return Ok(()) };
            alias = alias.known_by(dns_name);
        }
        run.ensure(&dns.route53, alias).await?;
    }
    Ok(())
}
