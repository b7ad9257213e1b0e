//! What a stack costs a month before anybody uses it, from a table of AWS's list prices.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::stack::{Architecture, Nat, PasswordStore, Service, Stack, TableClass};

/// Hours of a month, as AWS's own calculator counts them.
const HOURS: f64 = 730.0;
/// MiB of a GB, as Fargate counts it, and CPU units of a vCPU.
const THOUSAND: f64 = 1024.0;
/// What comes on top, by what is used.
pub const NOT_COUNTED: &str = "traffic, requests and what NAT gateways and the load balancer are charged by use, logs, \
    metrics, images, backups and snapshots, what is free at first, taxes";

/// The price table, which says itself where each part of it comes from.
static TABLE: LazyLock<Table> =
    LazyLock::new(|| serde_json::from_str(include_str!("prices.json")).expect("a test reads the table"));

/// One thing that is paid for by the hour or the month.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Tool that makes it
    pub tool: &'static str,
    /// What it is, and how many
    pub what: String,
    /// USD a month; none where the table has no price for it
    pub monthly: Option<f64>,
}

/// What a stack costs before it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Region that the prices are of
    pub region: String,
    /// Day on which the prices were known, as `2026-11-27`
    pub date: &'static str,
    /// Everything that is paid for
    pub items: Vec<Item>,
}

impl Estimate {
    /// Returns the sum in USD a month of what has a price.
    pub fn total(&self) -> f64 {
        self.items.iter().filter_map(|item| item.monthly).sum()
    }

    /// Says whether something has no price in the table.
    pub fn incomplete(&self) -> bool {
        self.items.iter().any(|item| item.monthly.is_none())
    }
}

/// The table: prices by region.
#[derive(Debug, Deserialize)]
struct Table {
    date: String,
    everywhere: Everywhere,
    regions: BTreeMap<String, Prices>,
}

/// AWS's list prices that are the same in all regions, in USD.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everywhere {
    public_ipv4_hour: f64,
    secret_month: f64,
    alarm_month: f64,
}

/// AWS's list prices in one region, in USD; what is not in it is not known.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Prices {
    fargate_x86_64_vcpu_hour: Option<f64>,
    fargate_x86_64_gb_hour: Option<f64>,
    fargate_arm64_vcpu_hour: Option<f64>,
    fargate_arm64_gb_hour: Option<f64>,
    nat_gateway_hour: Option<f64>,
    load_balancer_hour: Option<f64>,
    interface_endpoint_hour: Option<f64>,
    dynamodb_read_unit_hour: Option<f64>,
    dynamodb_write_unit_hour: Option<f64>,
    db_gp3_gb_month: Option<f64>,
    db_postgresql_hour: BTreeMap<String, f64>,
}

/// Estimates what a stack costs a month in a region.
pub fn estimate(stack: &Stack, region: &str) -> Estimate {
    let nothing = Prices::default();
    let prices = TABLE.regions.get(region).unwrap_or(&nothing);
    let mut bill = Bill { items: Vec::new() };
    network(&mut bill, stack, prices);
    database(&mut bill, stack, prices);
    tables(&mut bill, stack, prices);
    load_balancer(&mut bill, stack, prices);
    for (key, service) in &stack.services {
        fargate(&mut bill, key, service, prices);
    }
    alarms(&mut bill, stack);
    Estimate { region: region.to_owned(), date: &TABLE.date, items: bill.items }
}

/// The items that have been found.
struct Bill {
    items: Vec<Item>,
}

impl Bill {
    /// Adds so many of something, unless there are none of it.
    fn add(&mut self, tool: &'static str, count: usize, (one, many): (&str, &str), monthly: Option<f64>) {
        if count > 0 {
            let what = format!("{count} {}", if count == 1 { one } else { many });
            #[expect(clippy::cast_precision_loss, reason = "counts of resources are small")]
            self.items.push(Item { tool, what, monthly: monthly.map(|one| one * count as f64) });
        }
    }
}

fn hourly(price: Option<f64>) -> Option<f64> {
    price.map(|price| price * HOURS)
}

fn network(bill: &mut Bill, stack: &Stack, prices: &Prices) {
    let net = &stack.net;
    // What somebody else has made, somebody else pays.
    if net.vpc_id.is_some() {
        return;
    }
    // A regional one is paid for in each zone that it serves.
    let regional = net.nat == Nat::Regional;
    let gateways = if regional { net.zones.len() } else { net.nat_zones().len() };
    let zonal = ("NAT gateway", "NAT gateways");
    let names = if regional { ("zone of a regional NAT gateway", "zones of a regional NAT gateway") } else { zonal };
    bill.add("ecs-net", gateways, names, hourly(prices.nat_gateway_hour));
    let addresses = ("public IPv4 address of a NAT gateway", "public IPv4 addresses of NAT gateways");
    bill.add("ecs-net", gateways, addresses, hourly(Some(TABLE.everywhere.public_ipv4_hour)));
    // An interface endpoint is paid for in each of its zones.
    let endpoints = stack.interface_endpoints().len() * net.zones.len();
    let interfaces = ("interface endpoint in a zone", "interface endpoints, counted in each zone");
    bill.add("ecs-net", endpoints, interfaces, hourly(prices.interface_endpoint_hour));
}

