//! The CloudWatch alarms on a service: those that roll its deployment back, and those that tell people.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricStat, Statistic, Tag,
};
use ecs_aws::Answer as _;
use ecs_core::id::{LoadBalancerArn, TargetGroupArn};
use ecs_core::stack::{Alarms as Config, Service, ServiceAlarms};
use ecs_core::{All as _, Change, Error, Identity, Listing, Owner, Resource, Result, Stack};
use futures::future::join_all;

use crate::{CloudWatch, LAYER};

/// How many names DescribeAlarms takes, and how many alarms it returns:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>
const NAMES: usize = 100;
/// Where Elastic Load Balancing puts its metrics:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html>
const LOAD_BALANCING: &str = "AWS/ApplicationELB";
/// Where ECS puts the utilisation of services:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html>
const ECS: &str = "AWS/ECS";
/// Seconds that one data point is about: the load balancer and ECS report once a minute.
const PERIOD: i32 = 60;

/// What differs, as [`Change::field`].
const ACTION: &str = "alarm action";
const OK_ACTION: &str = "OK action";

/// What an alarm watches, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// 5xx answers of the targets, in a minute, during a deployment
    Errors,
    /// Targets that fail their health checks, during a deployment
    UnhealthyHosts,
    /// CPU utilisation, for people
    Cpu,
    /// Memory utilisation, for people
    Memory,
    /// 5xx answers of the targets, in a minute, for people
    ErrorsForPeople,
    /// Targets that fail their health checks, for people
    UnhealthyHostsForPeople,
}

impl Watched {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Errors,
        Self::UnhealthyHosts,
        Self::Cpu,
        Self::Memory,
        Self::ErrorsForPeople,
        Self::UnhealthyHostsForPeople,
    ];

    /// Returns those that the stack file asks for to roll a deployment back, with the number that is too much.
    pub fn wanted(config: &Config) -> impl Iterator<Item = (Self, u32)> {
        let limits = [(Self::Errors, config.errors_5xx), (Self::UnhealthyHosts, config.unhealthy_hosts)];
        limits.into_iter().filter(|(_, limit)| *limit > 0)
    }

    /// Returns those that the stack file asks for to tell people, with the number that is too much.
    pub fn for_people(config: &ServiceAlarms) -> impl Iterator<Item = (Self, u32)> {
        let limits = [
            (Self::Cpu, config.cpu),
            (Self::Memory, config.memory),
            (Self::ErrorsForPeople, config.errors_5xx),
            (Self::UnhealthyHostsForPeople, config.unhealthy_hosts),
        ];
        limits.into_iter().filter_map(|(watched, limit)| Some((watched, limit?)))
    }

    /// Returns the name of its alarm.
    pub fn alarm(self, service: &str) -> String {
        match self {
            Self::Errors => format!("{service}-5xx"),
            Self::UnhealthyHosts => format!("{service}-unhealthy-hosts"),
            Self::Cpu => format!("{service}-cpu-high"),
            Self::Memory => format!("{service}-memory-high"),
            Self::ErrorsForPeople => format!("{service}-5xx-high"),
            Self::UnhealthyHostsForPeople => format!("{service}-unhealthy-hosts-high"),
        }
    }

    /// Says whether somebody is to be told, and no deployment rolled back.
    fn is_for_people(self) -> bool {
        match self {
            Self::Errors | Self::UnhealthyHosts => false,
            Self::Cpu | Self::Memory | Self::ErrorsForPeople | Self::UnhealthyHostsForPeople => true,
        }
    }

    /// Says whether it is a metric of the load balancer's, and not of ECS's.
    fn is_load_balancing(self) -> bool {
        match self {
            Self::Errors | Self::UnhealthyHosts | Self::ErrorsForPeople | Self::UnhealthyHostsForPeople => true,
            Self::Cpu | Self::Memory => false,
        }
    }

    fn namespace(self) -> &'static str {
        if self.is_load_balancing() { LOAD_BALANCING } else { ECS }
    }

    fn metric(self) -> &'static str {
        match self {
            Self::Errors | Self::ErrorsForPeople => "HTTPCode_Target_5XX_Count",
            Self::UnhealthyHosts | Self::UnhealthyHostsForPeople => "UnHealthyHostCount",
            Self::Cpu => "CPUUtilization",
            Self::Memory => "MemoryUtilization",
        }
    }

    fn statistic(self) -> Statistic {
        match self {
            Self::Errors | Self::ErrorsForPeople => Statistic::Sum,
            Self::UnhealthyHosts | Self::UnhealthyHostsForPeople => Statistic::Maximum,
            Self::Cpu | Self::Memory => Statistic::Average,
        }
    }

    /// Returns how data points that are missing count.
    ///
    /// Without requests there are no 5xx answers to report, and without targets no unhealthy ones: both are well. Of a
    /// service without tasks nobody knows how busy it is: "missing", CloudWatch's own default.
    fn missing(self) -> &'static str {
        if self.is_load_balancing() { "notBreaching" } else { "missing" }
    }

    /// Returns the expression over the metrics of both target groups.
    ///
    /// A function of an array of metrics takes those that have a data point, so that one target group without requests
    /// does not hide the other; `m1 + m2` needs both. `FILL` would not do: the latest minute, which has no data point
    /// yet, would always count as a good one
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>).
    fn expression(self) -> &'static str {
        match self {
            Self::Errors | Self::ErrorsForPeople => "SUM([m1, m2])",
            Self::UnhealthyHosts | Self::UnhealthyHostsForPeople | Self::Cpu | Self::Memory => "MAX([m1, m2])",
        }
    }
}

