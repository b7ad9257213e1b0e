//! What all resources of Elastic Load Balancing share: listings, tags, and actions.

use std::rc::Rc;

use aws_sdk_elasticloadbalancingv2::operation::describe_tags::DescribeTagsOutput;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, LoadBalancer, Tag, TargetGroup, TargetGroupTuple,
    TargetHealthDescription, TargetHealthStateEnum,
};
use ecs_aws::Answer as _;
use ecs_core::{Error, Identity, Listing, Owner, Result};

use crate::Elb;

/// Most ARNs that one DescribeTags call takes:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html>
const ARNS_A_CALL: usize = 20;

/// The load balancers and target groups of the region, each listed once.
///
/// Listed whole, not by name: one name that does not exist makes the call fail.
#[derive(Debug, Default)]
pub struct Listings {
    load_balancers: Listing<Vec<LoadBalancer>>,
    target_groups: Listing<Vec<TargetGroup>>,
}

impl Listings {
    /// Returns the load balancers.
    pub async fn load_balancers(&self, elb: &Elb) -> Result<Rc<Vec<LoadBalancer>>> {
        let list = self.load_balancers.get(async || {
            let all = elb.read.describe_load_balancers().into_paginator().items().send();
            all.collect::<Result<Vec<_>, _>>().await.answer("elasticloadbalancing:DescribeLoadBalancers")
        });
        list.await
    }

    /// Returns the target groups.
    pub async fn target_groups(&self, elb: &Elb) -> Result<Rc<Vec<TargetGroup>>> {
        let list = self.target_groups.get(async || {
            let all = elb.read.describe_target_groups().into_paginator().items().send();
            all.collect::<Result<Vec<_>, _>>().await.answer("elasticloadbalancing:DescribeTargetGroups")
        });
        list.await
    }

    /// Makes the next caller list the load balancers again.
    pub fn forget_load_balancers(&self) {
        self.load_balancers.forget();
    }

    /// Makes the next caller list the target groups again.
    pub fn forget_target_groups(&self) {
        self.target_groups.forget();
    }
}

/// Returns the identity tags for a create call.
pub fn tags(identity: &Identity) -> Option<Vec<Tag>> {
    Some(identity.tags(|key, value| Tag::builder().key(key).value(value).build()))
}

/// Puts the identity tags on something that exists.
pub async fn adopt(elb: &Elb, arn: &str, identity: &Identity) -> Result<()> {
    let call = elb.write.add_tags().resource_arns(arn).set_tags(tags(identity));
    call.send().await.answer("elasticloadbalancing:AddTags")?;
    Ok(())
}

/// Reads whose the resource with this ARN is.
pub async fn read_owner(elb: &Elb, arn: &str, identity: &Identity) -> Result<Owner> {
    let owners = read_owners(elb, &[arn.to_owned()], identity).await?;
    Ok(owners.into_iter().next().unwrap_or(Owner::Nobody))
}

/// Puts one more tag on something that exists.
pub async fn add_tag(elb: &Elb, arn: &str, key: &str, value: &str) -> Result<()> {
    let call = elb.write.add_tags().resource_arns(arn).tags(Tag::builder().key(key).value(value).build());
    call.send().await.answer("elasticloadbalancing:AddTags").map(drop)
}

/// Takes tags off something.
pub async fn remove_tags(elb: &Elb, arn: &str, keys: impl Iterator<Item = String>) -> Result<()> {
    let call = elb.write.remove_tags().resource_arns(arn).set_tag_keys(Some(keys.collect()));
    call.send().await.answer("elasticloadbalancing:RemoveTags").map(drop)
}

/// Reads the tags of one resource, as pairs of key and value; none where it has gone.
pub async fn read_tags(elb: &Elb, arn: &str) -> Result<Option<Vec<(String, String)>>> {
    let reply = elb.read.describe_tags().resource_arns(arn).send().await;
    let reply = reply.answer_if_found("elasticloadbalancing:DescribeTags")?;
    let tags = |reply: &DescribeTagsOutput| -> Vec<(String, String)> {
        let tags = reply.tag_descriptions().iter().flat_map(|description| description.tags());
        tags.filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect()
    };
    Ok(reply.as_ref().map(tags))
}

