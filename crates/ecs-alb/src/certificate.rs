//! The certificate that ACM is asked for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_acm::Client;
use aws_sdk_acm::types::{
    CertificateDetail, CertificateStatus, CertificateSummary, CertificateType, Filters, KeyAlgorithm, Tag,
    ValidationMethod,
};
use ecs_aws::{Answer as _, Api, present};
use ecs_core::stack::CertificateConfig;
use ecs_core::{All as _, Error, Health, Identity, Listing, Owner, Resource, Result, Stack};
use futures::future::join_all;

use crate::LAYER;
use crate::dns::canonical;

/// The clients of ACM.
pub type Acm = Api<Client>;

/// What one has to know of a certificate that never will be issued.
const FAILED: &str = "https://docs.aws.amazon.com/acm/latest/userguide/troubleshooting-failed.html";

/// The certificates that the stack has asked for, listed once.
#[derive(Debug)]
pub struct Certificates {
    identity: Identity,
    list: Listing<Vec<Live>>,
}

/// A record that proves to ACM that a name is ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Its name
    pub name: String,
    /// What it is a CNAME for
    pub value: String,
}

/// What ACM says the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its ARN
    pub arn: String,
    /// Its names, in order
    pub names: Vec<String>,
    status: CertificateStatus,
    reason: String,
    /// ARNs of what uses it
    users: Vec<String>,
    /// The record that each name needs, as soon as ACM has told
    pub records: BTreeMap<String, Option<Record>>,
}

impl Live {
    /// Says whether it can be used.
    pub fn is_issued(&self) -> bool {
        self.status == CertificateStatus::Issued
    }

    /// Says whether it can be used, or may be some day.
    fn is_alive(&self) -> bool {
        self.is_issued() || self.status == CertificateStatus::PendingValidation
    }

    /// Returns the records that it needs, each once; none as long as ACM has not told all of them.
    ///
    /// `example.com` and `*.example.com` need the same one:
    /// <https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html>
    pub fn all_records(&self) -> Option<Vec<(&String, &Record)>> {
        let mut records: Vec<(&String, &Record)> = Vec::new();
        for (name, record) in &self.records {
            let record = record.as_ref()?;
            if !records.iter().any(|(_, other)| *other == record) {
                records.push((name, record));
            }
        }
        Some(records).filter(|records| !records.is_empty())
    }
}

impl Certificates {
    /// Makes the list of the stack's certificates.
    pub fn of(stack: &Stack) -> Rc<Self> {
        let identity = Identity::new(&stack.name, LAYER, &stack.alb.name);
        Rc::new(Self { identity, list: Listing::default() })
    }

    /// Returns the certificates that the stack has asked for: a certificate has no name, so its tags alone tell.
    ///
    /// # Errors
    /// Any refusal by ACM.
    pub async fn ours(&self, acm: &Acm) -> Result<Rc<Vec<Live>>> {
        let list = self.list.get(async || {
            let requested = |one: &&CertificateSummary| one.r#type() == Some(&CertificateType::AmazonIssued);
            let all = all(acm).await?;
            let ours = all.iter().filter(requested).filter_map(|one| one.certificate_arn()).map(async |arn| {
                let reply = acm.read.list_tags_for_certificate().certificate_arn(arn).send().await;
                let Some(reply) = reply.answer_if_found("acm:ListTagsForCertificate")? else { return Ok(None) };
                let tags = reply.tags().iter().map(|tag| (tag.key(), tag.value().unwrap_or_default()));
                if self.identity.owner(tags) == Owner::Ours { describe(acm, arn).await } else { Ok(None) }
            });
            Ok(join_all(ours).await.all()?.into_iter().flatten().collect())
        });
        list.await
    }

    /// Makes the next caller look again.
    pub fn forget(&self) {
        self.list.forget();
    }
}

