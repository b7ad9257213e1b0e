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
