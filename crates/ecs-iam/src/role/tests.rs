use serde_json::json;

use super::*;

const ARN: &str = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole";

fn stack() -> Stack {
    Stack { region: Some("us-east-1".to_owned()), ..Stack::default() }
}

/// Returns an execution role that is as it should be.
fn good(role: &Role) -> Live {
    let inline = SecretAccess::new(&stack()).document(&ARN.into()).as_ref().map(Grants::of);
    Live { arn: ARN.into(), managed: vec![managed_policy("aws", EXECUTION_POLICY)], inline, ..role.planned() }
}

#[test]
fn a_new_execution_role_lacks_its_two_policies() {
    let role = Role::new(&stack(), "ecsTaskExecutionRole", "d").for_execution(&stack());
    let changes = role.diff(&Live { arn: ARN.into(), ..role.planned() });
    let text: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "managed policy: add arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
            "inline policy: add ParameterStoreAccess"
        ]
    );
}

#[test]
fn policies_that_iam_would_not_take_are_refused_before_anything_is_made() {
    let mut stack = stack();
    let github = |subject: &str| Deployers { github: Some(("arn:p".to_owned(), subject.to_owned())), user: None };
    let deploy = |stack: &Stack| Role::deploy(stack, "deploy", &github("repo:org/repo:ref:refs/heads/main"));
    assert!(deploy(&stack).check_length("us-east-1").is_ok());
    let statement = json!({"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::bucket/*"]});
    let statement: ecs_core::stack::Statement = serde_json::from_value(statement).expect("a statement");
    let mut service = Service { policy: vec![statement.clone(); 100], ..Service::default() };
    let tasks = |service: &Service| Role::new(&stack, "tasks", "d").for_tasks(&stack, ("web", service));
    assert!(tasks(&service).check_length("us-east-1").is_ok());
    service.policy = vec![statement; 200];
    let error = tasks(&service).check_length("us-east-1").expect_err("too long");
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.render().contains("IAM takes 10240"), "{}", error.render());
    let one = stack.services["backend"].clone();
    stack.services = (0..40).map(|index| (format!("service-{index}"), one.clone())).collect();
    assert!(deploy(&stack).check_length("us-east-1").expect_err("too long").render().contains("two stacks"));
    let long = Role::deploy(&stack, "deploy", &github(&"x".repeat(2048)));
    stack.services.clear();
    assert!(long.check_length("us-east-1").is_err());
}

#[test]
fn a_user_that_was_made_again_is_another_one() {
    let user = "arn:aws:iam::123456789012:user/ecs-pipe/ecs-production/ci";
    let deployers = Deployers { github: None, user: Some(user.into()) };
    let role = Role::deploy(&stack(), "deploy", &deployers);
    let inline = DeployAccess::new(&stack()).document(&ARN.into());
    let live = || Live { arn: ARN.into(), inline: Some(Grants::of(&inline)), ..role.planned() };
    assert_eq!(role.diff(&live()), []);
    // IAM shows one that is gone by its id:
    // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-users
    let gone = Deployers { user: Some("AIDACKCEVSQ6C2EXAMPLE".into()), ..deployers };
    let text: Vec<_> =
        role.diff(&Live { trust: Grants::of(&gone.trust()), ..live() }).iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            r#"trust policy: remove Allow sts:AssumeRole by {"AWS":"AIDACKCEVSQ6C2EXAMPLE"}"#.to_owned(),
            format!(r#"trust policy: add Allow sts:AssumeRole by {{"AWS":"{user}"}}"#),
        ]
    );
}

#[test]
fn each_drift_is_one_change() {
    let role = Role::new(&stack(), "ecsTaskExecutionRole", "d").for_execution(&stack());
    let good = || good(&role);
    // The trust policy that the ECS console writes, percent-encoded by IAM; and one for another service.
    let console = "%7B%22Version%22%3A%222008-10-17%22%2C%22Statement%22%3A%5B%7B%22Sid%22%3A%22%22%2C%22Effect%22%3A%22Allow%22\
                   %2C%22Principal%22%3A%7B%22Service%22%3A%22ecs-tasks.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";
    let other = console.replace("ecs-tasks", "ec2");
    let foreign = "arn:aws:iam::aws:policy/CloudWatchFullAccess".to_owned();
    let cases = [
        (good(), vec![]),
        (Live { trust: Grants::read(console), ..good() }, vec![]),
        (Live { description: String::new(), ..good() }, vec!["description: add d"]),
        (
            Live { trust: Grants::read(&other), ..good() },
            vec![
                r#"trust policy: remove Allow sts:AssumeRole by {"Service":"ec2.amazonaws.com"}"#,
                r#"trust policy: add Allow sts:AssumeRole by {"Service":"ecs-tasks.amazonaws.com"}"#,
            ],
        ),
        (
            Live { managed: Vec::new(), ..good() },
            vec!["managed policy: add arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"],
        ),
        (
            Live { managed: vec![managed_policy("aws", EXECUTION_POLICY), foreign], ..good() },
            vec!["managed policy: remove arn:aws:iam::aws:policy/CloudWatchFullAccess"],
        ),
        (Live { inline: None, ..good() }, vec!["inline policy: add ParameterStoreAccess"]),
    ];
    for (live, wanted) in cases {
        let changes: Vec<_> = role.diff(&live).iter().map(ToString::to_string).collect();
        assert_eq!(changes, wanted);
    }
}

