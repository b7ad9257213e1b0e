//! Two people at the same moment: one stack.

use std::time::Duration;

use ecs_local::Options;
use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS};

const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// How long a call takes: each person's calls then fall between the other's.
const LATENCIES: [u64; 4] = [0, 5, 20, 50];

#[tokio::test]
async fn two_runs_at_the_same_moment_make_one_stack() {
    for latency in LATENCIES.map(Duration::from_millis) {
        let cloud = Cloud::start_with(Options { speed: 0.0, latency, ..Options::default() }).await;
        cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
        let clean = cloud.inventory().await;
        cloud.aws().reset().await.expect("reset");

        let (one, other) = tokio::join!(cloud.pipe(&TOOLS, "", TUTORIAL), cloud.pipe(&TOOLS, "", TUTORIAL));
        for run in [&one, &other] {
            assert_eq!(run.code, 0, "{latency:?}: {}", run.stderr);
        }
        assert_eq!(cloud.inventory().await, clean, "{latency:?}: {}\n{}", one.stderr, other.stderr);
        assert_eq!(one.json()["net"]["vpc_id"], other.json()["net"]["vpc_id"]);
        cloud.take_calls();
        cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
        assert_eq!(cloud.take_writes(), [""; 0], "{latency:?}");

        let (one, other) =
            tokio::join!(cloud.pipe(&BACKWARDS, "destroy", TUTORIAL), cloud.pipe(&BACKWARDS, "destroy", TUTORIAL));
        for run in [&one, &other] {
            assert_eq!(run.code, 0, "{latency:?}: {}", run.stderr);
        }
        let left = cloud.reader("tagged").await;
        assert_eq!(left.code, 0, "{latency:?}, left behind: {}", left.stdout);
    }
}
