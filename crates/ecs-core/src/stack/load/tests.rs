use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Kind;
use crate::stack::fargate;
use crate::stack::{Alarms, Autoscaling, Deployment, Parameter, PasswordStore, Service, TypedParameter, Zones};

/// Loads texts as files of a fresh directory; the error's text names them without it.
fn load_texts(files: &[(&str, &str)]) -> std::result::Result<Stack, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| if name.starts_with('-') { PathBuf::from(name) } else { directory.path().join(name) };
    for (name, text) in files.iter().filter(|(_, text)| *text != "(none)") {
        fs::write(path(name), text).unwrap();
    }
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| path(name)).collect();
    load(&paths).map_err(|error| {
        assert_eq!(error.kind(), Kind::Usage);
        let prefix = format!("{}/", directory.path().display());
        error.to_string().replace(&prefix, "")
    })
}

/// Returns the mistakes of a report as `file:line:column: message (hint)`.
fn brief(report: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for mistake in report.split("\n\n").skip(1) {
        let message = mistake.lines().next().unwrap().strip_prefix("error: ").unwrap();
        let place = mistake.lines().find_map(|line| line.trim_start().strip_prefix("--> ")).unwrap_or("nowhere");
        let hint = mistake.lines().find_map(|line| line.trim_start().trim_start_matches("| ").strip_prefix("= help: "));
        lines.push(format!("{place}: {message}{}", hint.map(|hint| format!(" ({hint})")).unwrap_or_default()));
    }
    lines
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stacks").join(name)
}

#[test]
fn no_file_is_the_tutorial_stack() {
    assert_eq!(load(&[]).unwrap(), Stack::default());
    assert_eq!(load_texts(&[("empty.toml", "")]).unwrap(), Stack::default());
    assert_eq!(load_texts(&[("empty.json", "{}")]).unwrap(), Stack::default());
}

#[test]
fn the_tutorial_file_is_the_default_written_out() {
    let stack = load(&[example("tutorial.toml")]).unwrap();
    assert_eq!(stack, Stack { region: Some("us-east-1".to_owned()), ..Stack::default() });
}

#[test]
fn the_tutorial_file_leaves_no_key_out() {
    let text = fs::read_to_string(example("tutorial.toml")).unwrap();
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(uncomment).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.toml");
    fs::write(&path, lines.join("\n")).unwrap();
    let all = Source::read(&path).unwrap().parse().unwrap().value;
    let mut tables = vec![String::new()];
    while let Some(table) = tables.pop() {
        let map = all.pointer(&table).and_then(Value::as_object);
        tables.extend(map.into_iter().flatten().map(|(key, _)| child(&table, key)));
        let inline = [
            "/autoscaling",
            "/deployment",
            "/services/frontend/alarms",
            "/schedules",
            "/connect",
            "/volumes/data",
            "/github",
            "/ci_user",
            "/health_check",
            "/spot",
            "/sidecars/agent",
            "/depends_on",
            "/tables/orders",
        ]
        .iter()
        .any(|inline| table.ends_with(inline));
        for key in shape::known_keys(&table).iter().filter(|_| map.is_some() && !inline) {
            // The backend has a path, and the frontend shows what is optional; an image takes the repository's place.
            let elsewhere = ["image", "host", "path", "priority"].contains(&key.as_str());
            let shown = table == "/services/backend" && all.pointer(&child("/services/frontend", key)).is_some();
            assert!(elsewhere || shown || all.pointer(&child(&table, key)).is_some(), "{table}/{key}");
        }
    }
}