/// Lists the certificates of the region, whosesoever, with keys of every kind: of itself ACM lists RSA keys of up to 2048
/// bits.
async fn all(acm: &Acm) -> Result<Vec<CertificateSummary>> {
    let kinds = KeyAlgorithm::values().iter().map(|kind| KeyAlgorithm::from(*kind)).collect();
    let every = Filters::builder().set_key_types(Some(kinds)).build();
    let all = acm.read.list_certificates().includes(every).into_paginator().items().send();
    all.collect::<Result<Vec<_>, _>>().await.answer("acm:ListCertificates")
}

/// Reads one certificate; none where ACM does not know it, or not yet.
///
/// # Errors
/// Any refusal by ACM.
pub async fn describe(acm: &Acm, arn: &str) -> Result<Option<Live>> {
    let reply = acm.read.describe_certificate().certificate_arn(arn).send().await;
    let reply = reply.answer_if_found("acm:DescribeCertificate")?;
    Ok(reply.and_then(|reply| reply.certificate).map(|detail| live(&detail)))
}

/// Deletes a certificate; while something uses it, ACM answers `ResourceInUseException`.
///
/// # Errors
/// Any refusal by ACM.
pub async fn delete(acm: &Acm, arn: &str) -> Result<()> {
    acm.write.delete_certificate().certificate_arn(arn).send().await.answer("acm:DeleteCertificate").map(drop)
}

/// A certificate for some names.
#[derive(Debug)]
pub struct Certificate {
    identity: Identity,
    domain: String,
    names: Vec<String>,
    /// When this run began, in nanoseconds since the Unix epoch
    began: u128,
    arn: RefCell<Option<String>>,
    certificates: Rc<Certificates>,
}

impl Certificate {
    /// Makes the certificate that the file asks for.
    pub fn new(stack: &Stack, config: &CertificateConfig, certificates: &Rc<Certificates>) -> Self {
        let domain = config.domain.to_lowercase();
        Self {
            identity: Identity::new(&stack.name, LAYER, &domain),
            domain,
            names: config.names(),
            began: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()),
            arn: RefCell::default(),
            certificates: Rc::clone(certificates),
        }
    }

    /// Makes one that is to be deleted.
    pub fn for_destroy(stack: &Stack, live: &Live, certificates: &Rc<Certificates>) -> Self {
        let domain = live.names.first().cloned().unwrap_or_default();
        Self {
            identity: Identity::new(&stack.name, LAYER, &domain),
            domain,
            names: live.names.clone(),
            began: 0,
            arn: RefCell::new(Some(live.arn.clone())),
            certificates: Rc::clone(certificates),
        }
    }
}

impl Certificate {
    /// Returns the one that every run of the stack takes: an issued one, else the first by its ARN.
    async fn chosen(&self, acm: &Acm) -> Result<Option<Live>> {
        let ours = self.certificates.ours(acm).await?;
        let fitting = ours.iter().filter(|one| one.names == self.names && one.is_alive());
        Ok(fitting.min_by_key(|one| (!one.is_issued(), &one.arn)).cloned())
    }
}

impl Resource for Certificate {
    type Api = Acm;
    type Live = Live;
    const KIND: &'static str = "certificate";
    /// ACM learns only by and by that the load balancer no longer uses it.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);
    const USUAL: &'static str = "2 to 30 min once its DNS records are there";

    fn name(&self) -> String {
        self.domain.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.clone()
    }

    /// ACM gives up after 72 hours, but DNS records that are there are found within half an hour, and this is what the
    /// Terraform provider waits: <https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html>,
    /// <https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/acm_certificate_validation#timeouts>
    fn patience(&self) -> Duration {
        Duration::from_secs(75 * 60)
    }

    fn planned(&self) -> Live {
        Live {
            arn: ecs_core::id::planned(Self::KIND, &self.domain),
            names: self.names.clone(),
            status: CertificateStatus::PendingValidation,
            reason: String::new(),
            users: Vec::new(),
            records: self.names.iter().map(|name| (name.clone(), None)).collect(),
        }
    }

    /// Returns the stack's certificate for just these names. One that failed never comes to life again: another one
    /// takes its place.
    async fn find(&self, acm: &Acm) -> Result<Option<Live>> {
        let known = self.arn.borrow().clone();
        if let Some(arn) = known {
            return describe(acm, &arn).await;
        }
        let found = self.chosen(acm).await?;
        self.arn.replace(found.as_ref().map(|live| live.arn.clone()));
        Ok(found)
    }

