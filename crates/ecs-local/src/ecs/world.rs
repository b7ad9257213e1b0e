//! Where the model of ECS meets moto: a call from its arrival to its answer.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::form_urlencoded;

use super::deployment::ServiceDeployment;
use super::error::{Refusal, Stop};
use super::facts::{Fact, Facts, Question, Subnet};
use super::service::Status;
use super::task::Effect;
use super::{Ecs, Region, log};
use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::clock::Clock;
use crate::cloudwatch::Alarms;
use crate::upstream::Upstream;
use crate::weather::Sky;
use crate::{elasticloadbalancing, iam};

/// Draining of a target group whose attributes do not say: ELBv2's default, in seconds.
const DEREGISTRATION_DELAY: f64 = 300.0;

/// ELBv2's API version.
const ELBV2: &str = "2015-12-01";

impl Ecs {
    pub(crate) fn new(clock: Clock, sky: Arc<Sky>) -> Ecs {
        Ecs { clock, sky, alarms: Alarms::default(), regions: Mutex::new(HashMap::new()) }
    }

    /// Forgets everything.
    pub(crate) async fn reset(&self) {
        self.regions.lock().await.clear();
        self.alarms.clear();
    }

    /// Answers a call to ECS.
    pub(crate) async fn call(&self, request: &Request, upstream: &Upstream) -> Answer {
        if request.json.is_null() {
            return Answer::refuse(
                request,
                StatusCode::BAD_REQUEST,
                "SerializationException",
                "The request is not JSON.",
            );
        }
        let mut regions = self.regions.lock().await;
        let region = regions.entry(request.region.clone()).or_insert_with(|| self.region(&request.region));
        region.weather = self.sky.weather();
        let mut facts = Facts::default();
        let outside = Outside { upstream, alarms: &self.alarms };
        region.pass(self.clock.now(), &mut facts, outside).await;
        let result = loop {
            match region.perform(&request.operation, &request.json, &facts) {
                Ok(answer) => break Ok(answer),
                Err(Stop::Refused(refusal)) => break Err(refusal),
                Err(Stop::Ask(questions)) => find_out(questions, &mut facts, &region.name, outside).await,
            }
        };
        // What the call set off may come to its end at once, where nothing takes time.
        region.pass(self.clock.now(), &mut facts, outside).await;
        match result {
            Ok(answer) => Answer::json(StatusCode::OK, &answer),
            Err(Refusal { code, message }) => Answer::refuse(request, StatusCode::BAD_REQUEST, code, &message),
        }
    }

    /// Brings moto up to date with what tasks have done since the last call to ECS.
    pub(crate) async fn settle(&self, upstream: &Upstream) {
        let now = self.clock.now();
        for region in self.regions.lock().await.values_mut() {
            if !region.is_quiet(now) {
                region.weather = self.sky.weather();
                region.pass(now, &mut Facts::default(), Outside { upstream, alarms: &self.alarms }).await;
            }
        }
    }

    /// Has deployments look at their alarms now.
    pub(crate) async fn alarms_changed(&self, upstream: &Upstream) {
        let now = self.clock.now();
        for region in self.regions.lock().await.values_mut() {
            for service in &mut region.services {
                if service.in_flight().is_some_and(ServiceDeployment::watches) {
                    service.wake_at(now);
                }
            }
        }
        self.settle(upstream).await;
    }

    /// Whether a service exists and is not deleted.
    pub(crate) async fn has_service(&self, region: &str, cluster: &str, name: &str) -> bool {
        let regions = self.regions.lock().await;
        regions.get(region).is_some_and(|region| {
            region
                .services
                .iter()
                .any(|service| service.cluster == cluster && service.name == name && service.status == Status::Active)
        })
    }

    /// Whether services that are not gone yet are reached through a Cloud Map namespace: ECS keeps them in it.
    pub(crate) async fn uses_namespace(&self, region: &str, arn: &str) -> bool {
        let regions = self.regions.lock().await;
        regions.get(region).is_some_and(|region| {
            region.services.iter().any(|service| {
                let connect = &service.settings["serviceConnectConfiguration"];
                let served = connect["services"].as_array().is_some_and(|services| !services.is_empty());
                service.status != Status::Inactive && served && connect["namespace"] == arn
            })
        })
    }

    /// What a load balancer makes of a task's address, if it is not simply healthy: state, reason code and description.
    pub(crate) async fn target_health(
        &self,
        region: &str,
        target_group: &str,
        address: &str,
    ) -> Option<(&'static str, &'static str, String)> {
        self.regions.lock().await.get(region)?.target_health(target_group, address)
    }

