//! The program `ecs-net`.

fn main() -> std::process::ExitCode {
    ecs_core::tool::main::<ecs_net::Net>()
}
