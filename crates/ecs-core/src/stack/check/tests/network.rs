//! What is wrong with a network, and with its security groups.

use serde_json::json;

use super::*;

#[test]
fn every_mistake_in_a_network_says_where_what_and_what_to_do() {
    assert_mistakes(&[
        (json!({"net": {"cidr": "10.0.0.0/8"}}), &["net.cidr: a VPC has a range of /16 to /24, found 10.0.0.0/8"]),
        (
            json!({"net": {"cidr": "10.0.0.0/26"}}),
            &[
                "net.cidr: a VPC has a range of /16 to /24, found 10.0.0.0/26 (down to /28 with both `public_cidrs` and `private_cidrs` given)",
            ],
        ),
        (
            json!({"net": {"cidr": "10.0.0.1/16"}}),
            &["net.cidr: 10.0.0.1/16 has bits set after its first 16 (did you mean `10.0.0.0/16`?)"],
        ),
        (
            json!({"net": {"cidr": "10.0.0.0/26", "public_cidrs": ["10.0.0.0/28", "10.0.0.16/28"], "private_cidrs": ["10.0.0.32/28", "10.0.0.48/28"]}}),
            &[],
        ),
        (
            json!({"net": {"zones": ["a"]}}),
            &["net.zones: a load balancer and a database need two zones or more, found 1"],
        ),
        (json!({"net": {"zones": 3, "nat": "regional"}}), &[]),
        (json!({"net": {"zones": 1}}), &["net.zones: a load balancer and a database need two zones or more, found 1"]),
        (json!({"net": {"zones": ["a", "us-east-1a"]}}), &["net.zones.1: the zone `us-east-1a` is the same as `a`"]),
        (
            json!({"net": {"zones": ["a", "eu-west-1b"]}}),
            &["net.zones.1: the zone `eu-west-1b` is not in us-east-1 (write its letter alone, or `us-east-1b`)"],
        ),
        (
            json!({"net": {"zones": ["a", "use1-az2"]}}),
            &[
                "net.zones.1: `use1-az2` is not an availability zone (write a letter such as `a`, or a full name such as `us-east-1a`)",
            ],
        ),
        (
            json!({"net": {"cidr": "10.0.0.0/24", "zones": ["a", "b", "c", "d", "e", "f", "g", "h"]}}),
            &[
                "net.cidr: 10.0.0.0/24 has no room for the private subnets of 8 zones (give a larger range, or `public_cidrs` and `private_cidrs`)",
            ],
        ),
        (json!({"net": {"nat": "single", "database_subnets": true}}), &[]),
        (json!({"net": {"nat": "none"}}), &[]),
        (
            json!({"net": {"nat": "none", "gateway_endpoints": ["dynamodb"]}}),
            &[
                "net.nat: without a NAT gateway tasks have no way to pull images, to write logs, to read parameters (add `ecr.api`, `ecr.dkr`, `logs` and `ssm` to `interface_endpoints` and `s3` to `gateway_endpoints`)",
            ],
        ),
        (
            json!({"net": {"vpc_id": "vpc-01234567", "public_subnet_ids": ["subnet-01234567", "subnet-01234568"], "private_subnet_ids": ["subnet-01234569", "subnet-0123456a"]}}),
            &[],
        ),
        (
            json!({"net": {"vpc_id": "vpc-1", "public_subnet_ids": ["subnet-0123456789abcdef0"], "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-01234567"], "nat": "single", "cidr": "10.1.0.0/16"}}),
            &[
                "net.vpc_id: `vpc-1` is not the id of a VPC",
                "net.public_subnet_ids: two public subnets or more are needed, in two zones, found 1",
                "net.private_subnet_ids.0: `subnet-0123456789abcdef0` is one of the public subnets already",
                "net.cidr: `cidr` is for a VPC that ecs-net makes, and `vpc_id` names one that there is (leave out `cidr`, or `vpc_id` and the subnets' ids)",
                "net.nat: `nat` is for a VPC that ecs-net makes, and `vpc_id` names one that there is (leave out `nat`, or `vpc_id` and the subnets' ids)",
            ],
        ),
        (
            json!({"net": {"private_subnet_ids": ["subnet-01234567", "subnet-01234568"]}}),
            &["net.private_subnet_ids: subnets of a VPC that is not named (`vpc_id` names it)"],
        ),
        (
            json!({"net": {"nat": "none", "interface_endpoints": ["ecr.api", "com.amazonaws.us-east-1.ecr.dkr", "logs", "ssm"]}}),
            &["net.nat: without a NAT gateway tasks have no way to pull images (add `s3` to `gateway_endpoints`)"],
        ),
        (
            json!({"net": {"nat": "none", "gateway_endpoints": ["s3"], "interface_endpoints": ["ecr.api", "ecr.dkr", "logs", "ssm"]}}),
            &[],
        ),
        (
            json!({"net": {"gateway_endpoints": ["s3", "s3"], "interface_endpoints": ["logs", "dynamodb", "Logs", "com.amazonaws.us-east-1.logs"]}}),
            &[
                "net.gateway_endpoints.1: `s3` stands here twice",
                "net.interface_endpoints.1: `dynamodb` has a gateway endpoint, which costs nothing (`gateway_endpoints = [\"dynamodb\"]`)",
                "net.interface_endpoints.2: `Logs` is not the name of a service with endpoints (`aws ec2 describe-vpc-endpoint-services` lists them; `ecr.api`, say)",
                "net.interface_endpoints.3: `com.amazonaws.us-east-1.logs` stands here twice",
            ],
        ),
        (
            json!({"net": {"cidr": "10.0.0.0/24", "zones": ["a", "b", "c", "d", "e", "f"], "database_subnets": true}}),
            &[
                "net.cidr: 10.0.0.0/24 has no room for the database subnets of 6 zones (give a larger range, or `public_cidrs`, `private_cidrs` and `database_cidrs`)",
            ],
        ),
        (
            json!({"net": {"database_cidrs": ["10.0.8.0/24", "10.0.9.0/24"]}}),
            &[
                "net.database_cidrs: ranges for database subnets, and no database subnets (`database_subnets = true` makes them)",
            ],
        ),
        (
            json!({"net": {"database_subnets": true, "database_cidrs": ["10.0.8.0/24"]}}),
            &["net.database_cidrs: 1 range for 2 zones: one for each is needed"],
        ),
        (
            json!({"net": {"database_subnets": true, "database_cidrs": ["10.0.3.0/24", "10.0.9.0/24"]}}),
            &[
                "net.database_cidrs.0: 10.0.3.0/24 overlaps the subnet 10.0.3.0/24, which is computed (give `private_cidrs` too)",
            ],
        ),
        (
            json!({"net": {"public_cidrs": ["10.0.1.0/24"]}}),
            &["net.public_cidrs: 1 range for 2 zones: one for each is needed"],
        ),
        (
            json!({"net": {"public_cidrs": ["10.0.3.0/24", "10.0.9.0/24"]}}),
            &[
                "net.public_cidrs.0: 10.0.3.0/24 overlaps the subnet 10.0.3.0/24, which is computed (give `private_cidrs` too)",
            ],
        ),
        (
            json!({"net": {"public_cidrs": ["10.0.7.0/24", "10.0.7.128/25"]}}),
            &["net.public_cidrs.1: 10.0.7.128/25 overlaps 10.0.7.0/24 (`public_cidrs`)"],
        ),
        (
            json!({"net": {"private_cidrs": ["10.1.0.0/24", "10.0.8.0/29"]}}),
            &[
                "net.private_cidrs.0: 10.1.0.0/24 is not inside the VPC's range 10.0.0.0/16",
                "net.private_cidrs.1: a subnet has a range of /16 to /28, found 10.0.8.0/29",
            ],
        ),
        (
            json!({"sg": {"alb_sources": []}}),
            &["sg.alb_sources: nobody may reach the load balancer (`0.0.0.0/0` lets everybody in)"],
        ),
        (
            json!({"sg": {"alb_ports": [8080, 8080], "rules": [{"group": "alb", "ports": "80-90", "peer": "0.0.0.0/0"}]}}),
            &["sg.alb_ports.1: 8080 stands here twice"],
        ),
        (
            json!({"sg": {"alb_ports": [443]}}),
            &["sg.alb_ports: the load balancer serves on 80, where nobody may reach it (add 80)"],
        ),
        (
            json!({"sg": {"alb_security_group_id": "sg-x", "alb_egress": "targets", "rules": [{"group": "alb", "ports": 8080, "peer": "tasks"}]}}),
            &[
                "sg.alb_security_group_id: `sg-x` is not the id of a security group (an id is written like `sg-0a1b2c3d4e5f67890`)",
                "sg.alb_egress: the load balancer's group is somebody else's, which is never changed (leave out `alb_egress` or `alb_security_group_id`)",
                "sg.rules.0.group: that group is somebody else's, which is never changed (leave out the rule or `alb_security_group_id`)",
            ],
        ),
        (
            json!({"sg": {"rules": [
                {"group": "tasks", "ports": "90-80", "peer": "10.0.0.1"},
                {"group": "tasks", "protocol": "icmp", "ports": 8, "peer": "fd00::1/8"},
                {"group": "tasks", "direction": "egress", "ports": 443, "peer": "pl-x"},
                {"group": "tasks", "ports": 443, "peer": "bastion (old)"},
                {"group": "tasks", "ports": "443", "peer": "bastion (old)", "description": "Büro"},
            ]}}),
            &[
                "sg.rules.0.ports: that is neither a port nor a range of ports (write 443, or \"8000-8080\")",
                "sg.rules.0.peer: `10.0.0.1` is not a range (write it like `10.0.0.1/32`)",
                "sg.rules.1.ports: only `tcp` and `udp` have ports",
                "sg.rules.1.peer: fd00::1/8 has bits set after its first 8 (did you mean `fd00::/8`?)",
                "sg.rules.2.peer: `pl-x` is not the id of a prefix list (write it like `pl-0a1b2c3d4e5f67890`)",
                "sg.rules.4.description: the description `Büro` holds 'ü', only letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* are allowed",
                "sg.rules.4: this rule stands here twice",
            ],
        ),
        (
            json!({"sg": {"alb_sources": ["10.1.1.1/8", "10.1.1.1/8"]}}),
            &[
                "sg.alb_sources.0: 10.1.1.1/8 has bits set after its first 8 (did you mean `10.0.0.0/8`?)",
                "sg.alb_sources.1: 10.1.1.1/8 has bits set after its first 8 (did you mean `10.0.0.0/8`?)",
                "sg.alb_sources.1: 10.1.1.1/8 stands here twice",
            ],
        ),
        (
            json!({"sg": {"alb_name": "sg-x", "tasks_name": "rds-sg", "db_description": "it's"}}),
            &[
                "sg.alb_name: a security group name must not start with `sg-`",
                r#"sg.db_description: the security group description `it's` holds '\'', only letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* are allowed"#,
                "sg.db_name: `sg.tasks_name` and `sg.db_name` are the same name `RDS-SG`",
            ],
        ),
    ]);
}

#[test]
fn without_a_region_the_zones_must_agree_with_each_other() {
    let mut stack = Stack::default();
    stack.net.zones = Zones::Named(vec!["eu-west-1a".to_owned(), "eu-west-1b".to_owned()]);
    assert_eq!(check(&stack, None), []);
    stack.net.zones = Zones::Named(vec!["eu-west-1a".to_owned(), "eu-west-2b".to_owned()]);
    let found = check(&stack, None);
    assert_eq!(
        found.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>(),
        ["the zone `eu-west-2b` is not in eu-west-1"]
    );
}
