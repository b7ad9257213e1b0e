//! The security group layer: who may talk to the load balancer, the tasks and the database.

mod former;
mod given;
mod network;
mod rule;
mod rules;
mod security_group;
mod wanted;

use std::collections::BTreeMap;
use std::rc::Rc;

use aws_sdk_ec2::Client;
use ecs_aws::Session;
use ecs_core::id::SecurityGroupId;
use ecs_core::member::{self, Net};
use ecs_core::stack::{Peer, SgGroup};
use ecs_core::tool::Tool;
use ecs_core::{All as _, Held, Result, Run, Stack};
use futures::future::{OptionFuture, join_all};
use futures::join;
use serde_json::{Value, json};

use crate::former::Former;
use crate::given::Given;
use crate::rules::Rules;
use crate::security_group::{List, SecurityGroup};
use crate::wanted::Places;

/// Name of the layer in the identity tags.
const LAYER: &str = "sg";

/// The tool `ecs-sg`.
#[derive(Debug)]
pub struct Sg;

/// Flags that only ecs-sg has: none.
#[derive(Debug, clap::Args)]
pub struct Options {}

impl Tool for Sg {
    const NAME: &'static str = "ecs-sg";
    const ABOUT: &'static str = "Create or update the security groups of an ECS stack";
    const EXAMPLES: &'static str = "  ecs-net --stack prod.toml | ecs-sg > stack.json
  echo '{\"net\":{\"vpc_id\":\"vpc-0a1\",\"private_subnet_ids\":[\"subnet-0b2\",\"subnet-0c3\"]}}' | ecs-sg --stack prod.toml
  ecs-sg destroy --stack prod.toml";
    const MEMBERS: &'static [&'static str] = &["sg"];
    const STOOD_ON_BY: &'static [&'static str] = &["svc", "alb", "db"];
    type Options = Options;
    type Cloud = Session;

    fn policy() -> Value {
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Read",
                    "Effect": "Allow",
                    "Action": [
                        "ec2:DescribeNetworkInterfaces",
                        "ec2:DescribeRouteTables",
                        "ec2:DescribeSecurityGroups",
                        "ec2:DescribeSubnets",
                        "ec2:DescribeVpcAttribute",
                        "ec2:DescribeVpcEndpoints",
                        "ec2:DescribeVpcs",
                        "sts:GetCallerIdentity"
                    ],
                    "Resource": "*"
                },
                {
                    "Sid": "Write",
                    "Effect": "Allow",
                    "Action": [
                        "ec2:AuthorizeSecurityGroupEgress",
                        "ec2:AuthorizeSecurityGroupIngress",
                        "ec2:CreateSecurityGroup",
                        "ec2:CreateTags",
                        "ec2:DeleteSecurityGroup",
                        "ec2:RevokeSecurityGroupEgress",
                        "ec2:RevokeSecurityGroupIngress",
                        "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
                        "ec2:UpdateSecurityGroupRuleDescriptionsIngress"
                    ],
                    "Resource": "*"
                }
            ]
        })
    }

    fn schema() -> Value {
        json!({ "sg": member::schema::<member::Sg>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, _options: &Options) -> Result<()> {
        let ec2 = session.api(Client::new);
        let net: Net = run.input().await?;
        run.expect_lag(net.new);
        let list = Rc::default();
        if run.destroys() {
            return destroy(run, &ec2, stack, &net, &list).await;
        }
        // What this stack's ecs-net made needs no second look: it made the subnets in this VPC, with their routes.
        let ours = net.stack.as_ref() == Some(&stack.name) && !net.private_cidrs.is_empty();
        let private = if ours { net.private_cidrs.clone() } else { network::check(&ec2, &net, stack).await? };

        // All groups first, then the rules that refer to them: so a cycle of references cannot block the way up.
        let (alb, tasks, db) = join!(
            Group::ensure(run, &ec2, stack, &net, SgGroup::Alb, &list),
            Group::ensure(run, &ec2, stack, &net, SgGroup::Tasks, &list),
            async {
                let db = stack.db.enabled.then(|| Group::ensure(run, &ec2, stack, &net, SgGroup::Db, &list));
                OptionFuture::from(db).await.transpose()
            },
        );
        let (alb, tasks, db) = (alb, tasks, db).all()?;
        let groups: Vec<(SgGroup, &Group)> =
            [(SgGroup::Alb, Some(&alb)), (SgGroup::Tasks, Some(&tasks)), (SgGroup::Db, db.as_ref())]
                .into_iter()
                .filter_map(|(group, made)| Some((group, made?)))
                .collect();
        let named = if stack.sg.rules.iter().any(|rule| matches!(rule.peer(), Peer::Named(_))) {
            security_group::by_name(&ec2, &net.vpc_id, &list).await?
        } else {
            BTreeMap::new()
        };
        let ids = groups.iter().map(|(group, made)| (*group, made.id().clone())).collect();
        let places = Places { groups: ids, named, private };
        let rules = groups.iter().map(async |(group, made)| match made {
            Group::Made(held) => {
                let rules = places.rules(stack, *group)?;
                run.ensure(&ec2, Rules::new(held, rules)).await.map(drop)
            }
            Group::Given(given) => {
                given.warn(run, stack, &places);
                Ok(())
            }
        });
        join_all(rules).await.all()?;
        let needed = groups.iter().filter(|(_, made)| matches!(made, Group::Made(_)));
        let needed = needed.map(|(group, _)| stack.sg.name(*group).to_owned()).collect();
        let former = Former::new(stack, &net.vpc_id, needed, &list);
        run.publish(&member::Sg {
            new: groups.iter().any(|(_, group)| group.is_new()),
            alb_security_group_id: alb.id().clone(),
            tasks_security_group_id: tasks.id().clone(),
            db_security_group_id: db.as_ref().map(|db| db.id().clone()),
        })?;
        // Last: a rule of another group may have referred to one.
        former.ensure(run, &ec2).await
    }
}

/// One of the stack's groups.
enum Group {
    /// One that the stack makes
    Made(Held<SecurityGroup>),
    /// One that somebody else has made
    Given(Given),
}

impl Group {
    async fn ensure(run: &Run<'_>, ec2: &Ec2, stack: &Stack, net: &Net, group: SgGroup, list: &List) -> Result<Self> {
        match Given::look(ec2, stack, &net.vpc_id, group, list).await? {
            Some(given) => Ok(Self::Given(given)),
            None => {
                let made = run.ensure(ec2, SecurityGroup::new(stack, &net.vpc_id, group, list)).await?;
                Ok(Self::Made(made))
            }
        }
    }

    fn id(&self) -> &SecurityGroupId {
        match self {
            Self::Made(held) => &held.id,
            Self::Given(given) => &given.id,
        }
    }

    fn is_new(&self) -> bool {
        match self {
            Self::Made(held) => held.is_new(),
            Self::Given(_) => false,
        }
    }
}

/// Looks for what is to be deleted: the groups, and in them the rules that refer to groups, which go first.
///
/// A file of before may have had groups under other names, or where it now names somebody else's.
async fn destroy(run: &Run<'_>, ec2: &Ec2, stack: &Stack, net: &Net, list: &List) -> Result<()> {
    let known = SgGroup::ALL.map(|group| SecurityGroup::new(stack, &net.vpc_id, group, list));
    let ours = security_group::ours(ec2, &net.vpc_id, &stack.name, list).await;
    let ours = ours.map_err(|error| error.doing("reading the stack's security groups"))?;
    let others = ours.keys().filter(|name| SgGroup::ALL.into_iter().all(|group| stack.sg.name(group) != *name));
    let others = others.map(|name| SecurityGroup::former(stack, &net.vpc_id, name, list));
    let groups = known.into_iter().chain(others).map(|group| run.ensure(ec2, group));
    let groups = join_all(groups.collect::<Vec<_>>()).await.all()?;
    join_all(groups.iter().map(|group| run.ensure(ec2, Rules::for_destroy(group)))).await.all()?;
    Ok(())
}

/// The client of EC2.
type Ec2 = ecs_aws::Api<Client>;
