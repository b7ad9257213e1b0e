//! What the stack file chooses of the network, and the way from one choice to another on a living stack.

mod acl;
mod endpoints;
mod flow_logs;
mod given;
mod modes;
mod tiers;
mod zones;

use ecs_pipe_tests::{Cloud, Outcome, overlay};
use serde_json::Value;

const TOOLS: [&str; 2] = ["ecs-net", "ecs-sg"];
const BACKWARDS: [&str; 2] = ["ecs-sg", "ecs-net"];
const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// Runs the two tools with the tutorial's stack file and an overlay.
async fn pipe(cloud: &Cloud, verb: &str, text: &str) -> Outcome {
    let overlay = overlay(text);
    cloud.pipe(&TOOLS, verb, &format!("{TUTORIAL} --stack {}", overlay.path().display())).await
}

/// Does the same, and lets them remove what is no longer needed.
async fn prune(cloud: &Cloud, text: &str) -> Outcome {
    let overlay = overlay(text);
    let path = overlay.path().display();
    cloud.shell(&format!("export ECS_PRUNE=true; ecs-net {TUTORIAL} --stack {path} < /dev/null | ecs-sg")).await
}

/// Returns all that a stack is that was made new.
async fn made_new(text: &str) -> Value {
    let cloud = Cloud::start().await;
    pipe(&cloud, "", text).await.ok();
    cloud.inventory().await
}

/// Checks that one more run writes nothing, and that a plan finds nothing to do.
async fn assert_settled(cloud: &Cloud, text: &str) {
    let overlay = overlay(text);
    cloud.assert_settled(&TOOLS, &format!("{TUTORIAL} --stack {}", overlay.path().display()), text).await;
}

/// Destroys the stack as the file has it, and checks that nothing of it is left.
async fn assert_gone(cloud: &Cloud, text: &str) {
    let overlay = overlay(text);
    cloud.pipe(&BACKWARDS, "destroy", &format!("{TUTORIAL} --stack {}", overlay.path().display())).await.ok();
    cloud.assert_nothing_left("").await;
}

/// Returns how many things of a kind there are.
fn count(inventory: &Value, list: &str) -> usize {
    inventory[list].as_array().map_or(0, Vec::len)
}

/// Returns what the default route of a route table leads to.
fn way_out<'i>(inventory: &'i Value, table: &str) -> &'i Value {
    let tables = inventory["route_tables"].as_array().expect("route tables");
    let table = tables.iter().find(|one| one["tags"]["Name"] == table).unwrap_or_else(|| panic!("no {table}"));
    &table["routes"]["0.0.0.0/0"]
}

/// What tasks cannot do without where there is no NAT gateway; here it is in every mode.
macro_rules! with_endpoints {
    ($line:literal) => {
        concat!(
            "[net]\ngateway_endpoints = [\"s3\"]\n",
            "interface_endpoints = [\"ecr.api\", \"ecr.dkr\", \"logs\", \"ssm\"]\n",
            $line
        )
    };
}

/// Modes, and how many NAT gateways each has.
const MODES: [(&str, usize); 4] = [
    (with_endpoints!("nat = \"per_zone\"\n"), 2),
    (with_endpoints!("nat = \"single\"\n"), 1),
    (with_endpoints!("nat = \"none\"\n"), 0),
    (with_endpoints!("nat = \"regional\"\n"), 1),
];

use with_endpoints;
