//! The VPC's flow log, with the log group and the role that it writes with.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{
    FlowLog as Described, FlowLogsResourceType, LogDestinationType, ResourceType, Tag, TrafficType, UnsuccessfulItem,
};
use ecs_aws::log_group::LogGroup;
use ecs_aws::{Answer as _, Api, Session, classify, present};
use ecs_core::id::VpcId;
use ecs_core::{All as _, Change, Error, Held, Identity, Kind, Listing, Owner, Resource, Result, Run, Stack, tag};
use futures::future::join_all;
use futures::join;

use crate::flow_log_role::{FlowLogRole, Iam};
use crate::vpc::{self, Vpc};
use crate::{Ec2, LAYER, ec2};

/// Status of a flow log whose records do not arrive:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_FlowLog.html>
const FAILED: &str = "FAILED";

/// The client of CloudWatch Logs.
type Logs = Api<aws_sdk_cloudwatchlogs::Client>;

/// The stack's flow logs, listed once.
type List = Rc<Listing<Vec<Described>>>;

/// The clients that flow logs take.
#[derive(Debug, Clone)]
pub struct Clients {
    ec2: Ec2,
    iam: Iam,
    logs: Logs,
}

impl Clients {
    /// Makes them.
    pub fn new(session: &Session, ec2: &Ec2) -> Self {
        let iam = session.api(aws_sdk_iam::Client::new);
        Self { ec2: ec2.clone(), iam, logs: session.api(aws_sdk_cloudwatchlogs::Client::new) }
    }
}

/// Makes the flow log that the stack file has; without one, reports what there is of before, or as told removes it.
///
/// # Errors
/// Any refusal by AWS.
pub async fn ensure(run: &Run<'_>, clients: &Clients, (stack, vpc): (&Stack, &Held<Vpc>)) -> Result<()> {
    let list = vpc::listing(vpc);
    let Some(config) = &stack.net.flow_logs else {
        // A plain apply makes no call for what it has no word of; a plan looks, and so does who would remove it.
        let asks = !run.applies() || run.prunes();
        return if asks { former(run, clients, stack, (&list, None)).await } else { Ok(()) };
    };
    let target = match &config.bucket_arn {
        Some(arn) => Target::Bucket(arn.clone()),
        None => {
            let account = run.account().await?;
            let (group, days) = (config.log_group(stack), config.retention_days);
            let role = FlowLogRole::new(stack, config.role(stack), Some((&account, &group)));
            let made = LogGroup::new(Identity::new(&stack.name, LAYER, &group), days);
            let (role, made) = join!(run.ensure(&clients.iam, role), run.ensure(&clients.logs, made));
            let (role, _) = (role, made).all()?;
            Target::LogGroup { group, role: role.arn.to_string() }
        }
    };
    let traffic = config.traffic.name().into();
    let held = run.ensure(clients, FlowLog::new(stack, &vpc.id, (traffic, target), &list)).await?;
    if let Some(why) = &held.failure {
        let line = format!("flow log {} ({}) writes nothing down: {why}", identity(stack).name, held.id);
        run.console().warn(&line);
    }
    // What it wrote elsewhere stays until it is asked for: only the flow log of before tells where that is.
    former(run, clients, stack, (&list, Some(&held))).await
}

