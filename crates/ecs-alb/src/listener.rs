//! The listeners of the load balancer.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, Certificate, Listener as Described, ProtocolEnum, RedirectActionConfig,
    RedirectActionStatusCodeEnum,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{ListenerArn, LoadBalancerArn, TargetGroupArn};
use ecs_core::{All as _, Change, Error, Held, Identity, Listing, Owner, Resource, Result, Stack};
use futures::future::join_all;

use crate::load_balancer::{self, LoadBalancer};
use crate::rule::{self, Rules};
use crate::{Elb, LAYER, elb};

/// The security policy of a new HTTPS listener, TLS 1.3 and 1.2 with forward secrecy: ELB's recommendation and the
/// console's default. ELB's own default for a call that names none allows TLS 1.0.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html>
const TLS_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";
/// What differs, as [`Change::field`].
const PROTOCOL: &str = "protocol";
const CERTIFICATE: &str = "certificate";
const POLICY: &str = "security policy";
const DEFAULT_ACTION: &str = "default action";
const RULE: &str = "rule";

/// The listeners of one load balancer, listed once for all that reads them.
#[derive(Debug)]
pub struct Listeners {
    load_balancer: LoadBalancerArn,
    list: Listing<Vec<Described>>,
}

impl Listeners {
    /// Makes the list of a load balancer's listeners: known to be empty when it is new.
    pub fn of(load_balancer: &Held<LoadBalancer>) -> Rc<Self> {
        let none = load_balancer.is_new() || load_balancer.arn.is_planned();
        let list = if none { Listing::known(Vec::new()) } else { Listing::default() };
        Rc::new(Self { load_balancer: load_balancer.arn.clone(), list })
    }

    /// Makes the list of the listeners of a load balancer that somebody else has made.
    pub fn given(load_balancer: &load_balancer::Live) -> Rc<Self> {
        Rc::new(Self { load_balancer: load_balancer.arn.clone(), list: Listing::default() })
    }

    /// Returns the listeners.
    pub async fn get(&self, elb: &Elb) -> Result<Rc<Vec<Described>>> {
        let list = self.list.get(async || {
            let all = elb.read.describe_listeners().load_balancer_arn(self.load_balancer.as_str());
            let all = all.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
            all.answer("elasticloadbalancing:DescribeListeners")
        });
        list.await
    }

    /// Makes the next caller look again.
    pub fn forget(&self) {
        self.list.forget();
    }
}

/// What a listener does with what no rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Default {
    /// Forwards it to a target group
    Forward(TargetGroupArn),
    /// Redirects it to HTTPS
    Redirect,
}

/// A listener on one port.
#[derive(Debug)]
pub struct Listener {
    identity: Identity,
    port: i32,
    certificate: Option<String>,
    /// Security policy; without one what somebody has chosen stays
    policy: Option<String>,
    default: Default,
    /// The stack's target groups, to which no rule of a listener that redirects may forward.
    bypassed: Vec<TargetGroupArn>,
    balancer_is_new: bool,
    list: Rc<Listeners>,
}

/// What ELB says the listener is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN
    pub arn: ListenerArn,
    /// Its name, which its rules' names begin with
    pub name: String,
    protocol: String,
    certificate: Option<String>,
    policy: Option<String>,
    actions: Vec<Action>,
    /// ARNs and descriptions of rules that forward around the redirect
    around: Vec<(String, String)>,
}

impl Live {
    /// Returns the ARN of its default certificate.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }
}

impl Listener {
    /// Makes the listener that serves the stack: on 443 when there is a certificate, else on 80.
    pub fn serving(
        stack: &Stack,
        balancer: &Held<LoadBalancer>,
        list: &Rc<Listeners>,
        group: &TargetGroupArn,
        certificate: Option<String>,
    ) -> Self {
        let (port, scheme) = if certificate.is_some() { (443, "https") } else { (80, "http") };
        Self {
            identity: Identity::new(&stack.name, LAYER, format!("{}-{scheme}-{port}", stack.alb.name)),
            port,
            certificate,
            policy: stack.alb.ssl_policy.clone(),
            default: Default::Forward(group.clone()),
            bypassed: Vec::new(),
            balancer_is_new: balancer.is_new(),
            list: Rc::clone(list),
        }
    }