#[test]
fn the_staging_file_shares_no_name_with_the_tutorial() {
    let production = load(&[example("tutorial.toml")]).unwrap();
    let staging = load(&[example("tutorial.toml"), example("staging.toml")]).unwrap();
    let names = |stack: &Stack| {
        let mut names = vec![
            stack.name.clone(),
            stack.vpc_name(),
            stack.cluster_name(),
            stack.net.cidr.to_string(),
            stack.sg.alb_name.clone(),
            stack.sg.tasks_name.clone(),
            stack.sg.db_name.clone(),
            stack.iam.execution_role.clone(),
            stack.iam.infrastructure_role.clone(),
            stack.db.identifier.clone(),
            stack.db.subnet_group.clone(),
            stack.alb.name.clone(),
        ];
        names.extend(stack.parameters.keys().cloned());
        for (key, service) in &stack.services {
            names.extend([
                service.service_name(key),
                service.family(key),
                service.target_group(key),
                service.task_role(key),
                service.log_group(key),
                service.repository(key).unwrap(),
            ]);
        }
        names
    };
    let theirs = names(&production);
    for name in names(&staging) {
        assert!(!theirs.contains(&name), "{name}");
    }
    assert_eq!(staging.parameters.len(), production.parameters.len());
    assert_eq!(staging.services["backend"].paths(), ["/api/*"]);
    assert_eq!(staging.services["backend"].desired, 1);
    assert_eq!(staging.region, production.region);
}

#[test]
fn a_report_shows_every_mistake_of_a_file_at_once() {
    let text = r#"name = "Prod"
regoin = "us-east-1"

[db]
port = 80
user = "admin"

[parameters]
"/web/KEY" = { value = "hunter2", secure = true, note = 1 }
"/web/PASSWORD" = { value = "${db.password}", secure = true }

[services.web]
cpu = "512"
memory = 1024
"#;
    let report = load_texts(&[("prod.toml", text)]).unwrap_err();
    let expected = r#"7 mistakes in prod.toml

error: the stack name `Prod` holds 'P', only lower-case letters, digits and hyphens are allowed
 --> prod.toml:1:8
  |
1 | name = "Prod"
  |        ^^^^^^

error: unknown key `regoin`
 --> prod.toml:2:1
  |
2 | regoin = "us-east-1"
  | ^^^^^^
  |
  = help: did you mean `region`?

error: expected a whole number from 1150 to 65535, found the number 80
 --> prod.toml:5:8
  |
5 | port = 80
  |        ^^

error: RDS keeps the user name `admin` for itself
 --> prod.toml:6:8
  |
6 | user = "admin"
  |        ^^^^^^^
  |
  = help: `postgres` is the usual one

error: a secret must not stand in a stack file
 --> prod.toml:9:24
  |
9 | "/web/KEY" = { value = "*******", secure = true, note = 1 }
  |                        ^^^^^^^^^
  |
  = help: make the parameter yourself, and give its ARN in the service's `secrets`; if it is none, leave out `secure`

error: unknown key `note`
 --> prod.toml:9:50
  |
9 | "/web/KEY" = { value = "*******", secure = true, note = 1 }
  |                                                  ^^^^
  |
  = help: the keys here are `secure` and `value`

error: expected a whole number, found the string "512"
  --> prod.toml:13:7
   |
13 | cpu = "512"
   |       ^^^^^
   |
   = help: write 512 without the quotes"#;
    assert_eq!(report, expected);
}