    async fn create(&self, acm: &Acm) -> Result<Live> {
        // ACM remembers a token for an hour, and does not say what it answers for one whose certificate has been deleted
        // meanwhile: so it is this run's alone. A later run finds the certificate by its tags.
        let began = self.began.to_string();
        let parts: Vec<&str> = self.names.iter().map(String::as_str).chain([began.as_str()]).collect();
        let call = acm.write.request_certificate().domain_name(&self.domain).validation_method(ValidationMethod::Dns);
        let others: Vec<String> = self.names.iter().filter(|name| **name != self.domain).cloned().collect();
        let call = call.set_subject_alternative_names(Some(others).filter(|others| !others.is_empty()));
        let tags = self.identity.tags(|key, value| Tag::builder().key(key).value(value).build());
        let tags = tags.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| crate::dns::incomplete(&error))?;
        let call = call.set_tags(Some(tags)).idempotency_token(self.identity.token(&parts));
        let arn = call.send().await.answer("acm:RequestCertificate")?.certificate_arn;
        let arn = present(arn, "acm:RequestCertificate", "the certificate's ARN")?;
        self.arn.replace(Some(arn.clone()));
        // Another run of this stack may have asked at the same moment: both then take the same one.
        self.certificates.forget();
        match self.chosen(acm).await? {
            // Of two, only one gives way.
            Some(other) if other.arn != arn && (other.is_issued() || other.arn < arn) => {
                delete(acm, &arn).await?;
                self.arn.replace(Some(other.arn.clone()));
                Ok(other)
            }
            Some(_) | None => Ok(Live { arn, ..self.planned() }),
        }
    }

    async fn delete(&self, acm: &Acm, live: &Live) -> Result<()> {
        delete(acm, &live.arn).await
    }

    /// Names what uses it: the stack's own load balancer has gone, which ACM learns by and by. Others keep it.
    async fn users(&self, acm: &Acm, live: &Live) -> Result<Vec<String>> {
        let users = describe(acm, &live.arn).await?.map(|live| live.users).unwrap_or_default();
        let own = format!(":loadbalancer/app/{}/", self.certificates.identity.name);
        let others: Vec<&str> = users.iter().filter(|arn| !arn.contains(&own)).map(String::as_str).collect();
        if others.is_empty() {
            return Ok(users);
        }
        Err(Error::other(format!("others use it: {}", others.join(", ")))
            .hint("give them another certificate, then run again"))
    }

    fn health(&self, live: &Live) -> Health {
        match live.status {
            CertificateStatus::Issued => Health::Ready,
            CertificateStatus::PendingValidation => Health::Pending(live.status.as_str().to_owned()),
            // Or a state that ACM has since learnt: none of them ends well.
            ref other @ (CertificateStatus::Failed
            | CertificateStatus::ValidationTimedOut
            | CertificateStatus::Expired
            | CertificateStatus::Revoked
            | CertificateStatus::Inactive
            | _) => {
                let reason = if live.reason.is_empty() { String::new() } else { format!(": {}", live.reason) };
                Health::Failed(format!("ACM does not issue it: {}{reason}", other.as_str()))
            }
        }
    }

    fn failure(&self, live: &Live, reason: String) -> Error {
        let hint = match live.reason.as_str() {
            "CAA_ERROR" => {
                "let Amazon issue certificates for the domain: a CAA record for `amazon.com`, or none at all".to_owned()
            }
            "ADDITIONAL_VERIFICATION_REQUIRED" => "AWS Support has to verify the domain first".to_owned(),
            _ => format!("see {FAILED}; then run the same line again: it asks for another one"),
        };
        Error::other(reason).hint(hint)
    }

    fn owner(&self, _live: &Live) -> Owner {
        // It was found by its tags.
        Owner::Ours
    }

    async fn adopt(&self, _acm: &Acm, _live: &Live) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.certificates.forget();
    }
}