#[test]
fn what_others_attach_is_theirs() {
    let role = Role::new(&stack(), "ecsTaskExecutionRole", "d").for_execution(&stack());
    let changes = role
        .diff(&Live { managed: vec![managed_policy("aws", EXECUTION_POLICY), "arn:other".to_owned()], ..good(&role) });
    assert_eq!(changes, [Change::foreign("managed policy", "arn:other")]);
}

#[test]
fn a_stack_without_secrets_needs_no_inline_policy() {
    let mut stack = stack();
    stack.services.values_mut().for_each(|service| service.secrets.clear());
    let role = Role::new(&stack, "ecsTaskExecutionRole", "d").for_execution(&stack);
    let changes = |inline| role.diff(&Live { inline, ..good(&role) });
    assert_eq!(changes(None), []);
    assert_eq!(changes(Some(Grants::default())), [Change::update("inline policy", "ParameterStoreAccess", "")]);
}

#[test]
fn the_infrastructure_role_is_ecs_own_and_has_aws_policy_for_load_balancers() {
    let role = Role::infrastructure(&stack());
    let text = |live: Live| -> Vec<String> { role.diff(&live).iter().map(ToString::to_string).collect() };
    let arn = RoleArn::from("arn:aws-cn:iam::123456789012:role/ecsInfrastructureRole");
    let policy = "arn:aws-cn:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers";
    let live = || Live { arn: arn.clone(), ..role.planned() };
    assert_eq!(text(live()), [format!("managed policy: add {policy}")]);
    assert_eq!(text(Live { managed: vec![policy.to_owned()], ..live() }), [""; 0]);
    let tasks = Grants::of(&trust::in_service("ecs-tasks.amazonaws.com"));
    assert_eq!(
        text(Live { managed: vec![policy.to_owned()], trust: tasks, ..live() }),
        [
            r#"trust policy: remove Allow sts:AssumeRole by {"Service":"ecs-tasks.amazonaws.com"}"#,
            r#"trust policy: add Allow sts:AssumeRole by {"Service":"ecs.amazonaws.com"}"#,
        ]
    );
}

#[test]
fn a_task_role_may_do_what_the_file_says_and_others_may_attach_more() {
    let mut service = Service::default();
    let role =
        |service: &Service| Role::new(&stack(), "frontendTaskRole", "d").for_tasks(&stack(), ("frontend", service));
    let live = |role: &Role, inline| Live { arn: ARN.into(), inline, ..role.planned() };
    let bare = role(&service);
    assert_eq!(bare.diff(&live(&bare, None)), []);
    assert!(!bare.reports_managed());
    service.exec = Some(true);
    let exec = role(&service);
    assert_eq!(exec.diff(&live(&exec, None)), [Change::update(INLINE, "", "frontend-service")]);
    let grants = TaskAccess::new(&stack(), &service).document(&ARN.into()).as_ref().map(Grants::of);
    assert_eq!(exec.diff(&live(&exec, grants.clone())), []);
    assert_eq!(bare.diff(&live(&bare, grants.clone())), [Change::update(INLINE, "frontend-service", "")]);
    // IAM is asked for a policy only where there is to be one, or was one.
    let tag = exec.policy_tag().expect("built").expect("a tag");
    assert_eq!((bare.expected(&[]), exec.expected(&[])), (None, Some("frontend-service")));
    assert_eq!(bare.expected(std::slice::from_ref(&tag)), Some("frontend-service"));
    // A service of another name has a policy of another name, and not both.
    service.name = Some("web".to_owned());
    let renamed = role(&service);
    let live = Live { tags: vec![tag], ..live(&renamed, grants) };
    assert_eq!(renamed.diff(&live), [Change::update(INLINE, "frontend-service", "web")]);
}

#[test]
fn a_boundary_of_the_file_is_put_and_one_of_somebody_elses_is_theirs() {
    let boundary = |name: &str| format!("arn:aws:iam::123456789012:policy/{name}");
    let mut stack = stack();
    let changes = |stack: &Stack, boundary: Option<&str>| -> Vec<Change> {
        let role = Role::new(stack, "x", "d");
        role.diff(&Live { arn: ARN.into(), boundary: boundary.map(str::to_owned), ..role.planned() })
    };
    assert_eq!(changes(&stack, None), []);
    let theirs = boundary("theirs");
    assert_eq!(changes(&stack, Some(&theirs)), [Change::foreign(boundary::FIELD, &theirs)]);
    let ours = boundary("ours");
    stack.iam.permissions_boundary = Some(ours.clone());
    assert_eq!(changes(&stack, None), [Change::update(boundary::FIELD, "", &ours)]);
    assert_eq!(changes(&stack, Some(&theirs)), [Change::update(boundary::FIELD, &theirs, &ours)]);
    assert_eq!(changes(&stack, Some(&ours)), []);
}