    /// Makes the listener on 80 that redirects to HTTPS, and has none of the rules that it had before.
    pub fn redirecting(
        stack: &Stack,
        balancer: &Held<LoadBalancer>,
        list: &Rc<Listeners>,
        groups: &[TargetGroupArn],
    ) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, format!("{}-http-80", stack.alb.name)),
            port: 80,
            certificate: None,
            policy: None,
            default: Default::Redirect,
            bypassed: groups.to_vec(),
            balancer_is_new: balancer.is_new(),
            list: Rc::clone(list),
        }
    }

    fn policy(&self) -> &str {
        self.policy.as_deref().unwrap_or(TLS_POLICY)
    }

    fn protocol(&self) -> ProtocolEnum {
        if self.certificate.is_some() { ProtocolEnum::Https } else { ProtocolEnum::Http }
    }

    fn certificates(&self) -> Option<Vec<Certificate>> {
        self.certificate.as_ref().map(|arn| vec![Certificate::builder().certificate_arn(arn).build()])
    }

    fn action(&self) -> Action {
        match &self.default {
            Default::Forward(group) => elb::forward_to(group.as_str()),
            Default::Redirect => {
                let to = RedirectActionConfig::builder().protocol("HTTPS").port("443");
                let to = to.status_code(RedirectActionStatusCodeEnum::Http301).build();
                Action::builder().r#type(ActionTypeEnum::Redirect).redirect_config(to).build()
            }
        }
    }

    fn live(&self, described: &Described) -> Live {
        let certificate = described.certificates().first().and_then(|certificate| certificate.certificate_arn());
        Live {
            arn: described.listener_arn().unwrap_or_default().into(),
            name: self.identity.name.clone(),
            protocol: described.protocol().map(|protocol| protocol.as_str().to_owned()).unwrap_or_default(),
            certificate: certificate.map(str::to_owned),
            policy: described.ssl_policy().map(str::to_owned),
            actions: described.default_actions().to_vec(),
            around: Vec::new(),
        }
    }

    /// Says whether the default action is as it is to be.
    fn fits(&self, actions: &[Action]) -> bool {
        match &self.default {
            Default::Forward(group) => elb::forwards_to(actions, group.as_str()),
            Default::Redirect => elb::describe(actions) == elb::describe(&[self.action()]),
        }
    }
}

