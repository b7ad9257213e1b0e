use ecs_core::resource::Means;

use super::*;

fn wanted() -> Form {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Form {
        cpu: "1024".to_owned(),
        memory: "2048".to_owned(),
        execution_role: "arn:aws:iam::1:role/e".to_owned(),
        task_role: String::new(),
        network_mode: "awsvpc".to_owned(),
        fargate: true,
        platform: ("LINUX".to_owned(), "X86_64".to_owned()),
        container: Container {
            name: "app".to_owned(),
            essential: true,
            ports: BTreeSet::from([(3001, "tcp".to_owned())]),
            environment: map(&[("A", "1"), ("B", "2")]),
            secrets: map(&[("S", "arn:aws:ssm:r:1:parameter/s")]),
            log_driver: "awslogs".to_owned(),
            log_options: map(&[("awslogs-group", "/g")]),
            ..Container::default()
        },
        sidecars: BTreeMap::new(),
        volumes: BTreeMap::new(),
    }
}

/// What ECS reads back of the wanted form: sizes in words, a `hostPort`, sorted otherwise, `essential` left out.
fn live() -> TaskDefinition {
    let pair = |name: &str, value: &str| KeyValuePair::builder().name(name).value(value).build();
    let log = LogConfiguration::builder().log_driver(LogDriver::Awslogs).options("awslogs-group", "/g").build();
    let container = ContainerDefinition::builder()
        .name("app")
        .image("nginx:live")
        .port_mappings(PortMapping::builder().container_port(3001).host_port(3001).build())
        .environment(pair("B", "2"))
        .environment(pair("A", "1"))
        .secrets(Secret::builder().name("S").value_from("arn:aws:ssm:r:1:parameter/s").build().expect("complete"))
        .set_mount_points(Some(Vec::new()))
        .log_configuration(log.expect("complete"));
    TaskDefinition::builder()
        .cpu("1 vCPU")
        .memory("2GB")
        .execution_role_arn("arn:aws:iam::1:role/e")
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate)
        .container_definitions(container.build())
        .build()
}

#[test]
fn what_ecs_fills_in_and_reorders_is_no_difference() {
    assert_eq!(Form::of(&live(), &wanted()).changes(&wanted()), []);
}

#[test]
fn sizes_are_numbers_whatever_they_were_written_as() {
    for (size, unit, number) in
        [("512", "vcpu", "512"), (".5 vcpu", "vcpu", "512"), ("1 vCPU", "vcpu", "1024"), ("2GB", "gb", "2048")]
    {
        assert_eq!(units(Some(size), unit), number, "{size}");
    }
}

