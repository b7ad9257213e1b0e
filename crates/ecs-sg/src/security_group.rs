//! Security groups, and the rules that let traffic in.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroup as Described, Tag,
    TagSpecification, UserIdGroupPair,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{SecurityGroupId, VpcId};
use ecs_core::{All as _, Change, Error, Held, Identity, Listing, Owner, Resource, Result, Run, Stack, tag};
use futures::join;

use crate::{Ec2, LAYER};

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
    identity: Identity,
    vpc: VpcId,
    description: String,
    rules: Vec<Rule>,
    tags: Vec<Tag>,
    list: List,
}

impl SecurityGroup {
    /// Makes one of the stack's security groups.
    pub fn new(stack: &Stack, vpc: &VpcId, name: &str, description: &str, list: &List) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, name),
            vpc: vpc.clone(),
            description: description.to_owned(),
            list: Rc::clone(list),
        }
    }

    fn live(&self, group: &Described) -> Live {
        Live {
            identity: self.identity.clone(),
            id: group.group_id().unwrap_or_default().into(),
            vpc: group.vpc_id().unwrap_or_default().into(),
            description: group.description().unwrap_or_default().to_owned(),
            rules: rules(group.ip_permissions()),
            tags: group.tags().to_vec(),
            list: Rc::clone(&self.list),
        }
    }
}

/// Lists the groups of one VPC or, where a destroy does not know it, those of the stack.
async fn groups(ec2: &Ec2, vpc: &VpcId, stack: Option<&str>, list: &List) -> Result<Rc<Vec<Described>>> {
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
            rules: Vec::new(),
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
        ec2.write.delete_security_group().group_id(live.id.as_str()).send().await.answer("ec2:DeleteSecurityGroup")?;
        Ok(())
    }

    async fn users(&self, ec2: &Ec2, live: &Live) -> Result<Vec<String>> {
        let filter = Filter::builder().name("group-id").values(live.id.as_str()).build();
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

fn tags(identity: &Identity, kind: ResourceType) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(identity_tags(identity))).build()
}

fn identity_tags(identity: &Identity) -> Vec<Tag> {
    identity.tags(|key, value| Tag::builder().key(key).value(value).build())
}

/// Where a rule lets traffic in from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An IPv4 range
    Range(String),
    /// Another security group
    Group(SecurityGroupId),
    /// Something that this tool never writes: an IPv6 range, a prefix list
    Foreign(String),
}

/// One rule for traffic in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    protocol: String,
    /// First and last port; AWS gives none for "all traffic"
    ports: Option<(i32, i32)>,
    source: Source,
    description: String,
}

impl Rule {
    /// Makes a rule for one TCP port.
    pub fn new(port: u16, source: Source, description: String) -> Self {
        Self { protocol: "tcp".to_owned(), ports: Some((port.into(), port.into())), source, description }
    }

    /// Makes the rule that lets the load balancer reach a service.
    pub fn from_alb(port: u16, alb: &SecurityGroupId) -> Self {
        Self::new(port, Source::Group(alb.clone()), format!("Allow port {port} from ALB"))
    }

    /// Says whether it was made for a service: as [`Rule::from_alb`] describes it.
    fn is_a_services(&self) -> bool {
        let port = self.ports.and_then(|(from, to)| (from == to).then_some(from));
        let described = port.is_some_and(|port| self.description == format!("Allow port {port} from ALB"));
        described && matches!(self.source, Source::Group(_))
    }

    /// Says whether two rules let the same traffic in, whatever they are described as.
    fn same_traffic(&self, other: &Self) -> bool {
        (&self.protocol, self.ports, &self.source) == (&other.protocol, other.ports, &other.source)
    }