/// Lets a destroy find the flow log, and after it the role and the group: those that the file names, and those that the flow
/// log itself names.
///
/// # Errors
/// Any refusal by AWS.
pub async fn look(run: &Run<'_>, clients: &Clients, (stack, vpc): (&Stack, &Held<Vpc>)) -> Result<()> {
    let list = vpc::listing(vpc);
    let mut helpers: Vec<(String, String)> = Vec::new();
    if let Some(config) = stack.net.flow_logs.as_ref().filter(|config| config.bucket_arn.is_none()) {
        helpers.push((config.role(stack), config.log_group(stack)));
    }
    let ours = ours(&clients.ec2, stack, &list).await?;
    for (_, one) in &ours {
        helpers.extend(one.target.helpers().filter(|pair| !helpers.contains(pair)));
    }
    let found = helpers.into_iter().map(|(role, group)| async move {
        let role = FlowLogRole::new(stack, role, None);
        let group = LogGroup::new(Identity::new(&stack.name, LAYER, group), 0);
        let (role, group) = join!(run.ensure(&clients.iam, role), run.ensure(&clients.logs, group));
        (role.map(drop), group.map(drop)).all().map(drop)
    });
    join_all(found).await.all()?;
    let each = ours.iter().map(|(vpc, one)| {
        let what = (one.traffic.clone(), one.target.clone());
        run.ensure(clients, FlowLog::new(stack, vpc, what, &list))
    });
    join_all(each).await.all().map(drop)
}

/// Reports the flow logs of before, or as told removes them: all but the one that is wanted.
async fn former(run: &Run<'_>, clients: &Clients, stack: &Stack, (list, wanted): (&List, Option<&Live>)) -> Result<()> {
    let former = Former { stack: stack.clone(), list: Rc::clone(list), wanted: wanted.cloned() };
    if former.look(&clients.ec2).await?.is_empty() {
        return Ok(());
    }
    run.ensure(clients, former).await.map(drop)
}

/// Returns the flow logs of the stack, with what each of them is.
async fn ours(ec2: &Ec2, stack: &Stack, list: &List) -> Result<Vec<(VpcId, Live)>> {
    let all = flow_logs(ec2, &stack.name, list).await?;
    let identity = identity(stack);
    let ours = all.iter().filter(|one| ec2::is(&identity, one.tags()));
    Ok(ours.map(|one| (one.resource_id().unwrap_or_default().into(), Live::read(one))).collect())
}

fn identity(stack: &Stack) -> Identity {
    Identity::new(&stack.name, LAYER, format!("{}-flow-log", stack.name))
}

async fn flow_logs(ec2: &Ec2, stack: &str, list: &List) -> Result<Rc<Vec<Described>>> {
    list.get(async || {
        let ours = ec2::filter(format!("tag:{}", tag::STACK), stack);
        let all = ec2.read.describe_flow_logs().filter(ours).into_paginator().items().send();
        all.collect::<std::result::Result<Vec<_>, _>>().await.answer("ec2:DescribeFlowLogs")
    })
    .await
}

/// Where a flow log writes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// Into a log group, with a role's permissions
    LogGroup { group: String, role: String },
    /// Into an S3 bucket, which AWS itself may write to
    Bucket(String),
}

impl Target {
    /// Returns the names of the role and the group, if it has them.
    fn helpers(&self) -> Option<(String, String)> {
        match self {
            Self::LogGroup { group, role } => {
                Some((role.rsplit('/').next().unwrap_or_default().to_owned(), group.clone()))
            }
            Self::Bucket(_) => None,
        }
    }

    /// Says whether two write into the same place, be it with other roles.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::LogGroup { group: one, .. }, Self::LogGroup { group: other, .. }) => one == other,
            (Self::Bucket(one), Self::Bucket(other)) => one == other,
            (Self::LogGroup { .. }, Self::Bucket(_)) | (Self::Bucket(_), Self::LogGroup { .. }) => false,
        }
    }
}

/// The flow log of a VPC.
#[derive(Debug)]
struct FlowLog {
    stack: Stack,
    vpc: VpcId,
    traffic: TrafficType,
    target: Target,
    list: List,
}

/// What EC2 says the flow log is.
#[derive(Debug, Clone)]
struct Live {
    id: String,
    traffic: TrafficType,
    target: Target,
    /// Why nothing is written down, if EC2 says so
    failure: Option<String>,
    tags: Vec<Tag>,
}

