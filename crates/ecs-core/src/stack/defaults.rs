//! The tutorial stack's values, which stand for whatever a file leaves out.

use std::collections::BTreeMap;

use super::{
    Alarms, AlarmsConfig, AlbConfig, AlbEgress, Architecture, ClusterConfig, ContainerInsights, DbConfig, EcrConfig,
    IamConfig, Nat, NetConfig, OneOrMore, Parameter, PasswordStore, Service, ServiceAlarms, SgConfig, Spot, Stack,
    TagMutability, TypedParameter, Zones,
};
use ipnet::Ipv4Net;

impl Default for Stack {
    fn default() -> Self {
        let plain = |value: &str| Parameter::Plain(value.to_owned());
        let secure = |value: &str| Parameter::Typed(TypedParameter { value: value.to_owned(), secure: true });
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let frontend = Service {
            health_path: "/".to_owned(),
            secrets: pairs(&[("NEXT_PUBLIC_API_URL", "/ecs/frontend/API_URL")]),
            ..Service::default()
        };
        let backend = Service {
            container: Some("backend-app".to_owned()),
            cpu: 1024,
            memory: 2048,
            port: 3001,
            health_path: "/api/health".to_owned(),
            path: Some(OneOrMore::One("/api/*".to_owned())),
            priority: Some(100),
            environment: pairs(&[("PORT", "3001")]),
            secrets: pairs(&[
                ("DB_HOST", "/ecs/backend/DB_HOST"),
                ("DB_PORT", "/ecs/backend/DB_PORT"),
                ("DB_NAME", "/ecs/backend/DB_NAME"),
                ("DB_USER", "/ecs/backend/DB_USER"),
                ("DB_PASSWORD", "/ecs/backend/DB_PASSWORD"),
                ("FRONTEND_URL", "/ecs/backend/FRONTEND_URL"),
            ]),
            ..Service::default()
        };
        Self {
            name: "ecs-production".to_owned(),
            region: None,
            account: None,
            net: NetConfig::default(),
            sg: SgConfig::default(),
            iam: IamConfig::default(),
            ecr: EcrConfig::default(),
            db: DbConfig::default(),
            tables: BTreeMap::new(),
            parameters: BTreeMap::from([
                ("/ecs/backend/DB_HOST".to_owned(), plain("${db.host}")),
                ("/ecs/backend/DB_PORT".to_owned(), plain("${db.port}")),
                ("/ecs/backend/DB_NAME".to_owned(), plain("${db.name}")),
                ("/ecs/backend/DB_USER".to_owned(), secure("${db.user}")),
                ("/ecs/backend/DB_PASSWORD".to_owned(), secure("${db.password}")),
                ("/ecs/backend/FRONTEND_URL".to_owned(), plain("${alb.url}")),
                ("/ecs/frontend/API_URL".to_owned(), plain("${alb.url}/api")),
            ]),
            alb: AlbConfig::default(),
            alarms: AlarmsConfig::default(),
            cluster: ClusterConfig::default(),
            services: BTreeMap::from([("frontend".to_owned(), frontend), ("backend".to_owned(), backend)]),
            schedules: BTreeMap::new(),
        }
    }
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            vpc_id: None,
            public_subnet_ids: Vec::new(),
            private_subnet_ids: Vec::new(),
            database_subnet_ids: Vec::new(),
            vpc_name: None,
            cidr: Ipv4Net::new_assert([10, 0, 0, 0].into(), 16),
            zones: Zones::Named(vec!["a".to_owned(), "b".to_owned()]),
            public_cidrs: None,
            private_cidrs: None,
            database_subnets: false,
            database_cidrs: None,
            nat: Nat::PerZone,
            gateway_endpoints: Vec::new(),
            interface_endpoints: Vec::new(),
            network_acl: None,
            flow_logs: None,
        }
    }
}

impl Default for SgConfig {
    fn default() -> Self {
        Self {
            alb_name: "ALB-SG".to_owned(),
            alb_description: "Security group for Application Load Balancer".to_owned(),
            tasks_name: "ECS-SG".to_owned(),
            tasks_description: "Security group for ECS tasks".to_owned(),
            db_name: "RDS-SG".to_owned(),
            db_description: "Security group for RDS database".to_owned(),
            alb_sources: vec![Ipv4Net::default()],
            alb_ports: vec![80, 443],
            alb_egress: AlbEgress::Anywhere,
            alb_security_group_id: None,
            tasks_security_group_id: None,
            db_security_group_id: None,
            rules: Vec::new(),
        }
    }
}

