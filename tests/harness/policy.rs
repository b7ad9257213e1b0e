//! Least privilege: what a tool calls against what its `policy` allows.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{programs, root};

/// Returns the actions that a tool's policy allows: `ec2:CreateVpc`.
///
/// # Panics
/// When the tool does not print a policy.
pub fn actions(tool: &str) -> BTreeSet<String> {
    let output = Command::new(programs().join(tool)).arg("policy").output().expect("the tool runs");
    let policy: Value = serde_json::from_slice(&output.stdout).expect("a policy");
    let statements = policy["Statement"].as_array().expect("statements").iter();
    let list = |action: &Value| -> Vec<String> {
        let all = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
        all.iter().map(|action| action.as_str().expect("an action").to_owned()).collect()
    };
    statements.flat_map(|statement| list(&statement["Action"])).collect()
}

/// Returns the directory where every test notes which actions were used: a file for each, with lines of tool and action.
pub fn notes() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("used-actions")
}

/// Checks that each tool's own policy allows what the tool used, and notes it.
///
/// # Panics
/// When a tool has called what its policy does not allow.
pub fn check(used: &BTreeSet<(String, String)>) {
    let tools: BTreeSet<&str> = used.iter().map(|(tool, _)| tool.as_str()).collect();
    for tool in tools {
        let allowed = actions(tool);
        let denied: Vec<&str> = used
            .iter()
            .filter(|(user, action)| user == tool && !allowed.contains(action))
            .map(|(_, action)| action.as_str())
            .collect();
        assert!(denied.is_empty(), "{tool} calls what its policy does not allow: {denied:?}");
    }
    let lines: String = used.iter().map(|(tool, action)| format!("{tool} {action}\n")).collect();
    // A note that cannot be written shows as an action that nobody uses.
    let _ = std::fs::create_dir_all(notes());
    let file = std::fs::File::options().create(true).append(true).open(notes().join(std::process::id().to_string()));
    let _ = file.and_then(|mut file| file.write_all(lines.as_bytes()));
}
