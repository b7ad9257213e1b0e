use ecs_core::stack::Alarms as Config;

use super::*;

const BALANCER: &str = "arn:aws:elasticloadbalancing:r:1:loadbalancer/app/ecs-alb/778d41231b141a0f";

fn alarm(watched: Watched, groups: &[&str]) -> Alarm {
    let stack = Stack::default();
    let arns: Vec<TargetGroupArn> = groups
        .iter()
        .map(|name| format!("arn:aws:elasticloadbalancing:r:1:targetgroup/{name}/943f017f100becff").as_str().into())
        .collect();
    let place = (Some(&LoadBalancerArn::from(BALANCER)), arns.iter().collect());
    Alarm::new(&stack, "web", (watched, 10, 2), place, &Alarms::new(&stack)).expect("a load balancer")
}

fn text(alarm: &Alarm, live: &MetricAlarm) -> Vec<String> {
    alarm.diff(&Live { alarm: live.clone(), new: false }).iter().map(ToString::to_string).collect()
}

#[test]
fn an_alarm_watches_the_target_groups_by_the_ends_of_the_arns() {
    let one = metric(&alarm(Watched::Errors, &["web-tg"]).planned().alarm);
    let of = |group: &str| {
        format!("[LoadBalancer=app/ecs-alb/778d41231b141a0f TargetGroup=targetgroup/{group}/943f017f100becff]")
    };
    let errors = format!("Sum of AWS/ApplicationELB/HTTPCode_Target_5XX_Count{} in 60 s", of("web-tg"));
    assert_eq!(one, errors);
    let hosts = |group: &str| format!("Maximum of AWS/ApplicationELB/UnHealthyHostCount{} in 60 s", of(group));
    let both = format!("e1 = MAX([m1, m2]), watched; m1 = {}; m2 = {}", hosts("web-tg-alt"), hosts("web-tg"));
    for order in [["web-tg", "web-tg-alt"], ["web-tg-alt", "web-tg"]] {
        assert_eq!(metric(&alarm(Watched::UnhealthyHosts, &order).planned().alarm), both);
    }
}

#[test]
fn what_cloudwatch_reads_back_is_no_difference_and_what_others_changed_is_one() {
    let alarm = alarm(Watched::Errors, &["web-tg", "web-tg-alt"]);
    let live = || alarm.planned().alarm;
    let mut told = live();
    told.alarm_actions = Some(vec!["arn:aws:sns:r:1:oncall".to_owned()]);
    told.datapoints_to_alarm = None;
    assert_eq!(text(&alarm, &told), [""; 0]);
    let mut changed = live();
    changed.threshold = Some(100.0);
    changed.evaluation_periods = Some(5);
    changed.treat_missing_data = None;
    assert_eq!(
        text(&alarm, &changed),
        ["threshold: 100 -> 10", "evaluation periods: 5 -> 2", "treatment of missing data: missing -> notBreaching"]
    );
}

#[test]
fn an_alarm_for_people_watches_the_tasks_and_tells_a_topic() {
    let topic = "arn:aws:sns:r:1:oncall".to_owned();
    let quiet = alarm(Watched::Cpu, &["web-tg", "web-tg-alt"]);
    let of = "Average of AWS/ECS/CPUUtilization[ClusterName=ecs-production-cluster ServiceName=web] in 60 s";
    assert_eq!(metric(&quiet.planned().alarm), of);
    let told = alarm(Watched::Cpu, &["web-tg"]).telling(Some(&topic));
    assert_eq!(told.diff(&told.planned()), []);
    assert_eq!(
        told.diff(&quiet.planned()),
        [Change::update(ACTION, "", &topic), Change::update(OK_ACTION, "", &topic)]
    );
    // Whom somebody else has added stays unless it is pruned.
    let others = quiet.diff(&told.planned());
    assert_eq!(others, [Change::foreign(ACTION, &topic), Change::foreign(OK_ACTION, &topic)]);
    let live = ["arn:pager".to_owned(), topic.clone()];
    assert_eq!(told.actions(ACTION, &live, &[]), live);
    assert_eq!(quiet.actions(ACTION, &live, &others), ["arn:pager"]);
    assert_eq!(quiet.actions(OK_ACTION, &[], &[]), [""; 0]);
}

#[test]
fn a_second_target_group_is_a_difference() {
    let before = alarm(Watched::Errors, &["web-tg"]).planned().alarm;
    let changes = text(&alarm(Watched::Errors, &["web-tg", "web-tg-alt"]), &before);
    assert!(changes.len() == 1 && changes[0].starts_with("metric: Sum of "), "{changes:?}");
}

#[test]
fn a_number_of_nothing_is_no_alarm() {
    let names =
        |config: &Config| -> Vec<String> { Watched::wanted(config).map(|(watched, _)| watched.alarm("web")).collect() };
    assert_eq!(names(&Config::default()), ["web-5xx", "web-unhealthy-hosts"]);
    assert_eq!(names(&Config { errors_5xx: 0, ..Config::default() }), ["web-unhealthy-hosts"]);
    assert_eq!(names(&Config { errors_5xx: 0, unhealthy_hosts: 0, ..Config::default() }), [""; 0]);
}