/// Each row: one file, and all mistakes in it.
#[test]
fn every_mistake_has_its_position() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("a.toml", "[db]\nport = = 3\n", &["a.toml:2:8: extra `=`, expected nothing"]),
        ("a.toml", "[db]\nport = 3\nport = 4\n", &["a.toml:3:1: duplicate key"]),
        (
            "a.toml",
            "name = inf\nregion = 2024-01-01",
            &[
                "a.toml:1:8: infinity and NaN mean nothing in a stack file",
                "a.toml:2:10: a date means nothing in a stack file (a text that looks like a date goes in quotes)",
            ],
        ),
        ("a.json", "", &["a.json:1:1: the file is empty"]),
        ("a.json", "{\"db\": {", &["a.json:1:8: the file ends too early, in an object"]),
        ("a.json", "{\"db\": {},}", &["a.json:1:11: trailing comma"]),
        ("a.json", "{\"db\": {} // no\n}", &["a.json:1:11: expected `,` or `}`"]),
        ("a.json", "[1]", &["a.json:1:1: expected an object, found a list"]),
        ("a", "\n  {\"db\":\n {\"port\": 5000, \"port\": 5001}}", &["a:3:17: the key stands twice in one object"]),
        (
            "a.json",
            "{\"db\": {\"port\": 5000.0, \"user\": 1e2}}",
            &["a.json:1:33: expected a string, found the number 100 (write \"100\")"],
        ),
        (
            "a.toml",
            "[db]\nport = true\npassword = \"secret_manager\"\nencrypted = \"true\"",
            &[
                "a.toml:2:8: expected a whole number, found true",
                "a.toml:3:12: expected `parameter` or `secrets_manager`, found the string \"secret_manager\" (did you mean `secrets_manager`?)",
                "a.toml:4:13: expected true or false, found the string \"true\" (write true without the quotes)",
            ],
        ),
        (
            "a.toml",
            "[net]\ncidr = \"10.0.0.0\"\nzones = \"a\"\npublic_cidrs = [\"10.0.1.0/33\"]",
            &[
                "a.toml:2:8: expected an IPv4 range such as 10.0.0.0/16, found the string \"10.0.0.0\" (the length is missing: `/16`, say)",
                "a.toml:3:9: expected a list or a whole number, found the string \"a\" (write [\"a\"])",
                "a.toml:4:17: expected an IPv4 range such as 10.0.0.0/16, found the string \"10.0.1.0/33\"",
            ],
        ),
        (
            "a.toml",
            "[cluster]\ncontainer_insights = \"on\"\n[ecr]\nmutability = true\nkeep_images = 0",
            &[
                "a.toml:2:22: expected `disabled`, `enabled` or `enhanced`, found the string \"on\"",
                "a.toml:4:14: expected `mutable` or `immutable`, found true",
                "a.toml:5:15: expected a whole number of 1 or more, found the number 0",
            ],
        ),
        (
            "a.toml",
            "[services.a]\ndesired = -1\ncpu = 5000000000\nport = 70000\npriority = 0\nhealth_check_grace_period = 2147483648",
            &[
                "a.toml:2:11: expected a whole number of 0 or more, found the number -1",
                "a.toml:3:7: expected a whole number from 0 to 4294967295, found the number 5000000000",
                "a.toml:4:8: expected a whole number from 1 to 65535, found the number 70000",
                "a.toml:5:12: expected a whole number from 1 to 50000, found the number 0",
                "a.toml:6:29: expected a whole number from 0 to 2147483647, found the number 2147483648",
            ],
        ),
        (
            "a.toml",
            "services = []\nparameters = 5\nsg = \"x\"",
            &[
                "a.toml:1:12: expected a table, found a list",
                "a.toml:2:14: expected a table, found the number 5",
                "a.toml:3:6: expected a table, found the string \"x\"",
            ],
        ),
        (
            "a.toml",
            "[services.a.autoscaling]\nmin = 1\n[services.b]\nautoscaling = { min = 1, maxx = 2 }\npath = \"/b\"",
            &[
                "a.toml:1:13: `autoscaling` has no `max`, which it needs",
                "a.toml:4:26: unknown key `maxx` (did you mean `max`?)",
                "a.toml:5:8: the path of `b` has no `priority` (`priority = 100` is free)",
            ],
        ),
        (
            "a.toml",
            "[parameters]\n\"/a\" = \"${db.password}\"",
            &[
                "a.toml:1:2: a secret that points nowhere: there is no parameter `/ecs/backend/DB_HOST` (`services.backend.secrets.DB_HOST` is a default), and 6 more like it (add it to `parameters`, or give the ARN of a parameter that is there already; a file that has `parameters` has only those)",
                "a.toml:2:8: the database's password would be readable in a parameter that is not secure (write `{ value = \"${db.password}\", secure = true }`)",
            ],
        ),
        (
            "a.toml",
            "[services.x]\n[parameters]\n\"/a\" = 5\n\"/b\" = { secure = true }\n\"/c\" = { value = 1 }\n\"/d\" = [\"hunter2\"]\n[db]\npassword = \"secrets_manager\"",
            &[
                "a.toml:3:8: expected a string or a table, found the number 5 (write \"5\")",
                "a.toml:4:1: `/b` has no `value`, which it needs",
                "a.toml:5:18: expected a string, found the number 1 (write \"1\")",
                "a.toml:6:8: expected a string or a table, found a list",
            ],
        ),
        // What follows from a mistake is no mistake: the misspelt path is why there would be two default services.
        (
            "a.toml",
            "[services.a]\n[services.b]\npth = \"/b\"",
            &["a.toml:3:1: unknown key `pth` (did you mean `path`?)"],
        ),
        (
            "a.toml",
            "[db]\npassword = \"secrets_manager\"",
            &[
                "a.toml:2:12: the parameter `/ecs/backend/DB_PASSWORD` cannot hold the password: Secrets Manager keeps it (`parameters.\"/ecs/backend/DB_PASSWORD\".value` is a default) (leave it out of `parameters`, and write `services.backend.secrets.DB_PASSWORD = \"${db.secret_arn}:password::\"`)",
            ],
        ),
        (
            "a.toml",
            "[services.a-service-with-quite-a-long-name]\n",
            &[
                "a.toml:1:11: the target group name `a-service-with-quite-a-l…` has 35 characters, at most 32 are allowed (it is made from the short name; give `target_group`)",
            ],
        ),
        (
            "a.toml",
            "# ü\r\n[services.a]\r\nhealth_path = \"ü\" # ü\r\npriority = 3\r\n",
            &[
                "a.toml:3:15: the health path `ü` does not start with a slash",
                "a.toml:4:1: a priority without a `path` or a `host` (the service with neither takes what no rule matches, and has no priority)",
            ],
        ),
        ("a.toml", "\u{feff}nam = 1", &["a.toml:1:1: unknown key `nam` (did you mean `name`?)"]),
        (
            "-",
            "(none)",
            &[
                "nowhere: a stack file cannot come from `-`: stdin is the document (name a file, or write `--stack <(command)`)",
            ],
        ),
        (
            "a.toml",
            "(none)",
            &["nowhere: cannot read a.toml: No such file or directory (check the path given by `--stack`)"],
        ),
    ];
    for (name, text, expected) in rows {
        let report = load_texts(&[(name, text)]).unwrap_err();
        assert_eq!(&brief(&report), expected, "{text}\n{report}");
        let number = expected.len();
        assert!(
            report.starts_with(&format!("{number} mistake{} in {name}\n", if number == 1 { "" } else { "s" })),
            "{report}"
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_all_named() {
    let report =
        load_texts(&[("a.toml", "(none)"), ("b.json", "{"), ("c.toml", "x ="), ("d.toml", "nam = 1")]).unwrap_err();
    assert!(report.starts_with("3 mistakes in a.toml, b.json, c.toml and d.toml\n"), "{report}");
    let places: Vec<String> = brief(&report).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(places, ["b.json:1:1", "c.toml:1:4", "nowhere"]);
}

#[test]
fn color_is_only_for_who_asks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    fs::write(&path, "nam = 1").unwrap();
    assert!(!load(std::slice::from_ref(&path)).unwrap_err().to_string().contains('\u{1b}'));
    assert!(load_colored(&[path], true).unwrap_err().to_string().contains('\u{1b}'));
}

#[test]
fn a_key_cannot_write_to_the_terminal() {
    let report = load_texts(&[("a.toml", "\"\\u001b[31m\\nerror: no\" = 1")]).unwrap_err();
    assert!(!report.contains('\u{1b}') && brief(&report).len() == 1, "{report}");
}

/// The examples of RFC 7396, appendix A, whose documents are objects.
#[test]
fn files_merge_as_the_rfc_says() {
    let rows = [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"e": null}), json!({"a": 1}), json!({"a": 1})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ];
    for (first, second, merged) in rows {
        let parsed = [first, second].map(|value| Parsed { value, places: BTreeMap::new() });
        assert_eq!(Merged::new(&parsed).value, merged);
    }
}