    fn region(&self, name: &str) -> Region {
        // Ids differ from run to run and from region to region.
        let seed = name
            .bytes()
            .fold(self.clock.scale.epoch.to_bits(), |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Region::new(name, self.clock.scale, seed)
    }
}

impl Region {
    /// Lets time pass, and does to moto what came of it.
    async fn pass(&mut self, now: f64, facts: &mut Facts, outside: Outside<'_>) {
        while let Err(stop) = self.advance(now, facts) {
            match stop {
                Stop::Ask(questions) => find_out(questions, facts, &self.name, outside).await,
                Stop::Refused(_) => break,
            }
        }
        for effect in std::mem::take(&mut self.effects) {
            self.tell(effect, outside).await;
        }
        if std::mem::take(&mut self.service_linked_role_wanted) {
            iam::ensure_service_linked_role(outside.upstream, "ecs.amazonaws.com").await;
        }
    }

    /// Tells moto of an effect. What it is about may be gone by now, so a refusal is no matter.
    async fn tell(&mut self, effect: Effect, outside: Outside<'_>) {
        let upstream = outside.upstream;
        match effect {
            Effect::Register { target_group, address, port } => {
                self.target("RegisterTargets", &target_group, &address, port, upstream).await;
            }
            Effect::Deregister { target_group, address, port } => {
                self.target("DeregisterTargets", &target_group, &address, port, upstream).await;
            }
            Effect::Log(log) => log::write(&log, upstream).await,
            Effect::Attach { task } => self.attach(&task, upstream).await,
            Effect::Detach { task } => {
                let Some(interface) = self.interfaces.remove(&task) else { return };
                let form = [("Action", "DeleteNetworkInterface"), ("NetworkInterfaceId", interface.as_str())];
                upstream.query("ec2", &self.name, "2016-11-15", &form).await;
            }
            Effect::Shift { rule, weights } => self.shift_rule(&rule, &weights, upstream).await,
            Effect::Alarm { name, alarming } => {
                let state = if alarming { "ALARM" } else { "OK" };
                outside.alarms.script(&self.name, &name, state, self.scale.wall(self.now));
            }
        }
    }

