//! A third service on a living stack, by a few lines of the stack file, and taken out of it again.

use std::io::Write as _;

use ecs_pipe_tests::{BACKWARDS, Cloud, Outcome, TOOLS, difference};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

const REPORTING: &str = r#"
[services.reporting]
port = 3002
path = "/reports/*"
priority = 200
health_path = "/reports/health"
autoscaling = { min = 2, max = 4, cpu = 60 }
deployment = { alarms = { errors_5xx = 5 } }
alarms = { cpu = 80, memory = 80, errors_5xx = 20, unhealthy_hosts = 1 }

[services.reporting.secrets]
API_URL = "/ecs/reporting/API_URL"
DB_HOST = "/ecs/reporting/DB_HOST"

[alarms]
topic = "arn:aws:sns:us-east-1:123456789012:oncall"

[schedules.monthly]
service = "reporting"
command = ["report", "--month"]
expression = "cron(0 3 1 * ? *)"
timezone = "Europe/Berlin"

[parameters]
"/ecs/reporting/API_URL" = "${alb.url}/reports"
"/ecs/reporting/DB_HOST" = "${db.host}"
"#;

/// Runs the whole pipe, each tool with `--prune`.
async fn prune(cloud: &Cloud, verb: &str) -> Outcome {
    let rest: String = TOOLS[1..].iter().map(|tool| format!(" | {tool} {verb}")).collect();
    cloud.shell(&format!("export ECS_PRUNE=true; ecs-net {verb} {TUTORIAL} < /dev/null{rest}")).await
}

/// Returns the services that a run has written, by their keys.
fn services(run: &Outcome) -> Value {
    run.json()["svc"]["services"].clone()
}

/// Checks that two inventories are the same.
fn assert_same(wanted: &Value, found: &Value, when: &str) {
    let text = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
    assert!(wanted == found, "{when}: another stack\n{}", difference(&text(wanted), &text(found)));
}

