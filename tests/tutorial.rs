//! The tutorial stack from nothing to running services, and back.

use std::time::{SystemTime, UNIX_EPOCH};

use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS};

const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

#[tokio::test]
async fn the_tutorial_stack_comes_up_changes_nothing_the_second_time_and_goes() {
    let cloud = Cloud::start().await;
    let made = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let cold = cloud.take_calls();
    // When client tokens change, every two minutes, a run looks for its VPC a few times more: see ecs-net's `ec2::minutes`.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    assert!(cold.len() <= 100 || since.as_secs() % 120 < 10, "{} calls:\n{}", cold.len(), list(&cold));

    // The independent reader finds every resource, name and number.
    let checked = cloud.reader("check").await;
    assert_eq!(checked.code, 0, "{}", failures(&checked.stdout));
    cloud.take_calls();

    let second = cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let warm = cloud.aws().calls();
    assert_eq!(cloud.take_writes(), [""; 0], "{}", second.stderr);
    assert!(warm.len() <= 40, "{} calls:\n{}", warm.len(), list(&warm));
    let (mut first, mut again) = (made.json(), second.json());
    for document in [&mut first, &mut again] {
        // Whether this very run made it is all that may differ.
        for layer in ["net", "sg", "iam"] {
            if let Some(layer) = document[layer].as_object_mut() {
                layer.remove("new");
            }
        }
    }
    assert_eq!(first, again);

    let plan = cloud.pipe(&TOOLS, "plan --exit-code", TUTORIAL).await;
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    assert_eq!(cloud.take_writes(), [""; 0]);

    // From the document alone: the stack file is not needed.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &made.stdout).expect("written");
    let rest = BACKWARDS[1..].iter().map(|tool| format!(" | {tool} destroy")).collect::<String>();
    let gone = cloud.shell(&format!("ecs-svc destroy < {}{rest}", file.path().display())).await.ok();
    for layer in ["net", "egress", "sg", "iam", "ecr", "db", "tables", "alb", "svc"] {
        assert!(gone.json()[layer].is_null(), "{}", gone.stdout);
    }
    cloud.assert_nothing_left("").await;
}

#[tokio::test]
async fn the_whole_stack_is_planned_on_an_empty_account() {
    let cloud = Cloud::start().await;
    let plan = cloud.pipe(&TOOLS, "plan --exit-code", TUTORIAL).await;
    assert_eq!(plan.code, 3, "{}", plan.stderr);
    assert_eq!(cloud.take_writes(), [""; 0]);
    let document = plan.json();
    assert!(document["svc"]["cluster_arn"].as_str().is_some_and(|arn| arn.starts_with("planned:")), "{document:#}");
    for name in
        ["VPC ecs-production-vpc", "security group ALB-SG", "role backendTaskRole", "ecs-postgres-db", "ecs-alb"]
    {
        assert!(plan.stderr.contains(name), "{name} is not in the plan:\n{}", plan.stderr);
    }

    // What a plan says does not exist yet cannot be built upon.
    let refused = cloud.run("ecs-sg", &[], &plan.stdout).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("comes from a plan"), "{}", refused.stderr);
    assert_eq!(cloud.take_writes(), [""; 0]);
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_healed_and_what_they_added_is_left() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let clean = cloud.inventory().await;
    let spoil = "set -e
        vpc=$(\"$PY\" -c 'import boto3; print(boto3.client(\"ec2\").describe_vpcs(Filters=[{\"Name\":\"tag:Name\",\"Values\":[\"ecs-production-vpc\"]}])[\"Vpcs\"][0][\"VpcId\"])')
        \"$PY\" - \"$vpc\" <<'PYTHON'
import boto3, sys
ec2, iam, logs, elb, ecr = (boto3.client(s) for s in ('ec2', 'iam', 'logs', 'elbv2', 'ecr'))
group = ec2.describe_security_groups(Filters=[{'Name': 'group-name', 'Values': ['RDS-SG']}])['SecurityGroups'][0]
ec2.revoke_security_group_ingress(GroupId=group['GroupId'], IpPermissions=group['IpPermissions'])
iam.detach_role_policy(RoleName='ecsTaskExecutionRole', PolicyArn='arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy')
logs.put_retention_policy(logGroupName='/ecs/backend', retentionInDays=1)
arn = elb.describe_target_groups(Names=['backend-tg'])['TargetGroups'][0]['TargetGroupArn']
elb.modify_target_group(TargetGroupArn=arn, HealthCheckPath='/wrong')
ecr.delete_repository(repositoryName='frontend-repo')
ec2.modify_vpc_attribute(VpcId=sys.argv[1], EnableDnsHostnames={'Value': False})
PYTHON";
    cloud.shell(&spoil.replace("$PY", &python())).await.ok();
    let drift = cloud.pipe(&TOOLS, "plan --exit-code", TUTORIAL).await;
    assert_eq!(drift.code, 3, "{}", drift.stderr);
    assert_ne!(cloud.inventory().await, clean);
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    cloud.assert_is(&clean, "a run that heals").await;
}

fn python() -> String {
    ecs_pipe_tests::python().display().to_string()
}

fn list(calls: &[ecs_local::Call]) -> String {
    calls.iter().map(|call| format!("{}:{} {}\n", call.service, call.operation, call.resource)).collect()
}

fn failures(report: &str) -> String {
    report.lines().filter(|line| !line.starts_with("ok")).collect::<Vec<_>>().join("\n")
}