/// The alarms of the stack's services, described together.
#[derive(Debug)]
pub struct Alarms {
    names: Vec<String>,
    list: Listing<Vec<MetricAlarm>>,
}

impl Alarms {
    /// Makes the list of the stack's alarms: those that the file has, and those that a file of before may have had.
    pub fn new(stack: &Stack) -> Rc<Self> {
        let services = stack.services.iter().map(|(key, service)| service.service_name(key));
        let names = services.flat_map(|service| Watched::ALL.map(|watched| watched.alarm(&service)));
        Rc::new(Self { names: names.collect(), list: Listing::default() })
    }

    /// Makes the list of the alarms that one service may have.
    pub fn of(service: &str) -> Rc<Self> {
        let names = Watched::ALL.map(|watched| watched.alarm(service)).to_vec();
        Rc::new(Self { names, list: Listing::default() })
    }

    /// Returns what is watched of a service that the file does not ask for.
    pub async fn surplus(&self, api: &CloudWatch, service: &Service, name: &str) -> Result<Vec<Watched>> {
        let config = service.rollback_alarms();
        let wanted = config.iter().flat_map(Watched::wanted);
        let wanted: Vec<Watched> =
            wanted.chain(service.alarms.iter().flat_map(Watched::for_people)).map(|(watched, _)| watched).collect();
        let mut surplus = Vec::new();
        for watched in Watched::ALL.into_iter().filter(|watched| !wanted.contains(watched)) {
            if self.find(api, &watched.alarm(name)).await?.is_some() {
                surplus.push(watched);
            }
        }
        Ok(surplus)
    }

    /// Makes the next caller look again.
    pub fn forget(&self) {
        self.list.forget();
    }

    async fn find(&self, api: &CloudWatch, name: &str) -> Result<Option<MetricAlarm>> {
        let list = self.list.get(async || self.describe(api).await).await?;
        Ok(list.iter().find(|alarm| alarm.alarm_name() == Some(name)).cloned())
    }

    async fn describe(&self, api: &CloudWatch) -> Result<Vec<MetricAlarm>> {
        let some = self.names.chunks(NAMES).map(async |names| {
            let call = api.read.describe_alarms().set_alarm_names(Some(names.to_vec())).max_records(100);
            let reply = call.send().await.answer("cloudwatch:DescribeAlarms")?;
            Ok(reply.metric_alarms.unwrap_or_default())
        });
        Ok(join_all(some).await.all()?.into_iter().flatten().collect())
    }
}

/// An alarm on one service.
#[derive(Debug)]
pub struct Alarm {
    identity: Identity,
    watched: Watched,
    limit: f64,
    periods: i32,
    /// What the load balancer is called in a metric
    balancer: String,
    /// What the target groups are called in a metric: one, or the two between which ECS shifts
    groups: Vec<String>,
    cluster: String,
    service: String,
    /// ARN of the SNS topic that is told; none for nobody
    topic: Option<String>,
    list: Rc<Alarms>,
}

/// What CloudWatch says the alarm is.
#[derive(Debug, Clone)]
pub struct Live {
    alarm: MetricAlarm,
    new: bool,
}

