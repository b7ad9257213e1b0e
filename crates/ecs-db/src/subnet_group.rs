//! The DB subnet group: the subnets that the database may stand in, those of a tier of its own where there is one.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_rds::types::DbSubnetGroup as Described;
use ecs_aws::{Answer as _, present};
use ecs_core::id::{SubnetId, VpcId, planned};
use ecs_core::member::Net;
use ecs_core::{Change, Error, Identity, Kind, Owner, Resource, Result, Run, Stack};

use crate::{LAYER, Rds, rds};

/// A DB subnet group.
#[derive(Debug)]
pub struct SubnetGroup {
    identity: Identity,
    description: String,
    vpc: VpcId,
    subnets: BTreeSet<SubnetId>,
}

/// What RDS says the DB subnet group is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its name
    pub name: String,
    arn: String,
    description: String,
    vpc: VpcId,
    subnets: BTreeSet<SubnetId>,
}

impl SubnetGroup {
    /// Makes the DB subnet group over the database subnets, and where the network has none over the private ones.
    ///
    /// # Errors
    /// When there are fewer than two: RDS wants two zones.
    pub fn new(run: &Run<'_>, stack: &Stack, net: &Net) -> Result<Self> {
        let own = !net.database_subnet_ids.is_empty();
        let subnets = if own { &net.database_subnet_ids } else { &net.private_subnet_ids };
        let subnets: BTreeSet<_> = subnets.iter().cloned().collect();
        if subnets.len() < 2 && !run.destroys() {
            return Err(Error::usage(format!("the database needs subnets in two zones, found {}", subnets.len()))
                .hint(
                    "the document's member `net` must list them in `database_subnet_ids` or in `private_subnet_ids`",
                ));
        }
        Ok(Self {
            identity: Identity::new(&stack.name, LAYER, &stack.db.subnet_group),
            description: stack.db.subnet_group_description.clone(),
            vpc: net.vpc_id.clone(),
            subnets,
        })
    }
}

impl From<Described> for Live {
    fn from(group: Described) -> Self {
        let subnets =
            group.subnets().iter().filter_map(|subnet| subnet.subnet_identifier()).map(SubnetId::from).collect();
        Self {
            subnets,
            name: group.db_subnet_group_name.unwrap_or_default(),
            arn: group.db_subnet_group_arn.unwrap_or_default(),
            description: group.db_subnet_group_description.unwrap_or_default(),
            vpc: group.vpc_id.unwrap_or_default().into(),
        }
    }
}

impl Resource for SubnetGroup {
    type Api = Rds;
    type Live = Live;
    const KIND: &'static str = "DB subnet group";
    /// It exists at once; it is deleted when its instance is gone.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.clone()
    }

    fn planned(&self) -> Live {
        Live {
            name: self.identity.name.clone(),
            arn: planned(Self::KIND, &self.identity.name),
            description: self.description.clone(),
            vpc: self.vpc.clone(),
            subnets: self.subnets.clone(),
        }
    }

    async fn find(&self, rds: &Rds) -> Result<Option<Live>> {
        let call = rds.read.describe_db_subnet_groups().db_subnet_group_name(&self.identity.name);
        let reply = call.send().await.answer_if_found("rds:DescribeDBSubnetGroups")?;
        Ok(reply.and_then(|reply| reply.db_subnet_groups.unwrap_or_default().pop()).map(Live::from))
    }

    async fn create(&self, rds: &Rds) -> Result<Live> {
        let call = rds.write.create_db_subnet_group().db_subnet_group_name(&self.identity.name);
        let call = call.db_subnet_group_description(&self.description).set_tags(Some(rds::tags(&self.identity)));
        let call = call.set_subnet_ids(Some(self.subnets.iter().map(ToString::to_string).collect()));
        let reply = call.send().await.answer("rds:CreateDBSubnetGroup").map_err(explain)?;
        Ok(present(reply.db_subnet_group, "rds:CreateDBSubnetGroup", "the DB subnet group")?.into())
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let list = |subnets: &BTreeSet<SubnetId>| subnets.iter().map(SubnetId::as_str).collect::<Vec<_>>().join(", ");
        let vpc = Change::of("VPC", &live.vpc, &self.vpc).map(|change| {
            change.refused("a DB subnet group stays in its VPC: give it another name in the stack file, or delete it")
        });
        let subnets =
            (live.subnets != self.subnets).then(|| Change::update("subnets", list(&live.subnets), list(&self.subnets)));
        let description = Change::of("description", &live.description, &self.description);
        [vpc, subnets, description].into_iter().flatten().collect()
    }

    async fn update(&self, rds: &Rds, live: &Live, _changes: &[Change]) -> Result<()> {
        let call = rds.write.modify_db_subnet_group().db_subnet_group_name(&live.name);
        let call = call.db_subnet_group_description(&self.description);
        let call = call.set_subnet_ids(Some(self.subnets.iter().map(ToString::to_string).collect()));
        call.send().await.answer("rds:ModifyDBSubnetGroup").map_err(explain)?;
        Ok(())
    }

    async fn delete(&self, rds: &Rds, live: &Live) -> Result<()> {
        let call = rds.write.delete_db_subnet_group().db_subnet_group_name(&live.name);
        call.send().await.answer("rds:DeleteDBSubnetGroup")?;
        Ok(())
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, rds: &Rds, live: &Live) -> Result<Owner> {
        rds::read_owner(rds, &self.identity, &live.arn).await
    }

    async fn adopt(&self, rds: &Rds, live: &Live) -> Result<()> {
        rds::adopt(rds, &self.identity, &live.arn).await
    }
}

