//! The program `ecs-deploy`.

fn main() -> std::process::ExitCode {
    ecs_deploy::main()
}