fn live(detail: &CertificateDetail) -> Live {
    let mut names: Vec<String> = detail.subject_alternative_names().iter().map(|name| canonical(name)).collect();
    names.extend(detail.domain_name().map(canonical));
    names.sort_unstable();
    names.dedup();
    let record = |record: &aws_sdk_acm::types::ResourceRecord| Record {
        name: canonical(record.name()),
        value: canonical(record.value()),
    };
    let options = detail.domain_validation_options().iter();
    let mut records: BTreeMap<String, Option<Record>> = names.iter().map(|name| (name.clone(), None)).collect();
    records.extend(options.map(|option| (canonical(option.domain_name()), option.resource_record().map(record))));
    Live {
        arn: detail.certificate_arn().unwrap_or_default().to_owned(),
        names,
        status: detail.status().cloned().unwrap_or(CertificateStatus::PendingValidation),
        reason: detail.failure_reason().map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        users: detail.in_use_by().to_vec(),
        records,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_acm::types::{DomainValidation, FailureReason, RecordType, ResourceRecord};

    use super::*;

    fn option(name: &str, record: Option<&str>) -> DomainValidation {
        let record = record.map(|record| {
            let record =
                ResourceRecord::builder().name(record).r#type(RecordType::Cname).value("_v.acm-validations.aws.");
            record.build().expect("a record")
        });
        DomainValidation::builder().domain_name(name).set_resource_record(record).build().expect("an option")
    }

    /// A reply as in the example of DescribeCertificate:
    /// <https://docs.aws.amazon.com/acm/latest/APIReference/API_DescribeCertificate.html>
    fn detail(options: Vec<DomainValidation>, status: CertificateStatus) -> CertificateDetail {
        let names = ["example.com", "*.example.com"].map(str::to_owned).to_vec();
        CertificateDetail::builder()
            .certificate_arn("arn:aws:acm:us-east-1:123456789012:certificate/1")
            .domain_name("example.com")
            .set_subject_alternative_names(Some(names))
            .set_domain_validation_options(Some(options))
            .status(status)
            .build()
    }

    #[test]
    fn records_are_known_when_acm_has_told_all_of_them() {
        let pending = CertificateStatus::PendingValidation;
        let told = option("example.com", Some("_x.example.com."));
        assert_eq!(live(&detail(Vec::new(), pending.clone())).all_records(), None);
        assert_eq!(
            live(&detail(vec![told.clone(), option("*.example.com", None)], pending.clone())).all_records(),
            None
        );
        let both = live(&detail(vec![told, option("*.example.com", Some("_x.example.com."))], pending));
        let record = Record { name: "_x.example.com".to_owned(), value: "_v.acm-validations.aws".to_owned() };
        assert_eq!(
            both.all_records(),
            Some(vec![(&"*.example.com".to_owned(), &record)]),
            "both names need the same one"
        );
    }

    #[test]
    fn a_certificate_is_pending_then_issued_or_failed() {
        let stack = Stack::default();
        let config = CertificateConfig {
            domain: "Example.com".into(),
            alternative_names: vec!["*.example.com".into()],
            zone: None,
        };
        let certificate = Certificate::new(&stack, &config, &Certificates::of(&stack));
        let health = |status| certificate.health(&live(&detail(Vec::new(), status)));
        assert_eq!(health(CertificateStatus::Issued), Health::Ready);
        assert_eq!(health(CertificateStatus::PendingValidation), Health::Pending("PENDING_VALIDATION".into()));
        let timed_out = Health::Failed("ACM does not issue it: VALIDATION_TIMED_OUT".into());
        assert_eq!(health(CertificateStatus::ValidationTimedOut), timed_out);
        let failed =
            CertificateDetail::builder().status(CertificateStatus::Failed).failure_reason(FailureReason::CaaError);
        let failed = live(&failed.build());
        assert_eq!(certificate.health(&failed), Health::Failed("ACM does not issue it: FAILED: CAA_ERROR".into()));
        assert_eq!(certificate.planned().names, live(&detail(Vec::new(), CertificateStatus::Issued)).names);
    }
}