impl Alarm {
    /// Makes an alarm of a service, on its target groups or on its tasks.
    ///
    /// # Errors
    /// When nobody says of which load balancer.
    pub fn new(
        stack: &Stack,
        service: &str,
        (watched, limit, periods): (Watched, u32, u32),
        (balancer, groups): (Option<&LoadBalancerArn>, Vec<&TargetGroupArn>),
        list: &Rc<Alarms>,
    ) -> Result<Self> {
        let balancer = match balancer {
            Some(balancer) => load_balancer(balancer.as_str()),
            None if !watched.is_load_balancing() => String::new(),
            None => {
                return Err(Error::usage("the document's member `alb` has no load_balancer_arn")
                    .hint("the alarms watch the answers behind that load balancer"));
            }
        };
        let mut groups: Vec<String> = groups.into_iter().map(|group| target_group(group.as_str())).collect();
        // Which of the two serves changes from deployment to deployment.
        groups.sort();
        groups.dedup();
        let alarm = Self::sought(stack, service, watched, list);
        let periods = i32::try_from(periods).unwrap_or(i32::MAX);
        Ok(Self { limit: f64::from(limit), periods, balancer, groups, ..alarm })
    }

    /// Lets it tell an SNS topic.
    #[must_use]
    pub fn telling(self, topic: Option<&String>) -> Self {
        Self { topic: topic.cloned(), ..self }
    }

    /// Makes one that is only looked for.
    pub fn sought(stack: &Stack, service: &str, watched: Watched, list: &Rc<Alarms>) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, watched.alarm(service)),
            watched,
            limit: 0.0,
            periods: 0,
            balancer: String::new(),
            groups: Vec::new(),
            cluster: stack.cluster_name(),
            service: service.to_owned(),
            topic: None,
            list: Rc::clone(list),
        }
    }

    fn dimensions(&self, group: &str) -> Vec<Dimension> {
        let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        if !self.watched.is_load_balancing() {
            return vec![dimension("ClusterName", &self.cluster), dimension("ServiceName", &self.service)];
        }
        vec![dimension("TargetGroup", group), dimension("LoadBalancer", &self.balancer)]
    }

    /// Returns the metrics of both target groups and the expression over them; none for a single one.
    fn queries(&self) -> Option<Vec<MetricDataQuery>> {
        if self.groups.len() < 2 || !self.watched.is_load_balancing() {
            return None;
        }
        let metrics = self.groups.iter().enumerate().map(|(index, group)| {
            let metric = Metric::builder().namespace(self.watched.namespace()).metric_name(self.watched.metric());
            let metric = metric.set_dimensions(Some(self.dimensions(group))).build();
            let stat = MetricStat::builder().metric(metric).period(PERIOD).stat(self.watched.statistic().as_str());
            MetricDataQuery::builder()
                .id(format!("m{}", index + 1))
                .metric_stat(stat.build())
                .return_data(false)
                .build()
        });
        let whole = MetricDataQuery::builder().id("e1").expression(self.watched.expression()).return_data(true);
        Some(metrics.chain([whole.label(&self.identity.name).build()]).collect())
    }

    fn tags(&self) -> Vec<Tag> {
        self.identity.tags(|key, value| Tag::builder().key(key).value(value).build())
    }

    /// Puts the alarm; what others have made of it, such as whom else it tells, stays, unless a change takes it away.
    async fn put(&self, api: &CloudWatch, live: Option<&MetricAlarm>, changes: &[Change]) -> Result<()> {
        let wanted = self.planned().alarm;
        let call = api.write.put_metric_alarm().alarm_name(&self.identity.name);
        let call = call.set_threshold(wanted.threshold).set_evaluation_periods(wanted.evaluation_periods);
        let call = call.set_datapoints_to_alarm(wanted.datapoints_to_alarm);
        let call = call.set_comparison_operator(wanted.comparison_operator);
        let call = call.set_treat_missing_data(wanted.treat_missing_data).set_metrics(wanted.metrics);
        let call = call.set_namespace(wanted.namespace).set_metric_name(wanted.metric_name).set_period(wanted.period);
        let mut call = call.set_statistic(wanted.statistic).set_dimensions(wanted.dimensions);
        call = match live {
            // A call without them would take them away; tags it cannot change.
            Some(live) => call
                .set_alarm_description(live.alarm_description.clone())
                .set_actions_enabled(live.actions_enabled)
                .set_alarm_actions(Some(self.actions(ACTION, live.alarm_actions(), changes)))
                .set_ok_actions(Some(self.actions(OK_ACTION, live.ok_actions(), changes)))
                .set_insufficient_data_actions(live.insufficient_data_actions.clone()),
            None => {
                let topic = || self.topic.clone().map(|topic| vec![topic]);
                call.set_alarm_actions(topic()).set_ok_actions(topic()).set_tags(Some(self.tags()))
            }
        };
        call.send().await.answer("cloudwatch:PutMetricAlarm")?;
        Ok(())
    }
}

