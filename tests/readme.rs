//! What the README shows is what the programs say.

use std::process::Stdio;

use ecs_pipe_tests::{Cloud, python, root};

#[tokio::test]
async fn the_pictures_and_costs_in_the_readme_are_what_the_programs_say() {
    let cloud = Cloud::start().await;
    let check = cloud
        .command(python())
        .arg(root().join("tests/pictures.py"))
        .arg("--check")
        .stdin(Stdio::null())
        .output()
        .await;
    let check = check.expect("Python");
    let text = String::from_utf8_lossy(&check.stdout);
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "`scripts/pictures.sh` writes them anew:\n{text}\n{said}");
    assert_eq!(cloud.take_writes(), [""; 0], "a plan changes nothing");
}
