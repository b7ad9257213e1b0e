//! ecs-deploy: what becomes of a deployment, and how the exit code and the report tell it.

mod failures;
mod refused;
mod stage;
mod success;