impl Alarm {
    /// Returns whom the alarm tells, with the topic and without what a change takes away.
    fn actions(&self, field: &str, live: &[String], changes: &[Change]) -> Vec<String> {
        let gone = |arn: &String| changes.iter().any(|change| change.field == field && change.from == *arn);
        let others = live.iter().filter(|arn| !gone(arn) && Some(*arn) != self.topic.as_ref());
        others.chain(&self.topic).cloned().collect()
    }

    /// Compares whom it tells; of an alarm for deployments that is others' business alone.
    fn told(&self, field: &'static str, live: &[String]) -> Vec<Change> {
        if !self.watched.is_for_people() {
            return Vec::new();
        }
        let missing = self.topic.iter().filter(|topic| !live.contains(topic));
        let others = live.iter().filter(|arn| Some(*arn) != self.topic.as_ref());
        let missing = missing.map(|topic| Change::update(field, "", topic));
        missing.chain(others.map(|arn| Change::foreign(field, arn))).collect()
    }
}

impl Resource for Alarm {
    type Api = CloudWatch;
    type Live = Live;
    const KIND: &'static str = "alarm";
    /// It exists at once and is deleted at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.alarm.alarm_arn().unwrap_or(&self.identity.name).to_owned()
    }

    fn planned(&self) -> Live {
        let alarm = MetricAlarm::builder().alarm_name(&self.identity.name).threshold(self.limit);
        let alarm = alarm.evaluation_periods(self.periods).datapoints_to_alarm(self.periods);
        let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold);
        let alarm = alarm.treat_missing_data(self.watched.missing());
        let topic = self.topic.clone().map(|topic| vec![topic]);
        let alarm = alarm.set_alarm_actions(topic.clone()).set_ok_actions(topic);
        let alarm = match self.queries() {
            Some(queries) => alarm.set_metrics(Some(queries)),
            None => {
                let group = self.groups.first().map_or("", String::as_str);
                let alarm = alarm.namespace(self.watched.namespace()).metric_name(self.watched.metric()).period(PERIOD);
                alarm.statistic(self.watched.statistic()).set_dimensions(Some(self.dimensions(group)))
            }
        };
        Live { alarm: alarm.build(), new: true }
    }

    async fn find(&self, api: &CloudWatch) -> Result<Option<Live>> {
        Ok(self.list.find(api, &self.identity.name).await?.map(|alarm| Live { alarm, new: false }))
    }

    async fn create(&self, api: &CloudWatch) -> Result<Live> {
        self.put(api, None, &[]).await?;
        Ok(self.planned())
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let (is, wanted) = (&live.alarm, self.planned().alarm);
        let operator = |alarm: &MetricAlarm| alarm.comparison_operator().map(|operator| operator.as_str().to_owned());
        // Without the number of data points, all of the periods count.
        let points =
            |alarm: &MetricAlarm| alarm.datapoints_to_alarm().or(alarm.evaluation_periods()).unwrap_or_default();
        let changes = [
            Change::of("metric", &metric(is), &metric(&wanted)),
            Change::of("threshold", &is.threshold().unwrap_or_default(), &self.limit),
            Change::of("evaluation periods", &is.evaluation_periods().unwrap_or_default(), &self.periods),
            Change::of("data points to alarm", &points(is), &points(&wanted)),
            Change::of("comparison", &operator(is).unwrap_or_default(), &operator(&wanted).unwrap_or_default()),
            Change::of(
                "treatment of missing data",
                &is.treat_missing_data().unwrap_or("missing"),
                &self.watched.missing(),
            ),
        ];
        let told = [self.told(ACTION, is.alarm_actions()), self.told(OK_ACTION, is.ok_actions())];
        changes.into_iter().flatten().chain(told.into_iter().flatten()).collect()
    }

    async fn update(&self, api: &CloudWatch, live: &Live, changes: &[Change]) -> Result<()> {
        self.put(api, Some(&live.alarm), changes).await
    }

    async fn delete(&self, api: &CloudWatch, _live: &Live) -> Result<()> {
        api.write.delete_alarms().alarm_names(&self.identity.name).send().await.answer("cloudwatch:DeleteAlarms")?;
        Ok(())
    }

    fn owner(&self, live: &Live) -> Owner {
        if live.new { Owner::Ours } else { Owner::Unread }
    }

    async fn read_owner(&self, api: &CloudWatch, live: &Live) -> Result<Owner> {
        let arn = live.alarm.alarm_arn().unwrap_or_default();
        let reply = api.read.list_tags_for_resource().resource_arn(arn).send().await;
        let tags = reply.answer("cloudwatch:ListTagsForResource")?.tags.unwrap_or_default();
        Ok(self.identity.owner(tags.iter().filter_map(|tag| tag.key().zip(tag.value()))))
    }

    async fn adopt(&self, api: &CloudWatch, live: &Live) -> Result<()> {
        let arn = live.alarm.alarm_arn().unwrap_or_default();
        let call = api.write.tag_resource().resource_arn(arn).set_tags(Some(self.tags()));
        call.send().await.answer("cloudwatch:TagResource")?;
        Ok(())
    }

    fn forget(&self) {
        self.list.list.forget();
    }
}

