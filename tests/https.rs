//! HTTPS and DNS: a certificate that is asked for, proven by records, and the stack's own name.

use ecs_local::{Options, Weather};
use ecs_pipe_tests::{Cloud, Outcome, overlay, python, root};
use serde_json::{Value, json};

const TOOLS: [&str; 3] = ["ecs-net", "ecs-sg", "ecs-alb"];
const BACKWARDS: [&str; 3] = ["ecs-alb", "ecs-sg", "ecs-net"];
const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// A stack with a name of its own.
const NAMED: &str = "[alb]\ndomain = \"app.example.com\"\n[alb.certificate]\ndomain = \"app.example.com\"\n";

async fn pipe(cloud: &Cloud, verb: &str, text: &str) -> Outcome {
    let file = overlay(text);
    let tools = if verb == "destroy" { BACKWARDS } else { TOOLS };
    cloud.pipe(&tools, verb, &format!("{TUTORIAL} --stack {}", file.path().display())).await
}

/// Runs the pipe, with ecs-alb as a flag says.
async fn pipe_with(cloud: &Cloud, flag: &str, text: &str) -> Outcome {
    let file = overlay(text);
    let path = file.path().display();
    cloud.shell(&format!("ecs-net {TUTORIAL} --stack {path} < /dev/null | ecs-sg | ecs-alb {flag}")).await
}

async fn assert_settled(cloud: &Cloud, text: &str) {
    cloud.take_calls();
    let again = pipe(cloud, "", text).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{text}: {}", again.stderr);
    let plan = pipe(cloud, "plan --exit-code", text).await;
    assert_eq!((plan.code, cloud.take_writes()), (0, Vec::new()), "{text}: {}", plan.stderr);
}

