//! Which load balancers the stack's target groups stand behind.
//!
//! "You can use each target group with only one load balancer":
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroup.html>. A stack file that names another
//! load balancer than before would leave rules, or a load balancer of the stack's own, behind. Target groups tell where
//! they stand, in the listing that is read anyway.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer as Balancer, TargetGroup as Group};
use ecs_core::{All as _, Error, Identity, Owner, Result, Stack};
use futures::join;

use crate::elb::{self, Listings};
use crate::{Elb, LAYER, load_balancer};

/// The load balancers on which a destroy finds something of the stack's, beside the one of its name.
#[derive(Debug, Default)]
pub struct Places {
    /// Names of those that the stack has made, under a name that a file of before gave or beside one that it now names
    pub own: Vec<String>,
    /// ARNs of those that somebody else has made
    pub given: Vec<String>,
}

/// Refuses a load balancer other than the one that the stack's target groups stand behind.
///
/// # Errors
/// Target groups of the stack that stand behind another one; any refusal by ELB.
pub async fn insist(elb: &Elb, stack: &Stack, listings: &Listings) -> Result<()> {
    let (balancers, groups) = join!(listings.load_balancers(elb), listings.target_groups(elb));
    let (balancers, groups) = (balancers, groups).all()?;
    let wanted = load_balancer::of(&balancers, stack).and_then(|balancer| balancer.load_balancer_arn());
    let mut strays = elsewhere(&balancers, &groups, &names(stack), wanted);
    if strays.is_empty() {
        return Ok(());
    }
    // What only bears the stack's names is refused by the target group's own tags.
    let arns: Vec<String> = strays.iter().filter_map(|(group, _)| group.target_group_arn.clone()).collect();
    let owners = elb::read_owners(elb, &arns, &Identity::new(&stack.name, LAYER, &stack.alb.name)).await?;
    let mut owners = owners.into_iter();
    strays.retain(|_| owners.next() == Some(Owner::Ours));
    if strays.is_empty() { Ok(()) } else { Err(refusal(stack, &strays, wanted)) }
}

/// Looks for the load balancers of which a destroy has to know more than the stack file says.
///
/// # Errors
/// Any refusal by ELB.
pub async fn places(elb: &Elb, stack: &Stack, listings: &Listings) -> Result<Places> {
    let (balancers, groups) = join!(listings.load_balancers(elb), listings.target_groups(elb));
    let (balancers, groups) = (balancers, groups).all()?;
    let named = load_balancer::named(&balancers, &stack.alb.name);
    let wanted = load_balancer::of(&balancers, stack);
    let given = stack.alb.load_balancer_arn.is_some();
    let mut found: Vec<&Balancer> = named.into_iter().chain(wanted).filter(|_| given).collect();
    let strays =
        elsewhere(&balancers, &groups, &names(stack), wanted.and_then(|balancer| balancer.load_balancer_arn()));
    found.extend(strays.into_iter().map(|(_, balancer)| balancer));
    found.sort_by_key(|balancer| balancer.load_balancer_arn());
    found.dedup_by_key(|balancer| balancer.load_balancer_arn());
    let arns: Vec<String> = found.iter().filter_map(|balancer| balancer.load_balancer_arn.clone()).collect();
    // Mostly there is none, and nothing to ask.
    let owners = elb::read_owners(elb, &arns, &Identity::new(&stack.name, LAYER, &stack.alb.name)).await?;
    let mut places = Places::default();
    for ((balancer, arn), owner) in found.into_iter().zip(arns).zip(owners) {
        match owner {
            Owner::Ours => places.own.extend(balancer.load_balancer_name.clone()),
            Owner::Stack(_) | Owner::Nobody | Owner::Unread => places.given.push(arn),
        }
    }
    Ok(places)
}

/// Returns the names of all target groups that the file's services can have.
pub fn names(stack: &Stack) -> BTreeSet<String> {
    let both =
        stack.services.iter().map(|(key, service)| [service.target_group(key), service.alternate_target_group(key)]);
    both.flatten().collect()
}

