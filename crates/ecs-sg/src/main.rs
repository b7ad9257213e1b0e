//! The program `ecs-sg`.

fn main() -> std::process::ExitCode {
    ecs_core::tool::main::<ecs_sg::Sg>()
}
