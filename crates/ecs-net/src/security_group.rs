//! The security group of the interface endpoints, with its one rule.
//!
//! It is this layer's, not ecs-sg's: it speaks of nothing but the VPC's own range, and the endpoints, without which tasks
//! may have no way out, need not wait for another tool.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{
    IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroup as Described, Tag, UserIdGroupPair,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{SecurityGroupId, VpcId};
use ecs_core::{All as _, Change, Held, Identity, Listing, Owner, Resource, Result, Stack};
use futures::join;

use crate::vpc::Vpc;
use crate::{Ec2, LAYER, ec2};

/// The port on which endpoints take requests.
const HTTPS: i32 = 443;
/// What the group is there for, which EC2 never lets change.
const DESCRIPTION: &str = "Security group for interface endpoints";

/// The security groups of that name, listed once.
pub type List = Rc<Listing<Vec<Described>>>;

/// Returns the identity of the endpoints' security group.
pub fn identity(stack: &Stack) -> Identity {
    Identity::new(&stack.name, LAYER, format!("{}-endpoints", stack.name))
}

/// Returns the groups of an identity's name in a VPC: one at most.
///
/// # Errors
/// Any refusal by EC2.
pub async fn groups(ec2: &Ec2, vpc: &VpcId, identity: &Identity, list: &List) -> Result<Rc<Vec<Described>>> {
    list.get(async || {
        let filters = [ec2::filter("vpc-id", vpc.as_str()), ec2::filter("group-name", &identity.name)];
        let all = ec2.read.describe_security_groups().set_filters(Some(filters.to_vec())).into_paginator();
        all.items().send().collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeSecurityGroups")
    })
    .await
}

/// The security group of the interface endpoints.
#[derive(Debug)]
pub struct SecurityGroup {
    identity: Identity,
    vpc: VpcId,
    range: String,
    list: List,
}

/// What EC2 says the security group is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: SecurityGroupId,
    description: String,
    rules: Vec<IpPermission>,
    tags: Vec<Tag>,
}

impl SecurityGroup {
    /// Makes the endpoints' security group.
    pub fn new(stack: &Stack, vpc: &Held<Vpc>, list: &List) -> Self {
        let (range, vpc) = (stack.net.cidr.to_string(), vpc.id.clone());
        Self { identity: identity(stack), vpc, range, list: Rc::clone(list) }
    }

    /// Returns the one rule: HTTPS from all of the VPC, so that any subnet's tasks can use the endpoints.
    fn rule(&self) -> IpPermission {
        let range = IpRange::builder().cidr_ip(&self.range).description("Allow HTTPS from VPC").build();
        IpPermission::builder().ip_protocol("tcp").from_port(HTTPS).to_port(HTTPS).ip_ranges(range).build()
    }

    fn is_wanted(&self, rule: &IpPermission) -> bool {
        describe(rule) == describe(&self.rule())
    }
}

