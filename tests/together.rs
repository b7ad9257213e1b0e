//! Two people at the same moment: one stack.

use std::time::Duration;

use ecs_local::weather::When;
use ecs_local::{Options, Weather};
use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS};

const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// How long a call takes: each person's calls then fall between the other's.
const LATENCIES: [u64; 4] = [0, 5, 20, 50];

#[tokio::test]
async fn two_runs_at_the_same_moment_make_one_stack() {
    for latency in LATENCIES.map(Duration::from_millis) {
        let cloud = Cloud::start_with(Options { speed: 0.0, latency, ..Options::default() }).await;
        cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
        let clean = cloud.inventory().await;
        cloud.aws().reset().await.expect("reset");

        let (one, other) = tokio::join!(cloud.pipe(&TOOLS, "", TUTORIAL), cloud.pipe(&TOOLS, "", TUTORIAL));
        for run in [&one, &other] {
            assert_eq!(run.code, 0, "{latency:?}: {}", run.stderr);
        }
        cloud.assert_is(&clean, &format!("{latency:?}")).await;
        assert_eq!(one.json()["net"]["vpc_id"], other.json()["net"]["vpc_id"]);
        cloud.take_calls();
        cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
        assert_eq!(cloud.take_writes(), [""; 0], "{latency:?}");

        let (one, other) =
            tokio::join!(cloud.pipe(&BACKWARDS, "destroy", TUTORIAL), cloud.pipe(&BACKWARDS, "destroy", TUTORIAL));
        for run in [&one, &other] {
            assert_eq!(run.code, 0, "{latency:?}: {}", run.stderr);
        }
        let left = cloud.reader("tagged").await;
        assert_eq!(left.code, 0, "{latency:?}, left behind: {}", left.stdout);
    }
}

/// How long AWS hides what is new, on a clock of 60 s to the second: a tenth of a second and one second.
const LAGS: [&str; 2] = ["6s", "60s"];

#[tokio::test]
async fn two_runs_that_do_not_see_each_others_work_at_once_make_one_stack() {
    for lag in LAGS {
        let cloud = Cloud::start_with(Options { latency: Duration::from_millis(5), ..Options::default() }).await;
        cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
        let clean = cloud.inventory().await;
        cloud.aws().reset().await.expect("reset");

        cloud.aws().set_weather(Weather::parse(&format!("[consistency]\nlag = '{lag}'")).expect("a weather"));
        let (one, other) = tokio::join!(cloud.pipe(&TOOLS, "", TUTORIAL), cloud.pipe(&TOOLS, "", TUTORIAL));
        for run in [&one, &other] {
            assert_eq!(run.code, 0, "{lag}: {}\n{}", one.stderr, other.stderr);
        }
        cloud.aws().set_weather(Weather::default());
        cloud.assert_is(&clean, lag).await;
        cloud.pipe(&BACKWARDS, "destroy", TUTORIAL).await.ok();
        let left = cloud.reader("tagged").await;
        assert_eq!(left.code, 0, "{lag}, left behind: {}", left.stdout);
    }
}

#[tokio::test]
async fn two_runs_that_stand_at_the_same_create_make_one_stack() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let clean = cloud.inventory().await;
    for call in [
        "ec2:CreateVpc",
        "ec2:CreateInternetGateway",
        "ec2:CreateSubnet",
        "ec2:AllocateAddress",
        "ec2:CreateNatGateway",
        "ec2:CreateSecurityGroup",
        "iam:CreateRole",
        "ecr:CreateRepository",
        "rds:CreateDBInstance",
        "ssm:PutParameter",
        "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:CreateListener",
        "elasticloadbalancing:CreateRule",
        "ecs:CreateCluster",
        "ecs:RegisterTaskDefinition",
        "ecs:CreateService",
    ] {
        cloud.aws().reset().await.expect("reset");
        // Both have looked, and found nothing, before either creates it.
        let (mut first, mut second) =
            (cloud.aws().hold(call, 0, When::Before), cloud.aws().hold(call, 0, When::Before));
        let people = async { tokio::join!(cloud.pipe(&TOOLS, "", TUTORIAL), cloud.pipe(&TOOLS, "", TUTORIAL)) };
        let meet = async {
            first.reached().await.expect("the first one there");
            second.reached().await.expect("the second one there");
            first.release();
            second.release();
        };
        let ((one, other), ()) = tokio::join!(people, meet);
        for run in [&one, &other] {
            assert_eq!(run.code, 0, "{call}: {}\n{}", one.stderr, other.stderr);
        }
        cloud.assert_is(&clean, call).await;
    }
}
