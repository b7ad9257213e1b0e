//! Each tool by itself, and what it does with bad input: one clear error, the right exit code, no change.

use std::process::Stdio;

use ecs_pipe_tests::{Cloud, Outcome, TOOLS, python};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Makes somebody else's network, and returns the member `net` for it.
async fn foreign_network(cloud: &Cloud) -> String {
    let python = python();
    let net = cloud.run(&python.display().to_string(), &["tests/foreign_network.py"], "").await.ok().stdout;
    cloud.take_calls();
    net
}

#[tokio::test]
async fn a_network_that_somebody_else_made_is_built_upon() {
    let cloud = Cloud::start().await;
    let net = foreign_network(&cloud).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &net).expect("written");
    let rest = TOOLS[2..].iter().map(|tool| format!(" | {tool}")).collect::<String>();
    let made = cloud.shell(&format!("ecs-sg < {}{rest}", file.path().display())).await.ok().json();
    let given: serde_json::Value = serde_json::from_str(&net).expect("JSON");
    assert_eq!(made["net"], given["net"], "what a tool does not own goes through untouched");
    assert_eq!(made["svc"]["services"].as_object().map(serde_json::Map::len), Some(2));
    let again = cloud.run("ecs-alb", &[], &made.to_string()).await.ok();
    assert!(again.stderr.contains("nothing to change"), "{}", again.stderr);
    // The VPC is not ours: nothing of it is touched, whatever is destroyed.
    cloud.take_calls();
    cloud.run("ecs-net", &["destroy"], "").await;
    assert_eq!(cloud.take_writes(), [""; 0]);
}

#[tokio::test]
async fn a_network_that_does_not_fit_is_refused() {
    let cloud = Cloud::start().await;
    let net = foreign_network(&cloud).await;
    let mut one_zone: serde_json::Value = serde_json::from_str(&net).expect("JSON");
    let public = one_zone["net"]["public_subnet_ids"].as_array_mut().expect("subnets");
    public.truncate(1);
    let mut unknown: serde_json::Value = serde_json::from_str(&net).expect("JSON");
    unknown["net"]["private_subnet_ids"][0] = "subnet-00000000".into();
    for (document, hint) in [(one_zone, "two zones"), (unknown, "subnet-00000000")] {
        let refused = cloud.run("ecs-sg", &[], &document.to_string()).await;
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains(hint), "{}", refused.stderr);
        assert_eq!(cloud.take_writes(), [""; 0]);
    }
}

#[tokio::test]
async fn tools_that_need_nothing_run_at_the_head_of_a_pipe() {
    let cloud = Cloud::start().await;
    for line in ["ecs-iam < /dev/null", "ecs-ecr --no-input", "ecs-iam --stack tests/stacks/tutorial.toml < /dev/null"]
    {
        let made = cloud.shell(line).await.ok().json();
        assert_eq!(made["stack"]["account"], "123456789012", "{line}");
    }
    let second = cloud.shell("ecs-iam < /dev/null | ecs-ecr").await.ok();
    assert_eq!(second.stderr.matches("nothing to change").count(), 2, "{}", second.stderr);
}