impl Resource for SecurityGroup {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "security group";
    /// It exists at once; its deletion waits for the endpoints' network interfaces.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "2 to 5 min, while network interfaces go";

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        let id = SecurityGroupId::planned(&self.identity.name);
        Live { id, description: DESCRIPTION.to_owned(), rules: Vec::new(), tags: Vec::new() }
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let groups = groups(ec2, &self.vpc, &self.identity, &self.list).await?;
        Ok(groups.first().map(|group| Live {
            id: group.group_id().unwrap_or_default().into(),
            description: group.description().unwrap_or_default().to_owned(),
            rules: group.ip_permissions().iter().flat_map(one_source_each).collect(),
            tags: group.tags().to_vec(),
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let call = ec2.write.create_security_group().group_name(&self.identity.name).description(DESCRIPTION);
        let call = call.vpc_id(self.vpc.as_str());
        let call = call.tag_specifications(ec2::tags(&self.identity, ResourceType::SecurityGroup));
        let id = call.send().await.answer("ec2:CreateSecurityGroup")?.group_id;
        Ok(Live { id: present(id, "ec2:CreateSecurityGroup", "the group's id")?.into(), ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let description = Change::of("description", &live.description, &DESCRIPTION.to_owned());
        let hint = "a security group keeps its description: delete the group, or take another stack name";
        let missing = !live.rules.iter().any(|rule| self.is_wanted(rule));
        let missing = missing.then(|| Change::update("ingress rule", "", describe(&self.rule())));
        let foreign = live.rules.iter().filter(|rule| !self.is_wanted(rule));
        let foreign = foreign.map(|rule| Change::foreign("ingress rule", describe(rule)));
        description.map(|change| change.refused(hint)).into_iter().chain(missing).chain(foreign).collect()
    }

    async fn update(&self, ec2: &Ec2, live: &Live, changes: &[Change]) -> Result<()> {
        let authorize = async {
            if !changes.iter().any(|change| change.from.is_empty()) {
                return Ok(());
            }
            let call = ec2.write.authorize_security_group_ingress().group_id(live.id.as_str());
            let call = call.tag_specifications(ec2::tags(&self.identity, ResourceType::SecurityGroupRule));
            let reply = call.ip_permissions(self.rule()).send().await;
            reply.answer("ec2:AuthorizeSecurityGroupIngress").map(drop)
        };
        let revoke = async {
            // The engine hands foreign rules over only with --prune.
            let asked = |rule: &&IpPermission| changes.iter().any(|change| change.from == describe(rule));
            let foreign: Vec<IpPermission> = live.rules.iter().filter(asked).cloned().collect();
            if foreign.is_empty() {
                return Ok(());
            }
            let call = ec2.write.revoke_security_group_ingress().group_id(live.id.as_str());
            let reply = call.set_ip_permissions(Some(foreign)).send().await;
            reply.answer("ec2:RevokeSecurityGroupIngress").map(drop)
        };
        let both = join!(authorize, revoke);
        both.all().map(drop)
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2.write.delete_security_group().group_id(live.id.as_str()).send().await.answer("ec2:DeleteSecurityGroup")?;
        Ok(())
    }

    async fn users(&self, ec2: &Ec2, live: &Live) -> Result<Vec<String>> {
        ec2::interfaces(ec2, "group-id", live.id.as_str()).await
    }

    fn owner(&self, live: &Live) -> Owner {
        ec2::owner(&self.identity, &live.tags)
    }

    async fn adopt(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2::adopt(ec2, live.id.as_str(), &self.identity).await
    }

    fn forget(&self) {
        self.list.forget();
    }
}

/// Takes a permission apart into rules with one source each.
fn one_source_each(permission: &IpPermission) -> Vec<IpPermission> {
    let one = || {
        let builder = IpPermission::builder().set_ip_protocol(permission.ip_protocol.clone());
        builder.set_from_port(permission.from_port).set_to_port(permission.to_port)
    };
    // A revocation names a rule by what it lets in; a description would only have to fit.
    let ranges = permission
        .ip_ranges()
        .iter()
        .map(|range| one().ip_ranges(IpRange::builder().set_cidr_ip(range.cidr_ip.clone()).build()).build());
    let groups = permission.user_id_group_pairs().iter().map(|pair| {
        one().user_id_group_pairs(UserIdGroupPair::builder().set_group_id(pair.group_id.clone()).build()).build()
    });
    let ipv6 = permission
        .ipv6_ranges()
        .iter()
        .map(|range| one().ipv6_ranges(Ipv6Range::builder().set_cidr_ipv6(range.cidr_ipv6.clone()).build()).build());
    let lists = permission.prefix_list_ids().iter().map(|list| {
        one().prefix_list_ids(PrefixListId::builder().set_prefix_list_id(list.prefix_list_id.clone()).build()).build()
    });
    ranges.chain(groups).chain(ipv6).chain(lists).collect()
}

/// Says what a rule with one source lets in: `tcp 443 from 10.0.0.0/16`.
fn describe(rule: &IpPermission) -> String {
    let protocol = rule.ip_protocol().filter(|protocol| *protocol != "-1").unwrap_or("all traffic");
    let ports = match (rule.from_port(), rule.to_port()) {
        (Some(from), Some(to)) if from == to => format!(" {from}"),
        (Some(from), Some(to)) => format!(" {from}-{to}"),
        (_, _) => String::new(),
    };
    let source = rule.ip_ranges().iter().find_map(|range| range.cidr_ip());
    let source = source.or_else(|| rule.user_id_group_pairs().iter().find_map(|pair| pair.group_id()));
    let source = source.or_else(|| rule.ipv6_ranges().iter().find_map(|range| range.cidr_ipv6()));
    let source = source.or_else(|| rule.prefix_list_ids().iter().find_map(|list| list.prefix_list_id()));
    format!("{protocol}{ports} from {}", source.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_rule_is_added_and_others_are_somebody_elses() {
        let group = SecurityGroup {
            identity: Identity::new("prod", LAYER, "prod-endpoints"),
            vpc: "vpc-1".into(),
            range: "10.0.0.0/16".to_owned(),
            list: Rc::default(),
        };
        let missing = Change::update("ingress rule", "", "tcp 443 from 10.0.0.0/16");
        assert_eq!(group.diff(&group.planned()), [missing]);
        let ours = IpRange::builder().cidr_ip("10.0.0.0/16").build();
        let theirs = IpRange::builder().cidr_ip("192.168.0.0/16").build();
        let pair = UserIdGroupPair::builder().group_id("sg-2").build();
        let both = IpPermission::builder().ip_protocol("tcp").from_port(443).to_port(443);
        let both = both.ip_ranges(ours).ip_ranges(theirs).user_id_group_pairs(pair).build();
        let live = Live { rules: one_source_each(&both), ..group.planned() };
        let foreign = ["tcp 443 from 192.168.0.0/16", "tcp 443 from sg-2"];
        assert_eq!(group.diff(&live), foreign.map(|rule| Change::foreign("ingress rule", rule)));
        let other = Live { description: "by hand".to_owned(), rules: one_source_each(&both), ..group.planned() };
        assert!(matches!(group.diff(&other)[0].means, ecs_core::resource::Means::Refuse(_)));
    }
}
