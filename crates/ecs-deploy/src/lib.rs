//! Deploys a new image to ECS services, follows that very deployment, and tells by the exit code what became of it.

mod aws;
mod check;
mod command;
mod context;
mod definition;
mod deploy;
mod diagnosis;
mod follow;
mod image;
mod logs;
mod one_off;
mod policy;
mod program;
mod report;
mod services;
mod strategy;
mod target;
mod verbs;
mod verdict;
mod voice;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::command::{Line, Verb};

/// Name of the program.
const NAME: &str = "ecs-deploy";

/// Runs the program: parses the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => return ecs_core::program::refuse(&error),
    };
    let pretty = |value: serde_json::Value| ecs_core::program::print(format!("{value:#}\n").as_bytes());
    match line.verb {
        Some(Verb::Policy) => pretty(policy::policy()),
        Some(Verb::Schema) => pretty(schemars::schema_for!(report::Report).to_value()),
        Some(Verb::Completions { shell }) => {
            ecs_core::program::print(&ecs_core::program::completions(Line::command(), shell))
        }
        Some(Verb::Man) => ecs_core::program::print(&ecs_core::program::manual(Line::command())),
        _ => {
            let console = line.flags.console(NAME);
            ecs_core::program::run(&console, program::run(line, &console))
        }
    }
}
