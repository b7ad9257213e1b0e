//! What people and bad luck do to a deployed stack, and how running again heals it: the same stack, and then nothing to do.

use ecs_local::Weather;
use ecs_pipe_tests::{BACKWARDS, Cloud, Outcome, TOOLS, difference, overlay, python, root};
use serde_json::Value;
use tempfile::NamedTempFile;

const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// Starts a local AWS with the tutorial stack, and returns its document and all that exists.
async fn deployed() -> (Cloud, String, Value) {
    let cloud = Cloud::start().await;
    let document = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok().stdout;
    let clean = cloud.inventory().await;
    (cloud, document, clean)
}

/// Runs spoil.py, and returns what it printed.
async fn spoil(cloud: &Cloud, verbs: &str) -> String {
    let script = root().join("tests/spoil.py").display().to_string();
    let arguments: Vec<&str> = std::iter::once(script.as_str()).chain(verbs.split_whitespace()).collect();
    let run = cloud.run(&python().display().to_string(), &arguments, "").await.ok();
    cloud.take_calls();
    run.stdout.trim().to_owned()
}

/// Runs the whole pipe with one flag for every tool, such as `ADOPT`.
async fn pipe_with(cloud: &Cloud, flag: &str, arguments: &str) -> Outcome {
    cloud.shell(&format!("export ECS_{flag}=true; ecs-net {arguments} < /dev/null | {}", TOOLS[1..].join(" | "))).await
}

/// Checks that the stack is what it was, and that one more run writes nothing.
async fn assert_healed(cloud: &Cloud, clean: &Value, when: &str) {
    cloud.assert_is(clean, when).await;
    assert_settled(cloud, TUTORIAL, when).await;
}

/// Checks as [`assert_healed`] where parameters were written: their versions only count up.
async fn assert_healed_but_versions(cloud: &Cloud, clean: &Value, when: &str) {
    let text = |inventory: &Value| {
        let mut inventory = inventory.clone();
        for parameter in inventory["parameters"].as_array_mut().into_iter().flatten() {
            parameter["Version"].take();
        }
        serde_json::to_string_pretty(&inventory).expect("JSON")
    };
    let (clean, found) = (text(clean), text(&cloud.inventory().await));
    assert!(found == clean, "{when}: another stack\n{}", difference(&clean, &found));
    assert_settled(cloud, TUTORIAL, when).await;
}

/// Checks that one more run writes nothing.
async fn assert_settled(cloud: &Cloud, arguments: &str, when: &str) {
    cloud.take_calls();
    let again = cloud.pipe(&TOOLS, "", arguments).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{when}: {}", again.stderr);
}

/// Returns the arguments for the tutorial stack with an overlay.
fn with(overlay: &NamedTempFile) -> String {
    format!("{TUTORIAL} --stack {}", overlay.path().display())
}

#[tokio::test]
async fn every_value_that_somebody_changed_is_changed_back() {
    let (cloud, _, clean) = deployed().await;
    spoil(&cloud, "values").await;
    assert_ne!(cloud.inventory().await, clean);
    let plan = cloud.pipe(&TOOLS, "plan --exit-code", TUTORIAL).await;
    assert_eq!(plan.code, 3, "{}", plan.stderr);
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    assert_healed(&cloud, &clean, "after values were changed").await;
}

/// Kinds whose tag is taken off, those within others first, and who then refuses what.
const UNTAGGED: [(&str, &[(&str, &str)]); 3] = [
    (
        "subnet rule service parameters task-definition",
        &[
            ("ecs-net", "subnet ecs-production-public-us-east-1a"),
            ("ecs-db", "parameter /ecs/backend/DB_PORT"),
            ("ecs-alb", "listener rule ecs-alb-http-80-backend"),
            ("ecs-alb", "parameter /ecs/backend/FRONTEND_URL"),
            ("ecs-svc", "service backend-service"),
        ],
    ),
    ("db-instance listener", &[("ecs-db", "DB instance ecs-postgres-db"), ("ecs-alb", "listener ecs-alb-http-80")]),
    (
        "vpc security-group role repository db-subnet-group load-balancer target-group cluster log-group",
        &[
            ("ecs-net", "VPC ecs-production-vpc"),
            ("ecs-sg", "security group ECS-SG"),
            ("ecs-iam", "IAM role backendTaskRole"),
            ("ecs-ecr", "ECR repository backend-repo"),
            ("ecs-db", "DB subnet group ecs-db-subnet-group"),
            ("ecs-alb", "load balancer ecs-alb"),
            ("ecs-alb", "target group backend-tg"),
            ("ecs-svc", "cluster ecs-production-cluster"),
            ("ecs-svc", "log group /ecs/backend"),
        ],
    ),
];

