//! ACM, where moto issues every certificate by itself: here it takes DNS records, and time.
//!
//! <https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html>

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::answer::{Answer, texts};
use crate::call::Request;
use crate::failures::Failures;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::route53;
use crate::turn::Turn;
use crate::weather::{Failure, Kind};

/// How long ACM waits for the records, in seconds: 72 hours.
const GIVES_UP: f64 = 72.0 * 3600.0;

/// The most that one call lists; moto lists 50 by default.
const PAGE: &str = "400";

/// What we keep of ACM ourselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    turn: Turn,
    /// The certificates that were asked for, by ARN.
    requested: Mutex<HashMap<String, Requested>>,
    failures: Failures,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.requested.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.failures.clear();
    }
}

/// A certificate that was asked for.
#[derive(Clone, Debug, PartialEq)]
struct Requested {
    /// When, in simulated time
    at: f64,
    /// When the last of its records was seen first
    proven: Option<f64>,
    failure: Option<Failure>,
}

impl Requested {
    /// Its status at a time, where validation takes so long.
    fn status(&self, now: f64, lasts: f64) -> &'static str {
        match self.proven {
            Some(proven) if now >= proven + lasts => {
                if self.failure.is_some() {
                    "FAILED"
                } else {
                    "ISSUED"
                }
            }
            None if now >= self.at + GIVES_UP => "VALIDATION_TIMED_OUT",
            Some(_) | None => "PENDING_VALIDATION",
        }
    }
}

/// Answers a call to ACM.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let _turn = proxy.acm.turn.take(request).await;
    let arn = request.json["CertificateArn"].as_str().unwrap_or_default();
    if request.operation == "DeleteCertificate"
        && users(proxy, &request.region).await.iter().any(|(used, _)| used == arn)
    {
        let message = format!("Certificate {arn} in account {} is in use.", arn.split(':').nth(4).unwrap_or_default());
        return Refusal::new("ResourceInUseException", message).answer(request);
    }
    let answer = proxy.upstream.forward(request).await;
    if !answer.status.is_success() {
        return answer;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
    match request.operation.as_str() {
        "RequestCertificate" => {
            begin(proxy, request, &body);
            return answer;
        }
        "DescribeCertificate" => {
            if let Some(certificate) = body.get_mut("Certificate") {
                show(proxy, &request.region, certificate).await;
                let users = users(proxy, &request.region).await;
                let users: HashSet<&String> =
                    users.iter().filter(|(used, _)| used == arn).map(|(_, user)| user).collect();
                certificate["InUseBy"] = json!(users);
            }
        }
        "ListCertificates" => {
            for summary in body["CertificateSummaryList"].as_array_mut().into_iter().flatten() {
                show(proxy, &request.region, summary).await;
                let names = summary["SubjectAlternativeNames"].take();
                summary["SubjectAlternativeNameSummaries"] = names;
            }
        }
        _ => return answer,
    }
    Answer { body: body.to_string().into(), ..answer }
}

/// The status of a certificate, if it was asked for here.
pub(crate) async fn status(proxy: &Proxy, region: &str, arn: &str) -> Option<&'static str> {
    let names = {
        let requested = proxy.acm.requested.lock().unwrap_or_else(PoisonError::into_inner);
        requested.contains_key(arn)
    };
    if !names {
        return None;
    }
    let body = json!({"CertificateArn": arn});
    let reply = proxy.upstream.json("acm", region, "CertificateManager.DescribeCertificate", &body).await.ok()?;
    let described: Value = serde_json::from_str(&reply).ok()?;
    settle(proxy, region, arn, &names_of(&described["Certificate"])).await
}

fn begin(proxy: &Proxy, request: &Request, body: &Value) {
    let Some(arn) = body["CertificateArn"].as_str() else { return };
    let domain = request.json["DomainName"].as_str().unwrap_or_default();
    let failure = proxy.acm.failures.strike(&proxy.sky.weather().provisioning, Kind::Certificate, domain);
    let requested = Requested { at: proxy.clock.now(), proven: None, failure };
    // A second call with the same token is the same request.
    let mut all = proxy.acm.requested.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(arn.to_owned()).or_insert(requested);
}

/// Looks whether the records are there, and returns the status.
async fn settle(proxy: &Proxy, region: &str, arn: &str, names: &[String]) -> Option<&'static str> {
    let get = || proxy.acm.requested.lock().unwrap_or_else(PoisonError::into_inner).get(arn).cloned();
    let mut requested = get()?;
    if requested.proven.is_none() {
        let mut proven = true;
        for name in names {
            let (record, value) = record(name);
            proven = proven && route53::resolves(proxy, region, &record, &value).await;
        }
        if proven {
            requested.proven = Some(proxy.clock.now());
            let mut all = proxy.acm.requested.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(arn.to_owned(), requested.clone());
        }
    }
    let lasts = proxy.clock.scale.lasts(proxy.sky.weather().provisioning.certificate.as_secs_f64());
    Some(requested.status(proxy.clock.now(), lasts))
}