impl Default for IamConfig {
    fn default() -> Self {
        Self {
            execution_role: "ecsTaskExecutionRole".to_owned(),
            execution_role_arn: None,
            execution_role_description:
                "Role for ECS task execution - allows pulling images, writing logs, reading parameters".to_owned(),
            parameter_policy: "ParameterStoreAccess".to_owned(),
            infrastructure_role: "ecsInfrastructureRole".to_owned(),
            infrastructure_role_arn: None,
            scheduler_role: "ecsSchedulerRole".to_owned(),
            execution_statements: Vec::new(),
            permissions_boundary: None,
            github: None,
            ci_user: None,
        }
    }
}

impl Default for EcrConfig {
    fn default() -> Self {
        Self { mutability: TagMutability::Mutable, keep_images: 10, scan_on_push: true }
    }
}

impl Default for DbConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            existing: false,
            identifier: "ecs-postgres-db".to_owned(),
            subnet_group: "ecs-db-subnet-group".to_owned(),
            subnet_group_description: "Subnet group for ECS RDS database".to_owned(),
            engine_version: None,
            instance_class: "db.t3.medium".to_owned(),
            allocated_storage: 20,
            max_allocated_storage: None,
            storage_type: "gp3".to_owned(),
            database: "fileanalyzer".to_owned(),
            user: "postgres".to_owned(),
            port: 5432,
            password: PasswordStore::Parameter,
            password_rotation_days: None,
            backup_retention_days: 7,
            auto_minor_version_upgrade: true,
            encrypted: true,
            multi_az: false,
            force_tls: false,
            parameters: BTreeMap::new(),
            log_exports: Vec::new(),
            deletion_protection: false,
        }
    }
}

impl Default for AlbConfig {
    fn default() -> Self {
        Self {
            name: "ecs-alb".to_owned(),
            load_balancer_arn: None,
            listener_arn: None,
            certificate_arn: None,
            certificate_arns: Vec::new(),
            certificate: None,
            ssl_policy: None,
            redirect: true,
            domain: None,
            zone: None,
        }
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            name: None,
            arn: None,
            namespace: None,
            container_insights: ContainerInsights::Disabled,
            log_retention_days: 30,
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            name: None,
            family: None,
            container: None,
            repository: None,
            tag: "latest".to_owned(),
            image: None,
            cpu: 512,
            memory: 1024,
            memory_reservation: None,
            architecture: Architecture::X86_64,
            entry_point: None,
            command: None,
            health_check: None,
            depends_on: BTreeMap::new(),
            exec: None,
            spot: None,
            sidecars: BTreeMap::new(),
            volumes: BTreeMap::new(),
            connect: None,
            port: 80,
            desired: 2,
            target_group: None,
            health_path: "/".to_owned(),
            host: None,
            path: None,
            priority: None,
            task_role: None,
            task_role_arn: None,
            policy: Vec::new(),
            log_group: None,
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            // ECS's own default of 0 stops tasks that are still starting.
            health_check_grace_period: 60,
            deregistration_delay: 30,
            alarms: None,
            autoscaling: None,
            deployment: None,
        }
    }
}

impl Default for Alarms {
    fn default() -> Self {
        Self { errors_5xx: 10, unhealthy_hosts: 1, periods: 2, names: Vec::new() }
    }
}

impl Default for ServiceAlarms {
    fn default() -> Self {
        Self { cpu: None, memory: None, errors_5xx: None, unhealthy_hosts: None, periods: 5, topic: None }
    }
}

impl Default for Spot {
    fn default() -> Self {
        Self { base: 0, on_demand: 1, weight: 1 }
    }
}

/// DynamoDB's own default: a key that costs nothing.
pub(super) fn encryption() -> String {
    "aws_owned".to_owned()
}

/// Ours, as the database has backups: without it, what a bad deployment has overwritten is lost.
pub(super) fn point_in_time_recovery() -> bool {
    true
}

/// ECS's own default. Source: `HealthCheck`, `interval`.
pub(super) fn interval() -> i32 {
    30
}

/// ECS's own default. Source: `HealthCheck`, `timeout`.
pub(super) fn timeout() -> i32 {
    5
}

/// ECS's own default. Source: `HealthCheck`, `retries`.
pub(super) fn retries() -> i32 {
    3
}

/// EventBridge Scheduler's own default. Source: `CreateSchedule`, `State`.
pub(super) fn enabled() -> bool {
    true
}

/// ECS's own default. Source: `ContainerDefinition`, `essential`.
pub(super) fn essential() -> bool {
    true
}