impl Live {
    fn read(one: &Described) -> Self {
        let target = match one.log_group_name() {
            Some(group) => Target::LogGroup {
                group: group.to_owned(),
                role: one.deliver_logs_permission_arn().unwrap_or_default().to_owned(),
            },
            None => Target::Bucket(one.log_destination().unwrap_or_default().to_owned()),
        };
        let failed = one.deliver_logs_status() == Some(FAILED);
        Self {
            id: one.flow_log_id().unwrap_or_default().to_owned(),
            traffic: one.traffic_type().cloned().unwrap_or(TrafficType::All),
            target,
            failure: failed.then(|| one.deliver_logs_error_message().unwrap_or("AWS gives no reason").to_owned()),
            tags: one.tags().to_vec(),
        }
    }
}

impl FlowLog {
    fn new(stack: &Stack, vpc: &VpcId, (traffic, target): (TrafficType, Target), list: &List) -> Self {
        Self { stack: stack.clone(), vpc: vpc.clone(), traffic, target, list: Rc::clone(list) }
    }

    /// Makes it; `before` is the one whose place it takes, if any.
    async fn make(&self, ec2: &Ec2, before: &str) -> Result<String> {
        const CALL: &str = "ec2:CreateFlowLogs";
        let parts = [self.vpc.as_str(), self.traffic.as_str(), &format!("{:?}", self.target), before, &ec2::minutes()?];
        let call = ec2.write.create_flow_logs().client_token(identity(&self.stack).token(&parts));
        let call = call.resource_type(FlowLogsResourceType::Vpc).resource_ids(self.vpc.as_str());
        let call = call.traffic_type(self.traffic.clone());
        let call = match &self.target {
            Target::LogGroup { group, role } => {
                let call = call.log_destination_type(LogDestinationType::CloudWatchLogs);
                call.log_group_name(group).deliver_logs_permission_arn(role)
            }
            Target::Bucket(arn) => call.log_destination_type(LogDestinationType::S3).log_destination(arn),
        };
        let call = call.tag_specifications(ec2::tags(&identity(&self.stack), ResourceType::VpcFlowLog));
        let reply = call.send().await.answer(CALL).map_err(|error| match error.code() {
            // A role takes its time to be known everywhere: <https://github.com/hashicorp/terraform-provider-aws/pull/25126>
            Some("InvalidParameter") if error.message().contains("Unable to assume") => error.with_kind(Kind::NotYet),
            Some("FlowLogAlreadyExists") => error.with_kind(Kind::AlreadyExists),
            _ => error,
        })?;
        refused(reply.unsuccessful(), CALL)?;
        present(reply.flow_log_ids().first().cloned(), CALL, "the flow log's id")
    }
}

