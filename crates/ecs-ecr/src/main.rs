//! The program `ecs-ecr`.

fn main() -> std::process::ExitCode {
    ecs_core::tool::main::<ecs_ecr::Ecr>()
}
