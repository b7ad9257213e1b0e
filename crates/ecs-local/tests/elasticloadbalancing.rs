//! ELBv2: load balancers come up on the scaled clock, and what ELBv2 refuses is refused.

mod query;

use self::query::{Aws, Network, within};

fn balancer(network: &Network) -> String {
    let [first, second] = &network.subnets;
    format!("elb:CreateLoadBalancer&Name=web&Subnets.member.1={first}&Subnets.member.2={second}")
}

/// The states that a load balancer goes through until it has this one.
fn states(aws: &Aws, last: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    while seen.last().is_none_or(|state| state != last) {
        let body = aws.call("elb:DescribeLoadBalancers&Names.member.1=web");
        let (_, state) = body.split_once("<State>").expect("a state");
        let state = within(state, "Code").expect("a code");
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    seen
}

#[tokio::test]
async fn a_load_balancer_is_provisioned_and_then_active() {
    let aws = Aws::in_weather(150.0, "").await;
    let network = aws.network();
    let made = aws.call(&balancer(&network));
    assert_eq!(within(&made, "Code").as_deref(), Some("provisioning"), "{made}");
    // The same again is the same load balancer, as far as it is.
    let again = aws.call(&balancer(&network));
    assert_eq!(within(&again, "Code").as_deref(), Some("provisioning"), "{again}");
    assert_eq!(within(&again, "LoadBalancerArn"), within(&made, "LoadBalancerArn"));
    assert_eq!(states(&aws, "active"), ["provisioning", "active"]);
}

#[tokio::test]
async fn a_load_balancer_that_fails_says_why() {
    let failure = "kind = 'load-balancer'\nname = 'web'\ntimes = 1\ncode = 'failed'\nmessage = 'no capacity'";
    let aws = Aws::in_weather(0.0, &format!("[[provisioning.failure]]\n{failure}")).await;
    let network = aws.network();
    let arn = aws.query(&balancer(&network), "LoadBalancerArn");
    assert_eq!(states(&aws, "failed"), ["failed"]);
    assert_eq!(aws.query("elb:DescribeLoadBalancers", "Reason"), "no capacity");
    aws.call(&format!("elb:DeleteLoadBalancer&LoadBalancerArn={arn}"));
    aws.call(&balancer(&network));
    assert_eq!(states(&aws, "active"), ["active"]);
}

#[tokio::test]
async fn of_two_creates_at_the_same_moment_one_makes_the_load_balancer() {
    let aws = Aws::instant().await;
    let network = aws.network();
    let calls = [balancer(&network), format!("{}&Scheme=internal", balancer(&network))];
    let arns: Vec<(u16, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = calls.iter().cycle().take(8).map(|call| scope.spawn(|| aws.raw(call))).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    assert_eq!(arns.iter().filter(|(status, _)| *status == 200).count(), 4, "{arns:?}");
    assert_eq!(aws.call("elb:DescribeLoadBalancers").matches("<LoadBalancerArn>").count(), 1);
}

/// A load balancer, a listener at port 80, and its target group.
struct Stack {
    network: Network,
    balancer: String,
    listener: String,
    target_group: String,
}

fn target_group(aws: &Aws, vpc: &str, name: &str) -> String {
    let form = format!("elb:CreateTargetGroup&Name={name}&Protocol=HTTP&Port=80&TargetType=ip&VpcId={vpc}");
    aws.query(&form, "TargetGroupArn")
}

fn listener(balancer: &str, port: u16, target_group: &str) -> String {
    format!(
        "elb:CreateListener&LoadBalancerArn={balancer}&Port={port}&Protocol=HTTP\
         &DefaultActions.member.1.Type=forward&DefaultActions.member.1.TargetGroupArn={target_group}"
    )
}

fn stack(aws: &Aws) -> Stack {
    let network = aws.network();
    let balancer = aws.query(&balancer(&network), "LoadBalancerArn");
    let target_group = target_group(aws, &network.vpc, "web");
    let listener = aws.query(&listener(&balancer, 80, &target_group), "ListenerArn");
    Stack { network, balancer, listener, target_group }
}

#[tokio::test]
async fn a_load_balancer_needs_subnets_groups_and_a_way_out() {
    let aws = Aws::instant().await;
    let network = aws.network();
    let [first, second] = &network.subnets;
    let create = |subnets: &[&str], more: &str| {
        let subnets = subnets.iter().enumerate().map(|(index, id)| format!("&Subnets.member.{}={id}", index + 1));
        format!("elb:CreateLoadBalancer&Name=web{}{more}", subnets.collect::<String>())
    };
    let zones = "At least two subnets in two different Availability Zones must be specified";
    assert_eq!(aws.message(&create(&[first], ""), "ValidationError"), zones);
    let beside = aws.subnet(&network.vpc, "a", "10.0.5.0/24");
    assert_eq!(aws.message(&create(&[first, &beside], ""), "ValidationError"), zones);
    assert_eq!(aws.refused(&create(&[first, second, &beside], "")), "InvalidConfigurationRequest");
    assert_eq!(aws.refused(&create(&[first, "subnet-0123456789abcdef0"], "")), "SubnetNotFound");
    let group = "&SecurityGroups.member.1=sg-0123456789abcdef0";
    assert_eq!(aws.refused(&create(&[first, second], group)), "InvalidSecurityGroup");

    let vpc = aws.query("ec2:CreateVpc&CidrBlock=10.1.0.0/16", "vpcId");
    let elsewhere = [aws.subnet(&vpc, "a", "10.1.0.0/24"), aws.subnet(&vpc, "b", "10.1.1.0/24")];
    assert_eq!(aws.refused(&create(&[first, &elsewhere[1]], "")), "InvalidConfigurationRequest");
    let elsewhere = [elsewhere[0].as_str(), elsewhere[1].as_str()];
    assert_eq!(aws.message(&create(&elsewhere, ""), "InvalidSubnet"), format!("VPC {vpc} has no internet gateway"));
    let group = format!("&Scheme=internal&SecurityGroups.member.1={}", network.group);
    assert_eq!(aws.refused(&create(&elsewhere, &group)), "InvalidConfigurationRequest");
    aws.call(&create(&elsewhere, "&Scheme=internal"));
}

#[tokio::test]
async fn a_protected_load_balancer_stays() {
    let aws = Aws::instant().await;
    let Stack { balancer, .. } = stack(&aws);
    let attribute = |value: &str| {
        format!(
            "elb:ModifyLoadBalancerAttributes&LoadBalancerArn={balancer}\
             &Attributes.member.1.Key=deletion_protection.enabled&Attributes.member.1.Value={value}"
        )
    };
    aws.call(&attribute("true"));
    let delete = format!("elb:DeleteLoadBalancer&LoadBalancerArn={balancer}");
    assert_eq!(aws.refused(&delete), "OperationNotPermitted");
    aws.call(&attribute("false"));
    aws.call(&delete);
    aws.call(&delete);
}

#[tokio::test]
async fn a_target_group_belongs_to_one_load_balancer_as_long_as_it_forwards() {
    let aws = Aws::instant().await;
    let Stack { network, listener: ours, target_group: group, .. } = stack(&aws);
    let [first, second] = &network.subnets;
    let form = format!("elb:CreateLoadBalancer&Name=other&Subnets.member.1={first}&Subnets.member.2={second}");
    let other = aws.query(&form, "LoadBalancerArn");
    assert_eq!(aws.refused(&listener(&other, 80, &group)), "TargetGroupAssociationLimit");
    assert_eq!(aws.refused(&format!("elb:DeleteTargetGroup&TargetGroupArn={group}")), "ResourceInUse");
    aws.call(&format!("elb:DeleteListener&ListenerArn={ours}"));
    let described = aws.call(&format!("elb:DescribeTargetGroups&TargetGroupArns.member.1={group}"));
    assert!(!described.contains(":loadbalancer/"), "{described}");
    aws.call(&listener(&other, 80, &group));
    let described = aws.call(&format!("elb:DescribeTargetGroups&TargetGroupArns.member.1={group}"));
    assert_eq!(described.matches(&format!("<member>{other}</member>")).count(), 1, "{described}");
}

#[tokio::test]
async fn listeners_are_refused_what_elbv2_refuses() {
    let aws = Aws::instant().await;
    let Stack { network, balancer, listener: ours, target_group: group } = stack(&aws);
    let other = target_group(&aws, &network.vpc, "other");
    assert_eq!(aws.refused(&listener(&balancer, 80, &other)), "DuplicateListener");
    let secure = listener(&balancer, 443, &group).replace("Protocol=HTTP", "Protocol=HTTPS");
    assert_eq!(aws.refused(&secure), "ValidationError");
    let arn = "arn:aws:acm:us-east-1:123456789012:certificate/none";
    assert_eq!(aws.refused(&format!("{secure}&Certificates.member.1.CertificateArn={arn}")), "CertificateNotFound");
    aws.call(&listener(&balancer, 81, &group));
    assert_eq!(aws.refused(&format!("elb:ModifyListener&ListenerArn={ours}&Port=81")), "DuplicateListener");
    let vpc = aws.query("ec2:CreateVpc&CidrBlock=10.1.0.0/16", "vpcId");
    let elsewhere = target_group(&aws, &vpc, "elsewhere");
    assert_eq!(aws.refused(&listener(&balancer, 82, &elsewhere)), "InvalidConfigurationRequest");
}

#[tokio::test]
async fn rules_are_refused_what_elbv2_refuses() {
    let aws = Aws::instant().await;
    let Stack { listener, target_group: group, .. } = stack(&aws);
    let rule = |priority: &str, path: &str| {
        format!(
            "elb:CreateRule&ListenerArn={listener}&Priority={priority}&Conditions.member.1.Field=path-pattern\
             &Conditions.member.1.Values.member.1={path}\
             &Actions.member.1.Type=forward&Actions.member.1.TargetGroupArn={group}"
        )
    };
    assert_eq!(aws.refused(&rule("0", "/api")), "ValidationError");
    assert_eq!(aws.refused(&rule("50001", "/api")), "ValidationError");
    assert_eq!(aws.refused(&rule("1", "/a%20b")), "ValidationError");
    let arn = aws.query(&rule("1", "/api"), "RuleArn");
    assert_eq!(aws.refused(&rule("1", "/other")), "PriorityInUse");
    let rules = aws.call(&format!("elb:DescribeRules&ListenerArn={listener}"));
    let default = rules.split("<RuleArn>").last().and_then(|rule| rule.split('<').next()).expect("a default rule");
    assert_eq!(aws.refused(&format!("elb:DeleteRule&RuleArn={default}")), "OperationNotPermitted");
    aws.call(&format!("elb:DeleteRule&RuleArn={arn}"));
    assert_eq!(aws.refused(&format!("elb:DeleteRule&RuleArn={arn}")), "RuleNotFound");
}

#[tokio::test]
async fn targets_are_addresses_in_the_vpc() {
    let aws = Aws::instant().await;
    let Stack { target_group: group, .. } = stack(&aws);
    let target = |operation: &str, id: &str| format!("elb:{operation}&TargetGroupArn={group}&Targets.member.1.Id={id}");
    assert_eq!(aws.refused(&target("RegisterTargets", "10.9.0.4")), "ValidationError");
    assert_eq!(aws.refused(&target("RegisterTargets", "web")), "ValidationError");
    aws.call(&target("RegisterTargets", "10.0.0.4"));
    aws.call(&format!("{}&Targets.member.1.AvailabilityZone=all", target("RegisterTargets", "10.9.0.4")));
    // One that is not registered is no error.
    aws.call(&target("DeregisterTargets", "10.0.0.5"));
    aws.call(&target("DeregisterTargets", "10.0.0.4"));
    let health = "elb:ModifyTargetGroup&HealthCheckIntervalSeconds=5&TargetGroupArn=";
    assert_eq!(aws.refused(&format!("{health}{group}")), "ValidationError");
    aws.call(&format!("{health}{group}&HealthCheckTimeoutSeconds=4"));
}