#[tokio::test]
async fn what_carries_nobodys_tag_is_refused_and_with_adopt_taken_over() {
    let (cloud, document, clean) = deployed().await;
    for (kinds, refused) in UNTAGGED {
        // Of most kinds the tags are read only when there is something to change.
        spoil(&cloud, &format!("values parameters tags {kinds}")).await;
        for (tool, name) in refused {
            let run = cloud.run(tool, &[], &document).await;
            assert_eq!(run.code, 1, "{tool}: {}", run.stderr);
            let refusal =
                |line: &str| line.contains(&format!("{name} (")) && line.contains("does not belong to this stack");
            assert!(run.stderr.lines().any(refusal), "{tool}: {name}: {}", run.stderr);
            assert!(run.stderr.contains("run with --adopt to take it over"), "{tool}: {}", run.stderr);
        }
    }
    let adopted = pipe_with(&cloud, "ADOPT", TUTORIAL).await.ok();
    for (_, name) in UNTAGGED.iter().flat_map(|(_, refused)| *refused) {
        assert!(adopted.stderr.contains(&format!("adopted {name} (")), "{name}: {}", adopted.stderr);
    }
    assert_healed_but_versions(&cloud, &clean, "after it was taken over").await;
}

#[tokio::test]
async fn what_somebody_added_stays_until_it_is_pruned() {
    let (cloud, _, clean) = deployed().await;
    spoil(&cloud, "additions").await;
    let kept = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    for what in ["rule priority 3", "listener on port 8080", "security group sg-", "ingress rule"] {
        let what = format!("somebody else has added {what}");
        assert!(kept.stderr.contains(&what), "{what}: {}", kept.stderr);
    }
    assert_ne!(cloud.inventory().await, clean);
    pipe_with(&cloud, "PRUNE", TUTORIAL).await.ok();
    assert_healed(&cloud, &clean, "after a run with --prune").await;
}

#[tokio::test]
async fn https_comes_with_a_certificate_and_goes_without() {
    let (cloud, _, clean) = deployed().await;
    let arn = spoil(&cloud, "certificate").await;
    let https = overlay(&format!("[alb]\ncertificate_arn = \"{arn}\"\n"));
    cloud.pipe(&TOOLS, "", &with(&https)).await.ok();
    // The rule now stands on 443: 80 only redirects.
    let listeners = cloud.inventory().await["listeners"].to_string();
    assert!(listeners.contains("443") && listeners.contains("redirect"), "{listeners}");
    assert_settled(&cloud, &with(&https), "with HTTPS").await;

    let kept = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let listener = kept.stderr.lines().find(|line| line.contains("listener on port 443"));
    assert!(listener.is_some_and(|line| line.contains("is no longer needed: left alone")), "{}", kept.stderr);
    pipe_with(&cloud, "PRUNE", TUTORIAL).await.ok();
    assert_healed_but_versions(&cloud, &clean, "without HTTPS").await;
}

#[tokio::test]
async fn autoscaling_is_made_changed_and_destroyed() {
    let (cloud, _, clean) = deployed().await;
    let wanted = [
        ("{ min = 2, max = 6, cpu = 60, memory = 70 }", "2", "6"),
        ("{ min = 2, max = 6, cpu = 50, requests_per_target = 100 }", "2", "6"),
        (
            "{ min = 2, max = 6, cpu = 50, schedules = [{ name = 'night', expression = 'cron(0 22 * * ? *)', max = 3 }] }",
            "2",
            "6",
        ),
        (
            "{ min = 1, max = 4, schedules = [{ name = 'day', expression = 'rate(1 day)', timezone = 'Europe/Berlin', min = 2 }] }",
            "1",
            "4",
        ),
        ("{ min = 1, max = 4, cpu = 50 }", "1", "4"),
    ];
    for (autoscaling, min, max) in wanted {
        let file = overlay(&format!("[services.backend]\nautoscaling = {autoscaling}\n"));
        cloud.pipe(&TOOLS, "", &with(&file)).await.ok();
        let targets = &cloud.inventory().await["scalable_targets"];
        let limits = [&targets[0]["MinCapacity"], &targets[0]["MaxCapacity"]].map(Value::to_string);
        assert_eq!(limits, [min, max], "{targets}");
        assert_settled(&cloud, &with(&file), autoscaling).await;
    }
    // Of the files before, what has a time is left, until it is pruned.
    let file = overlay("[services.backend]\nautoscaling = { min = 1, max = 4, cpu = 50 }\n");
    assert_ne!(cloud.inventory().await["scheduled_actions"], Value::Array(Vec::new()));
    pipe_with(&cloud, "PRUNE", &with(&file)).await.ok();
    assert_eq!(cloud.inventory().await["scheduled_actions"], Value::Array(Vec::new()));
    // What somebody else has put on the target stays, and the target with it.
    let theirs = "import boto3\nscaling = boto3.client('application-autoscaling')\n\
        about = scaling.describe_scalable_targets(ServiceNamespace='ecs')['ScalableTargets'][0]\n\
        about = {key: about[key] for key in ('ServiceNamespace', 'ResourceId', 'ScalableDimension')}\n\
        scaling.put_scheduled_action(ScheduledActionName='sale', Schedule='rate(1 day)', \
        ScalableTargetAction={'MinCapacity': 3}, **about)\n";
    cloud.run(&python().display().to_string(), &["-c", theirs], "").await.ok();
    cloud.take_calls();
    let pruned = pipe_with(&cloud, "PRUNE", TUTORIAL).await.ok();
    let mut scaling = cloud.take_writes();
    scaling.retain(|write| write.starts_with("application-autoscaling:"));
    let kept = "scalable target of service backend-service: somebody else has added scheduled action sale";
    assert!(pruned.stderr.contains(kept), "{}", pruned.stderr);
    let left = cloud.inventory().await;
    let count = |list: &Value| list.as_array().map(Vec::len);
    assert_eq!([&left["scalable_targets"], &left["scheduled_actions"]].map(count), [Some(1), Some(1)]);
    assert_eq!(scaling, ["application-autoscaling:DeleteScalingPolicy"]);
    // The last of those files.
    let file = overlay("[services.backend]\nautoscaling = { min = 1, max = 4, cpu = 50 }\n");
    cloud.shell(&format!("ecs-svc destroy {} < /dev/null", with(&file))).await.ok();
    assert_eq!(cloud.inventory().await["scalable_targets"], Value::Array(Vec::new()));
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    assert_healed(&cloud, &clean, "made anew without autoscaling").await;
}

