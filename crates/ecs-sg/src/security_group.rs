//! The security groups, without their rules.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{Filter, ResourceType, SecurityGroup as Described, Tag, TagSpecification};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{SecurityGroupId, VpcId};
use ecs_core::stack::SgGroup;
use ecs_core::{All as _, Change, Error, Identity, Listing, Owner, Resource, Result, Stack, tag};
use futures::join;

use crate::rule::{self, Peer, Rule};
use crate::{Ec2, LAYER};

/// What to do about rules that keep a group from being deleted.
pub const FREE: &str = "revoke those rules, or have their owner point them at another group (in the VPC console: Security \
                        groups; or `aws ec2 revoke-security-group-ingress`, `-egress`), then run the same line again";

/// The VPC's security groups with our names, listed once for all of them.
pub type List = Rc<Listing<Vec<Described>>>;

/// A security group without its rules.
#[derive(Debug)]
pub struct SecurityGroup {
    identity: Identity,
    vpc: VpcId,
    description: String,
    list: List,
}

/// What EC2 says the security group is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: SecurityGroupId,
    /// Its rules, when it was read
    pub rules: Vec<Rule>,
    /// What it is in the stack
    pub identity: Identity,
    vpc: VpcId,
    description: String,
    tags: Vec<Tag>,
    list: List,
}

impl Live {
    /// Returns the rules that it has now.
    ///
    /// # Errors
    /// Any refusal by EC2.
    pub async fn read_rules(&self, ec2: &Ec2) -> Result<Vec<Rule>> {
        let groups = groups(ec2, &self.vpc, None, &self.list).await?;
        let group = groups.iter().find(|group| group.group_id() == Some(self.id.as_str()));
        Ok(group.map(rule::all).unwrap_or_default())
    }

    /// Makes the next reader look again.
    pub fn forget(&self) {
        self.list.forget();
    }
}

impl SecurityGroup {
    /// Makes one of the stack's security groups.
    pub fn new(stack: &Stack, vpc: &VpcId, group: SgGroup, list: &List) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, stack.sg.name(group)),
            vpc: vpc.clone(),
            description: stack.sg.description(group).to_owned(),
            list: Rc::clone(list),
        }
    }

    /// Makes a group that a file of before has asked for, to be deleted.
    pub fn former(stack: &Stack, vpc: &VpcId, name: &str, list: &List) -> Self {
        let identity = Identity::new(&stack.name, LAYER, name);
        Self { identity, vpc: vpc.clone(), description: String::new(), list: Rc::clone(list) }
    }

    fn live(&self, group: &Described) -> Live {
        Live {
            identity: self.identity.clone(),
            id: group.group_id().unwrap_or_default().into(),
            vpc: group.vpc_id().unwrap_or_default().into(),
            description: group.description().unwrap_or_default().to_owned(),
            rules: rule::all(group),
            tags: group.tags().to_vec(),
            list: Rc::clone(&self.list),
        }
    }
}

/// Lists the groups of one VPC or, where a destroy does not know it, those of the stack.
///
/// # Errors
/// Any refusal by EC2.
pub async fn groups(ec2: &Ec2, vpc: &VpcId, stack: Option<&str>, list: &List) -> Result<Rc<Vec<Described>>> {
    list.get(async || {
        let filter = match (vpc.is_planned(), stack) {
            (false, _) => Filter::builder().name("vpc-id").values(vpc.as_str()),
            (true, Some(stack)) => Filter::builder().name(format!("tag:{}", tag::STACK)).values(stack),
            // Nothing can be in a VPC that does not exist.
            (true, None) => return Ok(Vec::new()),
        };
        let all = ec2.read.describe_security_groups().filters(filter.build()).into_paginator().items().send();
        all.collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeSecurityGroups")
    })
    .await
}

/// Returns the names and ids of the groups that this layer of the stack has made, by their tags.
///
/// # Errors
/// Any refusal by EC2.
pub async fn ours(ec2: &Ec2, vpc: &VpcId, stack: &str, list: &List) -> Result<BTreeMap<String, SecurityGroupId>> {
    let groups = groups(ec2, vpc, Some(stack), list).await?;
    let ours = groups.iter().filter(|group| is_ours(group, stack));
    Ok(ours.filter_map(|group| Some((group.group_name()?.to_owned(), group.group_id()?.into()))).collect())
}

