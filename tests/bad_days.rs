//! Bad days: what never comes up, what takes its time, and credentials that expire. Running again ends in the one right stack.

use ecs_local::{Options, Weather};
use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS, root};

const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

fn weather(text: &str) -> Weather {
    Weather::parse(text).expect("a weather")
}

/// Something that never comes up.
struct Failing {
    kind: &'static str,
    name: &'static str,
    /// AWS's code for it; empty where the tools have only AWS's words.
    code: &'static str,
    message: &'static str,
    /// The tool that says so, its call to make it and its call to look.
    tool: &'static str,
    create: &'static str,
    look: &'static str,
    /// What has to go before another can be made of that name; a failed NAT gateway is replaced as it is.
    away: &'static str,
}

const FAILING: [Failing; 3] = [
    Failing {
        kind: "nat-gateway",
        name: "ecs-production-nat-us-east-1a",
        code: "InsufficientFreeAddressesInSubnet",
        message: "Subnet has insufficient free addresses to create this NAT gateway",
        tool: "ecs-net",
        create: "CreateNatGateway",
        look: "DescribeNatGateways",
        away: "true",
    },
    Failing {
        kind: "load-balancer",
        name: "ecs-alb",
        code: "",
        message: "There are not enough IP addresses in the subnets",
        tool: "ecs-alb",
        create: "CreateLoadBalancer",
        look: "DescribeLoadBalancers",
        away: "ecs-svc destroy < /dev/null | ecs-alb destroy",
    },
    Failing {
        kind: "database",
        name: "ecs-postgres-db",
        code: "incompatible-network",
        message: "",
        tool: "ecs-db",
        create: "CreateDBInstance",
        look: "DescribeDBInstances",
        away: "ecs-svc destroy < /dev/null | ecs-alb destroy | ecs-db destroy --skip-final-snapshot",
    },
];

#[tokio::test]
async fn what_never_comes_up_is_said_in_awss_words_at_once() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let clean = cloud.inventory().await;
    for Failing { kind, name, code, message, tool, create, look, away } in FAILING {
        cloud.aws().reset().await.expect("a reset");
        cloud.take_calls();
        // Every failure has a code in AWS; of a load balancer it is its state.
        let state = if code.is_empty() { "failed" } else { code };
        cloud.aws().set_weather(weather(&format!(
            "[[provisioning.failure]]\nkind = '{kind}'\nname = '{name}'\ntimes = 1\ncode = '{state}'\nmessage = '{message}'"
        )));
        let run = cloud.shell("scripts/deploy-all.sh > /dev/null").await;
        assert_eq!(run.code, 1, "{kind}: {}", run.stderr);
        let said = run.stderr.lines().find(|line| line.starts_with(tool) && line.contains("error")).unwrap_or_default();
        for word in [name, code, message] {
            assert!(said.contains(word), "{kind}: {word} is not in: {said}");
        }
        // It shows its failure at the first look, if not in the answer to its create: nobody looks again (there are two NAT
        // gateways).
        let calls = cloud.take_calls();
        let looks = calls.iter().rev().take_while(|seen| seen.operation != create);
        let looks = looks.filter(|seen| seen.operation == look && seen.tool == tool).count();
        assert!(looks <= 2, "{kind}: {looks} looks");

        cloud.aws().set_weather(Weather::default());
        cloud.shell(away).await.ok();
        cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
        cloud.assert_is(&clean, kind).await;
    }
}

#[tokio::test]
async fn credentials_that_expire_midway_end_in_8_and_lose_nothing() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let clean = cloud.inventory().await;
    for after in [1, 30, 60] {
        cloud.aws().reset().await.expect("a reset");
        cloud.aws().set_weather(weather(&format!("[[fault]]\nafter = {after}\ndo = 'expire'")));
        let run = cloud.shell("scripts/deploy-all.sh > /dev/null").await;
        assert_eq!(run.code, 8, "after {after} calls: {}", run.stderr);
        assert!(run.stderr.contains("The security token included in the request is expired"), "{}", run.stderr);
        cloud.aws().set_weather(Weather::default());
        cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
        cloud.assert_is(&clean, &format!("after {after} calls")).await;
    }
}

#[tokio::test]
async fn a_security_group_that_waits_names_the_interfaces_that_hold_it() {
    // The load balancer's interfaces stay for 30 s of real time: a waiting tool speaks every 15 s.
    let slow = weather("[provisioning]\ninterfaces = '30m'\ndatabase = '1s'\nload-balancer = '1s'\nnat-gateway = '1s'");
    let options = Options { speed: 60.0, weather: slow, ..Options::default() };
    let cloud = Cloud::start_with(options).await;
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let run = cloud.pipe(&BACKWARDS, "destroy", TUTORIAL).await.ok();
    let waits: Vec<&str> = run.stderr.lines().filter(|line| line.contains("waiting for")).collect();
    for (group, interface) in [("ALB-SG", "(ELB app/ecs-alb/"), ("RDS-SG", "(RDSNetworkInterface)")] {
        let what = format!("security group {group} to be gone: still in use by eni-");
        assert!(waits.iter().any(|line| line.contains(&what) && line.contains(interface)), "{group}: {}", run.stderr);
    }
    cloud.assert_nothing_left("").await;
}

#[tokio::test]
async fn a_day_on_which_everything_goes_wrong_ends_in_the_same_stack() {
    let cloud = Cloud::start_with(Options::default()).await;
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let clean = cloud.inventory().await;
    cloud.aws().reset().await.expect("a reset");
    let bad = Weather::read(&root().join("tests/weather/bad-day.toml")).expect("the example");
    cloud.aws().set_weather(bad);
    let mut said = Vec::new();
    while said.len() < 10 {
        let run = cloud.pipe(&TOOLS, "", TUTORIAL).await;
        said.push(run.stderr);
        if run.code == 0 {
            break;
        }
    }
    assert!(said.len() < 10, "never done: {}", said.concat());
    cloud.aws().set_weather(Weather::default());
    cloud.assert_is(&clean, &format!("after {} runs", said.len())).await;
}