#[tokio::test]
async fn autoscaling_that_the_file_no_longer_has_goes_with_its_service() {
    let (cloud, _, _) = deployed().await;
    let file = overlay("[services.backend]\nautoscaling = { min = 2, max = 6, cpu = 60 }\n");
    cloud.pipe(&TOOLS, "", &with(&file)).await.ok();
    cloud.pipe(&BACKWARDS, "destroy", TUTORIAL).await.ok();
    let left = cloud.inventory().await;
    assert_eq!(left["scalable_targets"].as_array().map(Vec::len), Some(0), "{}", left["scalable_targets"]);
}

#[tokio::test]
async fn a_deployment_that_fails_says_why_and_running_again_heals() {
    let (cloud, _, clean) = deployed().await;
    let bad = "[[misfortune]]\nservice = 'backend-service'\nhappens = 'exits'\nexit-code = 42";
    let bad = Weather::parse(bad).expect("a weather");
    cloud.aws().reset().await.expect("a reset");
    cloud.aws().set_weather(bad.clone());
    let first = cloud.pipe(&TOOLS, "", TUTORIAL).await;
    assert_eq!(first.code, 4, "{}", first.stderr);
    assert!(first.stderr.contains("backend-app: exit code 42"), "{}", first.stderr);
    cloud.aws().set_weather(Weather::default());
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    assert_healed(&cloud, &clean, "after a first deployment that failed").await;

    // A change that fails is rolled back, and what ran before runs on.
    let change = overlay("[services.backend.environment]\nCOLOUR = \"blue\"\n");
    cloud.aws().set_weather(bad);
    let change = with(&change);
    let second = cloud.pipe(&TOOLS, "", &change).await;
    assert_eq!(second.code, 4, "{}", second.stderr);
    assert!(second.stderr.contains("backend-app: exit code 42"), "{}", second.stderr);
    cloud.aws().set_weather(Weather::default());
    cloud.pipe(&TOOLS, "", &change).await.ok();
    assert_settled(&cloud, &change, "after a change that failed").await;
    let services = &cloud.inventory().await["services"];
    assert!(services[0]["newest_revision"] == true && services[1]["newest_revision"] == true, "{services:#}");
}

#[tokio::test]
async fn a_network_that_somebody_still_uses_names_the_interface() {
    let (cloud, _, _) = deployed().await;
    let interface = spoil(&cloud, "interface").await;
    cloud.pipe(&BACKWARDS[..6], "destroy", TUTORIAL).await.ok();
    // A waiting tool speaks every 15 s.
    let run = cloud.run("ecs-net", &["destroy", "--timeout", "17s"], "").await;
    assert_eq!(run.code, 5, "{}", run.stderr);
    let waits = "waiting for subnet ecs-production-private-us-east-1";
    let used = format!("still in use by {interface} (somebody else's)");
    assert!(run.stderr.lines().any(|line| line.contains(waits) && line.contains(&used)), "{}", run.stderr);
    let left = format!("left behind: {interface} (somebody else's) uses it, subnet ecs-production-private-us-east-1");
    assert!(run.stderr.contains(&left), "{}", run.stderr);
}