fn database(bill: &mut Bill, stack: &Stack, prices: &Prices) {
    let db = &stack.db;
    // One that somebody else made costs nothing more than before.
    if !db.enabled || db.existing {
        return;
    }
    // A standby costs what the instance and its storage cost.
    let (twice, how) = if db.multi_az { (2.0, "Multi-AZ DB instance") } else { (1.0, "DB instance") };
    let instance = hourly(prices.db_postgresql_hour.get(&db.instance_class).copied()).map(|price| price * twice);
    let name = format!("{how} {}", db.instance_class);
    bill.add("ecs-db", 1, (&name, &name), instance);
    let storage = prices.db_gp3_gb_month.filter(|_| db.storage_type == "gp3");
    let storage = storage.map(|price| price * f64::from(db.allocated_storage) * twice);
    let what = format!("{} GiB of {} storage", db.allocated_storage, db.storage_type);
    bill.items.push(Item { tool: "ecs-db", what, monthly: storage });
    let secrets = usize::from(db.password == PasswordStore::SecretsManager);
    bill.add("ecs-db", secrets, ("secret", "secrets"), Some(TABLE.everywhere.secret_month));
}

fn tables(bill: &mut Bill, stack: &Stack, prices: &Prices) {
    for (key, table) in &stack.tables {
        let Some(units) = table.throughput() else { continue };
        // Each global secondary index has as many units as the table.
        let times = 1.0 + f64::from(u32::try_from(table.indexes.len()).unwrap_or(u32::MAX));
        let price = prices.dynamodb_read_unit_hour.zip(prices.dynamodb_write_unit_hour);
        let monthly = price
            .filter(|_| table.table_class == TableClass::Standard)
            .map(|(read, write)| (read * f64::from(units.read) + write * f64::from(units.write)) * times * HOURS);
        let indexes = if table.indexes.is_empty() { "" } else { ", as much for each index" };
        let what = format!("{} read and {} write units of table {key}{indexes}", units.read, units.write);
        bill.items.push(Item { tool: "ecs-db", what, monthly });
    }
}

fn load_balancer(bill: &mut Bill, stack: &Stack, prices: &Prices) {
    // Somebody else's is on somebody else's bill.
    if stack.alb.load_balancer_arn.is_some() {
        return;
    }
    bill.add("ecs-alb", 1, ("load balancer", "load balancers"), hourly(prices.load_balancer_hour));
    // One in each subnet at least: it adds some when it has much to do.
    let net = &stack.net;
    let subnets = if net.vpc_id.is_some() { net.public_subnet_ids.len() } else { net.zones.len() };
    let addresses = ("public IPv4 address of the load balancer", "public IPv4 addresses of the load balancer");
    bill.add("ecs-alb", subnets, addresses, hourly(Some(TABLE.everywhere.public_ipv4_hour)));
}

fn fargate(bill: &mut Bill, key: &str, service: &Service, prices: &Prices) {
    let tasks = service.autoscaling.as_ref().map_or(service.desired, |scaling| scaling.min);
    let (cpu, memory) = match service.architecture {
        Architecture::X86_64 => (prices.fargate_x86_64_vcpu_hour, prices.fargate_x86_64_gb_hour),
        Architecture::Arm64 => (prices.fargate_arm64_vcpu_hour, prices.fargate_arm64_gb_hour),
    };
    let (vcpus, gigabytes) = (f64::from(service.cpu) / THOUSAND, f64::from(service.memory) / THOUSAND);
    let one = cpu.zip(memory).map(|(cpu, memory)| (vcpus * cpu + gigabytes * memory) * HOURS);
    let least = if service.autoscaling.is_some() { " at the least" } else { "" };
    let spot = if service.spot.is_some() { ", those on Spot at the price on demand" } else { "" };
    let size = format!("{vcpus} vCPU and {gigabytes} GB of {key}{least}{spot}");
    let (task, tasks_of) = (format!("task with {size}"), format!("tasks with {size}"));
    bill.add("ecs-svc", tasks as usize, (&task, &tasks_of), one);
}

