//! What can differ of a service, in AWS's words.

/// Starts a deployment
pub const TASK_DEFINITION: &str = "task definition";
/// A deployment that has to be started again
pub const DEPLOYMENT: &str = "deployment";
/// Changes in place
pub const DESIRED_COUNT: &str = "desired count";
/// What the network configuration holds; starts a deployment
pub const NETWORK: &[&str] = &[SUBNETS, SECURITY_GROUPS, PUBLIC_IP];
/// Part of the network configuration
pub const SUBNETS: &str = "subnets";
/// Part of the network configuration
pub const SECURITY_GROUPS: &str = "security groups";
/// Part of the network configuration
pub const PUBLIC_IP: &str = "public IP";
/// Starts a deployment
pub const LOAD_BALANCER: &str = "load balancer";
/// Changes in place
pub const GRACE_PERIOD: &str = "health check grace period";
/// What the deployment configuration holds; changes in place
pub const CONFIGURATION: &[&str] = &[MINIMUM, MAXIMUM, CIRCUIT_BREAKER, STRATEGY, ALARMS];
/// Part of the deployment configuration
pub const MINIMUM: &str = "minimum healthy percent";
/// Part of the deployment configuration
pub const MAXIMUM: &str = "maximum percent";
/// Part of the deployment configuration
pub const CIRCUIT_BREAKER: &str = "deployment circuit breaker";
/// Part of the deployment configuration
pub const STRATEGY: &str = "deployment strategy";
/// Part of the deployment configuration
pub const ALARMS: &str = "deployment alarms";
/// Changes in place
pub const REBALANCING: &str = "availability zone rebalancing";
/// Changes in place
pub const PROPAGATE_TAGS: &str = "propagation of tags";
/// Changes in place
pub const MANAGED_TAGS: &str = "ECS managed tags";
/// Starts a deployment, when it is asked for with the change
pub const CAPACITY: &str = "capacity provider strategy";
/// Concerns tasks that start from then on: a deployment is asked for with the change
pub const EXEC: &str = "ECS Exec";
/// Starts a deployment
pub const CONNECT: &str = "Service Connect";
/// Cannot be changed here
pub const CONTROLLER: &str = "deployment controller";
/// Cannot be changed here
pub const LAUNCH_TYPE: &str = "launch type";
