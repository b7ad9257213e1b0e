//! The program `ecs-iam`.

fn main() -> std::process::ExitCode {
    ecs_core::tool::main::<ecs_iam::Iam>()
}
