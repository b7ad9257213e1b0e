//! ecs-deploy: what becomes of a deployment, and how the exit code and the report tell it.

mod back;
mod failures;
mod one_off;
mod refused;
mod stage;
mod success;
mod traffic;
mod troubled;
mod waiting;
