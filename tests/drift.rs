//! What people and bad luck do to a deployed stack, and how running again heals it: the same stack, and then nothing to do.

use std::io::Write as _;

use ecs_local::Weather;
use ecs_pipe_tests::{BACKWARDS, Cloud, Outcome, TOOLS, python, root};
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

/// Runs one verb of spoil.py, and returns what it printed.
async fn spoil(cloud: &Cloud, verb: &str) -> String {
    let script = root().join("tests/spoil.py").display().to_string();
    let run = cloud.run(&python().display().to_string(), &[&script, verb], "").await.ok();
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
    cloud.take_calls();
    let again = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{when}: {}", again.stderr);
}

/// Writes an overlay for the stack file.
fn overlay(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".toml").expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
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

#[tokio::test]
async fn what_carries_nobodys_tag_is_refused_and_with_adopt_taken_over() {
    let (cloud, document, clean) = deployed().await;
    // Some kinds are read for their tags only when they are to be changed.
    spoil(&cloud, "values").await;
    spoil(&cloud, "tags").await;
    let refused: [(&str, &[&str]); 7] = [
        ("ecs-net", &["VPC ecs-production-vpc"]),
        ("ecs-sg", &["security group ECS-SG"]),
        ("ecs-iam", &["role backendTaskRole"]),
        ("ecs-ecr", &["repository backend-repo"]),
        ("ecs-db", &["DB subnet group ecs-db-subnet-group"]),
        ("ecs-alb", &["load balancer ecs-alb"]),
        ("ecs-svc", &["cluster ecs-production-cluster"]),
    ];
    for (tool, names) in refused {
        let run = cloud.run(tool, &[], &document).await;
        assert_eq!(run.code, 1, "{tool}: {}", run.stderr);
        for name in names {
            let said = run
                .stderr
                .lines()
                .any(|line| line.contains(name) && line.contains("exists already and does not belong to this stack"));
            assert!(said, "{tool}: {name}: {}", run.stderr);
        }
        assert!(run.stderr.contains("run with --adopt to take it over"), "{tool}: {}", run.stderr);
    }
    let adopted = pipe_with(&cloud, "ADOPT", TUTORIAL).await.ok();
    assert!(adopted.stderr.contains("adopted cluster ecs-production-cluster"), "{}", adopted.stderr);
    assert_healed(&cloud, &clean, "after it was taken over").await;
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
    cloud.take_calls();
    cloud.pipe(&TOOLS, "", &with(&https)).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0]);

    let kept = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    assert!(kept.stderr.contains("somebody else has added listener on port 443"), "{}", kept.stderr);
    pipe_with(&cloud, "PRUNE", TUTORIAL).await.ok();
    assert_healed(&cloud, &clean, "without HTTPS").await;
}

#[tokio::test]
async fn autoscaling_is_made_changed_and_destroyed() {
    let (cloud, _, clean) = deployed().await;
    let wanted = [
        ("{ min = 2, max = 6, cpu = 60, memory = 70 }", "2", "6"),
        ("{ min = 2, max = 6, cpu = 50, requests_per_target = 100 }", "2", "6"),
        ("{ min = 1, max = 4, cpu = 50 }", "1", "4"),
    ];
    for (autoscaling, min, max) in wanted {
        let file = overlay(&format!("[services.backend]\nautoscaling = {autoscaling}\n"));
        cloud.pipe(&TOOLS, "", &with(&file)).await.ok();
        let targets = &cloud.inventory().await["scalable_targets"];
        let limits = [&targets[0]["MinCapacity"], &targets[0]["MaxCapacity"]].map(Value::to_string);
        assert_eq!(limits, [min, max], "{targets}");
        cloud.take_calls();
        let again = cloud.pipe(&TOOLS, "", &with(&file)).await.ok();
        assert_eq!(cloud.take_writes(), [""; 0], "{autoscaling}: {}", again.stderr);
    }
    // A destroy with the file that has it.
    let file = overlay("[services.backend]\nautoscaling = { min = 1, max = 4, cpu = 50 }\n");
    cloud.pipe(&BACKWARDS, "destroy", &with(&file)).await.ok();
    let left = cloud.reader("tagged").await;
    assert_eq!(left.code, 0, "left behind: {}", left.stdout);
    assert_eq!(cloud.inventory().await["scalable_targets"], Value::Array(Vec::new()));
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    assert_healed(&cloud, &clean, "without autoscaling").await;
}

#[tokio::test]
async fn autoscaling_that_the_file_no_longer_has_is_removed() {
    let (cloud, _, clean) = deployed().await;
    let file = overlay("[services.backend]\nautoscaling = { min = 2, max = 6, cpu = 60 }\n");
    cloud.pipe(&TOOLS, "", &with(&file)).await.ok();
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    assert_healed(&cloud, &clean, "without autoscaling").await;
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
    cloud.take_calls();
    let again = cloud.pipe(&TOOLS, "", &change).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{}", again.stderr);
    let services = &cloud.inventory().await["services"];
    assert!(services[0]["newest_revision"] == true && services[1]["newest_revision"] == true, "{services:#}");
}

#[tokio::test]
async fn a_network_that_somebody_still_uses_names_the_interface() {
    let (cloud, _, _) = deployed().await;
    let interface = spoil(&cloud, "interface").await;
    cloud.pipe(&BACKWARDS[..6], "destroy", TUTORIAL).await.ok();
    let run = cloud.run("ecs-net", &["destroy", "--timeout", "17s"], "").await;
    assert_eq!(run.code, 1, "{}", run.stderr);
    let used = format!("still in use by {interface} (somebody else's)");
    assert!(
        run.stderr.lines().any(|line| line.contains("waiting for subnet") && line.contains(&used)),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains(&format!("{interface} (somebody else's) uses it")), "{}", run.stderr);
}