impl Resource for Listener {
    type Api = Elb;
    type Live = Live;
    const KIND: &'static str = "listener";
    /// It exists at once and is deleted with its load balancer.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            arn: ListenerArn::planned(&self.identity.name),
            name: self.identity.name.clone(),
            protocol: self.protocol().as_str().to_owned(),
            certificate: self.certificate.clone(),
            policy: self.certificate.as_ref().map(|_| self.policy().to_owned()),
            actions: vec![self.action()],
            around: Vec::new(),
        }
    }

    /// Returns the listener on the port: a load balancer has one a port.
    async fn find(&self, elb: &Elb) -> Result<Option<Live>> {
        let list = self.list.get(elb).await?;
        let Some(found) = list.iter().find(|listener| listener.port() == Some(self.port)) else { return Ok(None) };
        let mut live = self.live(found);
        if self.default == Default::Redirect {
            let rules = Rules::read(elb, &live.arn).await?;
            let ours = |actions: &[Action]| self.bypassed.iter().any(|group| elb::forwards_to(actions, group.as_str()));
            let around = rules.iter().filter(|rule| !rule::is_default(rule) && ours(rule.actions()));
            live.around =
                around.map(|rule| (rule.rule_arn().unwrap_or_default().to_owned(), rule::describe(rule))).collect();
        }
        Ok(Some(live))
    }

    async fn create(&self, elb: &Elb) -> Result<Live> {
        if !self.balancer_is_new {
            elb::insist_on_ours(elb, self.list.load_balancer.as_str(), "load balancer", &self.identity).await?;
        }
        let call = elb.write.create_listener().load_balancer_arn(self.list.load_balancer.as_str());
        let call = call.protocol(self.protocol()).port(self.port).default_actions(self.action());
        let call = call.set_certificates(self.certificates()).set_tags(elb::tags(&self.identity));
        let call = call.set_ssl_policy(self.certificate.as_ref().map(|_| self.policy().to_owned()));
        let reply = call.send().await.answer("elasticloadbalancing:CreateListener").map_err(explain)?;
        let made = reply.listeners.unwrap_or_default().into_iter().next();
        Ok(self.live(&present(made, "elasticloadbalancing:CreateListener", "the listener")?))
    }

    /// Compares protocol, certificate, security policy and default action; a security policy that somebody has chosen is
    /// left alone where the file names none.
    fn diff(&self, live: &Live) -> Vec<Change> {
        let none = String::new();
        let certificate = |arn: &Option<String>| arn.as_ref().unwrap_or(&none).clone();
        let action = (!self.fits(&live.actions)).then(|| {
            let (from, to) = (elb::describe(&live.actions), elb::describe(&[self.action()]));
            let change = Change::update(DEFAULT_ACTION, from, to);
            if elb::authenticates(&live.actions) {
                change.refused("somebody has set up authentication, which would get lost: point it there by hand")
            } else {
                change
            }
        });
        let changes = [
            Change::of(PROTOCOL, &live.protocol, &self.protocol().as_str().to_owned()),
            Change::of(CERTIFICATE, &certificate(&live.certificate), &certificate(&self.certificate)),
            // With the protocol comes the policy.
            self.policy
                .as_ref()
                .filter(|_| live.certificate.is_some())
                .and_then(|policy| Change::of(POLICY, live.policy.as_ref().unwrap_or(&none), policy)),
            action,
        ];
        let around = live.around.iter().map(|(_, rule)| Change::update(RULE, rule, ""));
        changes.into_iter().flatten().chain(around).collect()
    }

    async fn update(&self, elb: &Elb, live: &Live, changes: &[Change]) -> Result<()> {
        let touches = |field: &str| changes.iter().any(|change| change.field == field);
        let (protocol, action) = (touches(PROTOCOL), touches(DEFAULT_ACTION));
        if protocol || action || touches(CERTIFICATE) || touches(POLICY) {
            // With the protocol come certificate and security policy; an HTTP listener loses both by itself:
            // <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyListener.html>
            let call =
                elb.write.modify_listener().listener_arn(live.arn.as_str()).set_certificates(self.certificates());
            let call = call.set_protocol(protocol.then(|| self.protocol()));
            let policy = self.certificate.as_ref().filter(|_| protocol || touches(POLICY));
            let policy = policy.map(|_| self.policy().to_owned());
            let call = call.set_ssl_policy(policy).set_default_actions(action.then(|| vec![self.action()]));
            call.send().await.answer("elasticloadbalancing:ModifyListener").map_err(explain)?;
        }
        if touches(RULE) {
            join_all(live.around.iter().map(|(arn, _)| rule::delete(elb, arn))).await.all()?;
        }
        Ok(())
    }

    async fn delete(&self, elb: &Elb, live: &Live) -> Result<()> {
        delete(elb, live.arn.as_str()).await
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, elb: &Elb, live: &Live) -> Result<Owner> {
        elb::read_owner(elb, live.arn.as_str(), &self.identity).await
    }

    async fn adopt(&self, elb: &Elb, live: &Live) -> Result<()> {
        elb::adopt(elb, live.arn.as_str(), &self.identity).await
    }

    fn forget(&self) {
        self.list.forget();
    }
}

/// Deletes a listener, and its rules with it.
pub async fn delete(elb: &Elb, arn: &str) -> Result<()> {
    let deleted = elb.write.delete_listener().listener_arn(arn).send().await;
    deleted.answer("elasticloadbalancing:DeleteListener").map(drop)
}

