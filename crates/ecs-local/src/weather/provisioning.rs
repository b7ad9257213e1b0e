//! How long things take to come up and to go, on the scaled clock, and which never come up.

use std::time::Duration;

use serde::Deserialize;

/// How long things take to come up and to go, on the scaled clock; AWS's usual times by default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Provisioning {
    /// A NAT gateway, from `pending` to `available`: usually 1 to 2 min.
    #[serde(with = "humantime_serde")]
    pub nat_gateway: Duration,
    /// A NAT gateway, from `deleting` to `deleted`.
    #[serde(with = "humantime_serde")]
    pub nat_gateway_deletion: Duration,
    /// An interface endpoint, from `pending` to `available`: usually 1 to 2 min.
    #[serde(with = "humantime_serde")]
    pub vpc_endpoint: Duration,
    /// A load balancer, from `provisioning` to `active`: usually 2 to 3 min.
    #[serde(with = "humantime_serde")]
    pub load_balancer: Duration,
    /// A database, from `creating` to `available`: usually 5 to 10 min.
    #[serde(with = "humantime_serde")]
    pub database: Duration,
    /// A change of a database, from `modifying` to `available`.
    #[serde(with = "humantime_serde")]
    pub database_change: Duration,
    /// A database, from `deleting` to not found; a final snapshot takes the better part of it.
    #[serde(with = "humantime_serde")]
    pub database_deletion: Duration,
    /// A certificate, from the moment that its DNS records are there to `ISSUED`: usually some minutes.
    #[serde(with = "humantime_serde")]
    pub certificate: Duration,
    /// A certificate, until ACM tells which DNS records it wants: several seconds.
    #[serde(with = "humantime_serde")]
    pub certificate_records: Duration,
    /// A change of DNS records, from `PENDING` to `INSYNC`: up to 60 s.
    #[serde(with = "humantime_serde")]
    pub dns_change: Duration,
    /// A DynamoDB table, from `CREATING` to `ACTIVE`: usually a few seconds.
    #[serde(with = "humantime_serde")]
    pub table: Duration,
    /// A change of a table, from `UPDATING` to `ACTIVE`.
    #[serde(with = "humantime_serde")]
    pub table_change: Duration,
    /// A new index of a table, from `CREATING` to `ACTIVE`: usually 5 min, even where there is nothing to fill it with.
    #[serde(with = "humantime_serde")]
    pub table_index: Duration,
    /// A table, from `DELETING` to not found.
    #[serde(with = "humantime_serde")]
    pub table_deletion: Duration,
    /// A backup of a table, which cannot be deleted meanwhile.
    #[serde(with = "humantime_serde")]
    pub table_backup: Duration,
    /// The network interfaces of a load balancer or a database that is gone: usually 2 to 5 min.
    #[serde(with = "humantime_serde")]
    pub interfaces: Duration,
    /// What never comes up.
    #[serde(rename = "failure")]
    pub failures: Vec<Failure>,
}

impl Default for Provisioning {
    fn default() -> Provisioning {
        let seconds = Duration::from_secs;
        Provisioning {
            nat_gateway: seconds(90),
            nat_gateway_deletion: seconds(45),
            vpc_endpoint: seconds(75),
            load_balancer: seconds(150),
            database: seconds(420),
            database_change: seconds(120),
            database_deletion: seconds(180),
            certificate: seconds(180),
            certificate_records: seconds(5),
            dns_change: seconds(30),
            table: seconds(10),
            table_change: seconds(10),
            table_index: seconds(300),
            table_deletion: seconds(10),
            table_backup: seconds(5),
            interfaces: seconds(180),
            failures: Vec::new(),
        }
    }
}

/// Something that never comes up.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Failure {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name (for what EC2 keeps: the `Name` tag), with `*` for anything.
    pub name: String,
    /// How many of those fail; none: all.
    #[serde(default)]
    pub times: Option<usize>,
    /// AWS's code for it: a NAT gateway's `FailureCode`, a database's status ("incompatible-network").
    pub code: String,
    /// AWS's words for it.
    #[serde(default)]
    pub message: String,
}

/// What can fail to come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Ends in `failed`, and keeps its address.
    NatGateway,
    /// Ends in `failed`.
    VpcEndpoint,
    /// Ends in `failed`.
    LoadBalancer,
    /// Ends in the status that is the code.
    Database,
    /// Ends in `FAILED`; the code is the reason ("CAA_ERROR").
    Certificate,
}