#[test]
fn a_mistake_is_in_the_file_that_the_value_comes_from() {
    let base = "[db]\nport = 80\nuser = \"admin\"\n[services.a]\ncpu = 1\n[services.b]\npath = \"/b\"\npriority = 1\n";
    let over = "{\"db\": {\"port\": 90, \"user\": null}, \"services\": {\"b\": {\"priority\": null}, \"a\": {\"memory\": 512}}}";
    let report = load_texts(&[("base.toml", base), ("over.json", over)]).unwrap_err();
    assert_eq!(
        brief(&report),
        [
            "base.toml:5:7: Fargate has no 1 CPU units (the nearest that it has is `cpu = 256` with `memory = 512`)",
            "base.toml:7:8: the path of `b` has no `priority` (`priority = 100` is free)",
            "over.json:1:17: expected a whole number from 1150 to 65535, found the number 90",
        ]
    );
}

#[test]
fn what_is_removed_must_be_there() {
    let base = ("base.toml", "[services.a]\n[services.b]\npath = \"/b\"\npriority = 1\n");
    let removed =
        load_texts(&[base, ("over.toml", "region = { remove = true }\nservices.b = { remove = true }")]).unwrap();
    assert_eq!(removed.services.keys().collect::<Vec<_>>(), ["a"]);
    let same = load_texts(&[base, ("over.json", "{\"region\": null, \"services\": {\"b\": null}}")]).unwrap();
    assert_eq!(same, removed);
    let report =
        load_texts(&[base, ("over.json", "{\"services\": {\"bb\": null}, \"db\": {\"prt\": null, \"user\": null}}")]);
    assert_eq!(
        brief(&report.unwrap_err()),
        [
            "over.json:1:15: null removes `bb`, which no earlier file has (did you mean `b`?)",
            "over.json:1:35: null removes `prt`, which no earlier file has (did you mean `port`?)",
        ]
    );
}

