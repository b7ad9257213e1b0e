//! The picture of a stack: what a document describes, as a Mermaid flowchart.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::error::{Error, Kind, Result};
use crate::member::{Alb, Db, Ecr, Egress, Net, Svc, Tables};
use crate::stack::{GatewayService, Nat, Service, Shift, Stack, Tier};

/// What of a document is drawn: a layer that is not in it is not in the picture.
#[derive(Debug, Deserialize)]
struct Document {
    stack: Option<Stack>,
    net: Option<Net>,
    egress: Option<Egress>,
    ecr: Option<Ecr>,
    db: Option<Db>,
    tables: Option<Tables>,
    alb: Option<Alb>,
    svc: Option<Svc>,
}

/// Draws what a document describes, whether it exists or is planned: the flowchart's text, one element a line.
///
/// It has names and numbers from the stack file and no ids, so the pictures of two runs are the same.
///
/// # Errors
/// [`Kind::Truncated`] for a document that is not closed, [`Kind::Usage`] for one of another shape.
pub fn mermaid(document: &str) -> Result<String> {
    let document: Document = serde_json::from_str(document).map_err(|error| {
        if error.is_eof() {
            Error::new(Kind::Truncated, "the document ends too early: the program that wrote it failed")
        } else {
            Error::usage(format!("what is on stdin is no stack document: {error}"))
        }
    })?;
    let Some(stack) = &document.stack else {
        return Err(Error::usage("the document on stdin has no member `stack`")
            .hint("draw the output of a pipe that began with --stack FILE"));
    };
    let mut chart = Chart::default();
    Picture { document: &document, stack, region: stack.region.as_deref().unwrap_or("us-east-1") }.draw(&mut chart);
    Ok(chart.text())
}

/// A flowchart that is being written.
#[derive(Debug, Default)]
struct Chart {
    lines: Vec<String>,
    depth: usize,
    arrows: Vec<String>,
}

impl Chart {
    fn line(&mut self, line: &str) {
        self.lines.push(format!("{:1$}{line}", "", 4 * (self.depth + 1)));
    }

    /// Adds a box; the shape's two halves go around its label.
    fn node(&mut self, id: &str, (open, close): (&str, &str), label: &[&str]) {
        let label: Vec<_> = label.iter().map(|line| escaped(line)).collect();
        self.line(&format!("{id}{open}\"{}\"{close}", label.join("<br/>")));
    }

    /// Adds a box around what `inside` draws.
    fn group(&mut self, id: &str, label: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("subgraph {id}[\"{}\"]", escaped(label)));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line("end");
    }

    /// Adds an arrow; arrows come after all boxes, so that none decides in which group a box is.
    fn arrow(&mut self, from: &str, arrow: &str, label: &str, to: &str) {
        let label = if label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(label)) };
        self.arrows.push(format!("{from} {arrow}{label} {to}"));
    }

    fn text(mut self) -> String {
        for arrow in std::mem::take(&mut self.arrows) {
            self.line(&arrow);
        }
        self.lines.iter().fold("flowchart TB\n".to_owned(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }
}

/// Shapes of boxes, by Mermaid's names.
const RECTANGLE: (&str, &str) = ("[", "]");
const CYLINDER: (&str, &str) = ("[(", ")]");
const CIRCLE: (&str, &str) = ("((", "))");
/// Arrows: what the stack is for, and what its tasks need beside that.
const TRAFFIC: &str = "-->";
const NEED: &str = "-.->";

/// A document and the stack that it is about.
struct Picture<'d> {
    document: &'d Document,
    stack: &'d Stack,
    region: &'d str,
}