#[tokio::test]
async fn a_third_service_comes_with_a_few_lines_and_goes_with_prune() {
    let cloud = Cloud::start().await;
    let mut file = NamedTempFile::with_suffix(".toml").expect("a file");
    file.write_all(REPORTING.as_bytes()).expect("written");
    let three = format!("{TUTORIAL} --stack {}", file.path().display());

    let first = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let two_new = cloud.inventory().await;
    cloud.take_calls();

    // The two that stay keep their ids and are not deployed anew.
    let added = cloud.pipe(&TOOLS, "", &three).await.ok();
    let writes = cloud.take_writes();
    assert!(!writes.contains(&"ecs:UpdateService".to_owned()), "{writes:?}");
    for key in ["frontend", "backend"] {
        assert_eq!(services(&first)[key], services(&added)[key], "{key}");
    }
    let three_added = cloud.inventory().await;
    let schedule = &three_added["schedules"][0];
    assert_eq!(schedule["task_definition"], "reporting-task");
    let input: Value = serde_json::from_str(schedule["input"].as_str().unwrap_or_default()).expect("JSON");
    let overrides = &input["containerOverrides"][0];
    assert_eq!((&overrides["name"], &overrides["command"]), (&json!("reporting"), &json!(["report", "--month"])));
    assert_eq!(schedule["role"], "ecsSchedulerRole");
    let told = three_added["alarms"].as_array().into_iter().flatten().filter(|alarm| !alarm["OKActions"][0].is_null());
    assert_eq!(told.count(), 4, "{}", three_added["alarms"]);
    let again = cloud.pipe(&TOOLS, "", &three).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{}", again.stderr);

    // Without its lines it is reported, layer by layer, and left alone; but ECS may no longer read its secrets.
    let plan = cloud.pipe(&TOOLS, "plan --exit-code", TUTORIAL).await;
    let changes: Vec<_> = plan.stderr.lines().filter(|line| line.contains(": ~ change ")).collect();
    let all = changes.iter().all(|change| change.contains("ecsTaskExecutionRole: inline policy: remove Allow"));
    assert!(plan.code == 3 && changes.len() == 2 && all, "{}", plan.stderr);
    let former = [
        "ecs-sg: warning: rules of security group ECS-SG: ingress rule tcp 3002 from ",
        "ecs-iam: warning: what else is in IAM for ecs-production: IAM role reportingTaskRole ",
        "ecs-db: warning: what else is in Parameter Store for ecs-production: parameter /ecs/reporting/DB_HOST ",
        "ecs-alb: warning: what else is in Parameter Store for ecs-production: parameter /ecs/reporting/API_URL ",
        "ecs-alb: warning: what else is on load balancer ecs-alb: rule ",
        "ecs-svc: warning: what else is in cluster ecs-production-cluster: service reporting-service ",
        "ecs-svc: warning: what else is in cluster ecs-production-cluster: schedule monthly ",
        "ecs-iam: warning: what else is in IAM for ecs-production: IAM role ecsSchedulerRole ",
    ];
    let says =
        |said: &str, what: &str, end: &str| said.lines().any(|line| line.starts_with(what) && line.contains(end));
    for what in former {
        assert!(says(&plan.stderr, what, "is no longer needed: left alone"), "{what}: {}", plan.stderr);
    }
    assert_eq!(cloud.take_writes(), [""; 0]);
    let kept = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    assert_eq!(cloud.take_writes(), ["iam:PutRolePolicy"], "{}", kept.stderr);
    let without_roles = |inventory: &Value| {
        let mut inventory = inventory.clone();
        inventory["roles"].take();
        inventory
    };
    assert_same(&without_roles(&three_added), &without_roles(&cloud.inventory().await), "without --prune");
    let planned = prune(&cloud, "plan --exit-code").await;
    assert_eq!((planned.code, cloud.take_writes()), (3, Vec::new()), "{}", planned.stderr);

    // With --prune it goes, but for what holds data; and what it ran with goes after it.
    let pruned = prune(&cloud, "").await.ok();
    let writes = cloud.take_writes();
    assert!(!writes.contains(&"ecs:UpdateService".to_owned()), "{writes:?}");
    assert_eq!(services(&first), services(&pruned));
    for what in ["log group /ecs/reporting: it holds data", "ECR repository reporting-repo: it holds data"] {
        assert!(pruned.stderr.contains(what), "{what}: {}", pruned.stderr);
    }
    let stays = [
        ("ecs-iam", "IAM role reportingTaskRole", "service reporting-service"),
        ("ecs-iam", "IAM role ecsSchedulerRole", "schedule monthly"),
        ("ecs-db", "parameter /ecs/reporting/DB_HOST", "service reporting-service"),
        ("ecs-alb", "parameter /ecs/reporting/API_URL", "service reporting-service"),
    ];
    for (tool, what, user) in stays {
        let line = format!("{tool}: warning: {what} is no longer needed, but {user} still runs with it");
        assert!(pruned.stderr.contains(&line), "{line}: {}", pruned.stderr);
    }
    let removed = |writes: &[String], what: &str| writes.iter().filter(|write| *write == what).count();
    assert_eq!(["iam:DeleteRole", "ssm:DeleteParameter"].map(|what| removed(&writes, what)), [0, 0], "{writes:?}");
    let settled = prune(&cloud, "").await.ok();
    let writes = cloud.take_writes();
    assert_eq!(["iam:DeleteRole", "ssm:DeleteParameter"].map(|what| removed(&writes, what)), [2, 2], "{writes:?}");
    assert_eq!(services(&first), services(&settled));
    let mut left = cloud.inventory().await;
    // An empty group costs nothing, and is there for the next schedule.
    for (kind, member, name) in [
        ("log_groups", "logGroupName", "/ecs/reporting"),
        ("repositories", "repositoryName", "reporting-repo"),
        ("schedule_groups", "Name", "ecs-production"),
    ] {
        let items = left[kind].as_array_mut().unwrap_or_else(|| panic!("{kind}"));
        let before = items.len();
        items.retain(|item| item[member] != name);
        assert_eq!(items.len() + 1, before, "{kind}");
    }
    assert_same(&two_new, &left, "with --prune");
    let planned = prune(&cloud, "plan --exit-code").await;
    assert_eq!((planned.code, cloud.take_writes()), (0, Vec::new()), "{}", planned.stderr);

    // A destroy finds what the file no longer tells of, a living service too.
    cloud.pipe(&TOOLS, "", &three).await.ok();
    let gone = cloud.pipe(&BACKWARDS, "destroy", TUTORIAL).await.ok();
    let tagged = cloud.reader("tagged").await;
    assert_eq!(tagged.code, 0, "left behind: {}{}", tagged.stdout, gone.stderr);

    cloud.aws().reset().await.expect("a reset");

    // Made new, three are what they are when the third one is added.
    cloud.pipe(&TOOLS, "", &three).await.ok();
    assert_same(&three_added, &cloud.inventory().await, "made new with three");
}