fn alarms(bill: &mut Bill, stack: &Stack) {
    // Paid for by the metrics that they look at: with a second target group there are two.
    let metrics = stack.services.values().map(|service| {
        let groups = if service.shift().is_some() { 2 } else { 1 };
        let rollback = service.rollback_alarms();
        let rollback =
            rollback.map_or(0, |alarms| usize::from(alarms.errors_5xx > 0) + usize::from(alarms.unhealthy_hosts > 0));
        let people = service.alarms.as_ref();
        let of_groups = people.map_or(0, |alarms| {
            usize::from(alarms.errors_5xx.is_some()) + usize::from(alarms.unhealthy_hosts.is_some())
        });
        let of_tasks =
            people.map_or(0, |alarms| usize::from(alarms.cpu.is_some()) + usize::from(alarms.memory.is_some()));
        (rollback + of_groups) * groups + of_tasks
    });
    bill.add("ecs-svc", metrics.sum(), ("metric of an alarm", "metrics of alarms"), Some(TABLE.everywhere.alarm_month));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{Autoscaling, Deployment, Strategy};

    fn whats(stack: &Stack) -> Vec<String> {
        estimate(stack, "us-east-1").items.into_iter().map(|item| item.what).collect()
    }

    #[test]
    fn the_tutorial_stack_costs_what_its_parts_cost() {
        let estimate = estimate(&Stack::default(), "us-east-1");
        let texts: Vec<_> = estimate
            .items
            .iter()
            .map(|item| format!("{} {:.2} {}", item.tool, item.monthly.expect("a price"), item.what))
            .collect();
        let wanted = [
            "ecs-net 65.70 2 NAT gateways",
            "ecs-net 7.30 2 public IPv4 addresses of NAT gateways",
            "ecs-db 52.56 1 DB instance db.t3.medium",
            "ecs-db 2.30 20 GiB of gp3 storage",
            "ecs-alb 16.43 1 load balancer",
            "ecs-alb 7.30 2 public IPv4 addresses of the load balancer",
            "ecs-svc 72.08 2 tasks with 1 vCPU and 2 GB of backend",
            "ecs-svc 36.04 2 tasks with 0.5 vCPU and 1 GB of frontend",
        ];
        assert_eq!(texts, wanted);
        assert_eq!(format!("{:.2}", estimate.total()), "259.71");
        assert!(!estimate.incomplete());
    }

    #[test]
    fn each_choice_that_is_paid_for_is_in_the_estimate() {
        let mut stack = Stack::default();
        stack.net.nat = Nat::None;
        stack.net.interface_endpoints = vec!["ecr.api".to_owned(), "ecr.dkr".to_owned(), "logs".to_owned()];
        stack.db.multi_az = true;
        stack.db.password = PasswordStore::SecretsManager;
        let orders =
            serde_json::json!({"partition_key": {"name": "id", "type": "S"}, "billing": {"read": 5, "write": 2}});
        stack.tables.insert("orders".to_owned(), serde_json::from_value(orders).expect("a table"));
        let backend = stack.services.get_mut("backend").expect("the tutorial's");
        backend.architecture = Architecture::Arm64;
        backend.autoscaling = Some(Autoscaling {
            min: 3,
            max: 9,
            cpu: Some(50),
            memory: None,
            requests_per_target: None,
            schedules: Vec::new(),
        });
        backend.deployment = Some(Deployment { strategy: Strategy::Canary, ..Deployment::default() });
        let wanted = [
            "6 interface endpoints, counted in each zone",
            "1 Multi-AZ DB instance db.t3.medium",
            "20 GiB of gp3 storage",
            "1 secret",
            "5 read and 2 write units of table orders",
            "1 load balancer",
            "2 public IPv4 addresses of the load balancer",
            "3 tasks with 1 vCPU and 2 GB of backend at the least",
            "2 tasks with 0.5 vCPU and 1 GB of frontend",
            "4 metrics of alarms",
        ];
        assert_eq!(whats(&stack), wanted);
    }

    #[test]
    fn a_region_without_prices_says_so() {
        let estimate = estimate(&Stack::default(), "xx-nowhere-1");
        assert!(estimate.incomplete());
        // Only public addresses cost the same everywhere: two of NAT gateways, two of the load balancer.
        assert_eq!(format!("{:.2}", estimate.total()), "14.60");
    }

    #[test]
    fn the_table_is_dated_and_has_sensible_prices() {
        assert_eq!(TABLE.date.len(), "2026-11-27".len());
        for (region, prices) in &TABLE.regions {
            let fargate = prices.fargate_x86_64_vcpu_hour.expect(region);
            assert!((0.01..0.2).contains(&fargate), "{region}: {fargate}");
            assert!(prices.nat_gateway_hour.is_none_or(|price| (0.02..0.2).contains(&price)), "{region}");
        }
    }
}