    fn permission(&self) -> IpPermission {
        let builder = IpPermission::builder().ip_protocol(&self.protocol);
        let builder =
            builder.set_from_port(self.ports.map(|ports| ports.0)).set_to_port(self.ports.map(|ports| ports.1));
        let description = Some(self.description.clone()).filter(|text| !text.is_empty());
        match &self.source {
            Source::Range(range) => {
                builder.ip_ranges(IpRange::builder().cidr_ip(range).set_description(description).build()).build()
            }
            Source::Group(id) => {
                let pair = UserIdGroupPair::builder().group_id(id.as_str()).set_description(description);
                builder.user_id_group_pairs(pair.build()).build()
            }
            Source::Foreign(range) if range.contains(':') => {
                builder.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(range).build()).build()
            }
            Source::Foreign(list) => {
                builder.prefix_list_ids(PrefixListId::builder().prefix_list_id(list).build()).build()
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == "-1" { "all traffic" } else { &self.protocol };
        match self.ports {
            Some((from, to)) if from == to => write!(f, "{protocol} {from}")?,
            Some((from, to)) => write!(f, "{protocol} {from}-{to}")?,
            None => f.write_str(protocol)?,
        }
        match &self.source {
            Source::Range(source) | Source::Foreign(source) => write!(f, " from {source}"),
            Source::Group(id) => write!(f, " from {id}"),
        }
    }
}

/// Takes EC2's permissions, which hold many sources each, apart into rules with one source each.
fn rules(permissions: &[IpPermission]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for permission in permissions {
        let protocol = permission.ip_protocol().unwrap_or("-1").to_owned();
        let ports = permission.from_port().zip(permission.to_port());
        let mut push = |source: Source, description: Option<&str>| {
            let description = description.unwrap_or_default().to_owned();
            rules.push(Rule { protocol: protocol.clone(), ports, source, description });
        };
        for range in permission.ip_ranges() {
            push(Source::Range(range.cidr_ip().unwrap_or_default().to_owned()), range.description());
        }
        for pair in permission.user_id_group_pairs() {
            push(Source::Group(pair.group_id().unwrap_or_default().into()), pair.description());
        }
        for range in permission.ipv6_ranges() {
            push(Source::Foreign(range.cidr_ipv6().unwrap_or_default().to_owned()), range.description());
        }
        for list in permission.prefix_list_ids() {
            push(Source::Foreign(list.prefix_list_id().unwrap_or_default().to_owned()), list.description());
        }
    }
    rules
}

/// The rules of one security group, taken together.
#[derive(Debug)]
pub struct Rules {
    group: Live,
    wanted: Vec<Rule>,
    known: Cell<bool>,
}

impl Rules {
    /// Makes the rules of a group.
    pub fn new(group: &Held<SecurityGroup>, wanted: Vec<Rule>) -> Self {
        Self { group: (**group).clone(), wanted, known: Cell::new(true) }
    }

    /// Lets a destroy revoke the rules that refer to other groups before it deletes the groups.
    ///
    /// # Errors
    /// Any refusal by AWS.
    pub async fn ensure_references(run: &Run<'_>, ec2: &Ec2, groups: [Option<&Held<SecurityGroup>>; 3]) -> Result<()> {
        let ensure = async |group: Option<&Held<SecurityGroup>>| match group {
            Some(group) => run.ensure(ec2, Self::new(group, Vec::new())).await.map(drop),
            None => Ok(()),
        };
        let [alb, tasks, db] = groups;
        join!(ensure(alb), ensure(tasks), ensure(db)).all().map(drop)
    }
}

impl Resource for Rules {
    type Api = Ec2;
    type Live = Vec<Rule>;
    const KIND: &'static str = "rules of security group";
    /// They exist at once.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        self.group.identity.name.clone()
    }

    fn id(&self, _live: &Vec<Rule>) -> String {
        self.group.id.to_string()
    }

    fn planned(&self) -> Vec<Rule> {
        self.wanted.clone()
    }