#[test]
fn a_deployment_is_checked_where_it_stands() {
    let text = "[services.frontend.deployment]\nstrategy = \"canery\"\npercent = 200\nbake = 10\n\
                [services.frontend.deployment.alarms]\nperiods = 11\n";
    let report = load_texts(&[("a.toml", text)]).unwrap_err();
    for part in [
        "a.toml:2:12",
        "did you mean `canary`?",
        "a.toml:3:11",
        "expected a number from 0.1 to 100, found the number 200",
        "a.toml:4:8",
        "expected a string, found the number 10",
        "a.toml:6:11",
        "expected a whole number from 1 to 10, found the number 11",
    ] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
}

/// Every value of the tutorial stack, made one of another type, is reported, on its own line.
#[test]
fn every_wrong_type_is_found_where_it_stands() {
    let stack = Stack { region: Some("us-east-1".to_owned()), ..Stack::default() };
    let value = serde_json::to_value(stack).unwrap();
    let mut places = vec![String::new()];
    let mut leaves = Vec::new();
    while let Some(place) = places.pop() {
        match value.pointer(&place) {
            Some(Value::Object(map)) if !map.is_empty() => places.extend(map.keys().map(|key| child(&place, key))),
            Some(Value::Array(list)) => places.extend((0..list.len()).map(|index| child(&place, &index.to_string()))),
            _ => leaves.push(place),
        }
    }
    assert!(leaves.len() > 70);
    for place in leaves {
        let mut wrong = value.clone();
        *wrong.pointer_mut(&place).unwrap() = json!([{"marker": true}]);
        let text = serde_json::to_string_pretty(&wrong).unwrap();
        // Of a text or a list of texts it is the list's element that is wrong.
        let listed = usize::from(place == "/services/backend/path");
        let line = text.lines().position(|line| line.contains("marker")).unwrap() - 1 + listed;
        let report = load_texts(&[("a.json", &text)]).unwrap_err();
        let found = brief(&report);
        assert_eq!(found.len(), 1, "{place}\n{report}");
        assert!(found[0].starts_with(&format!("a.json:{line}:")), "{place} line {line}\n{report}");
    }
}

/// Writes a value as TOML: top-level keys, everything below them inline.
fn toml(value: &Value) -> String {
    fn inline(value: &Value) -> String {
        match value {
            Value::Object(map) => {
                let members: Vec<String> =
                    map.iter().map(|(key, value)| format!("{key:?} = {}", inline(value))).collect();
                format!("{{ {} }}", members.join(", "))
            }
            Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        }
    }
    let mut text = String::new();
    for (key, value) in value.as_object().unwrap() {
        writeln!(text, "{key} = {}", inline(value)).unwrap();
    }
    text
}