    /// Gives a rule's target groups other weights; its stickiness stays.
    async fn shift_rule(&self, arn: &str, weights: &[(String, i64)], upstream: &Upstream) {
        let Some((listener, xml)) = forwarding(arn, &self.name, upstream).await else { return };
        let (action, parameter, arn, list) = match &listener {
            Some(listener) => ("ModifyListener", "ListenerArn", listener.as_str(), "DefaultActions"),
            None => ("ModifyRule", "RuleArn", arn, "Actions"),
        };
        let member = format!("{list}.member.1");
        let mut form = vec![
            ("Action".to_owned(), action.to_owned()),
            (parameter.to_owned(), arn.to_owned()),
            (format!("{member}.Type"), "forward".to_owned()),
        ];
        for (index, (target_group, weight)) in weights.iter().enumerate() {
            let tuple = format!("{member}.ForwardConfig.TargetGroups.member.{}", index + 1);
            form.push((format!("{tuple}.TargetGroupArn"), target_group.clone()));
            form.push((format!("{tuple}.Weight"), weight.to_string()));
        }
        if let Some(stickiness) = text(&xml, "TargetGroupStickinessConfig") {
            for name in ["Enabled", "DurationSeconds"] {
                if let Some(value) = text(stickiness, name) {
                    let name = format!("{member}.ForwardConfig.TargetGroupStickinessConfig.{name}");
                    form.push((name, value.to_owned()));
                }
            }
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        upstream.query("elasticloadbalancing", &self.name, ELBV2, &form).await;
    }

    async fn target(&self, action: &str, target_group: &str, address: &str, port: i64, upstream: &Upstream) {
        let port = port.to_string();
        let form = [
            ("Action", action),
            ("TargetGroupArn", target_group),
            ("Targets.member.1.Id", address),
            ("Targets.member.1.Port", &port),
        ];
        upstream.query("elasticloadbalancing", &self.name, "2015-12-01", &form).await;
    }

    /// Makes a task's network interface in EC2: it is what holds subnets and security groups.
    async fn attach(&mut self, arn: &str, upstream: &Upstream) {
        let Some(task) = self.tasks.iter().find(|task| task.arn == arn) else { return };
        let description = self.arn(&format!("attachment/{}", task.ids.attachment));
        let mut form = vec![
            ("Action".to_owned(), "CreateNetworkInterface".to_owned()),
            ("SubnetId".to_owned(), task.subnet.id.clone()),
            ("PrivateIpAddress".to_owned(), task.address.clone()),
            ("Description".to_owned(), description),
        ];
        for (index, group) in task.groups.iter().enumerate() {
            form.push((format!("SecurityGroupId.{}", index + 1), group.clone()));
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = upstream.query("ec2", &self.name, "2016-11-15", &form).await.ok();
        let interface = reply.as_deref().and_then(|xml| text(xml, "networkInterfaceId"));
        let Some(interface) = interface else { return };
        self.interfaces.insert(arn.to_owned(), interface.to_owned());
        if let Some(task) = self.tasks.iter_mut().find(|task| task.arn == arn) {
            task.ids.eni = interface.to_owned();
        }
    }
}

/// What the model asks, and does things to.
#[derive(Clone, Copy, Debug)]
struct Outside<'a> {
    upstream: &'a Upstream,
    alarms: &'a Alarms,
}

/// The listener whose default a rule is, if so, and what ELBv2 says of the rule. A network load balancer has no rules.
async fn forwarding(arn: &str, region: &str, upstream: &Upstream) -> Option<(Option<String>, String)> {
    if arn.contains(":listener/") {
        let form = [("Action", "DescribeListeners"), ("ListenerArns.member.1", arn)];
        let xml = upstream.query("elasticloadbalancing", region, ELBV2, &form).await.ok()?;
        return Some((Some(arn.to_owned()), xml));
    }
    let form = [("Action", "DescribeRules"), ("RuleArns.member.1", arn)];
    let xml = upstream.query("elasticloadbalancing", region, ELBV2, &form).await.ok()?;
    let default = text(&xml, "IsDefault").is_some_and(|is| is.eq_ignore_ascii_case("true"));
    let listener = arn.rsplit_once('/').map(|(listener, _)| listener.replace(":listener-rule/", ":listener/"));
    Some((listener.filter(|_| default), xml))
}

/// The target groups of a rule's forward action, with their weights; one without a weight has all.
fn forwards(xml: &str) -> Vec<(String, i64)> {
    let tuples = text(xml, "ForwardConfig").and_then(|forward| text(forward, "TargetGroups"));
    let weighed: Vec<(String, i64)> = texts(tuples.unwrap_or_default(), "member")
        .into_iter()
        .filter_map(|tuple| {
            let weight = text(tuple, "Weight").and_then(|weight| weight.parse().ok()).unwrap_or(1);
            Some((text(tuple, "TargetGroupArn")?.to_owned(), weight))
        })
        .collect();
    if weighed.is_empty() {
        return texts(xml, "TargetGroupArn").into_iter().map(|arn| (arn.to_owned(), 1)).collect();
    }
    weighed
}

/// Whether a role's trust policy, as IAM writes it, lets a service assume it.
fn trusts(xml: &str, service: &str) -> bool {
    let document = text(xml, "AssumeRolePolicyDocument").unwrap_or_default();
    let decoded: String = form_urlencoded::parse(format!("policy={}", document.replace('+', "%2B")).as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect();
    let policy: Value = serde_json::from_str(&decoded.replace("&quot;", "\"")).unwrap_or(Value::Null);
    // One statement may stand without a list.
    let statement = &policy["Statement"];
    let statements = statement.as_array().map_or(std::slice::from_ref(statement), Vec::as_slice);
    statements.iter().any(|statement| {
        let principal = &statement["Principal"]["Service"];
        let named = principal == service
            || principal.as_array().is_some_and(|services| services.iter().any(|named| named == service));
        named && statement["Effect"] == "Allow"
    })
}

/// Asks moto. No answer counts as "not there".
async fn find_out(questions: Vec<Question>, facts: &mut Facts, region: &str, outside: Outside<'_>) {
    for question in questions {
        let fact = ask(&question, region, outside).await.unwrap_or(Fact::Missing);
        facts.insert(question, fact);
    }
}

async fn ask(question: &Question, region: &str, outside: Outside<'_>) -> Option<Fact> {
    let upstream = outside.upstream;
    match question {
        Question::Role(name) => {
            let form = [("Action", "GetRole"), ("RoleName", name)];
            upstream.query("iam", region, "2010-05-08", &form).await.ok().map(|_| Fact::Found)
        }
        Question::Subnet(id) => {
            let form = [("Action", "DescribeSubnets"), ("SubnetId.1", id)];
            let xml = upstream.query("ec2", region, "2016-11-15", &form).await.ok()?;
            let zone = text(&xml, "availabilityZone")?.to_owned();
            Some(Fact::Subnet(Subnet { id: id.clone(), zone, range: text(&xml, "cidrBlock")?.to_owned() }))
        }
        Question::SecurityGroup(id) => {
            let form = [("Action", "DescribeSecurityGroups"), ("GroupId.1", id)];
            upstream.query("ec2", region, "2016-11-15", &form).await.ok().map(|_| Fact::Found)
        }
        Question::TargetGroup(arn) => {
            let form = [("Action", "DescribeTargetGroups"), ("TargetGroupArns.member.1", arn)];
            upstream.query("elasticloadbalancing", region, "2015-12-01", &form).await.ok()?;
            let attached = elasticloadbalancing::forwards(upstream, region, arn).await;
            let form = [("Action", "DescribeTargetGroupAttributes"), ("TargetGroupArn", arn)];
            let xml = upstream.query("elasticloadbalancing", region, "2015-12-01", &form).await.ok()?;
            let attributes = texts(&xml, "member").into_iter();
            let delay = attributes
                .filter(|member| member.contains("deregistration_delay.timeout_seconds"))
                .find_map(|member| text(member, "Value")?.parse().ok());
            Some(Fact::TargetGroup { attached, deregistration_delay: delay.unwrap_or(DEREGISTRATION_DELAY) })
        }
        Question::Parameter(name) => {
            // The ARN of "x" and of "/x" is the same.
            let names = if name.contains('/') { json!([name]) } else { json!([name, format!("/{name}")]) };
            let reply = upstream.json("ssm", region, "AmazonSSM.GetParameters", &json!({"Names": names})).await.ok()?;
            let answer: Value = serde_json::from_str(&reply).ok()?;
            answer["Parameters"].as_array().filter(|found| !found.is_empty()).map(|_| Fact::Found)
        }
        Question::Secret(name) => {
            let request = json!({"SecretId": name});
            upstream
                .json("secretsmanager", region, "secretsmanager.DescribeSecret", &request)
                .await
                .ok()
                .map(|_| Fact::Found)
        }
        Question::Rule(arn) => {
            let (_, xml) = forwarding(arn, region, upstream).await?;
            Some(Fact::Rule { weights: forwards(&xml) })
        }
        Question::Trust(name) => {
            let form = [("Action", "GetRole"), ("RoleName", name)];
            let xml = upstream.query("iam", region, "2010-05-08", &form).await.ok()?;
            trusts(&xml, "ecs.amazonaws.com").then_some(Fact::Found)
        }
        Question::Alarm(name) => {
            let (alarming, window) = outside.alarms.look(region, name)?;
            Some(Fact::Alarm { alarming, window })
        }
        Question::Repository(name) => {
            let target = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories";
            upstream.json("ecr", region, target, &json!({"repositoryNames": [name]})).await.ok().map(|_| Fact::Found)
        }
        Question::Image(reference) => image(reference, region, upstream).await,
        Question::LogGroup { region, name } => {
            let request = json!({"logGroupNamePrefix": name});
            let reply = upstream.json("logs", region, "Logs_20140328.DescribeLogGroups", &request).await.ok()?;
            let answer: Value = serde_json::from_str(&reply).ok()?;
            let groups = answer["logGroups"].as_array()?;
            groups.iter().any(|group| group["logGroupName"] == json!(name)).then_some(Fact::Found)
        }
    }
}

/// Looks for an image in its repository. Where there are tag and digest, the digest counts.
async fn image(reference: &str, region: &str, upstream: &Upstream) -> Option<Fact> {
    let (repository, wanted) = match reference.split_once('@') {
        Some((repository, digest)) => (repository.split(':').next()?, ("imageDigest", digest)),
        None => reference.split_once(':').map(|(repository, tag)| (repository, ("imageTag", tag)))?,
    };
    let target = "AmazonEC2ContainerRegistry_V20150921.ListImages";
    let reply = upstream.json("ecr", region, target, &json!({"repositoryName": repository})).await.ok()?;
    let answer: Value = serde_json::from_str(&reply).ok()?;
    let images = answer["imageIds"].as_array()?;
    if images.is_empty() {
        return Some(Fact::Empty);
    }
    let found = images.iter().find(|image| image[wanted.0] == json!(wanted.1))?;
    Some(Fact::Image { digest: found["imageDigest"].as_str()?.to_owned() })
}
