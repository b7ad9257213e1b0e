//! The program `ecs-alb`.

fn main() -> std::process::ExitCode {
    ecs_core::tool::main::<ecs_alb::Alb>()
}