/// Shows a certificate as it is now.
async fn show(proxy: &Proxy, region: &str, certificate: &mut Value) {
    let arn = certificate["CertificateArn"].as_str().unwrap_or_default().to_owned();
    let names = names_of(certificate);
    let Some(status) = settle(proxy, region, &arn, &names).await else { return };
    let requested = proxy.acm.requested.lock().unwrap_or_else(PoisonError::into_inner).get(&arn).cloned();
    let Some(requested) = requested else { return };
    certificate["Status"] = json!(status);
    if status != "ISSUED"
        && let Some(members) = certificate.as_object_mut()
    {
        for member in ["IssuedAt", "NotBefore", "NotAfter", "Serial", "Issuer", "Subject"] {
            members.remove(member);
        }
    }
    if status == "FAILED"
        && let Some(failure) = &requested.failure
    {
        certificate["FailureReason"] = json!(failure.code);
    }
    if certificate.get("DomainValidationOptions").is_none() {
        return;
    }
    // ACM tells the records "after several seconds".
    let told = proxy.clock.now()
        >= requested.at + proxy.clock.scale.lasts(proxy.sky.weather().provisioning.certificate_records.as_secs_f64());
    let word = match status {
        "ISSUED" => "SUCCESS",
        "PENDING_VALIDATION" => "PENDING_VALIDATION",
        _ => "FAILED",
    };
    let options = names.iter().map(|name| {
        let mut option =
            json!({"DomainName": name, "ValidationDomain": name, "ValidationStatus": word, "ValidationMethod": "DNS"});
        if told {
            let (record, value) = record(name);
            option["ResourceRecord"] = json!({"Name": record, "Type": "CNAME", "Value": value});
        }
        option
    });
    certificate["DomainValidationOptions"] = options.collect();
}

/// All names of a certificate, in order.
fn names_of(certificate: &Value) -> Vec<String> {
    let names = certificate["SubjectAlternativeNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut names: Vec<String> = names.chain(certificate["DomainName"].as_str()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// The record that a name needs: always the same one, and the same for a wildcard and the name under it.
fn record(name: &str) -> (String, String) {
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let hash = |salt: &str| -> String {
        let digest = Sha256::digest(format!("{salt} {plain}").as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    };
    (format!("_{}.{plain}.", hash("name")), format!("_{}.ecslocal.acm-validations.aws.", hash("value")))
}

/// Certificates of a region that load balancers use, each with the load balancer.
async fn users(proxy: &Proxy, region: &str) -> Vec<(String, String)> {
    let describe = async |form: &[(&str, &str)]| {
        proxy.upstream.query("elasticloadbalancing", region, "2015-12-01", form).await.ok().unwrap_or_default()
    };
    let mut users = Vec::new();
    let balancers = describe(&[("Action", "DescribeLoadBalancers"), ("PageSize", PAGE)]).await;
    for balancer in texts(&balancers, "LoadBalancerArn") {
        let listeners = describe(&[("Action", "DescribeListeners"), ("LoadBalancerArn", balancer)]).await;
        for listener in texts(&listeners, "ListenerArn") {
            let used = describe(&[("Action", "DescribeListenerCertificates"), ("ListenerArn", listener)]).await;
            users.extend(texts(&used, "CertificateArn").into_iter().map(|arn| (arn.to_owned(), balancer.to_owned())));
        }
        let used = texts(&listeners, "CertificateArn").into_iter();
        users.extend(used.map(|arn| (arn.to_owned(), balancer.to_owned())));
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_issued_some_time_after_its_records_are_there() {
        let mut requested = Requested { at: 100.0, proven: None, failure: None };
        assert_eq!(requested.status(200.0, 60.0), "PENDING_VALIDATION");
        assert_eq!(requested.status(100.0 + GIVES_UP, 60.0), "VALIDATION_TIMED_OUT");
        requested.proven = Some(300.0);
        assert_eq!((requested.status(359.0, 60.0), requested.status(360.0, 60.0)), ("PENDING_VALIDATION", "ISSUED"));
        requested.failure = Some(Failure {
            kind: Kind::Certificate,
            name: "*".to_owned(),
            times: None,
            code: "CAA_ERROR".to_owned(),
            message: String::new(),
        });
        assert_eq!(requested.status(360.0, 60.0), "FAILED");
    }

    #[test]
    fn a_wildcard_and_the_name_under_it_need_the_same_record() {
        assert_eq!(record("*.example.com"), record("example.com"));
        assert_ne!(record("a.example.com"), record("example.com"));
    }
}
