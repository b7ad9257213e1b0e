//! The security group layer: who may talk to the load balancer, the tasks and the database.

mod network;
mod security_group;

use std::rc::Rc;

use aws_sdk_ec2::Client;
use ecs_aws::Session;
use ecs_core::member::{self, Net};
use ecs_core::tool::Tool;
use ecs_core::{All as _, Result, Run, Stack};
use futures::join;
use serde_json::{Value, json};

use crate::security_group::{Rule, SecurityGroup, Source};

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
                        "ec2:DescribeSecurityGroups",
                        "ec2:DescribeSubnets",
                        "sts:GetCallerIdentity"
                    ],
                    "Resource": "*"
                },
                {
                    "Sid": "Write",
                    "Effect": "Allow",
                    "Action": [
                        "ec2:AuthorizeSecurityGroupIngress",
                        "ec2:CreateSecurityGroup",
                        "ec2:CreateTags",
                        "ec2:DeleteSecurityGroup",
                        "ec2:RevokeSecurityGroupIngress",
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
        // What this stack's ecs-net made needs no second look: it put the subnets into this VPC, in two zones or more.
        if net.stack.as_ref() != Some(&stack.name) && !run.destroys() {
            network::check(&ec2, &net).await?;
        }

        let list = Rc::default();
        let group = |name: &str, description: &str| SecurityGroup::new(stack, &net.vpc_id, name, description, &list);
        let (alb, tasks, db) = (
            group(&stack.sg.alb_name, &stack.sg.alb_description),
            group(&stack.sg.tasks_name, &stack.sg.tasks_description),
            group(&stack.sg.db_name, &stack.sg.db_description),
        );
        // All groups first, then the rules that refer to them: so a cycle of references could neither block the way
        // up nor, rules being deleted before groups, the way down.
        let optional_db = async { if stack.db.enabled { run.ensure(&ec2, db).await.map(Some) } else { Ok(None) } };
        let (alb, tasks, db) = join!(run.ensure(&ec2, alb), run.ensure(&ec2, tasks), optional_db);
        let (alb, tasks, db) = (alb, tasks, db).all()?;
        if run.destroys() {
            return security_group::Rules::ensure_references(run, &ec2, [Some(&alb), Some(&tasks), db.as_ref()]).await;
        }

        let internet: Vec<Rule> = stack
            .alb_ports()
            .into_iter()
            .flat_map(|port| {
                let name = if port == 443 { "HTTPS" } else { "HTTP" };
                stack.sg.alb_sources.iter().map(move |range| {
                    let from = if range.prefix_len() == 0 { "internet".to_owned() } else { range.to_string() };
                    Rule::new(port, Source::Range(range.to_string()), format!("Allow {name} from {from}"))
                })
            })
            .collect();
        let from_alb: Vec<Rule> = stack.service_ports().into_iter().map(|port| Rule::from_alb(port, &alb.id)).collect();
        let from_tasks = vec![Rule::new(
            stack.db.port,
            Source::Group(tasks.id.clone()),
            "Allow PostgreSQL from ECS tasks".to_owned(),
        )];
        let db_rules = async {
            match &db {
                Some(db) => run.ensure(&ec2, security_group::Rules::new(db, from_tasks)).await.map(drop),
                None => Ok(()),
            }
        };
        let rules = join!(
            run.ensure(&ec2, security_group::Rules::new(&alb, internet)),
            run.ensure(&ec2, security_group::Rules::new(&tasks, from_alb)),
            db_rules,
        );
        rules.all()?;
        run.publish(&member::Sg {
            new: alb.is_new() || tasks.is_new() || db.as_ref().is_some_and(|db| db.is_new()),
            alb_security_group_id: alb.id.clone(),
            tasks_security_group_id: tasks.id.clone(),
            db_security_group_id: db.map(|db| db.id.clone()),
        })
    }
}

/// The client of EC2.
type Ec2 = ecs_aws::Api<Client>;