/// Reads whose the resources with these ARNs are, in their order.
pub async fn read_owners(elb: &Elb, arns: &[String], identity: &Identity) -> Result<Vec<Owner>> {
    let mut described = Vec::new();
    for arns in arns.chunks(ARNS_A_CALL) {
        let reply = elb.read.describe_tags().set_resource_arns(Some(arns.to_vec())).send().await;
        described.extend(reply.answer("elasticloadbalancing:DescribeTags")?.tag_descriptions.unwrap_or_default());
    }
    let owner = |arn: &String| {
        let of = described.iter().find(|description| description.resource_arn() == Some(arn));
        of.map_or(Owner::Nobody, |of| identity.owner(of.tags().iter().filter_map(|tag| tag.key().zip(tag.value()))))
    };
    Ok(arns.iter().map(owner).collect())
}

/// Refuses to hang something on what is not this stack's; `what` is a listener or a load balancer that this run found.
pub async fn insist_on_ours(elb: &Elb, arn: &str, what: &str, identity: &Identity) -> Result<()> {
    match read_owner(elb, arn, identity).await? {
        Owner::Ours | Owner::Unread => Ok(()),
        Owner::Stack(other) => Err(Error::other(format!("the {what} ({arn}) belongs to the stack `{other}`"))
            .hint("give the load balancer another name in the stack file")),
        Owner::Nobody => Err(Error::other(format!("the {what} ({arn}) does not belong to this stack"))
            .hint("give the load balancer another name in the stack file, or run with --adopt to take it over")),
    }
}

/// Makes the action that forwards to a target group.
pub fn forward_to(target_group: &str) -> Action {
    Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(target_group).build()
}

/// Makes the action that forwards to target groups with weights.
pub fn forward_to_all(weights: &[(&str, i32)]) -> Action {
    let tuple =
        |(arn, weight): &(&str, i32)| TargetGroupTuple::builder().target_group_arn(*arn).weight(*weight).build();
    let config = ForwardActionConfig::builder().set_target_groups(Some(weights.iter().map(tuple).collect()));
    Action::builder().r#type(ActionTypeEnum::Forward).forward_config(config.build()).build()
}

/// Says whether a target group has targets that are to stay: tasks that serve, or that are about to.
pub async fn has_targets(elb: &Elb, target_group: &str) -> Result<bool> {
    let reply = elb.read.describe_target_health().target_group_arn(target_group).send().await;
    let reply = reply.answer("elasticloadbalancing:DescribeTargetHealth")?;
    let state = |target: &TargetHealthDescription| target.target_health().and_then(|health| health.state()).cloned();
    Ok(reply.target_health_descriptions().iter().any(|target| state(target) != Some(TargetHealthStateEnum::Draining)))
}

/// Returns the ARNs of the target groups that actions forward to, each once.
///
/// ELB reads back one target group in both forms, as `TargetGroupArn` and in `ForwardConfig`; several in the latter only.
pub fn targets(actions: &[Action]) -> Vec<&str> {
    let mut arns: Vec<&str> = Vec::new();
    for action in actions {
        let weighted = action.forward_config().map(|config| config.target_groups()).unwrap_or_default();
        let all = action.target_group_arn().into_iter().chain(weighted.iter().filter_map(|one| one.target_group_arn()));
        for arn in all {
            if !arns.contains(&arn) {
                arns.push(arn);
            }
        }
    }
    arns
}

/// Says whether actions forward to a target group, whatever the weights: a blue/green deployment shifts them.
pub fn forwards_to(actions: &[Action], target_group: &str) -> bool {
    targets(actions).contains(&target_group)
}

/// Returns the weight that actions give a target group: without one, or alone, it is 1.
pub fn weight(actions: &[Action], target_group: &str) -> i32 {
    let tuples = actions.iter().filter_map(Action::forward_config).flat_map(ForwardActionConfig::target_groups);
    let weighted = tuples.filter(|one| one.target_group_arn() == Some(target_group));
    match weighted.map(|one| one.weight().unwrap_or(1)).max() {
        Some(weight) => weight,
        None => i32::from(forwards_to(actions, target_group)),
    }
}

/// Says whether actions make people log in first, which ELB does not read back whole: their client secret is missing.
pub fn authenticates(actions: &[Action]) -> bool {
    actions.iter().any(|action| {
        action.authenticate_oidc_config().is_some()
            || action.authenticate_cognito_config().is_some()
            || action.jwt_validation_config().is_some()
    })
}