/// Returns what an alarm measures, as text.
fn metric(alarm: &MetricAlarm) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(name) = alarm.metric_name() {
        let statistic = alarm.statistic().map_or("", Statistic::as_str);
        let period = alarm.period().unwrap_or_default();
        parts.push(format!(
            "{statistic} of {}/{name}{} in {period} s",
            alarm.namespace().unwrap_or_default(),
            dimensions(alarm.dimensions())
        ));
    }
    for query in alarm.metrics() {
        let text = match (query.expression(), query.metric_stat()) {
            (Some(expression), _) => expression.to_owned(),
            (None, Some(stat)) => {
                let metric = stat.metric();
                let name = metric.and_then(Metric::metric_name).unwrap_or_default();
                let namespace = metric.and_then(Metric::namespace).unwrap_or_default();
                let of = metric.map(Metric::dimensions).unwrap_or_default();
                let (period, stat) = (stat.period().unwrap_or_default(), stat.stat().unwrap_or_default());
                format!("{stat} of {namespace}/{name}{} in {period} s", dimensions(of))
            }
            (None, None) => String::new(),
        };
        let watched = if query.return_data() == Some(false) { "" } else { ", watched" };
        parts.push(format!("{} = {text}{watched}", query.id().unwrap_or_default()));
    }
    parts.sort();
    parts.join("; ")
}

/// Writes dimensions in one order: `[LoadBalancer=app/a/1 TargetGroup=targetgroup/b/2]`.
fn dimensions(dimensions: &[Dimension]) -> String {
    let pair = |one: &Dimension| format!("{}={}", one.name().unwrap_or_default(), one.value().unwrap_or_default());
    let mut pairs: Vec<String> = dimensions.iter().map(pair).collect();
    pairs.sort();
    format!("[{}]", pairs.join(" "))
}

/// Returns what a load balancer is called in a metric: the end of its ARN, `app/NAME/ID`.
fn load_balancer(arn: &str) -> String {
    arn.split_once(":loadbalancer/").map_or(arn, |(_, end)| end).to_owned()
}

