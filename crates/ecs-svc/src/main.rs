//! The program `ecs-svc`.

fn main() -> std::process::ExitCode {
    ecs_core::tool::main::<ecs_svc::Svc>()
}
