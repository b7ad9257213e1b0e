//! The program `ecs-db`.

fn main() -> std::process::ExitCode {
    ecs_core::tool::main::<ecs_db::Db>()
}