/// One bad input: the tool, its arguments, its stdin, the exit code, and what the error must say.
type Case = (&'static str, &'static [&'static str], &'static str, i32, &'static str);

#[tokio::test]
async fn bad_input_gets_one_clear_error_and_makes_no_call() {
    let cloud = Cloud::start().await;
    let cases: &[Case] = &[
        ("ecs-sg", &[], "nonsense", 2, "not a stack document"),
        ("ecs-sg", &[], "[1, 2]", 2, "not a stack document"),
        ("ecs-sg", &[], r#"{"net": {"vpc_id": "vpc-1""#, 7, "ended before its closing brace"),
        ("ecs-sg", &[], "{", 7, "ended before its closing brace"),
        ("ecs-sg", &["--no-input"], "", 2, "no member `net`"),
        ("ecs-sg", &[], r#"{"net": {"vpc_id": 7, "private_subnet_ids": []}}"#, 2, "wrong shape"),
        ("ecs-sg", &[], r#"{"net": {"vpc_id": "planned:Vpc/x", "private_subnet_ids": []}}"#, 2, "comes from a plan"),
        ("ecs-sg", &[], r#"{"net": {}, "net": {}}"#, 2, "twice"),
        ("ecs-sg", &[], r#"{"stack": {"nmae": "x"}, "net": {"vpc_id": "vpc-1", "private_subnet_ids": []}}"#, 2, "nmae"),
        (
            "ecs-iam",
            &["--region", "eu-west-1", "--stack", "tests/stacks/tutorial.toml", "--no-input"],
            "",
            8,
            "us-east-1",
        ),
        ("ecs-iam", &["--stack", "no-such-file.toml"], "", 2, "no-such-file.toml"),
        ("ecs-iam", &["--stack", "tests"], "", 2, "tests"),
        ("ecs-iam", &["--bogus"], "", 2, "--bogus"),
        ("ecs-iam", &["--timeout", "soon"], "", 2, "soon"),
    ];
    for (tool, arguments, stdin, code, message) in cases {
        let refused = cloud.run(tool, arguments, stdin).await;
        assert_eq!(refused.code, *code, "{tool} {arguments:?} {stdin}: {}", refused.stderr);
        assert!(refused.stderr.contains(message), "{tool} {arguments:?} {stdin}: {}", refused.stderr);
        assert_eq!(
            refused.stderr.matches(&format!("{tool}: error:")).count() + refused.stderr.starts_with("error:") as usize,
            1,
            "{}",
            refused.stderr
        );
        assert!(serde_json::from_str::<serde_json::Value>(&refused.stdout).is_err(), "the document must not be closed");
        assert_eq!(cloud.take_calls().len(), 0, "{tool} {arguments:?} {stdin}");
    }
}

#[tokio::test]
async fn another_account_is_refused_before_any_change() {
    let cloud = Cloud::start().await;
    let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    std::fs::write(file.path(), "account = \"999999999999\"\n").expect("written");
    let refused = cloud.shell(&format!("ecs-iam --stack {} --no-input", file.path().display())).await;
    assert_eq!(refused.code, 8, "{}", refused.stderr);
    assert!(refused.stderr.contains("999999999999") && refused.stderr.contains("123456789012"), "{}", refused.stderr);
    assert_eq!(cloud.take_writes(), [""; 0]);
}

#[tokio::test]
async fn every_mistake_of_a_stack_file_is_told_with_its_place() {
    let cloud = Cloud::start().await;
    let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    let text = "[net]\ncidr = \"10.0.0.0/16\"\npublic_cidrs = [\"10.0.1.0/24\", \"10.0.1.0/25\"]\n\n\
                [services.web]\ncpus = 256\ncpu = 512\nmemory = 1000\n";
    std::fs::write(file.path(), text).expect("written");
    let refused = cloud.shell(&format!("ecs-net --stack {} --no-input", file.path().display())).await;
    assert_eq!(refused.code, 2);
    for part in ["did you mean `cpu`", "1024", ":3:", ":6:", ":8:"] {
        assert!(refused.stderr.contains(part), "{part} is not in:\n{}", refused.stderr);
    }
    assert!(cloud.take_calls().is_empty());
}

#[tokio::test]
async fn an_empty_pipe_is_a_tool_that_never_ran() {
    let cloud = Cloud::start().await;
    let refused = cloud.shell("no-such-tool 2> /dev/null | ecs-iam").await;
    assert_eq!(refused.code, 7, "{}", refused.stderr);
    assert!(cloud.take_calls().is_empty());
}

#[tokio::test]
async fn a_failure_travels_down_the_pipe() {
    let cloud = Cloud::start().await;
    let failed = cloud.shell("ecs-net --stack no-such-file.toml | ecs-sg | ecs-svc").await;
    assert_eq!(failed.code, 7, "{}", failed.stderr);
    assert!(failed.stderr.contains("no-such-file.toml"), "{}", failed.stderr);
    assert!(cloud.take_calls().is_empty());
}

#[tokio::test]
async fn a_member_is_forwarded_before_the_input_has_ended() {
    let cloud = Cloud::start().await;
    let mut tool = cloud.command("ecs-iam");
    let mut tool = tool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
    let mut stdin = tool.stdin.take().expect("a pipe");
    let mut stdout = tool.stdout.take().expect("a pipe");
    stdin.write_all(br#"{"stack": {"region": "us-east-1"}, "extra": {"number": 1.50}"#).await.expect("written");
    stdin.flush().await.expect("flushed");
    let mut seen = String::new();
    // Its own member comes too, while the input is still open.
    while !seen.contains("\"iam\"") {
        let mut bytes = Vec::with_capacity(4096);
        assert_ne!(stdout.read_buf(&mut bytes).await.expect("read"), 0, "ended after {seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(seen.contains(r#""extra": {"number": 1.50}"#), "{seen}");
    stdin.write_all(b"}").await.expect("written");
    drop(stdin);
    assert!(tool.wait().await.expect("ended").success());
    stdout.read_to_string(&mut seen).await.expect("read");
    serde_json::from_str::<serde_json::Value>(&seen).expect("complete");
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_a_tool_quietly() {
    let cloud = Cloud::start().await;
    let mut tool = cloud.command("ecs-ecr");
    let mut tool = tool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut stdin = tool.stdin.take().expect("a pipe");
    drop(tool.stdout.take());
    let mut stderr = tool.stderr.take().expect("a pipe");
    stdin.write_all(br#"{"stack": {"region": "us-east-1"}, "extra": 1}"#).await.expect("written");
    drop(stdin);
    let status = tool.wait().await.expect("ended");
    let mut said = String::new();
    stderr.read_to_string(&mut said).await.expect("read");
    assert_eq!(status.code(), Some(141));
    assert!(!said.contains("error") && !said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn an_interrupted_tool_exits_130_and_says_what_exists() {
    let cloud = Cloud::start().await;
    let mut tool = cloud.command("ecs-ecr");
    let tool = tool.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut tool = tool.expect("started");
    let mut stdin = tool.stdin.take().expect("a pipe");
    stdin.write_all(br#"{"stack": {"region": "us-east-1"}"#).await.expect("written");
    stdin.flush().await.expect("flushed");
    // The whole layer is made; the tool waits for the rest of its input.
    cloud.aws().calls_reach(6).await;
    let pid = tool.id().expect("running").to_string();
    cloud.shell(&format!("kill -INT {pid}")).await.ok();
    let output = tool.wait_with_output().await.expect("ended");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("left behind: ECR repository"), "{said}");
    drop(stdin);
}

#[tokio::test]
async fn policy_schema_help_and_completions_make_no_call() {
    let cloud = Cloud::start().await;
    for tool in TOOLS {
        for verb in ["policy", "schema", "--help", "man", "--version"] {
            let Outcome { code, stdout, stderr } = cloud.run(tool, &[verb], "").await;
            assert_eq!((code, stderr.as_str()), (0, ""), "{tool} {verb}");
            assert!(!stdout.is_empty());
            if ["policy", "schema"].contains(&verb) {
                serde_json::from_str::<serde_json::Value>(&stdout).expect("JSON");
            }
        }
        cloud.run(tool, &["completions", "bash"], "").await.ok();
    }
    assert!(cloud.take_calls().is_empty());
}

#[tokio::test]
async fn a_tool_that_fails_early_opens_the_document_all_the_same() {
    let cloud = Cloud::start().await;
    for line in ["ecs-net --stack no-such-file.toml", "ecs-net --bogus", "ecs-svc destroy --stack no-such-file.toml"] {
        assert_eq!(cloud.shell(line).await.stdout, "{", "{line}");
    }
    // So a destroy further down, which has a stack of its own, does not take the silence for "nothing upstream".
    for head in ["ecs-svc destroy --stack typo.toml", "no-such-tool"] {
        let line = format!("{head} | ecs-iam destroy --stack tests/stacks/tutorial.toml");
        assert_eq!(cloud.shell(&line).await.code, 7, "{line}");
    }
    assert_eq!(cloud.take_writes(), [""; 0]);
}

#[tokio::test]
async fn a_document_about_another_place_is_refused_even_with_a_stack_file() {
    let cloud = Cloud::start().await;
    let cases = [
        (r#"{"stack": {"name": "other"}}"#, 2, "other"),
        (r#"{"stack": {"name": "ecs-production", "region": "eu-west-1"}}"#, 8, "eu-west-1"),
        (r#"{"stack": {"name": "ecs-production", "account": "999999999999"}}"#, 8, "999999999999"),
    ];
    for (document, code, message) in cases {
        let refused = cloud.run("ecs-iam", &["--stack", "tests/stacks/tutorial.toml"], document).await;
        assert_eq!(refused.code, code, "{document}: {}", refused.stderr);
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
    }
    assert_eq!(cloud.take_writes(), [""; 0]);
}

#[tokio::test]
async fn files_before_and_after_the_verb_are_merged() {
    let cloud = Cloud::start().await;
    let line = "ecs-iam --stack tests/stacks/tutorial.toml plan --stack tests/stacks/staging.toml --no-input";
    let planned = cloud.shell(line).await.ok();
    assert_eq!(planned.json()["stack"]["region"], "us-east-1");
    assert!(planned.stderr.contains("staging"), "{}", planned.stderr);
}

#[tokio::test]
async fn a_full_disk_is_not_a_reader_that_went_away() {
    let cloud = Cloud::start().await;
    let failed = cloud.shell("ecs-iam --no-input > /dev/full").await;
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("stdout cannot be written"), "{}", failed.stderr);
}

#[tokio::test]
async fn a_document_of_a_first_run_is_good_for_a_later_one() {
    let cloud = Cloud::start().await;
    let net = cloud.shell("ecs-net --no-input").await.ok().stdout;
    cloud.run("ecs-sg", &[], &net).await.ok();
    cloud.take_calls();
    let plan = cloud.run("ecs-sg", &["plan", "--exit-code"], &net).await;
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    cloud.run("ecs-sg", &[], &net).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0]);
}