impl Resource for FlowLog {
    type Api = Clients;
    type Live = Live;
    const KIND: &'static str = "flow log";
    /// It exists at once and is deleted at once; a new role may take a minute or two to be known.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        identity(&self.stack).name
    }

    fn id(&self, live: &Live) -> String {
        live.id.clone()
    }

    fn planned(&self) -> Live {
        Live {
            id: ecs_core::id::planned(Self::KIND, &identity(&self.stack).name),
            traffic: self.traffic.clone(),
            target: self.target.clone(),
            failure: None,
            tags: Vec::new(),
        }
    }

    /// Returns the flow log that is wanted, or else the one that writes into the same place: EC2 takes no second one there
    /// (`FlowLogAlreadyExists`). One that writes elsewhere is another one.
    async fn find(&self, clients: &Clients) -> Result<Option<Live>> {
        let all = flow_logs(&clients.ec2, &self.stack.name, &self.list).await?;
        let identity = identity(&self.stack);
        let of_vpc = all.iter().filter(|one| one.resource_id() == Some(self.vpc.as_str()));
        let ours = of_vpc.filter(|one| ec2::is(&identity, one.tags())).map(Live::read);
        let (same, others): (Vec<_>, Vec<_>) = ours
            .filter(|live| live.target.is_same_place(&self.target))
            .partition(|live| live.target == self.target && live.traffic == self.traffic);
        Ok(same.into_iter().chain(others).next())
    }

    async fn create(&self, clients: &Clients) -> Result<Live> {
        Ok(Live { id: self.make(&clients.ec2, "").await?, ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let word = |target: &Target| match target {
            Target::LogGroup { group, role } => format!("{group} with {role}"),
            Target::Bucket(arn) => arn.clone(),
        };
        let traffic = Change::of("traffic", &live.traffic.as_str(), &self.traffic.as_str());
        traffic.into_iter().chain(Change::of("destination", &word(&live.target), &word(&self.target))).collect()
    }

    /// Replaces it: nothing of a flow log can be changed.
    ///
    /// <https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-basics.html>
    async fn update(&self, clients: &Clients, live: &Live, _changes: &[Change]) -> Result<()> {
        // Before the flow log goes, which alone tells the name of the role that another one has taken the place of.
        if let (Some((before, _)), Some((role, _))) = (live.target.helpers(), self.target.helpers())
            && before != role
        {
            FlowLogRole::new(&self.stack, before, None).remove_ours(&clients.iam).await?;
        }
        delete(&clients.ec2, &live.id).await?;
        self.make(&clients.ec2, &live.id).await.map(drop)
    }

    async fn delete(&self, clients: &Clients, live: &Live) -> Result<()> {
        delete(&clients.ec2, &live.id).await
    }

    fn owner(&self, live: &Live) -> Owner {
        ec2::owner(&identity(&self.stack), &live.tags)
    }

    async fn adopt(&self, clients: &Clients, live: &Live) -> Result<()> {
        ec2::adopt(&clients.ec2, &live.id, &identity(&self.stack)).await
    }

    fn forget(&self) {
        self.list.forget();
    }
}

async fn delete(ec2: &Ec2, id: &str) -> Result<()> {
    const CALL: &str = "ec2:DeleteFlowLogs";
    match ec2.write.delete_flow_logs().flow_log_ids(id).send().await.answer_if_found(CALL)? {
        Some(reply) => refused(reply.unsuccessful(), CALL),
        None => Ok(()),
    }
}

/// Makes an error of a refusal that stands in a reply that is none.
fn refused(items: &[UnsuccessfulItem], call: &'static str) -> Result<()> {
    let Some(error) = items.first().and_then(|item| item.error()) else { return Ok(()) };
    let message = error.message().unwrap_or("EC2 gives no reason");
    Err(Error::new(classify(error.code(), None), message).answered(error.code().map(str::to_owned), call, None))
}

/// The flow logs of before: of a stack whose file has none any more, or has one that writes elsewhere.
#[derive(Debug)]
struct Former {
    stack: Stack,
    list: List,
    /// The one that the file has
    wanted: Option<Live>,
}

impl Former {
    async fn look(&self, ec2: &Ec2) -> Result<Vec<Live>> {
        let ours = ours(ec2, &self.stack, &self.list).await?;
        let wanted = self.wanted.as_ref().map(|wanted| &wanted.id);
        Ok(ours.into_iter().map(|(_, live)| live).filter(|live| Some(&live.id) != wanted).collect())
    }

    /// Removes the role and the group of one that are the stack's, but for what the wanted one has too.
    async fn remove_helpers(&self, clients: &Clients, one: &Live) -> Result<()> {
        let Some((role, group)) = one.target.helpers() else { return Ok(()) };
        let kept = self.wanted.as_ref().and_then(|wanted| wanted.target.helpers());
        let (kept_role, kept_group) = kept.unwrap_or_default();
        if role != kept_role {
            FlowLogRole::new(&self.stack, role, None).remove_ours(&clients.iam).await?;
        }
        if group != kept_group {
            let group = LogGroup::new(Identity::new(&self.stack.name, LAYER, group), 0);
            if let Some(found) = group.find(&clients.logs).await?
                && group.read_owner(&clients.logs, &found).await? == Owner::Ours
            {
                group.delete(&clients.logs, &found).await?;
            }
        }
        Ok(())
    }
}

impl Resource for Former {
    type Api = Clients;
    type Live = Vec<Live>;
    const KIND: &'static str = "what else is in VPC";
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        self.stack.vpc_name()
    }

    fn id(&self, live: &Vec<Live>) -> String {
        live.iter().map(|one| format!("flow log {}", one.id)).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Vec<Live> {
        Vec::new()
    }

    async fn find(&self, clients: &Clients) -> Result<Option<Vec<Live>>> {
        self.look(&clients.ec2).await.map(Some)
    }

    /// Makes nothing: what is sought is too much.
    async fn create(&self, _clients: &Clients) -> Result<Vec<Live>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<Live>) -> Vec<Change> {
        let name = identity(&self.stack).name;
        live.iter().map(|one| Change::former("flow log", format!("{name} ({})", one.id))).collect()
    }

    /// Removes the roles and the groups that are the stack's, and the flow logs after them: they alone tell their names.
    async fn update(&self, clients: &Clients, live: &Vec<Live>, _changes: &[Change]) -> Result<()> {
        for one in live {
            self.remove_helpers(clients, one).await?;
            delete(&clients.ec2, &one.id).await?;
        }
        Ok(())
    }

    async fn delete(&self, _clients: &Clients, _live: &Vec<Live>) -> Result<()> {
        // A destroy looks for each thing by itself.
        Ok(())
    }

    fn owner(&self, _live: &Vec<Live>) -> Owner {
        // Nothing is found but what is tagged as the stack's.
        Owner::Ours
    }

    async fn adopt(&self, _clients: &Clients, _live: &Vec<Live>) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.list.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(group: &str, role: &str) -> Target {
        Target::LogGroup { group: group.to_owned(), role: format!("arn:aws:iam::1:role/{role}") }
    }

    #[test]
    fn a_flow_log_that_writes_something_else_or_with_another_role_takes_the_place() {
        let wanted = (TrafficType::All, to("/vpc/prod", "r"));
        let flow_log = FlowLog::new(&Stack::default(), &"vpc-1".into(), wanted, &List::default());
        let live = |traffic, target| Live { traffic, target, ..flow_log.planned() };
        assert_eq!(flow_log.diff(&live(TrafficType::All, to("/vpc/prod", "r"))), []);
        assert_eq!(
            flow_log.diff(&live(TrafficType::Reject, to("/vpc/prod", "s"))),
            [
                Change::update("traffic", "REJECT", "ALL"),
                Change::update(
                    "destination",
                    "/vpc/prod with arn:aws:iam::1:role/s",
                    "/vpc/prod with arn:aws:iam::1:role/r"
                ),
            ]
        );
        assert_eq!(flow_log.target.helpers(), Some(("r".to_owned(), "/vpc/prod".to_owned())));
    }

    #[test]
    fn one_that_writes_into_another_place_is_another_one() {
        let bucket = |arn: &str| Target::Bucket(arn.to_owned());
        assert!(to("/vpc/prod", "r").is_same_place(&to("/vpc/prod", "s")));
        assert!(!to("/vpc/prod", "r").is_same_place(&to("/vpc/other", "r")));
        assert!(!to("/vpc/prod", "r").is_same_place(&bucket("arn:aws:s3:::b")));
        assert!(!bucket("arn:aws:s3:::a").is_same_place(&bucket("arn:aws:s3:::b")));
    }

    #[test]
    fn one_whose_records_do_not_arrive_says_why() {
        let read = |status: &str| {
            let one = Described::builder().deliver_logs_status(status).deliver_logs_error_message("Access error");
            Live::read(&one.build()).failure
        };
        assert_eq!(read(FAILED).as_deref(), Some("Access error"));
        assert_eq!(read("SUCCESS"), None);
    }
}
