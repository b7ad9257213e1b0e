//! Lists the actions of the tools' policies that no test has used, but for those that AWS checks on its own side, from the
//! notes that the tests leave: run it after them.

#![expect(clippy::print_stdout, reason = "its report is its output")]

use std::collections::BTreeSet;
use std::process::ExitCode;

use ecs_pipe_tests::{PROGRAMS, policy};

fn main() -> ExitCode {
    let notes = std::fs::read_dir(policy::notes()).into_iter().flatten().flatten();
    let used: BTreeSet<String> = notes
        .filter_map(|note| std::fs::read_to_string(note.path()).ok())
        .flat_map(|note| note.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut wrong = Vec::new();
    for tool in PROGRAMS {
        let allowed = policy::actions(tool);
        let by_aws: BTreeSet<String> = policy::CHECKED_BY_AWS
            .iter()
            .filter(|(checked, ..)| *checked == tool)
            .map(|(_, action, _)| (*action).to_owned())
            .collect();
        for action in &allowed | &by_aws {
            let is_used = used.contains(&format!("{tool} {action}"));
            match (allowed.contains(&action), by_aws.contains(&action), is_used) {
                (true, false, false) => {
                    wrong.push(format!("{tool}: {action} is allowed by its policy, and used by no test"))
                }
                (false, true, _) => wrong.push(format!("{tool}: {action} is in CHECKED_BY_AWS, and not in its policy")),
                (true, true, true) => {
                    wrong.push(format!("{tool}: {action} is in CHECKED_BY_AWS, and a test has used it"))
                }
                (true, true, false) | (_, false, _) => {}
            }
        }
    }
    for line in &wrong {
        println!("{line}");
    }
    println!("{} actions used, {} lines to settle", used.len(), wrong.len());
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