impl Picture<'_> {
    fn draw(&self, chart: &mut Chart) {
        chart.node("internet", CIRCLE, &["internet"]);
        if self.document.net.is_some() {
            let label = match &self.stack.net.vpc_id {
                Some(given) => format!("VPC {given}, which was there"),
                None => format!("VPC {}, {}", self.stack.vpc_name(), self.stack.net.cidr),
            };
            chart.group("vpc", &label, |chart| {
                for (tier, subnets) in self.tiers() {
                    if subnets > 0 {
                        let label = match &self.stack.net.vpc_id {
                            Some(_given) => format!("{subnets} {} subnets", tier.name()),
                            None => format!("{} subnets in {}", tier.name(), self.zones()),
                        };
                        chart.group(tier.name(), &label, |chart| self.tier(chart, tier));
                    }
                }
                self.endpoints(chart);
            });
        } else {
            Tier::ALL.into_iter().for_each(|tier| self.tier(chart, tier));
        }
        self.way_out(chart);
        self.around(chart);
    }

    fn tiers(&self) -> [(Tier, usize); 3] {
        let count = |of: fn(&Net) -> usize| self.document.net.as_ref().map_or(0, of);
        [
            (Tier::Public, count(|net| net.public_subnet_ids.len())),
            (Tier::Private, count(|net| net.private_subnet_ids.len())),
            (Tier::Database, count(|net| net.database_subnet_ids.len())),
        ]
    }

    /// Names the zones; those that AWS has chosen are only counted.
    fn zones(&self) -> String {
        match self.stack.zones(self.region) {
            named if named.is_empty() => format!("{} zones", self.stack.net.zones.len()),
            named => named.join(", "),
        }
    }

    /// Draws what stands in the subnets of a tier.
    fn tier(&self, chart: &mut Chart, tier: Tier) {
        let database = if self.stack.net.database_subnets { Tier::Database } else { Tier::Private };
        match tier {
            Tier::Public => {
                self.load_balancer(chart);
                if let Some(label) = self.nat() {
                    chart.node("nat", RECTANGLE, &[&label]);
                }
            }
            Tier::Private => self.services(chart),
            Tier::Database => {}
        }
        if tier == database && self.document.db.is_some() {
            let db = &self.stack.db;
            let standby = if db.multi_az { ", standby in another zone" } else { "" };
            chart.node("db", CYLINDER, &[&db.identifier, &format!("PostgreSQL, {}{standby}", db.instance_class)]);
        }
    }

    fn load_balancer(&self, chart: &mut Chart) {
        if self.document.alb.is_none() {
            return;
        }
        chart.node("alb", RECTANGLE, &["load balancer", &self.stack.alb.name]);
        let alb = &self.stack.alb;
        let ports = match (alb.serves_https(), alb.redirect) {
            (true, true) => "HTTPS 443, redirected from 80",
            (true, false) => "HTTPS 443",
            (false, _) => "HTTP 80",
        };
        let name = alb.domain.as_ref().map(|domain| format!(" to {domain}")).unwrap_or_default();
        chart.arrow("internet", TRAFFIC, &format!("{ports}{name}"), "alb");
    }

    fn services(&self, chart: &mut Chart) {
        if self.document.svc.is_none() {
            return;
        }
        chart.group("cluster", &format!("cluster {}", self.stack.cluster_name()), |chart| {
            for (number, (key, service)) in self.stack.services.iter().enumerate() {
                let id = format!("service{}", number + 1);
                chart.node(&id, RECTANGLE, &[&service.service_name(key), &size(service)]);
                if self.document.alb.is_some() {
                    chart.arrow("alb", TRAFFIC, &route(service), &id);
                }
                if self.document.db.is_some() && self.stack.needs_database(service) {
                    chart.arrow(&id, TRAFFIC, &self.stack.db.port.to_string(), "db");
                }
                if self.document.tables.is_some() && self.stack.needs_tables(service) {
                    let way = if self.stack.gateway_endpoints().contains(&GatewayService::DynamoDb) {
                        "through the gateway endpoint"
                    } else {
                        ""
                    };
                    chart.arrow(&id, TRAFFIC, way, "tables");
                }
            }
        });
    }

    fn nat(&self) -> Option<String> {
        let count = self.document.egress.as_ref()?.nat_gateway_ids.len();
        match (self.stack.net.nat, count) {
            (_, 0) => None,
            (Nat::PerZone, count) => Some(format!("{count} NAT gateways, one in each zone")),
            (Nat::Regional, _) => Some("regional NAT gateway".to_owned()),
            (Nat::Single | Nat::None, _) => Some("NAT gateway for all zones".to_owned()),
        }
    }

    fn endpoints(&self, chart: &mut Chart) {
        let Some(egress) = self.document.egress.as_ref().filter(|egress| !egress.vpc_endpoint_ids.is_empty()) else {
            return;
        };
        let services: Vec<_> = egress.vpc_endpoint_ids.keys().map(String::as_str).collect();
        let mut label = vec!["VPC endpoints".to_owned()];
        label.extend(services.chunks(3).map(|few| few.join(", ")));
        chart.node("endpoints", RECTANGLE, &label.iter().map(String::as_str).collect::<Vec<_>>());
        chart.arrow("private", TRAFFIC, "", "endpoints");
    }

    fn way_out(&self, chart: &mut Chart) {
        if self.nat().is_some() {
            chart.arrow("private", TRAFFIC, "", "nat");
            chart.arrow("nat", TRAFFIC, "", "internet");
        }
    }

    /// Draws what the stack has outside its network.
    fn around(&self, chart: &mut Chart) {
        if self.document.tables.is_some() {
            let names = self.stack.tables.iter().map(|(key, table)| self.stack.table_name(key, table));
            chart.node("tables", CYLINDER, &["DynamoDB", &names.collect::<Vec<_>>().join(", ")]);
        }
        if self.document.svc.is_none() {
            return;
        }
        if self.document.ecr.is_some() {
            let repositories: Vec<_> =
                self.stack.services.iter().filter_map(|(key, service)| service.repository(key)).collect();
            if !repositories.is_empty() {
                chart.node("ecr", CYLINDER, &["ECR", &repositories.join(", ")]);
                chart.arrow("cluster", NEED, "images", "ecr");
            }
        }
        if self.stack.services.values().any(|service| service.secret_sources().next().is_some()) {
            chart.node("secrets", CYLINDER, &["parameters and secrets"]);
            chart.arrow("cluster", NEED, "secrets", "secrets");
        }
        let groups: Vec<_> = self.stack.services.iter().map(|(key, service)| service.log_group(key)).collect();
        chart.node("logs", CYLINDER, &["CloudWatch Logs", &groups.join(", ")]);
        chart.arrow("cluster", NEED, "logs", "logs");
        if let Some(github) = &self.stack.iam.github {
            chart.node("github", CIRCLE, &["GitHub Actions", &github.repository]);
            chart.arrow("github", NEED, "deploys", "cluster");
        }
        if let Some(user) = self.stack.ci_user() {
            chart.node("ci", CIRCLE, &["CI", &user]);
            chart.arrow("ci", NEED, "deploys", "cluster");
        }
    }
}