#[test]
fn every_difference_is_named_and_no_value_of_a_variable_is() {
    type Case = (&'static str, fn(&mut Form));
    let cases: [Case; 6] = [
        ("cpu: 256 -> 1024", |form| form.cpu = "256".to_owned()),
        ("ports: 80/tcp -> 3001/tcp", |form| form.container.ports = BTreeSet::from([(80, "tcp".to_owned())])),
        ("environment variable: A -> A with another value", |form| {
            form.container.environment.insert("A".to_owned(), "hunter2".to_owned());
        }),
        ("environment variable: remove C", |form| {
            form.container.environment.insert("C".to_owned(), "hunter2".to_owned());
        }),
        ("environment variable: add B", |form| drop(form.container.environment.remove("B"))),
        ("secret: S from arn:old -> S from arn:aws:ssm:r:1:parameter/s", |form| {
            form.container.secrets.insert("S".to_owned(), "arn:old".to_owned());
        }),
    ];
    for (line, change) in cases {
        let mut is = wanted();
        change(&mut is);
        let changes: Vec<_> = is.changes(&wanted()).iter().map(ToString::to_string).collect();
        assert_eq!(changes, [line]);
    }
}

#[test]
fn a_sidecar_is_somebody_elses_and_stays() {
    let mut live = live();
    let sidecar = ContainerDefinition::builder().name("datadog").image("agent").build();
    live.container_definitions.get_or_insert_default().insert(0, sidecar);
    let changes = Form::of(&live, &wanted()).changes(&wanted());
    assert_eq!(changes, [Change::foreign("container", "datadog")]);
    assert_eq!(changes[0].means, Means::Foreign);
    let names = |alone| {
        let containers = wanted().containers(live.container_definitions(), "nginx:live", (alone, &[])).expect("built");
        containers.iter().map(|container| text(container.name())).collect::<Vec<_>>()
    };
    assert_eq!(names(false), ["datadog", "app"]);
    assert_eq!(names(true), ["app"]);
}

#[test]
fn what_we_do_not_own_of_our_container_stays() {
    let mut live = live();
    let ours = &mut live.container_definitions.get_or_insert_default()[0];
    ours.user = Some("1000".to_owned());
    ours.environment = None;
    let containers = wanted().containers(live.container_definitions(), "nginx:live", (false, &[])).expect("built");
    assert_eq!(containers[0].user(), Some("1000"));
    assert_eq!(containers[0].environment().len(), 2);
    assert_eq!(containers[0].image(), Some("nginx:live"));
}

#[test]
fn a_container_with_another_name_is_renamed_and_keeps_its_image() {
    let live = live();
    let mut renamed = wanted();
    renamed.container.name = "web".to_owned();
    assert_eq!(Form::of(&live, &renamed).changes(&renamed), [Change::update("container", "app", "web")]);
    assert_eq!(image(&live, &renamed), Some("nginx:live"));
}

/// The wanted form with all that a stack file can say of a container, and a sidecar.
fn everything() -> Form {
    let mut form = wanted();
    let check = Check {
        command: vec!["CMD-SHELL".to_owned(), "true".to_owned()],
        interval: 30,
        timeout: 5,
        retries: 3,
        start_period: 0,
    };
    let own = &mut form.container;
    own.memory_reservation = Some(512);
    own.entry_point = Some(vec!["/bin/start".to_owned()]);
    own.command = Some(Vec::new());
    own.health_check = Some(check);
    own.init = Some(true);
    own.depends_on = Some(BTreeMap::from([("agent".to_owned(), "START".to_owned())]));
    let agent = Container {
        name: "agent".to_owned(),
        ports: BTreeSet::from([(4317, "tcp".to_owned())]),
        image: Some("agent:1".to_owned()),
        cpu: Some(128),
        memory: Some(256),
        memory_reservation: Some(0),
        entry_point: Some(Vec::new()),
        command: Some(vec!["serve".to_owned()]),
        health_check: Some(Check::default()),
        depends_on: Some(BTreeMap::new()),
        log_driver: "awslogs".to_owned(),
        ..Container::default()
    };
    form.sidecars.insert("agent".to_owned(), agent);
    form
}

#[test]
fn all_that_a_file_says_is_registered_and_then_is_no_difference() {
    let everything = everything();
    let mut live = live();
    let lines: Vec<_> = Form::of(&live, &everything).changes(&everything).iter().map(ToString::to_string).collect();
    let expected = [
        "memory reservation: add 512",
        "entry point: add [\"/bin/start\"]",
        "health check: add [\"CMD-SHELL\", \"true\"] every 30 s for 5 s, 3 times, after 0 s",
        "init process: false -> true",
        "dependencies: add agent START",
        "sidecar: add agent",
    ];
    assert_eq!(lines, expected);
    let containers = everything.containers(live.container_definitions(), "nginx:live", (false, &[])).expect("built");
    assert_eq!(containers[1].image(), Some("agent:1"));
    live.container_definitions = Some(containers);
    // What ECS leaves out of what was sent.
    live.container_definitions.as_mut().expect("some")[0].health_check.as_mut().expect("one").start_period = None;
    assert_eq!(Form::of(&live, &everything).changes(&everything), []);
    // Without a word in the file all of it stays, and the sidecar is somebody else's.
    assert_eq!(Form::of(&live, &wanted()).changes(&wanted()), [Change::foreign("container", "agent")]);
    let kept = wanted().containers(live.container_definitions(), "nginx:next", (false, &[])).expect("built");
    assert_eq!(kept[0].health_check(), live.container_definitions()[0].health_check());
    assert_eq!(kept[1], live.container_definitions()[1]);
    let pruned = wanted().containers(live.container_definitions(), "nginx:next", (true, &[])).expect("built");
    assert_eq!((pruned.len(), pruned[0].depends_on()), (1, [].as_slice()));
}

#[test]
fn a_sidecar_of_the_file_is_owned_with_its_image_and_no_command_of_others_is_shown() {
    let everything = everything();
    let mut live = live();
    let containers = everything.containers(live.container_definitions(), "nginx:live", (false, &[])).expect("built");
    live.container_definitions = Some(containers);
    let agent = &mut live.container_definitions.as_mut().expect("some")[1];
    agent.image = Some("agent:0".to_owned());
    agent.command = Some(vec!["--password=hunter2".to_owned()]);
    agent.cpu = 0;
    let lines: Vec<_> = Form::of(&live, &everything).changes(&everything).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "sidecar: agent image agent:0 -> agent image agent:1",
            "sidecar: add agent container cpu 128",
            "sidecar: agent command another -> agent command [\"serve\"]",
        ]
    );
}

