//! Runs a command against a local AWS.

fn main() -> std::process::ExitCode {
    ecs_local::main()
}