/// Says whether this layer of the stack has made a group.
fn is_ours(group: &Described, stack: &str) -> bool {
    let has =
        |key: &str, value: &str| group.tags().iter().any(|tag| tag.key() == Some(key) && tag.value() == Some(value));
    has(tag::STACK, stack) && has(tag::LAYER, LAYER)
}

/// Names the rules of somebody else's groups that refer to a group: it cannot be deleted as long as there is one.
///
/// Only groups of the same VPC keep it: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html>.
/// A rule that refers to its own group does not; the rules of this layer's own groups go before any of those is deleted.
pub fn foreign_references(groups: &[Described], vpc: &str, id: &SecurityGroupId, stack: &str) -> Vec<String> {
    let others = groups
        .iter()
        .filter(|group| group.vpc_id() == Some(vpc) && group.group_id() != Some(id.as_str()) && !is_ours(group, stack));
    let mut named = Vec::new();
    for group in others {
        let (name, other) = (group.group_name().unwrap_or_default(), group.group_id().unwrap_or_default());
        let rules = rule::all(group).into_iter().filter(|rule| rule.peer == Peer::Group(id.clone()));
        named.extend(rules.map(|rule| format!("{} `{rule}` of security group {name} ({other})", rule.field())));
    }
    named
}

/// Names the network interfaces that have a group.
///
/// # Errors
/// Any refusal by EC2.
pub async fn users(ec2: &Ec2, id: &SecurityGroupId) -> Result<Vec<String>> {
    let filter = Filter::builder().name("group-id").values(id.as_str()).build();
    let interfaces = ec2.read.describe_network_interfaces().filters(filter).into_paginator().items().send();
    let interfaces = interfaces.collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeNetworkInterfaces")?;
    let names = interfaces.iter().map(|interface| {
        format!(
            "{} ({})",
            interface.network_interface_id().unwrap_or_default(),
            interface.description().unwrap_or_default()
        )
    });
    Ok(names.collect())
}

/// Reads the groups with rules, in and out, that refer to a group.
///
/// # Errors
/// Any refusal by EC2.
async fn referring(ec2: &Ec2, id: &SecurityGroupId) -> Result<Vec<Described>> {
    let find = async |filter: &str| {
        let filter = Filter::builder().name(filter).values(id.as_str()).build();
        let all = ec2.read.describe_security_groups().filters(filter).into_paginator().items().send();
        all.collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeSecurityGroups")
    };
    let both = join!(find("ip-permission.group-id"), find("egress.ip-permission.group-id"));
    let (mut groups, others) = both.all()?;
    let known: Vec<Option<String>> = groups.iter().map(|group| group.group_id.clone()).collect();
    groups.extend(others.into_iter().filter(|group| !known.contains(&group.group_id)));
    Ok(groups)
}

/// Deletes a group.
///
/// # Errors
/// Any refusal by EC2: `DependencyViolation` while an interface or a rule of another group refers to it.
pub async fn delete(ec2: &Ec2, id: &SecurityGroupId) -> Result<()> {
    ec2.write.delete_security_group().group_id(id.as_str()).send().await.answer("ec2:DeleteSecurityGroup").map(drop)
}

/// Returns the ids of a VPC's groups, by name: names are unique in a VPC.
///
/// # Errors
/// Any refusal by EC2.
pub async fn by_name(ec2: &Ec2, vpc: &VpcId, list: &List) -> Result<BTreeMap<String, SecurityGroupId>> {
    let groups = groups(ec2, vpc, None, list).await?;
    let pair = |group: &Described| Some((group.group_name()?.to_owned(), group.group_id()?.into()));
    Ok(groups.iter().filter_map(pair).collect())
}