    /// Returns the rules; a group without any has none yet.
    async fn find(&self, ec2: &Ec2) -> Result<Option<Vec<Rule>>> {
        let rules = if self.known.get() {
            self.group.rules.clone()
        } else {
            let groups = groups(ec2, &self.group.vpc, None, &self.group.list).await?;
            let group = groups.iter().find(|group| group.group_id() == Some(self.group.id.as_str()));
            group.map(|group| rules(group.ip_permissions())).unwrap_or_default()
        };
        Ok(Some(rules).filter(|rules| !rules.is_empty()))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Vec<Rule>> {
        authorize(ec2, &self.group, &self.wanted.iter().collect::<Vec<_>>()).await?;
        Ok(self.wanted.clone())
    }

    fn diff(&self, live: &Vec<Rule>) -> Vec<Change> {
        let missing = self.wanted.iter().filter(|wanted| !live.iter().any(|rule| rule.same_traffic(wanted)));
        let foreign = live.iter().filter(|rule| !self.wanted.iter().any(|wanted| rule.same_traffic(wanted)));
        let described = self.wanted.iter().filter_map(|wanted| {
            let rule = live.iter().find(|rule| rule.same_traffic(wanted))?;
            Change::of("rule description", &rule.description, &wanted.description)
        });
        let missing = missing.map(|rule| Change::update("ingress rule", "", rule.to_string()));
        let other = |rule: &Rule| match rule.is_a_services() {
            true => Change::former("ingress rule", rule.to_string()),
            false => Change::foreign("ingress rule", rule.to_string()),
        };
        missing.chain(described).chain(foreign.map(other)).collect()
    }

    async fn update(&self, ec2: &Ec2, live: &Vec<Rule>, changes: &[Change]) -> Result<()> {
        let missing: Vec<_> =
            self.wanted.iter().filter(|wanted| !live.iter().any(|rule| rule.same_traffic(wanted))).collect();
        let renamed = self.wanted.iter().filter(|wanted| {
            live.iter().any(|rule| rule.same_traffic(wanted) && rule.description != wanted.description)
        });
        let renamed: Vec<_> = renamed.collect();
        // The engine hands foreign rules over only with --prune.
        let foreign: Vec<_> = live
            .iter()
            .filter(|rule| changes.iter().any(|change| change.to.is_empty() && change.from == rule.to_string()))
            .collect();
        let describe = async {
            if renamed.is_empty() {
                return Ok(());
            }
            let permissions = renamed.iter().map(|rule| rule.permission()).collect();
            let call = ec2.write.update_security_group_rule_descriptions_ingress().group_id(self.group.id.as_str());
            let reply = call.set_ip_permissions(Some(permissions)).send().await;
            reply.answer("ec2:UpdateSecurityGroupRuleDescriptionsIngress").map(drop)
        };
        let all = join!(authorize(ec2, &self.group, &missing), describe, revoke(ec2, &self.group.id, &foreign));
        all.all().map(drop)
    }

    async fn delete(&self, ec2: &Ec2, live: &Vec<Rule>) -> Result<()> {
        // Rules for ranges go with their group; those for groups would keep the groups in use.
        let references: Vec<_> = live.iter().filter(|rule| matches!(rule.source, Source::Group(_))).collect();
        revoke(ec2, &self.group.id, &references).await
    }

    fn owner(&self, _live: &Vec<Rule>) -> Owner {
        // The group's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &Vec<Rule>) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.known.set(false);
        self.group.list.forget();
    }
}

async fn authorize(ec2: &Ec2, group: &Live, rules: &[&Rule]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let permissions = rules.iter().map(|rule| rule.permission()).collect();
    let call = ec2.write.authorize_security_group_ingress().group_id(group.id.as_str());
    let call = call.tag_specifications(tags(&group.identity, ResourceType::SecurityGroupRule));
    call.set_ip_permissions(Some(permissions)).send().await.answer("ec2:AuthorizeSecurityGroupIngress")?;
    Ok(())
}

async fn revoke(ec2: &Ec2, group: &SecurityGroupId, rules: &[&Rule]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let permissions = rules.iter().map(|rule| rule.permission()).collect();
    let call = ec2.write.revoke_security_group_ingress().group_id(group.as_str());
    call.set_ip_permissions(Some(permissions)).send().await.answer("ec2:RevokeSecurityGroupIngress")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(permission: IpPermission) -> Vec<Rule> {
        rules(&[permission])
    }

    #[test]
    fn permissions_come_apart_into_rules_with_one_source_each() {
        let permission = IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(80)
            .to_port(80)
            .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").description("Allow HTTP from internet").build())
            .user_id_group_pairs(UserIdGroupPair::builder().group_id("sg-1").build())
            .build();
        assert_eq!(
            described(permission),
            [
                Rule::new(80, Source::Range("0.0.0.0/0".into()), "Allow HTTP from internet".into()),
                Rule::new(80, Source::Group("sg-1".into()), String::new()),
            ]
        );
    }

    #[test]
    fn a_rule_for_a_service_tells_itself_from_somebody_elses() {
        let rule = Rule::from_alb(8080, &"sg-1".into());
        assert!(rule.is_a_services());
        for other in [
            Rule { description: "debugging".into(), ..rule.clone() },
            Rule { ports: Some((8080, 8090)), ..rule.clone() },
            Rule { source: Source::Range("10.0.0.0/8".into()), ..rule },
        ] {
            assert!(!other.is_a_services(), "{other:?}");
        }
    }

    #[test]
    fn a_rule_reads_like_what_it_lets_in() {
        let all = Rule {
            protocol: "-1".into(),
            ports: None,
            source: Source::Group("sg-1".into()),
            description: String::new(),
        };
        assert_eq!(all.to_string(), "all traffic from sg-1");
        assert_eq!(
            Rule::new(443, Source::Range("10.0.0.0/8".into()), String::new()).to_string(),
            "tcp 443 from 10.0.0.0/8"
        );
    }
}
