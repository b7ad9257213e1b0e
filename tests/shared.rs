//! Two stacks behind one load balancer: the second one's rules hang on the first one's listener.

use ecs_pipe_tests::{Cloud, Outcome, overlay};
use serde_json::{Value, json};

const FIRST: [&str; 3] = ["ecs-net", "ecs-sg", "ecs-alb"];
const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// Runs the second stack's ecs-sg and ecs-alb in the first one's network.
async fn second(cloud: &Cloud, first: &Value, verb: &str, text: &str) -> Outcome {
    let file = overlay(text);
    let net = overlay(&json!({"net": first["net"]}).to_string());
    let (path, net) = (file.path().display(), net.path().display());
    let line = if verb == "destroy" {
        format!("ecs-alb destroy --stack {path} < /dev/null | ecs-sg destroy")
    } else {
        format!("ecs-sg {verb} --stack {path} < {net} | ecs-alb {verb}")
    };
    cloud.shell(&line).await
}

/// The second stack's file: two services with hosts and paths.
fn file(first: &Value, priority: u16) -> String {
    let arn = first["alb"]["load_balancer_arn"].as_str().expect("an ARN");
    let group = first["sg"]["alb_security_group_id"].as_str().expect("a group");
    format!(
        "name = \"second\"\nregion = \"us-east-1\"\n[db]\nenabled = false\n[parameters]\n[alb]\nload_balancer_arn = \"{arn}\"\n\
         [sg]\nalb_security_group_id = \"{group}\"\ntasks_name = \"second-tasks\"\n\
         [services.reports]\nport = 3002\nhost = [\"reports.example.com\", \"*.reports.example.com\"]\npriority = {priority}\n\
         [services.admin]\nport = 3003\nhost = \"admin.example.com\"\npath = [\"/a/*\", \"/b/*\"]\npriority = 220\n\
         [services.admin.deployment]\nstrategy = \"canary\"\n"
    )
}

#[tokio::test]
async fn a_stack_behind_somebody_elses_load_balancer_adds_its_rules_and_nothing_else() {
    let cloud = Cloud::start().await;
    let first = cloud.pipe(&FIRST, "", TUTORIAL).await.ok().json();
    let before = cloud.inventory().await;
    cloud.take_calls();

    let taken = second(&cloud, &first, "", &file(&first, 100)).await;
    assert_eq!(taken.code, 2, "{}", taken.stderr);
    assert!(
        taken.stderr.contains("that of `reports` by the rule priority 100, path-pattern /api/*"),
        "{}",
        taken.stderr
    );
    let writes = cloud.take_writes();
    assert!(writes.iter().all(|call| call.starts_with("ec2:")), "before anything of the layer is made: {writes:?}");

    let text = file(&first, 210);
    let made = second(&cloud, &first, "", &text).await.ok();
    let document = made.json();
    assert_eq!(document["alb"]["load_balancer_arn"], first["alb"]["load_balancer_arn"]);
    assert_eq!(document["alb"]["listener_arn"], first["alb"]["listener_arn"]);
    assert_eq!(document["alb"]["url"], first["alb"]["url"]);
    assert!(document["alb"]["production_rule_arns"]["admin"].is_string(), "{document}");
    let writes = cloud.take_writes();
    let elb = |call: &&String| call.starts_with("elasticloadbalancing:");
    let mut calls: Vec<&String> = writes.iter().filter(elb).collect();
    calls.sort();
    calls.dedup();
    let only = ["CreateRule", "CreateTargetGroup", "ModifyTargetGroupAttributes"]
        .map(|call| format!("elasticloadbalancing:{call}"));
    assert_eq!(calls, only.iter().collect::<Vec<_>>(), "neither listener nor load balancer is changed");
    let inventory = cloud.inventory().await;
    let rules = inventory["listener_rules"].as_array().expect("rules");
    let admin = rules.iter().find(|rule| rule["priority"] == "220").expect("a rule");
    assert_eq!((&admin["hosts"], &admin["paths"]), (&json!(["admin.example.com"]), &json!(["/a/*", "/b/*"])));

    let again = second(&cloud, &first, "", &text).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{}", again.stderr);
    let plan = second(&cloud, &first, "plan --exit-code", &text).await;
    assert_eq!((plan.code, cloud.take_writes()), (0, Vec::new()), "{}", plan.stderr);

    // A service less: its rule and its target group are reported.
    let less = text.split("[services.admin]").next().expect("the rest").to_owned();
    let left = second(&cloud, &first, "", &less).await.ok();
    assert!(left.stderr.contains("rule priority 220"), "{}", left.stderr);
    assert_eq!(cloud.take_writes(), [""; 0]);

    // A load balancer of its own, by the file: its target groups cannot stand behind two.
    let own = less.lines().filter(|line| !line.starts_with("load_balancer_arn")).collect::<Vec<_>>().join("\n");
    let own = own.replace("[alb]", "[alb]\nname = \"second\"") + "\n[services.rest]\nport = 3004\n";
    for verb in ["plan", ""] {
        let refused = second(&cloud, &first, verb, &own).await;
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        let theirs =
            format!("behind the load balancer ecs-alb ({})", first["alb"]["load_balancer_arn"].as_str().expect("one"));
        for part in [&theirs, "one of the stack's own, second", "`ecs-alb destroy`"] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
        let writes = cloud.take_writes();
        assert!(writes.iter().all(|call| call.starts_with("ec2:")), "before anything of the layer is made: {writes:?}");
    }

    // A destroy finds what is left of the stack, whatever the file names.
    second(&cloud, &first, "destroy", &own).await.ok();
    cloud.assert_is(&before, "the first stack is as it was").await;

    // And the other way round.
    let subnets = &first["net"]["public_subnet_ids"];
    let made = cloud.boto("elbv2", "create_load_balancer", json!({"Name": "theirs", "Subnets": subnets})).await;
    let theirs = made["LoadBalancers"][0]["LoadBalancerArn"].as_str().expect("an ARN");
    let answer = json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]);
    let listener = json!({"LoadBalancerArn": theirs, "Protocol": "HTTP", "Port": 80, "DefaultActions": answer});
    let listener = cloud.boto("elbv2", "create_listener", listener).await;
    assert!(listener["Listeners"][0]["ListenerArn"].is_string(), "{listener}");
    cloud.take_calls();
    let group = first["sg"]["alb_security_group_id"].as_str().expect("a group");
    let given = overlay(&format!(
        "[alb]\nload_balancer_arn = \"{theirs}\"\n[sg]\nalb_security_group_id = \"{group}\"\n[services.frontend]\nhost = \"www.example.com\"\npriority = 300\n"
    ));
    let given = format!("{TUTORIAL} --stack {}", given.path().display());
    let refused = cloud.pipe(&FIRST, "", &given).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("the stack file names {theirs}")), "{}", refused.stderr);
    let writes = cloud.take_writes();
    assert!(writes.iter().all(|call| call.starts_with("ec2:")), "before anything of the layer is made: {writes:?}");
    cloud.shell(&format!("ecs-alb destroy {given} < /dev/null")).await.ok();
    let inventory = cloud.inventory().await;
    let count = |kind: &str| inventory[kind].as_array().map(Vec::len);
    assert_eq!((count("load_balancers"), count("target_groups"), count("listener_rules")), (Some(1), Some(0), Some(0)));
}
