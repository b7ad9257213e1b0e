//! The CloudWatch alarms on a service: those that roll its deployment back, and those that tell people.

mod watched;

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricStat, Statistic, Tag,
};
use ecs_aws::Answer as _;
use ecs_core::id::{LoadBalancerArn, TargetGroupArn};
use ecs_core::stack::Service;
use ecs_core::{All as _, Change, Error, Identity, Listing, Owner, Resource, Result, Stack};
use futures::future::join_all;

pub use self::watched::Watched;
use crate::{CloudWatch, LAYER};

/// How many names DescribeAlarms takes, and how many alarms it returns:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>
const NAMES: usize = 100;
/// Seconds that one data point is about: the load balancer and ECS report once a minute.
const PERIOD: i32 = 60;

/// What differs, as [`Change::field`].
const ACTION: &str = "alarm action";
const OK_ACTION: &str = "OK action";

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
mod tests;