#[test]
fn a_sidecar_with_a_port_is_not_taken_for_the_container_that_serves() {
    let everything = everything();
    let mut live = live();
    let mut containers =
        everything.containers(live.container_definitions(), "nginx:live", (false, &[])).expect("built");
    containers.reverse();
    containers[1].name = Some("before".to_owned());
    live.container_definitions = Some(containers);
    assert_eq!(image(&live, &everything), Some("nginx:live"));
    assert_eq!(Form::of(&live, &everything).changes(&everything), [Change::update("container", "before", "app")]);
}

#[test]
fn a_file_system_comes_goes_and_leaves_the_others_alone() {
    let data = FileSystem {
        id: "fs-1".to_owned(),
        access_point: "fsap-1".to_owned(),
        root_directory: "/".to_owned(),
        guarded: (true, true),
        mount: Some(("/data".to_owned(), true)),
    };
    let with = Form { volumes: BTreeMap::from([("data".to_owned(), data)]), ..wanted() };
    let containers = with.containers(&[], "nginx:1", (true, &[])).expect("built");
    let definition = |containers: Vec<ContainerDefinition>, volumes: Vec<Volume>| {
        let definition = TaskDefinition::builder().set_container_definitions(Some(containers));
        definition.set_volumes(Some(volumes)).build()
    };
    let live = definition(containers, with.volumes(&[], &[]).expect("built"));
    assert_eq!(Form::of(&live, &with).volumes, with.volumes);
    let text = |wanted: &Form| -> Vec<String> {
        let changes = Form::of(&live, wanted).changes(wanted);
        changes.iter().filter(|change| change.field == VOLUME).map(ToString::to_string).collect()
    };
    assert_eq!(text(&with), [""; 0]);
    // Without a word in the file it is somebody else's, and goes with --prune, from the containers too.
    assert_eq!(text(&wanted()), ["volume: remove data"]);
    let kept = wanted().containers(live.container_definitions(), "nginx:1", (false, &[])).expect("built");
    assert_eq!(kept[0].mount_points().len(), 1);
    let pruned = wanted().containers(live.container_definitions(), "nginx:1", (false, &["data"])).expect("built");
    assert_eq!(pruned[0].mount_points(), []);
    assert_eq!(wanted().volumes(live.volumes(), &["data"]).expect("built"), []);
    let mut open = with.clone();
    for volume in open.volumes.values_mut() {
        (volume.guarded, volume.mount) = ((false, true), Some(("/data".to_owned(), false)));
    }
    let change = open.changes(&with);
    let line = "volume: data fs-1/ through fsap-1 at /data, not encrypted on its way or open to all -> data fs-1/ through fsap-1 at /data, read only";
    assert_eq!(change.last().map(ToString::to_string).as_deref(), Some(line));
}