/// Adds to a refusal what a person can do about it.
pub fn explain(error: Error) -> Error {
    match error.code() {
        Some("CertificateNotFound" | "UnsupportedCertificate") => {
            error.hint("a load balancer takes certificates that ACM has issued in its own region")
        }
        Some("SSLPolicyNotFound") => error.hint("correct `alb.ssl_policy`, or leave it out"),
        Some("TargetGroupAssociationLimit") => error.hint("give the service another `target_group` in the stack file"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::{ForwardActionConfig, TargetGroupTuple};

    use super::*;

    const FRONTEND: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/frontend-tg/1";
    const OTHER: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/other-tg/2";
    const CERTIFICATE_ARN: &str = "arn:aws:acm:us-east-1:123456789012:certificate/1";

    fn listener(port: i32, certificate: Option<&str>, default: Default) -> Listener {
        Listener {
            identity: Identity::new("prod", LAYER, "ecs-alb-http-80"),
            port,
            certificate: certificate.map(str::to_owned),
            policy: None,
            default,
            bypassed: Vec::new(),
            balancer_is_new: false,
            list: Rc::new(Listeners { load_balancer: "arn:lb".into(), list: Listing::default() }),
        }
    }

    fn weighted(groups: &[(&str, i32)]) -> Action {
        let tuple =
            |(arn, weight): &(&str, i32)| TargetGroupTuple::builder().target_group_arn(*arn).weight(*weight).build();
        let config = ForwardActionConfig::builder().set_target_groups(Some(groups.iter().map(tuple).collect())).build();
        Action::builder().r#type(ActionTypeEnum::Forward).forward_config(config).build()
    }

    /// What ELB reads back of the redirect: every part that was left out is there, in its own words.
    fn redirect(code: RedirectActionStatusCodeEnum) -> Action {
        let to = RedirectActionConfig::builder().protocol("HTTPS").port("443").host("#{host}").path("/#{path}");
        let to = to.query("#{query}").status_code(code).build();
        Action::builder().r#type(ActionTypeEnum::Redirect).order(1).redirect_config(to).build()
    }

    #[test]
    fn diff_finds_what_differs() {
        let http = listener(80, None, Default::Forward(FRONTEND.into()));
        let https = listener(443, Some(CERTIFICATE_ARN), Default::Forward(FRONTEND.into()));
        let redirecting = listener(80, None, Default::Redirect);
        let live = |protocol: &str, certificate: Option<&str>, action: Action| Live {
            arn: "arn:listener".into(),
            name: "ecs-alb-http-80".to_owned(),
            protocol: protocol.to_owned(),
            certificate: certificate.map(str::to_owned),
            policy: certificate.map(|_| "ELBSecurityPolicy-2016-08".to_owned()),
            actions: vec![action],
            around: Vec::new(),
        };
        let forward = || elb::forward_to(FRONTEND);
        let moved = || redirect(RedirectActionStatusCodeEnum::Http301);
        let cases: [(&Listener, Live, &[&str]); 9] = [
            (&http, live("HTTP", None, forward()), &[]),
            // ECS shifts the weights of a blue/green deployment.
            (&http, live("HTTP", None, weighted(&[(FRONTEND, 0), (OTHER, 100)])), &[]),
            (
                &http,
                live("HTTP", None, elb::forward_to(OTHER)),
                &["default action: forward to other-tg -> forward to frontend-tg"],
            ),
            (&https, live("HTTPS", Some(CERTIFICATE_ARN), forward()), &[]),
            (
                &https,
                live("HTTPS", Some("arn:old"), forward()),
                &["certificate: arn:old -> arn:aws:acm:us-east-1:123456789012:certificate/1"],
            ),
            (
                &https,
                live("HTTP", None, forward()),
                &["protocol: HTTP -> HTTPS", "certificate: add arn:aws:acm:us-east-1:123456789012:certificate/1"],
            ),
            (&redirecting, live("HTTP", None, moved()), &[]),
            (
                &redirecting,
                live("HTTP", None, redirect(RedirectActionStatusCodeEnum::Http302)),
                &["default action: redirect to HTTPS://#{host}:443/#{path}?#{query} (HTTP_302) \
                   -> redirect to HTTPS://#{host}:443/#{path}?#{query} (HTTP_301)"],
            ),
            (
                &redirecting,
                Live { around: vec![("arn:rule".into(), "100: /api/*".into())], ..live("HTTP", None, moved()) },
                &["rule: remove 100: /api/*"],
            ),
        ];
        for (listener, live, expected) in cases {
            let found: Vec<_> = listener.diff(&live).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_security_policy_is_changed_only_where_the_file_names_one() {
        let mut https = listener(443, Some(CERTIFICATE_ARN), Default::Forward(FRONTEND.into()));
        let live = Live { policy: Some("ELBSecurityPolicy-2016-08".to_owned()), ..https.planned() };
        assert_eq!(https.diff(&live), []);
        https.policy = Some("ELBSecurityPolicy-TLS13-1-3-2021-06".to_owned());
        let texts: Vec<_> = https.diff(&live).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["security policy: ELBSecurityPolicy-2016-08 -> ELBSecurityPolicy-TLS13-1-3-2021-06"]);
        assert_eq!(https.diff(&https.planned()), []);
    }

    #[test]
    fn what_is_made_needs_no_change() {
        for default in [Default::Forward(FRONTEND.into()), Default::Redirect] {
            let listener = listener(80, None, default);
            assert_eq!(listener.diff(&listener.planned()), []);
        }
    }
}
