//! Lists the actions of the tools' policies that no test has used, from the notes that the tests leave: run it after them.

use std::collections::BTreeSet;
use std::process::ExitCode;

use ecs_pipe_tests::{TOOLS, policy};

fn main() -> ExitCode {
    let notes = std::fs::read_dir(policy::notes()).into_iter().flatten().flatten();
    let used: BTreeSet<String> = notes
        .filter_map(|note| std::fs::read_to_string(note.path()).ok())
        .flat_map(|note| note.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut unused = 0;
    for tool in TOOLS {
        for action in policy::actions(tool).iter().filter(|action| !used.contains(&format!("{tool} {action}"))) {
            println!("{tool}: {action} is allowed by its policy, and used by no test");
            unused += 1;
        }
    }
    println!("{} actions used, {unused} unused", used.len());
    if unused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