/// Says what can be done about a refusal.
fn explain(error: Error) -> Error {
    match error.code() {
        // A subnet that RDS does not know, which for a new one means: not yet.
        Some("InvalidSubnet") => error.with_kind(Kind::NotFound),
        Some("DBSubnetGroupDoesNotCoverEnoughAZs") => error.hint("give private subnets in two zones or more"),
        Some("SubnetAlreadyInUse") => {
            error.hint("an instance stands in a subnet that is to be left out: move it first")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::types::Subnet;

    use super::*;

    fn group(subnets: &[&str]) -> SubnetGroup {
        SubnetGroup {
            identity: Identity::new("prod", LAYER, "ecs-db-subnet-group"),
            description: "Subnet group for ECS RDS database".to_owned(),
            vpc: "vpc-1".into(),
            subnets: subnets.iter().map(|id| SubnetId::from(*id)).collect(),
        }
    }

    #[test]
    fn subnets_are_compared_as_a_set() {
        let subnet = |id: &str| Subnet::builder().subnet_identifier(id).subnet_status("Active").build();
        let live = Described::builder()
            .db_subnet_group_name("ecs-db-subnet-group")
            .db_subnet_group_description("Subnet group for ECS RDS database")
            .vpc_id("vpc-1")
            .subnets(subnet("subnet-2"))
            .subnets(subnet("subnet-1"))
            .build();
        let cases: [(&[&str], &[&str]); 3] = [
            (&["subnet-1", "subnet-2"], &[]),
            (&["subnet-2", "subnet-1"], &[]),
            (&["subnet-1", "subnet-3"], &["subnets: subnet-1, subnet-2 -> subnet-1, subnet-3"]),
        ];
        for (subnets, changes) in cases {
            let found: Vec<_> = group(subnets).diff(&live.clone().into()).iter().map(ToString::to_string).collect();
            assert_eq!(found, changes, "{subnets:?}");
        }
    }

    #[test]
    fn the_database_stands_in_subnets_of_its_own_where_there_are_any() {
        use ecs_core::console::{Console, LogFormat, Verbosity};
        use ecs_core::member::Member as _;
        let console = Console::new("ecs-db", Verbosity::Quiet, LogFormat::Text);
        let (inputs, output) = (ecs_core::document::Inputs::default(), ecs_core::document::Output::open(Vec::new()));
        let output = output.expect("opened");
        let stop = ecs_core::stop::Stop::default();
        let gate = ecs_core::run::gate(async { Ok("123456789012".to_owned()) });
        let wishes = ecs_core::run::Wishes::default();
        let run = Run::new(ecs_core::run::Mode::Plan, wishes, &console, (&inputs, &output), &stop, gate);
        let ids = |start: &str| ["1", "2"].map(|end| SubnetId::from(format!("{start}-{end}").as_str())).to_vec();
        let mut net = Net { private_subnet_ids: ids("private"), ..Net::unknown() };
        let subnets = |net: &Net| SubnetGroup::new(&run, &Stack::default(), net).expect("two").subnets;
        assert_eq!(subnets(&net), BTreeSet::from_iter(ids("private")));
        net.database_subnet_ids = ids("database");
        assert_eq!(subnets(&net), BTreeSet::from_iter(ids("database")));
    }

    #[test]
    fn another_vpc_is_refused() {
        let group = group(&["subnet-1", "subnet-2"]);
        let live = Live { vpc: "vpc-2".into(), ..group.planned() };
        assert!(matches!(group.diff(&live).as_slice(), [Change { means: ecs_core::resource::Means::Refuse(_), .. }]));
    }
}