impl Resource for SecurityGroup {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "security group";
    /// It exists at once; its deletion waits for the network interfaces that use it: usually 2 to 5 min, seen up to 15.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "2 to 5 min, while network interfaces go";

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            identity: self.identity.clone(),
            id: SecurityGroupId::planned(&self.identity.name),
            vpc: self.vpc.clone(),
            description: self.description.clone(),
            // What AWS gives a new group.
            rules: vec![Rule::anything()],
            tags: Vec::new(),
            list: Rc::clone(&self.list),
        }
    }

    /// Returns the group of that name: names are unique in a VPC.
    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let groups = groups(ec2, &self.vpc, Some(&self.identity.stack), &self.list).await?;
        let mut named = groups.iter().filter(|group| group.group_name() == Some(&self.identity.name));
        match (named.next(), named.next()) {
            (Some(_), Some(_)) => {
                Err(Error::other(format!("several VPCs have a security group {} of this stack", self.identity.name))
                    .hint("give the member `net`, so that it is clear which one is meant"))
            }
            (group, _) => Ok(group.map(|group| self.live(group))),
        }
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let tags = tags(&self.identity, ResourceType::SecurityGroup);
        let call = ec2.write.create_security_group().group_name(&self.identity.name).description(&self.description);
        let call = call.vpc_id(self.vpc.as_str()).tag_specifications(tags);
        let id = call.send().await.answer("ec2:CreateSecurityGroup")?.group_id;
        Ok(Live { id: present(id, "ec2:CreateSecurityGroup", "the group's id")?.into(), ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let change = Change::of("description", &live.description, &self.description);
        let hint = "a security group keeps its description: give the group another name, or its old description back";
        change.map(|change| change.refused(hint)).into_iter().collect()
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        delete(ec2, &live.id).await
    }

    /// Names the network interfaces: they go, with what they are of. Rules of others' groups do not.
    async fn users(&self, ec2: &Ec2, live: &Live) -> Result<Vec<String>> {
        let (users, referring) = join!(users(ec2, &live.id), referring(ec2, &live.id)).all()?;
        let references = foreign_references(&referring, live.vpc.as_str(), &live.id, &self.identity.stack);
        if references.is_empty() {
            return Ok(users);
        }
        Err(Error::other(format!("rules of others refer to it: {}", references.join(", "))).hint(FREE))
    }

    fn owner(&self, live: &Live) -> Owner {
        self.identity.owner(live.tags.iter().filter_map(|tag| tag.key().zip(tag.value())))
    }

    async fn adopt(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        let tags = identity_tags(&self.identity);
        let call = ec2.write.create_tags().resources(live.id.as_str()).set_tags(Some(tags));
        call.send().await.answer("ec2:CreateTags")?;
        Ok(())
    }

    fn forget(&self) {
        self.list.forget();
    }
}

/// Returns the identity tags for a create call.
pub fn tags(identity: &Identity, kind: ResourceType) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(identity_tags(identity))).build()
}

fn identity_tags(identity: &Identity) -> Vec<Tag> {
    identity.tags(|key, value| Tag::builder().key(key).value(value).build())
}

#[cfg(test)]
mod tests {
    use ecs_core::stack::Direction;

    use super::*;

    fn group(name: &str, vpc: &str, tags: &[(&str, &str)], rules: &[Rule]) -> Described {
        let of = |direction: Direction| {
            let rules = rules.iter().filter(move |rule| rule.direction == direction);
            Some(rules.map(Rule::permission).collect())
        };
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
        let group = Described::builder().group_name(name).group_id(format!("sg-{name}")).vpc_id(vpc);
        let group = group.set_ip_permissions(of(Direction::Ingress));
        group.set_ip_permissions_egress(of(Direction::Egress)).set_tags(Some(tags)).build()
    }

    #[test]
    fn rules_of_others_that_refer_to_a_group_are_named() {
        let to = |id: &str, direction| Rule::new(direction, 443, Peer::Group(id.into()), "");
        let (ingress, egress) = (to("sg-tasks", Direction::Ingress), to("sg-tasks", Direction::Egress));
        let (both, ours) = ([ingress.clone(), egress], [(tag::STACK, "prod"), (tag::LAYER, LAYER)]);
        let groups = [
            group("tasks", "vpc-1", &[], &both),
            group("db", "vpc-1", &ours, &both),
            group("endpoints", "vpc-1", &[(tag::STACK, "prod"), (tag::LAYER, "net")], std::slice::from_ref(&ingress)),
            group("bastion", "vpc-1", &[], &both),
            group("monitoring", "vpc-1", &[], &[to("sg-other", Direction::Egress), Rule::anything()]),
            group("peer", "vpc-2", &[], &both),
        ];
        assert_eq!(
            foreign_references(&groups, "vpc-1", &"sg-tasks".into(), "prod"),
            [
                "ingress rule `tcp 443 from sg-tasks` of security group endpoints (sg-endpoints)",
                "ingress rule `tcp 443 from sg-tasks` of security group bastion (sg-bastion)",
                "egress rule `tcp 443 to sg-tasks` of security group bastion (sg-bastion)",
            ]
        );
    }
}