/// Says how many tasks of which size a service has: `2 × 0.5 vCPU, 1 GB`.
fn size(service: &Service) -> String {
    let tasks = match &service.autoscaling {
        Some(scaling) => format!("{} to {}", scaling.min, scaling.max),
        None => service.desired.to_string(),
    };
    let spot = if service.spot.is_some() { ", Spot" } else { "" };
    let (cpu, memory) = (f64::from(service.cpu) / 1024.0, f64::from(service.memory) / 1024.0);
    format!("{tasks} × {cpu} vCPU, {memory} GB{spot}")
}

/// Says which requests a service gets, where, and how a new version gets them.
fn route(service: &Service) -> String {
    let (hosts, paths) = (service.hosts().join(" or "), service.paths().join(" or "));
    let path = match (hosts.is_empty(), paths.is_empty()) {
        (true, true) => "all else".to_owned(),
        (true, false) => paths,
        (false, true) => hosts,
        (false, false) => format!("{paths} at {hosts}"),
    };
    let shift = match service.shift() {
        None => String::new(),
        Some(Shift::BlueGreen { .. }) => ", blue/green".to_owned(),
        Some(Shift::Canary { percent, .. }) => format!(", canary {percent} %"),
        Some(Shift::Linear { percent, .. }) => format!(", {percent} % at a time"),
    };
    format!("{path} to {}{shift}", service.port)
}

/// Writes a text so that it means itself inside a label: Mermaid's entity codes.
///
/// <https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters>
fn escaped(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(stack: &Stack) -> Value {
        json!({
            "stack": stack,
            "net": {"vpc_id": "v", "public_subnet_ids": ["a", "b"], "private_subnet_ids": ["c", "d"]},
            "egress": {"nat_gateway_ids": ["n", "m"]},
            "ecr": {"repository_uris": {}},
            "db": {"host": "h", "port": 1, "name": "n"},
            "alb": {"dns_name": "d", "url": "u", "target_group_arns": {}},
            "svc": {"cluster_arn": "c", "services": {}},
        })
    }

    #[test]
    fn the_tutorial_stack_is_drawn_with_all_its_layers() {
        let text = mermaid(&document(&Stack::default()).to_string()).expect("a document");
        let wanted = r#"flowchart TB
    internet(("internet"))
    subgraph vpc["VPC ecs-production-vpc, 10.0.0.0/16"]
        subgraph public["public subnets in us-east-1a, us-east-1b"]
            alb["load balancer<br/>ecs-alb"]
            nat["2 NAT gateways, one in each zone"]
        end
        subgraph private["private subnets in us-east-1a, us-east-1b"]
            subgraph cluster["cluster ecs-production-cluster"]
                service1["backend-service<br/>2 × 1 vCPU, 2 GB"]
                service2["frontend-service<br/>2 × 0.5 vCPU, 1 GB"]
            end
            db[("ecs-postgres-db<br/>PostgreSQL, db.t3.medium")]
        end
    end
    ecr[("ECR<br/>backend-repo, frontend-repo")]
    secrets[("parameters and secrets")]
    logs[("CloudWatch Logs<br/>/ecs/backend, /ecs/frontend")]
    internet -->|"HTTP 80"| alb
    alb -->|"/api/* to 3001"| service1
    service1 -->|"5432"| db
    alb -->|"all else to 80"| service2
    private --> nat
    nat --> internet
    cluster -.->|"images"| ecr
    cluster -.->|"secrets"| secrets
    cluster -.->|"logs"| logs
"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_layer_that_the_document_lacks_is_not_drawn() {
        let mut document = document(&Stack::default());
        document["db"] = Value::Null;
        document.as_object_mut().expect("an object").remove("svc");
        let text = mermaid(&document.to_string()).expect("a document");
        assert!(!text.contains("db[") && !text.contains("cluster") && text.contains("alb["), "{text}");
    }

    #[test]
    fn a_document_that_is_not_closed_is_not_drawn() {
        let whole = document(&Stack::default()).to_string();
        let error = mermaid(&whole[..whole.len() - 1]).expect_err("not closed");
        assert_eq!(error.kind(), Kind::Truncated);
        for wrong in ["{}", "[]", "{\"stack\": 3}", "picture"] {
            assert_eq!(mermaid(wrong).expect_err(wrong).kind(), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn a_label_means_itself() {
        assert_eq!(escaped(r##"a "b" <c> #d"##), "a #quot;b#quot; #lt;c#gt; #35;d");
    }
}