/// Returns what a target group is called in a metric: the end of its ARN, `targetgroup/NAME/ID`.
fn target_group(arn: &str) -> String {
    arn.rsplit(':').next().unwrap_or(arn).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCER: &str = "arn:aws:elasticloadbalancing:r:1:loadbalancer/app/ecs-alb/778d41231b141a0f";

    fn alarm(watched: Watched, groups: &[&str]) -> Alarm {
        let stack = Stack::default();
        let arns: Vec<TargetGroupArn> = groups
            .iter()
            .map(|name| format!("arn:aws:elasticloadbalancing:r:1:targetgroup/{name}/943f017f100becff").as_str().into())
            .collect();
        let place = (Some(&LoadBalancerArn::from(BALANCER)), arns.iter().collect());
        Alarm::new(&stack, "web", (watched, 10, 2), place, &Alarms::new(&stack)).expect("a load balancer")
    }

    fn text(alarm: &Alarm, live: &MetricAlarm) -> Vec<String> {
        alarm.diff(&Live { alarm: live.clone(), new: false }).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_alarm_watches_the_target_groups_by_the_ends_of_the_arns() {
        let one = metric(&alarm(Watched::Errors, &["web-tg"]).planned().alarm);
        let of = |group: &str| {
            format!("[LoadBalancer=app/ecs-alb/778d41231b141a0f TargetGroup=targetgroup/{group}/943f017f100becff]")
        };
        let errors = format!("Sum of AWS/ApplicationELB/HTTPCode_Target_5XX_Count{} in 60 s", of("web-tg"));
        assert_eq!(one, errors);
        let hosts = |group: &str| format!("Maximum of AWS/ApplicationELB/UnHealthyHostCount{} in 60 s", of(group));
        let both = format!("e1 = MAX([m1, m2]), watched; m1 = {}; m2 = {}", hosts("web-tg-alt"), hosts("web-tg"));
        for order in [["web-tg", "web-tg-alt"], ["web-tg-alt", "web-tg"]] {
            assert_eq!(metric(&alarm(Watched::UnhealthyHosts, &order).planned().alarm), both);
        }
    }

    #[test]
    fn what_cloudwatch_reads_back_is_no_difference_and_what_others_changed_is_one() {
        let alarm = alarm(Watched::Errors, &["web-tg", "web-tg-alt"]);
        let live = || alarm.planned().alarm;
        let mut told = live();
        told.alarm_actions = Some(vec!["arn:aws:sns:r:1:oncall".to_owned()]);
        told.datapoints_to_alarm = None;
        assert_eq!(text(&alarm, &told), [""; 0]);
        let mut changed = live();
        changed.threshold = Some(100.0);
        changed.evaluation_periods = Some(5);
        changed.treat_missing_data = None;
        assert_eq!(
            text(&alarm, &changed),
            [
                "threshold: 100 -> 10",
                "evaluation periods: 5 -> 2",
                "treatment of missing data: missing -> notBreaching"
            ]
        );
    }

    #[test]
    fn an_alarm_for_people_watches_the_tasks_and_tells_a_topic() {
        let topic = "arn:aws:sns:r:1:oncall".to_owned();
        let quiet = alarm(Watched::Cpu, &["web-tg", "web-tg-alt"]);
        let of = "Average of AWS/ECS/CPUUtilization[ClusterName=ecs-production-cluster ServiceName=web] in 60 s";
        assert_eq!(metric(&quiet.planned().alarm), of);
        let told = alarm(Watched::Cpu, &["web-tg"]).telling(Some(&topic));
        assert_eq!(told.diff(&told.planned()), []);
        assert_eq!(
            told.diff(&quiet.planned()),
            [Change::update(ACTION, "", &topic), Change::update(OK_ACTION, "", &topic)]
        );
        // Whom somebody else has added stays unless it is pruned.
        let others = quiet.diff(&told.planned());
        assert_eq!(others, [Change::foreign(ACTION, &topic), Change::foreign(OK_ACTION, &topic)]);
        let live = ["arn:pager".to_owned(), topic.clone()];
        assert_eq!(told.actions(ACTION, &live, &[]), live);
        assert_eq!(quiet.actions(ACTION, &live, &others), ["arn:pager"]);
        assert_eq!(quiet.actions(OK_ACTION, &[], &[]), [""; 0]);
    }

    #[test]
    fn a_second_target_group_is_a_difference() {
        let before = alarm(Watched::Errors, &["web-tg"]).planned().alarm;
        let changes = text(&alarm(Watched::Errors, &["web-tg", "web-tg-alt"]), &before);
        assert!(changes.len() == 1 && changes[0].starts_with("metric: Sum of "), "{changes:?}");
    }

    #[test]
    fn a_number_of_nothing_is_no_alarm() {
        let names = |config: &Config| -> Vec<String> {
            Watched::wanted(config).map(|(watched, _)| watched.alarm("web")).collect()
        };
        assert_eq!(names(&Config::default()), ["web-5xx", "web-unhealthy-hosts"]);
        assert_eq!(names(&Config { errors_5xx: 0, ..Config::default() }), ["web-unhealthy-hosts"]);
        assert_eq!(names(&Config { errors_5xx: 0, unhealthy_hosts: 0, ..Config::default() }), [""; 0]);
    }
}