/// Writes actions for people: `forward to backend-tg`, `redirect to HTTPS://#{host}:443/#{path}?#{query} (HTTP_301)`.
pub fn describe(actions: &[Action]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for action in actions {
        parts.push(match (action.redirect_config(), action.r#type()) {
            (Some(to), _) => {
                // What a redirect leaves out stays as it was: ELB reads it back in these words.
                let protocol = to.protocol().unwrap_or("#{protocol}");
                let (host, port) = (to.host().unwrap_or("#{host}"), to.port().unwrap_or("#{port}"));
                let (path, query) = (to.path().unwrap_or("/#{path}"), to.query().unwrap_or("#{query}"));
                let code = to.status_code().map_or("no status code", |code| code.as_str());
                format!("redirect to {protocol}://{host}:{port}{path}?{query} ({code})")
            }
            (None, Some(ActionTypeEnum::Forward)) => {
                let names: Vec<_> = targets(std::slice::from_ref(action)).into_iter().map(name_in).collect();
                format!("forward to {}", names.join(" and "))
            }
            (None, Some(kind)) => kind.as_str().to_owned(),
            (None, None) => "nothing".to_owned(),
        });
    }
    parts.join(", then ")
}

/// Returns the name in a target group's ARN, or in its planned id.
pub fn name_in(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

/// Returns the name in a load balancer's ARN, `…:loadbalancer/app/NAME/ID`, or in its planned id.
pub fn balancer_in(arn: &str) -> &str {
    arn.split('/').nth(2).unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::{
        ForwardActionConfig, RedirectActionConfig, RedirectActionStatusCodeEnum, TargetGroupTuple,
    };

    use super::*;

    const BLUE: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/blue/0123456789abcdef";
    const GREEN: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/green/0123456789abcdef";

    fn weighted(groups: &[(&str, i32)]) -> ForwardActionConfig {
        let tuple =
            |(arn, weight): &(&str, i32)| TargetGroupTuple::builder().target_group_arn(*arn).weight(*weight).build();
        ForwardActionConfig::builder().set_target_groups(Some(groups.iter().map(tuple).collect())).build()
    }

    #[test]
    fn one_target_group_reads_back_in_two_forms_and_counts_once() {
        let base = || Action::builder().r#type(ActionTypeEnum::Forward);
        let cases = [
            (forward_to(BLUE), vec![BLUE]),
            (base().target_group_arn(BLUE).forward_config(weighted(&[(BLUE, 1)])).build(), vec![BLUE]),
            (base().forward_config(weighted(&[(BLUE, 0), (GREEN, 100)])).build(), vec![BLUE, GREEN]),
        ];
        for (action, arns) in cases {
            assert_eq!(targets(std::slice::from_ref(&action)), arns);
            assert!(forwards_to(&[action], BLUE));
        }
    }

    #[test]
    fn a_weight_is_what_is_written_or_one() {
        let base = || Action::builder().r#type(ActionTypeEnum::Forward);
        let cases = [
            (forward_to(BLUE), (1, 0)),
            (base().target_group_arn(BLUE).forward_config(weighted(&[(BLUE, 1)])).build(), (1, 0)),
            (forward_to_all(&[(BLUE, 0), (GREEN, 100)]), (0, 100)),
        ];
        for (action, wanted) in cases {
            let actions = [action];
            assert_eq!((weight(&actions, BLUE), weight(&actions, GREEN)), wanted);
        }
    }

    #[test]
    fn actions_read_as_people_say_them() {
        let redirect = RedirectActionConfig::builder().protocol("HTTPS").port("443");
        let redirect = redirect.status_code(RedirectActionStatusCodeEnum::Http301).build();
        let redirect = Action::builder().r#type(ActionTypeEnum::Redirect).redirect_config(redirect).build();
        let both = Action::builder().r#type(ActionTypeEnum::Forward);
        let cases = [
            (forward_to(BLUE), "forward to blue"),
            (both.forward_config(weighted(&[(BLUE, 1), (GREEN, 0)])).build(), "forward to blue and green"),
            (redirect, "redirect to HTTPS://#{host}:443/#{path}?#{query} (HTTP_301)"),
            (Action::builder().r#type(ActionTypeEnum::FixedResponse).build(), "fixed-response"),
        ];
        for (action, text) in cases {
            assert_eq!(describe(&[action]), text);
        }
    }
}
