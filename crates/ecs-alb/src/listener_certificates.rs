//! Further certificates of the listener on 443, among which it chooses by the host name that a client asks for (SNI).

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::Certificate;
use ecs_aws::Answer as _;
use ecs_core::id::ListenerArn;
use ecs_core::{Change, Held, Owner, Resource, Result, Stack};

use crate::Elb;
use crate::listener::{self, Listener};

/// What differs, as [`Change::field`].
const CERTIFICATE: &str = "further certificate";

/// The certificates of a listener beside its default one.
#[derive(Debug)]
pub struct ListenerCertificates {
    listener: ListenerArn,
    name: String,
    is_new: bool,
    wanted: BTreeSet<String>,
}

impl ListenerCertificates {
    /// Makes those that the file names.
    pub fn new(stack: &Stack, listener: &Held<Listener>) -> Self {
        let wanted = stack.alb.certificate_arns.iter().cloned().collect();
        let is_new = listener.is_new() || listener.arn.is_planned();
        Self { listener: listener.arn.clone(), name: listener.name.clone(), is_new, wanted }
    }

    fn list(arns: &[&String]) -> Option<Vec<Certificate>> {
        Some(arns.iter().map(|arn| Certificate::builder().certificate_arn(*arn).build()).collect())
    }
}

impl Resource for ListenerCertificates {
    type Api = Elb;
    type Live = BTreeSet<String>;
    const KIND: &'static str = "further certificates of listener";
    /// They are there at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.name.clone()
    }

    fn id(&self, live: &BTreeSet<String>) -> String {
        if live.is_empty() { "none".to_owned() } else { live.iter().map(String::as_str).collect::<Vec<_>>().join(", ") }
    }

    fn planned(&self) -> BTreeSet<String> {
        self.wanted.clone()
    }

    /// Returns them; a listener without any has none yet.
    async fn find(&self, elb: &Elb) -> Result<Option<BTreeSet<String>>> {
        if self.is_new {
            return Ok(Some(BTreeSet::new()).filter(|_| self.wanted.is_empty()));
        }
        let all = elb.read.describe_listener_certificates().listener_arn(self.listener.as_str());
        let all = all.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let all = all.answer("elasticloadbalancing:DescribeListenerCertificates")?;
        let further = all.iter().filter(|one| !one.is_default().unwrap_or_default());
        let further: BTreeSet<String> = further.filter_map(|one| one.certificate_arn.clone()).collect();
        Ok(Some(further).filter(|further| !further.is_empty() || self.wanted.is_empty()))
    }

    async fn create(&self, elb: &Elb) -> Result<BTreeSet<String>> {
        self.add(elb, &self.wanted.iter().collect::<Vec<_>>()).await?;
        Ok(self.wanted.clone())
    }

    fn diff(&self, live: &BTreeSet<String>) -> Vec<Change> {
        let missing = self.wanted.difference(live).map(|arn| Change::update(CERTIFICATE, "", arn));
        missing.chain(live.difference(&self.wanted).map(|arn| Change::foreign(CERTIFICATE, arn))).collect()
    }

    async fn update(&self, elb: &Elb, live: &BTreeSet<String>, changes: &[Change]) -> Result<()> {
        self.add(elb, &self.wanted.difference(live).collect::<Vec<_>>()).await?;
        let gone: Vec<&String> = live.iter().filter(|arn| changes.iter().any(|change| change.from == **arn)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let call = elb.write.remove_listener_certificates().listener_arn(self.listener.as_str());
        let reply = call.set_certificates(Self::list(&gone)).send().await;
        reply.answer("elasticloadbalancing:RemoveListenerCertificates").map(drop)
    }

    async fn delete(&self, _elb: &Elb, _live: &BTreeSet<String>) -> Result<()> {
        // They go with their listener.
        Ok(())
    }

    fn owner(&self, _live: &BTreeSet<String>) -> Owner {
        // The listener's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _elb: &Elb, _live: &BTreeSet<String>) -> Result<()> {
        Ok(())
    }
}

impl ListenerCertificates {
    async fn add(&self, elb: &Elb, arns: &[&String]) -> Result<()> {
        if arns.is_empty() {
            return Ok(());
        }
        let call = elb.write.add_listener_certificates().listener_arn(self.listener.as_str());
        let reply = call.set_certificates(Self::list(arns)).send().await;
        reply.answer("elasticloadbalancing:AddListenerCertificates").map(drop).map_err(listener::explain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_does_not_name_is_reported_as_somebody_elses() {
        let set = |arns: &[&str]| arns.iter().map(|arn| (*arn).to_owned()).collect::<BTreeSet<_>>();
        let certificates = ListenerCertificates {
            listener: "arn:l".into(),
            name: "ecs-alb-https-443".to_owned(),
            is_new: false,
            wanted: set(&["arn:a", "arn:b"]),
        };
        let texts: Vec<_> = certificates.diff(&set(&["arn:b", "arn:c"])).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["further certificate: add arn:a", "further certificate: remove arn:c"]);
        assert_eq!(certificates.diff(&certificates.planned()), []);
    }
}
