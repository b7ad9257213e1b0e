//! Production and staging in one account: one file, and an overlay.

use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS};

const PRODUCTION: &str = "--stack tests/stacks/tutorial.toml";
const STAGING: &str = "--stack tests/stacks/tutorial.toml --stack tests/stacks/staging.toml";

#[tokio::test]
async fn production_and_staging_share_nothing() {
    let cloud = Cloud::start().await;
    cloud.pipe(&TOOLS, "", PRODUCTION).await.ok();
    let production = cloud.inventory().await;
    cloud.take_calls();

    // Each made while the other is there.
    cloud.pipe(&TOOLS, "", STAGING).await.ok();
    assert_ne!(cloud.inventory().await, production);
    cloud.take_calls();
    let (one, other) = tokio::join!(cloud.pipe(&TOOLS, "", PRODUCTION), cloud.pipe(&TOOLS, "", STAGING));
    for run in [one, other] {
        run.ok();
    }
    assert_eq!(cloud.take_writes(), [""; 0], "each finds its own as it should be");

    // Without the final snapshot, which would be all that is left of it.
    let tools = BACKWARDS.map(|tool| if tool == "ecs-db" { "ecs-db --skip-final-snapshot" } else { tool });
    cloud.pipe(&tools, "destroy", STAGING).await.ok();
    cloud.assert_is(&production, "without staging").await;
    cloud.take_calls();
    cloud.pipe(&TOOLS, "", PRODUCTION).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "production is as before");
}