/// Makes a public hosted zone, and returns its id.
async fn zone(cloud: &Cloud, name: &str) -> String {
    let made = cloud.boto("route53", "create_hosted_zone", json!({"Name": name, "CallerReference": name})).await;
    let id = made["HostedZone"]["Id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    cloud.take_calls();
    id
}

/// Puts a record into a zone.
async fn record(cloud: &Cloud, zone: &str, name: &str, kind: &str, value: &str) {
    let set = json!({"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]});
    let batch = json!({"Changes": [{"Action": "CREATE", "ResourceRecordSet": set}]});
    let with = json!({"HostedZoneId": zone, "ChangeBatch": batch});
    let made = cloud.boto("route53", "change_resource_record_sets", with).await;
    assert!(made["ChangeInfo"].is_object(), "{made}");
    cloud.take_calls();
}

/// Returns the record sets as `TYPE NAME`, in order; hashes are left out.
fn records(inventory: &Value) -> Vec<String> {
    let text = |set: &Value| {
        let name = set["Name"].as_str().unwrap_or_default();
        let name = if name.starts_with('_') { name.split_once('.').map_or("", |(_, rest)| rest) } else { name };
        format!("{} {name}", set["Type"].as_str().unwrap_or_default())
    };
    let mut records: Vec<String> = inventory["record_sets"].as_array().expect("record sets").iter().map(text).collect();
    records.sort();
    records
}

fn listener(inventory: &Value, port: u16) -> Option<&Value> {
    inventory["listeners"].as_array().expect("listeners").iter().find(|listener| listener["Port"] == port)
}

#[tokio::test]
async fn a_certificate_is_requested_proven_and_used_and_the_name_leads_to_the_load_balancer() {
    // It takes its time to be told, proven and known.
    let cloud = Cloud::start_with(Options { speed: 120.0, ..Options::default() }).await;
    zone(&cloud, "example.com").await;
    let made = pipe(&cloud, "", NAMED).await.ok();
    assert!(made.stderr.contains("certificate app.example.com is ready after"), "{}", made.stderr);
    assert_eq!(made.json()["alb"]["url"], "https://app.example.com");
    let first = cloud.inventory().await;
    assert_eq!(records(&first), ["A app.example.com.", "AAAA app.example.com.", "CNAME app.example.com."]);
    let https = listener(&first, 443).expect("a listener");
    assert_eq!(https["SslPolicy"], "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09");
    assert!(listener(&first, 80).expect("a listener").to_string().contains("redirect"));
    let parameter = cloud.boto("ssm", "get_parameter", json!({"Name": "/ecs/backend/FRONTEND_URL"})).await;
    assert_eq!(parameter["Parameter"]["Value"], "https://app.example.com");
    assert_settled(&cloud, NAMED).await;

    // Another name is another certificate; the one before stays until it is told to go, and so does its record.
    let second = NAMED.replace("domain = \"app.example.com\"\n[", "domain = \"app.example.com\"\nredirect = false\n[")
        + "alternative_names = [\"*.example.com\", \"example.com\"]\n";
    let changed = pipe(&cloud, "", &second).await.ok();
    assert!(changed.stderr.contains("certificate for app.example.com"), "{}", changed.stderr);
    assert!(changed.stderr.contains("is no longer needed"), "{}", changed.stderr);
    assert!(changed.stderr.contains("listener on port 80"), "{}", changed.stderr);
    let both = cloud.inventory().await;
    let used = |inventory: &Value| {
        let all = inventory["certificates"].as_array().expect("certificates").iter();
        all.map(|one| (one["SubjectAlternativeNames"].as_array().map_or(0, Vec::len), one["used"] == true))
            .collect::<Vec<_>>()
    };
    let mut pair = used(&both);
    pair.sort_unstable();
    assert_eq!(pair, [(1, false), (3, true)]);
    pipe_with(&cloud, "--prune", &second).await.ok();
    let pruned = cloud.inventory().await;
    assert_eq!(used(&pruned), [(3, true)]);
    let left = ["A app.example.com.", "AAAA app.example.com.", "CNAME app.example.com.", "CNAME example.com."];
    assert_eq!(records(&pruned), left, "the new certificate needs the old one's record too");
    assert!(listener(&pruned, 80).is_none());
    assert_settled(&cloud, &second).await;

    // Another name: the one before leads to the load balancer until it is told to go.
    let third = second.replace("domain = \"app.example.com\"\nredirect", "domain = \"example.com\"\nredirect");
    let renamed = pipe(&cloud, "", &third).await.ok();
    assert!(renamed.stderr.contains("alias app.example.com (in "), "{}", renamed.stderr);
    pipe_with(&cloud, "--prune", &third).await.ok();
    let left = ["A example.com.", "AAAA example.com.", "CNAME app.example.com.", "CNAME example.com."];
    assert_eq!(records(&cloud.inventory().await), left);
    assert_settled(&cloud, &third).await;

    // None any more: the plan tells of it, and a destroy takes it along.
    let none = third.replace("domain = \"example.com\"\nredirect", "redirect");
    let plan = pipe(&cloud, "plan", &none).await.ok();
    assert!(plan.stderr.contains("alias example.com (in "), "{}", plan.stderr);
    let plan = pipe(&cloud, "plan", "").await.ok();
    assert!(plan.stderr.contains("certificate for *.example.com, app.example.com, example.com ("), "{}", plan.stderr);
    let gone = pipe(&cloud, "destroy", &none).await.ok();
    cloud.assert_nothing_left("").await;
    // By these ACM renews certificates of the same names in other regions.
    assert_eq!(records(&cloud.inventory().await), ["CNAME app.example.com.", "CNAME example.com."]);
    assert!(
        gone.stderr.contains("certificates for app.example.com in other regions need the same one"),
        "{}",
        gone.stderr
    );
}

#[tokio::test]
async fn without_a_hosted_zone_it_says_which_record_to_make_and_waits_for_it() {
    let cloud = Cloud::start().await;
    let text = "[alb.certificate]\ndomain = \"app.example.com\"\n";
    let refused = pipe(&cloud, "", NAMED).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("no public hosted zone for `alb.domain`"), "{}", refused.stderr);
    let waiting = pipe_with(&cloud, "--timeout 5s", text).await;
    assert_eq!(waiting.code, 5, "{}", waiting.stderr);
    let line = waiting.stderr.lines().find(|line| line.contains("make this DNS record")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().rev().collect();
    let [value, "CNAME", name, ..] = words.as_slice() else { panic!("{line}") };
    let id = zone(&cloud, "example.com").await;
    record(&cloud, &id, name, "CNAME", value).await;
    let done = pipe(&cloud, "", text).await.ok();
    assert_eq!(cloud.take_writes().iter().filter(|call| call.contains("RequestCertificate")).count(), 0);
    assert!(done.json()["alb"]["url"].as_str().is_some_and(|url| url.starts_with("https://ecs-alb-")));
    assert_settled(&cloud, text).await;

    // Further certificates and another security policy.
    let spoil = root().join("tests/spoil.py").display().to_string();
    let arn = cloud.run(&python().display().to_string(), &[&spoil, "certificate"], "").await.ok().stdout;
    let further = format!(
        "[alb]\nssl_policy = \"ELBSecurityPolicy-TLS13-1-3-2021-06\"\ncertificate_arns = [\"{}\"]\n{text}",
        arn.trim()
    );
    pipe(&cloud, "", &further).await.ok();
    let inventory = cloud.inventory().await;
    let https = listener(&inventory, 443).expect("a listener");
    assert_eq!(
        (&https["certificates"], &https["SslPolicy"]),
        (&json!(1), &json!("ELBSecurityPolicy-TLS13-1-3-2021-06"))
    );
    assert_settled(&cloud, &further).await;
    let kept = pipe(&cloud, "", text).await.ok();
    assert!(kept.stderr.contains("somebody else has added further certificate"), "{}", kept.stderr);
    pipe_with(&cloud, "--prune", text).await.ok();
    assert_eq!(listener(&cloud.inventory().await, 443).expect("a listener")["certificates"], 0);
}

#[tokio::test]
async fn a_certificate_that_fails_says_why_and_the_next_run_asks_for_another_one() {
    let weather = Weather::parse(
        "[[provisioning.failure]]\nkind = \"certificate\"\nname = \"app.example.com\"\ntimes = 1\ncode = \"CAA_ERROR\"\n",
    );
    let cloud = Cloud::start().await;
    cloud.aws().set_weather(weather.expect("weather"));
    zone(&cloud, "example.com").await;
    let failed = pipe(&cloud, "", NAMED).await;
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    for part in ["ACM does not issue it: FAILED: CAA_ERROR", "a CAA record for `amazon.com`"] {
        assert!(failed.stderr.contains(part), "{part}: {}", failed.stderr);
    }
    let again = pipe_with(&cloud, "--prune", NAMED).await.ok();
    assert!(again.stderr.contains("created certificate app.example.com"), "{}", again.stderr);
    assert_eq!(cloud.inventory().await["certificates"].as_array().map(Vec::len), Some(1));
    assert_settled(&cloud, NAMED).await;

    // Somebody uses the certificate on a load balancer of theirs: it stays, and they are named.
    let public = json!({"Filters": [{"Name": "tag:Name", "Values": ["*-public-*"]}]});
    let subnets = cloud.boto("ec2", "describe_subnets", public).await;
    let subnets = subnets["Subnets"].as_array().expect("subnets").iter().map(|one| &one["SubnetId"]);
    let subnets = json!({"Name": "theirs", "Subnets": subnets.collect::<Vec<_>>()});
    let balancer = cloud.boto("elbv2", "create_load_balancer", subnets).await;
    let certificates = cloud.boto("acm", "list_certificates", json!({})).await;
    let listener = json!({
        "LoadBalancerArn": balancer["LoadBalancers"][0]["LoadBalancerArn"], "Protocol": "HTTPS", "Port": 443,
        "Certificates": [{"CertificateArn": certificates["CertificateSummaryList"][0]["CertificateArn"]}],
        "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    });
    cloud.boto("elbv2", "create_listener", listener).await;
    let refused = pipe(&cloud, "destroy", NAMED).await;
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("others use it: arn:aws:elasticloadbalancing:"), "{}", refused.stderr);
    assert!(refused.stderr.contains("loadbalancer/app/theirs/"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_name_that_is_somebody_elses_is_not_taken_unless_told_to() {
    let cloud = Cloud::start().await;
    let text = "[alb]\ndomain = \"app.example.com\"\n";
    let id = zone(&cloud, "example.com").await;
    record(&cloud, &id, "app.example.com", "A", "192.0.2.1").await;
    let refused = pipe(&cloud, "", text).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("exists already and does not belong to this stack"), "{}", refused.stderr);
    assert_eq!(records(&cloud.inventory().await), ["A app.example.com."]);
    let taken = pipe_with(&cloud, "--adopt", text).await.ok();
    assert!(taken.json()["alb"]["url"] == "http://app.example.com", "{}", taken.stdout);
    assert_eq!(records(&cloud.inventory().await), ["A app.example.com.", "AAAA app.example.com."]);
    assert_settled(&cloud, text).await;
    pipe(&cloud, "destroy", text).await.ok();
    assert_eq!(records(&cloud.inventory().await), [""; 0]);
}
