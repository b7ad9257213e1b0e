//! Where the model of ECS meets moto: a call from its arrival to its answer.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::error::{Refusal, Stop};
use super::facts::{Fact, Facts, Question, Subnet};
use super::service::Status;
use super::task::Effect;
use super::{Ecs, Region, log};
use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::clock::Clock;
use crate::iam;
use crate::upstream::Upstream;
use crate::weather::Sky;

/// Draining of a target group whose attributes do not say: ELBv2's default, in seconds.
const DEREGISTRATION_DELAY: f64 = 300.0;

impl Ecs {
    pub(crate) fn new(clock: Clock, sky: Arc<Sky>) -> Ecs {
        Ecs { clock, sky, regions: Mutex::new(HashMap::new()) }
    }

    /// Forgets everything.
    pub(crate) async fn reset(&self) {
        self.regions.lock().await.clear();
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
        region.pass(self.clock.now(), &mut facts, upstream).await;
        let result = loop {
            match region.perform(&request.operation, &request.json, &facts) {
                Ok(answer) => break Ok(answer),
                Err(Stop::Refused(refusal)) => break Err(refusal),
                Err(Stop::Ask(questions)) => find_out(questions, &mut facts, &region.name, upstream).await,
            }
        };
        // What the call set off may come to its end at once, where nothing takes time.
        region.pass(self.clock.now(), &mut facts, upstream).await;
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
                region.pass(now, &mut Facts::default(), upstream).await;
            }
        }
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
    async fn pass(&mut self, now: f64, facts: &mut Facts, upstream: &Upstream) {
        while let Err(stop) = self.advance(now, facts) {
            match stop {
                Stop::Ask(questions) => find_out(questions, facts, &self.name, upstream).await,
                Stop::Refused(_) => break,
            }
        }
        for effect in std::mem::take(&mut self.effects) {
            self.tell(effect, upstream).await;
        }
        if std::mem::take(&mut self.service_linked_role_wanted) {
            iam::ensure_service_linked_role(upstream, "ecs.amazonaws.com").await;
        }
    }

    /// Tells moto of an effect. What it is about may be gone by now, so a refusal is no matter.
    async fn tell(&mut self, effect: Effect, upstream: &Upstream) {
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
        }
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

/// Asks moto. No answer counts as "not there".
async fn find_out(questions: Vec<Question>, facts: &mut Facts, region: &str, upstream: &Upstream) {
    for question in questions {
        let fact = ask(&question, region, upstream).await.unwrap_or(Fact::Missing);
        facts.insert(question, fact);
    }
}

async fn ask(question: &Question, region: &str, upstream: &Upstream) -> Option<Fact> {
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
            let xml = upstream.query("elasticloadbalancing", region, "2015-12-01", &form).await.ok()?;
            let attached = text(&xml, "LoadBalancerArns").is_some_and(|arns| arns.contains("<member>"));
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

/// Looks for an image in its repository.
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
    images.iter().any(|image| image[wanted.0] == json!(wanted.1)).then_some(Fact::Found)
}
