//! Killed at any moment and run again: the same stack, nothing twice.

use std::process::Stdio;

use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS};

const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// After how many answered calls somebody pulls the plug: a clean run makes about a hundred.
const MOMENTS: [usize; 10] = [1, 8, 15, 24, 33, 42, 52, 62, 74, 88];

#[tokio::test]
async fn a_pipe_that_was_killed_is_continued_by_running_it_again() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    let clean = cloud.inventory().await;
    for moment in MOMENTS {
        cloud.aws().reset().await.expect("reset");
        cloud.take_calls();
        let mut children = cloud.start_pipe(&TOOLS, "", TUTORIAL, Stdio::null);
        cloud.aws().calls_reach(moment).await;
        // Every second time the whole pipe, else one tool alone: the others then hear of it through the document.
        let doomed: Vec<usize> = if moment % 2 == 0 { (0..TOOLS.len()).collect() } else { vec![moment % TOOLS.len()] };
        for &index in &doomed {
            // One that had ended already cannot be killed any more.
            let _ = children[index].start_kill();
        }
        for child in &mut children {
            child.wait().await.expect("ended");
        }
        let again = cloud.pipe(&TOOLS, "", TUTORIAL).await;
        assert_eq!(again.code, 0, "killed after {moment} calls: {}", again.stderr);
        cloud.assert_is(&clean, &format!("killed after {moment} calls")).await;
    }
    cloud.pipe(&BACKWARDS, "destroy", TUTORIAL).await.ok();
    cloud.assert_nothing_left("").await;
}

#[tokio::test]
async fn a_destroy_that_was_killed_is_continued_by_running_it_again() {
    let cloud = Cloud::start().await;
    for moment in [5, 25, 45] {
        cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
        cloud.take_calls();
        let mut doomed = cloud.command("bash");
        let rest = BACKWARDS[1..].iter().map(|tool| format!(" | {tool} destroy")).collect::<String>();
        doomed.args(["-c", &format!("ecs-svc destroy {TUTORIAL} --no-input{rest} > /dev/null")]);
        let mut doomed = doomed.process_group(0).stderr(Stdio::null()).spawn().expect("started");
        cloud.aws().calls_reach(moment).await;
        let group = doomed.id().expect("running");
        cloud.shell(&format!("kill -KILL -- -{group}")).await;
        doomed.wait().await.expect("ended");
        cloud.pipe(&BACKWARDS, "destroy", TUTORIAL).await.ok();
        let left = cloud.reader("tagged").await;
        assert_eq!(left.code, 0, "killed after {moment} calls, left behind: {}", left.stdout);
    }
}
