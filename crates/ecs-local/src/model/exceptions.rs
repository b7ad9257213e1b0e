//! Where a service is known to be stricter than its published model.

use serde_json::Value;

use super::words::Refusal;

/// A rule that the model does not have.
#[derive(Debug)]
struct Rule {
    service: &'static str,
    operations: &'static [&'static str],
    demand: Demand,
    code: &'static str,
    message: &'static str,
}

#[derive(Debug)]
enum Demand {
    /// At least one of these members.
    Any(&'static [&'static str]),
    /// This member, unless another has this value.
    Unless(&'static str, (&'static str, &'static str)),
    /// A number in this range, if the member is there; `{}` in the message stands for it.
    Within(&'static str, i64, i64),
    /// One of these numbers, if the member is there; `{}` in the message stands for all of them.
    OneOf(&'static str, &'static [i64]),
    /// A text of at most so many characters, unless another member is there.
    AtMost(&'static str, usize, &'static [&'static str]),
}

const RULES: &[Rule] = &[
    // terraform-provider-aws#42414.
    Rule {
        service: "ec2",
        operations: &["CreateVpc"],
        demand: Demand::Any(&["CidrBlock", "Ipv4IpamPoolId"]),
        code: "MissingParameter",
        message: "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.",
    },
    // hashicorp/terraform#14564.
    Rule {
        service: "ec2",
        operations: &["CreateRoute"],
        demand: Demand::Any(&["DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"]),
        code: "MissingParameter",
        message: "The request must contain the parameter destinationCidrBlock or destinationIpv6CidrBlock",
    },
    // awsdocs/aws-cloudformation-user-guide#467; ELBv2 API reference, CreateTargetGroup: none of them for Lambda.
    Rule {
        service: "elasticloadbalancing",
        operations: &["CreateTargetGroup"],
        demand: Demand::Unless("Protocol", ("TargetType", "lambda")),
        code: "ValidationError",
        message: "A protocol must be specified",
    },
    Rule {
        service: "elasticloadbalancing",
        operations: &["CreateTargetGroup"],
        demand: Demand::Unless("Port", ("TargetType", "lambda")),
        code: "ValidationError",
        message: "A port must be specified",
    },
    Rule {
        service: "elasticloadbalancing",
        operations: &["CreateTargetGroup"],
        demand: Demand::Unless("VpcId", ("TargetType", "lambda")),
        code: "ValidationError",
        message: "A VPC ID must be specified",
    },
    // botocore rds model, documentation of MaxRecords: "Constraints: Minimum 20, maximum 100."
    Rule {
        service: "rds",
        operations: &[
            "DescribeCertificates",
            "DescribeDBEngineVersions",
            "DescribeDBInstances",
            "DescribeDBParameterGroups",
            "DescribeDBParameters",
            "DescribeDBSnapshots",
            "DescribeDBSubnetGroups",
            "DescribeEngineDefaultParameters",
            "DescribeEvents",
            "DescribeOrderableDBInstanceOptions",
            "DescribePendingMaintenanceActions",
        ],
        demand: Demand::Within("MaxRecords", 20, 100),
        code: "InvalidParameterValue",
        message: "Invalid value {} for MaxRecords. Must be between 20 and 100",
    },
    // botocore logs model, documentation of Days; aws-cdk#1343 for the words.
    Rule {
        service: "logs",
        operations: &["PutRetentionPolicy"],
        demand: Demand::OneOf(
            "retentionInDays",
            &[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
        ),
        code: "InvalidParameterException",
        message: "Invalid retention value. Valid values are: [{}]",
    },
    // terraform-provider-aws#18521. A parameter that is overwritten may be an advanced one already.
    Rule {
        service: "ssm",
        operations: &["PutParameter"],
        demand: Demand::AtMost("Value", 4096, &["Tier", "Overwrite"]),
        code: "ValidationException",
        message: "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger \
                  parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see \
                  https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html",
    },
];

/// The refusal of a call that the model allows and the service does not.
pub(super) fn refuse(service: &str, operation: &str, members: &Value) -> Option<Refusal> {
    let of_call = |rule: &&Rule| rule.service == service && rule.operations.contains(&operation);
    RULES.iter().filter(of_call).find_map(|rule| {
        let message = unmet(rule, members)?;
        Some(Refusal { code: rule.code, message })
    })
}

/// The message, if a rule is broken.
fn unmet(rule: &Rule, members: &Value) -> Option<String> {
    let given = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
    match rule.demand {
        Demand::Any(names) => (!names.iter().any(|name| given(name))).then(|| rule.message.to_owned()),
        Demand::Unless(name, (other, value)) => {
            (!given(name) && members.get(other).is_none_or(|other| other != value)).then(|| rule.message.to_owned())
        }
        Demand::Within(name, min, max) => {
            let number = members.get(name)?.as_str()?.parse::<i64>().ok()?;
            (!(min..=max).contains(&number)).then(|| rule.message.replace("{}", &number.to_string()))
        }
        Demand::OneOf(name, allowed) => {
            let number = members.get(name)?.as_i64()?;
            let all = || allowed.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            (!allowed.contains(&number)).then(|| rule.message.replace("{}", &all()))
        }
        Demand::AtMost(name, most, but) => {
            let length = members.get(name)?.as_str()?.chars().count();
            (length > most && !but.iter().any(|other| given(other))).then(|| rule.message.to_owned())
        }
    }
}
