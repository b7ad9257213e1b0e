//! A local AWS to run ecs-pipe against: moto behind a proxy that has a model of ECS, and refuses what AWS would refuse.
//!
//! `ecs-local -- COMMAND` runs a command against it; [`LocalAws`] is the same for tests.

mod acm;
mod answer;
mod application_autoscaling;
mod call;
mod cbor;
mod clock;
mod cloudwatch;
mod command;
mod dynamodb;
mod ec2;
mod ecr;
mod ecs;
mod elasticloadbalancing;
mod environment;
mod error;
mod failures;
mod form;
mod iam;
mod local_aws;
mod logs;
mod model;
mod moto;
mod network;
mod newborn;
mod proxy;
mod rds;
mod recorder;
mod refusal;
mod route53;
mod scheduler;
mod secretsmanager;
mod servicediscovery;
mod ssm;
mod sts;
mod turn;
mod upstream;
pub mod weather;
mod xml;

pub use command::main;
pub use environment::Environment;
pub use error::Error;
pub use local_aws::{LocalAws, Options};
pub use recorder::Call;
pub use weather::Weather;
