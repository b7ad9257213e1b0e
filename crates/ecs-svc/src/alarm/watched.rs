//! What an alarm on a service watches.

use aws_sdk_cloudwatch::types::Statistic;
use ecs_core::stack::{Alarms as Config, ServiceAlarms};

/// Where Elastic Load Balancing puts its metrics:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html>
const LOAD_BALANCING: &str = "AWS/ApplicationELB";
/// Where ECS puts the utilisation of services:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html>
const ECS: &str = "AWS/ECS";
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
    pub fn is_for_people(self) -> bool {
        match self {
            Self::Errors | Self::UnhealthyHosts => false,
            Self::Cpu | Self::Memory | Self::ErrorsForPeople | Self::UnhealthyHostsForPeople => true,
        }
    }

    /// Says whether it is a metric of the load balancer's, and not of ECS's.
    pub fn is_load_balancing(self) -> bool {
        match self {
            Self::Errors | Self::UnhealthyHosts | Self::ErrorsForPeople | Self::UnhealthyHostsForPeople => true,
            Self::Cpu | Self::Memory => false,
        }
    }

    /// Returns where its metric is.
    pub fn namespace(self) -> &'static str {
        if self.is_load_balancing() { LOAD_BALANCING } else { ECS }
    }

    /// Returns the name of its metric.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Errors | Self::ErrorsForPeople => "HTTPCode_Target_5XX_Count",
            Self::UnhealthyHosts | Self::UnhealthyHostsForPeople => "UnHealthyHostCount",
            Self::Cpu => "CPUUtilization",
            Self::Memory => "MemoryUtilization",
        }
    }

    /// Returns what is counted of it.
    pub fn statistic(self) -> Statistic {
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
    pub fn missing(self) -> &'static str {
        if self.is_load_balancing() { "notBreaching" } else { "missing" }
    }

    /// Returns the expression over the metrics of both target groups.
    ///
    /// A function of an array of metrics takes those that have a data point, so that one target group without requests
    /// does not hide the other; `m1 + m2` needs both. `FILL` would not do: the latest minute, which has no data point
    /// yet, would always count as a good one
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>).
    pub fn expression(self) -> &'static str {
        match self {
            Self::Errors | Self::ErrorsForPeople => "SUM([m1, m2])",
            Self::UnhealthyHosts | Self::UnhealthyHostsForPeople | Self::Cpu | Self::Memory => "MAX([m1, m2])",
        }
    }
}
