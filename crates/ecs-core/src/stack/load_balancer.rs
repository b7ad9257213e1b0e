//! The `[alb]` table: the Application Load Balancer, its certificates and its name in DNS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes the load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlbConfig {
    /// Name of the load balancer: at most 32 letters, digits and hyphens
    pub name: String,
    /// ARN of a load balancer that somebody else has made: only rules and target groups are the stack's then
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_arn: Option<String>,
    /// ARN of its listener for the rules (default: the one on HTTPS, else the one on HTTP)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_arn: Option<String>,
    /// ARN of an ACM certificate: adds a listener on 443 and redirects 80 to it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_arn: Option<String>,
    /// ARNs of further ACM certificates, for other host names (SNI)
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificate_arns: Vec<String>,
    /// Certificate to request from ACM, in place of `certificate_arn`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateConfig>,
    /// TLS security policy of the listener on 443 (default: AWS's recommended one; what somebody has set there stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<String>,
    /// With a certificate, redirect port 80 to 443; else nothing listens on 80 then
    pub redirect: bool,
    /// Name of the stack in DNS: an alias to the load balancer in the hosted zone that the account has for it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Hosted zone for `domain`, by its id or name (default: the public zone whose name is the longest end of the domain)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl AlbConfig {
    /// Says whether it serves HTTPS.
    pub fn serves_https(&self) -> bool {
        self.certificate_arn.is_some() || self.certificate.is_some()
    }
}

/// Describes a certificate that ACM is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// Domain name, at most 64 characters; `*.example.com` stands for every name directly under it
    pub domain: String,
    /// Further domain names
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternative_names: Vec<String>,
    /// Hosted zone for the records that prove that the names are yours, by its id or name (default: for each name, the
    /// public zone of the account whose name is the longest end of it)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl CertificateConfig {
    /// Returns all its names, as ACM keeps them: in lower case, each once, in order.
    pub fn names(&self) -> Vec<String> {
        let all = std::iter::once(&self.domain).chain(&self.alternative_names);
        let mut names: Vec<String> = all.map(|name| name.to_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Says whether it is good for a domain name.
    pub fn covers(&self, domain: &str) -> bool {
        let domain = domain.to_lowercase();
        let parent = domain.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.names().iter().any(|name| *name == domain || Some(name) == parent.as_ref())
    }
}