/// Returns the target groups of these names that stand behind a load balancer other than the wanted one, each with that.
///
/// One that is not listed has gone, or came a moment ago by another run of the stack: it does not count.
pub fn elsewhere<'l>(
    balancers: &'l [Balancer],
    groups: &'l [Group],
    names: &BTreeSet<String>,
    wanted: Option<&str>,
) -> Vec<(&'l Group, &'l Balancer)> {
    let named = groups.iter().filter(|group| group.target_group_name().is_some_and(|name| names.contains(name)));
    let behind = |group: &'l Group| {
        let arn = group.load_balancer_arns().iter().find(|arn| Some(arn.as_str()) != wanted)?;
        Some((group, balancers.iter().find(|balancer| balancer.load_balancer_arn() == Some(arn))?))
    };
    named.filter_map(behind).collect()
}

fn refusal(stack: &Stack, strays: &[(&Group, &Balancer)], wanted: Option<&str>) -> Error {
    let names: Vec<&str> = strays.iter().filter_map(|(group, _)| group.target_group_name()).collect();
    let mut behind: Vec<String> = strays.iter().map(|(_, balancer)| describe(balancer)).collect();
    behind.sort_unstable();
    behind.dedup();
    let asked = match (&stack.alb.load_balancer_arn, wanted) {
        (Some(arn), _) => format!("the stack file names {arn}"),
        (None, Some(arn)) => format!("the stack file asks for {} ({arn})", stack.alb.name),
        (None, None) => format!("the stack file asks for one of the stack's own, {}", stack.alb.name),
    };
    let message = format!(
        "the stack's target groups ({}) stand behind the load balancer {}, {asked}: a target group stands behind one load \
         balancer only, so they cannot move",
        names.join(", "),
        behind.join(" and "),
    );
    Error::usage(message).hint(
        "with the stack file as it was, run `ecs-svc destroy` and `ecs-alb destroy`, then this line again; the services \
         are down meanwhile",
    )
}

fn describe(balancer: &Balancer) -> String {
    let (name, arn) = (balancer.load_balancer_name().unwrap_or_default(), balancer.load_balancer_arn());
    format!("{name} ({})", arn.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer(name: &str) -> Balancer {
        Balancer::builder().load_balancer_name(name).load_balancer_arn(format!("arn:{name}")).build()
    }

    fn group(name: &str, behind: &[&str]) -> Group {
        let behind = behind.iter().map(|name| format!("arn:{name}")).collect();
        Group::builder().target_group_name(name).set_load_balancer_arns(Some(behind)).build()
    }

    #[test]
    fn target_groups_stray_that_stand_behind_another_load_balancer_than_is_wanted() {
        let balancers = [balancer("ecs-alb"), balancer("theirs")];
        let groups = [
            group("frontend-tg", &["ecs-alb"]),
            group("backend-tg", &["theirs"]),
            group("backend-tg-alt", &[]),
            // It has gone, or came a moment ago.
            group("frontend-tg-alt", &["unlisted"]),
            group("somebodys-tg", &["theirs"]),
        ];
        let names = names(&Stack::default());
        let strays = |wanted: Option<&str>| -> Vec<_> {
            let strays = elsewhere(&balancers, &groups, &names, wanted).into_iter();
            strays.map(|(group, _)| group.target_group_name().unwrap_or_default()).collect()
        };
        assert_eq!(strays(Some("arn:ecs-alb")), ["backend-tg"]);
        assert_eq!(strays(Some("arn:theirs")), ["frontend-tg"]);
        assert_eq!(strays(None), ["frontend-tg", "backend-tg"], "the wanted one is still to be made");
    }

    #[test]
    fn the_refusal_names_both_load_balancers_and_the_way_out() {
        let (theirs, group) = (balancer("theirs"), group("backend-tg", &["theirs"]));
        let mut stack = Stack::default();
        let text = |stack: &Stack, wanted| refusal(stack, &[(&group, &theirs)], wanted).render();
        let own = text(&stack, None);
        for part in ["backend-tg", "theirs (arn:theirs)", "one of the stack's own, ecs-alb", "`ecs-svc destroy`"] {
            assert!(own.contains(part), "{part}: {own}");
        }
        assert!(text(&stack, Some("arn:ecs-alb")).contains("asks for ecs-alb (arn:ecs-alb)"));
        stack.alb.load_balancer_arn = Some("arn:given".to_owned());
        assert!(text(&stack, Some("arn:given")).contains("the stack file names arn:given"));
    }
}