prop_compose! {
    fn size()(index in 0usize..7, pick in any::<prop::sample::Index>()) -> (u32, u32) {
        let cpu = fargate::cpu_options()[index];
        (cpu, *pick.get(&fargate::memory_options(cpu)))
    }
}

prop_compose! {
    fn service()(
        (cpu, memory) in size(),
        port in 1u16..,
        desired in 0u32..20,
        tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,20}",
        environment in prop::collection::btree_map("[A-Z][A-Z_]{0,8}", any::<String>().prop_filter("reference", |s| !s.contains("${")), 0..4),
        autoscaling in prop::option::of((1u32..5, 5u32..9, 1u32..100)),
        canary in prop::option::of((1u16..=1000, 0u16..=1440, 0u32..20)),
    ) -> Service {
        let deployment = canary.map(|(tenths, bake, errors_5xx)| Deployment {
            strategy: crate::stack::Strategy::Canary,
            percent: Some(f64::from(tenths) / 10.0),
            bake: Some(format!("{bake}m")),
            every: None,
            alarms: Some(Alarms { errors_5xx, ..Alarms::default() }),
        });
        let autoscaling = autoscaling.map(|(min, max, cpu)| {
            Autoscaling { min, max, cpu: Some(cpu), memory: None, requests_per_target: None, schedules: Vec::new() }
        });
        Service { cpu, memory, port, desired, tag, environment, autoscaling, deployment, ..Service::default() }
    }
}

prop_compose! {
    fn valid_stack()(
        name in "[a-z][a-z0-9-]{0,20}[a-z0-9]",
        second in 0u8..200,
        length in 16u8..=20,
        zones in 2usize..=6,
        services in prop::collection::btree_map("[a-z][a-z0-9]{2,12}", service(), 1..6),
        secrets_manager in any::<bool>(),
        text in "[ -~äöü\\n\\t]{1,40}".prop_filter("reference", |text| !text.contains("${")),
        days in prop::sample::select(vec![1, 30, 3653]),
    ) -> Stack {
        let mut stack = Stack { name, region: Some("eu-west-1".to_owned()), ..Stack::default() };
        stack.net.cidr = format!("10.{second}.0.0/{length}").parse().unwrap();
        stack.net.zones = Zones::Named("abcdef".chars().take(zones).map(String::from).collect());
        stack.cluster.log_retention_days = days;
        stack.parameters = [("/p/text".to_owned(), Parameter::Plain(text))].into();
        if secrets_manager {
            stack.db.password = PasswordStore::SecretsManager;
        } else {
            let password = TypedParameter { value: "${db.password}".to_owned(), secure: true };
            stack.parameters.insert("/p/password".to_owned(), Parameter::Typed(password));
        }
        stack.services = services;
        for (index, (key, service)) in stack.services.iter_mut().enumerate().skip(1) {
            service.path = Some(crate::stack::OneOrMore::One(format!("/{key}/*")));
            service.priority = i32::try_from(index).ok();
        }
        stack
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_stack_survives_both_formats(stack in valid_stack()) {
        let value = serde_json::to_value(&stack).unwrap();
        let from_json = load_texts(&[("a.json", &value.to_string())]);
        prop_assert_eq!(from_json.as_ref(), Ok(&stack));
        let from_toml = load_texts(&[("a.toml", &toml(&value))]);
        prop_assert_eq!(from_toml.as_ref(), Ok(&stack));
        // Merged over itself, or over another stack, it is still itself.
        let twice = load_texts(&[("a.toml", &toml(&value)), ("b.json", &value.to_string())]);
        prop_assert_eq!(twice.as_ref(), Ok(&stack));
        prop_assert!(super::super::check::check_all(&stack).is_ok());
    }

    #[test]
    fn nothing_that_is_in_a_file_makes_the_loader_panic(text in "[\\[\\]{}=\"a-z.:,0-9\\n #\\-ü]{0,80}") {
        let _ = load_texts(&[("a.toml", &text)]);
        let _ = load_texts(&[("a.json", &text)]);
        let _ = load_texts(&[("a.toml", "[db]\nport = 1"), ("b.json", &format!("{{\"db\": {{{text}}}}}"))]);
    }
}
