//! A hundred services in one stack, under AWS's published rates: done, and nobody hears of throttling.

use ecs_local::Weather;
use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS};

const SERVICES: usize = 100;

/// AWS's rates, fifty times as fast: the longest queue, for 100 task definitions at one a second after a burst of 20, is then 1.6 s.
const RATES: &str = "[throttling]\nrates = 'aws'\nhurry = 50\n";

/// Returns a stack of many small services: the first takes what no other's path matches.
fn stack() -> String {
    let mut stack = String::from(
        "name = \"hundred\"\nregion = \"us-east-1\"\n[db]\nenabled = false\n[parameters]\n\"/hundred/url\" = \"${alb.url}\"\n",
    );
    for number in 0..SERVICES {
        let path = if number == 0 { String::new() } else { format!("path = \"/s{number}/*\"\npriority = {number}\n") };
        stack += &format!("[services.s{number}]\ncpu = 256\nmemory = 512\nport = 8080\ndesired = 1\n{path}");
    }
    stack
}

#[tokio::test]
async fn a_hundred_services_come_up_under_awss_rates() {
    let cloud = Cloud::start().await;
    let file = tempfile::NamedTempFile::with_suffix(".toml").expect("a temporary file");
    std::fs::write(file.path(), stack()).expect("written");
    let arguments = format!("--stack {}", file.path().display());
    cloud.aws().set_weather(Weather::parse(RATES).expect("a weather"));
    for (tools, verb) in [(TOOLS, ""), (TOOLS, ""), (BACKWARDS, "destroy")] {
        let run = cloud.pipe(&tools, verb, &arguments).await.ok();
        for word in ["Rate exceeded", "hrottl", "RequestLimit", "error"] {
            assert!(!run.stderr.contains(word), "{verb}: {}", run.stderr);
        }
        let calls = cloud.take_calls();
        let throttled = calls.iter().filter(|call| call.weather == "throttled").count();
        assert!(throttled > 0, "nobody was throttled: {} calls", calls.len());
        if verb.is_empty() {
            assert_eq!(run.json()["svc"]["services"].as_object().map(serde_json::Map::len), Some(SERVICES));
        }
    }
    cloud.aws().set_weather(Weather::default());
    cloud.assert_nothing_left("--stack hundred").await;
}
