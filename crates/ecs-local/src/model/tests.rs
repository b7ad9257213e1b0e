use hyper::body::Bytes;

use super::*;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn request(service: &str, headers: &[(&str, &str)], path: &str, body: &[u8]) -> Request {
    let scope = format!("AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/{service}/aws4_request");
    let mut builder = hyper::Request::builder().method("POST").uri(path).header("authorization", scope);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let (parts, ()) = builder.body(()).expect("a request").into_parts();
    Request::new(parts, Bytes::copy_from_slice(body))
}

/// "CODE: message", or nothing.
fn said(request: &Request) -> String {
    refusal(request).map(|refusal| format!("{}: {}", refusal.code, refusal.message)).unwrap_or_default()
}

fn query(service: &str, form: &str) -> String {
    said(&request(service, &[FORM], "/", form.as_bytes()))
}

fn json(service: &str, operation: &str, body: &str) -> String {
    said(&request(service, &[("x-amz-target", &format!("Service.{operation}"))], "/", body.as_bytes()))
}

#[test]
fn ec2_names_what_is_missing_and_what_is_invalid() {
    assert_eq!(
        query("ec2", "Action=CreateSubnet&CidrBlock=10.0.0.0/24"),
        "MissingParameter: The request must contain the parameter VpcId"
    );
    assert_eq!(
        query("ec2", "Action=CreateVpc&CidrBlock=10.0.0.0/16&InstanceTenancy=shared"),
        "InvalidParameterValue: Value (shared) for parameter InstanceTenancy is invalid. \
         It must satisfy enum value set: [default, dedicated, host]."
    );
    assert_eq!(
        query("ec2", "Action=DescribeVpcs&MaxResults=many"),
        "InvalidParameterValue: Value (many) for parameter MaxResults is invalid. Expecting an Integer."
    );
    assert_eq!(
        query("ec2", "Action=CreateVpc"),
        "MissingParameter: Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided."
    );
    assert_eq!(query("ec2", "Action=CreateVpc&CidrBlock=10.0.0.0/16&NoSuchMember=1"), "");
    assert_eq!(query("ec2", "Action=NoSuchOperation"), "");
}

#[test]
fn iam_counts_its_validation_errors() {
    let long = "r".repeat(65);
    let form = format!("Action=CreateRole&RoleName={long}");
    assert_eq!(
        query("iam", &form),
        format!(
            "ValidationError: 2 validation errors detected: Value '{long}' at 'roleName' failed to satisfy constraint: \
             Member must have length less than or equal to 64; Value null at 'assumeRolePolicyDocument' failed to \
             satisfy constraint: Member must not be null"
        )
    );
    let form = "Action=TagRole&RoleName=r&Tags.member.1.Key=a&Tags.member.1.Value=1,2";
    assert_eq!(
        query("iam", form),
        "ValidationError: 1 validation error detected: Value '1,2' at 'tags.1.member.value' failed to satisfy \
         constraint: Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*"
    );
}

#[test]
fn iam_has_sentences_for_names_and_paths() {
    assert_eq!(
        query("iam", "Action=GetRole&RoleName=a/b"),
        "ValidationError: The specified value for roleName is invalid. It must contain only alphanumeric characters \
         and/or the following: +=,.@_-"
    );
    assert_eq!(
        query("iam", "Action=CreateRole&RoleName=a&Path=x&AssumeRolePolicyDocument=d"),
        "ValidationError: The specified value for path is invalid. It must begin and end with / and contain only \
         alphanumeric characters and/or / characters."
    );
    assert_eq!(
        query("iam", "Action=ListRoles&MaxItems=many"),
        "MalformedInput: Invalid value at 'maxItems': expecting an Integer"
    );
}

#[test]
fn what_a_service_asks_beyond_its_model_is_asked() {
    assert_eq!(json("logs", "PutRetentionPolicy", r#"{"logGroupName": "a", "retentionInDays": 30}"#), "");
    let said = json("logs", "PutRetentionPolicy", r#"{"logGroupName": "a", "retentionInDays": 31}"#);
    assert!(
        said.starts_with("InvalidParameterException: Invalid retention value. Valid values are: [1, 3, 5"),
        "{said}"
    );
    let put = |tier: &str| {
        let value = "v".repeat(4097);
        json("ssm", "PutParameter", &format!(r#"{{"Name": "/a", "Value": "{value}", "Type": "String"{tier}}}"#))
    };
    assert!(put("").starts_with("ValidationException: Standard tier parameters support a maximum"), "{}", put(""));
    assert_eq!(put(r#", "Tier": "Advanced""#), "");
}

#[test]
fn elbv2_has_its_enums() {
    let said = query("elasticloadbalancing", "Action=CreateTargetGroup&Name=web&Protocol=http&Port=80&VpcId=vpc-1");
    assert!(
        said.starts_with(
            "ValidationError: 1 validation error detected: Value 'http' at 'protocol' failed to satisfy constraint: \
             Member must satisfy enum value set: [HTTP, HTTPS"
        ),
        "{said}"
    );
    assert_eq!(
        query("elasticloadbalancing", "Action=CreateTargetGroup&Name=web&Protocol=HTTP&VpcId=vpc-1"),
        "ValidationError: A port must be specified"
    );
    assert_eq!(query("elasticloadbalancing", "Action=CreateTargetGroup&Name=web&TargetType=lambda"), "");
}

#[test]
fn rds_names_what_is_missing_and_never_a_password() {
    assert_eq!(
        query("rds", "Action=CreateDBInstance&DBInstanceIdentifier=db&Engine=postgres&MasterUserPassword=hunter2"),
        "MissingParameter: The request must contain the parameter DBInstanceClass."
    );
    assert_eq!(
        query("rds", "Action=DescribeDBInstances&MaxRecords=5"),
        "InvalidParameterValue: Invalid value 5 for MaxRecords. Must be between 20 and 100"
    );
    assert_eq!(query("rds", "Action=DescribeDBLogFiles&DBInstanceIdentifier=db&MaxRecords=5"), "");
    assert_eq!(
        query("rds", "Action=CreateDBSubnetGroup&DBSubnetGroupName=g&SubnetIds=&DBSubnetGroupDescription=d"),
        ""
    );
}

#[test]
fn json_services_word_types_lengths_patterns_and_enums() {
    assert_eq!(
        json("ssm", "GetParameters", r#"{"Names": []}"#),
        "ValidationException: 1 validation error detected: Value '[]' at 'names' failed to satisfy constraint: \
         Member must have length greater than or equal to 1"
    );
    assert_eq!(
        json("ssm", "PutParameter", r#"{"Name": "/a", "Value": 5, "Type": "String"}"#),
        "SerializationException: NUMBER_VALUE can not be converted to a String"
    );
    assert_eq!(
        json("ssm", "PutParameter", r#"{"Name": "/a", "Value": "5", "Type": "Text"}"#),
        "ValidationException: 1 validation error detected: Value 'Text' at 'type' failed to satisfy constraint: \
         Member must satisfy enum value set: [String, StringList, SecureString]"
    );
    assert_eq!(
        json("logs", "CreateLogGroup", r#"{"logGroupName": "a b"}"#),
        "InvalidParameterException: 1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy \
         constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
    );
    assert_eq!(
        json("logs", "CreateLogGroup", r#"{"logGroupName": "a", "tags": {"k": "a,b"}}"#),
        "InvalidParameterException: 1 validation error detected: Value '{k=a,b}' at 'tags' failed to satisfy \
         constraint: Map value must satisfy constraint: [Member must have length less than or equal to 256, \
         Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$]"
    );
    assert_eq!(json("ssm", "GetParameters", "{"), "SerializationException: ");
    assert_eq!(json("ssm", "DescribeParameters", ""), "");
}

#[test]
fn ecr_has_words_of_its_own() {
    let said = json("ecr", "CreateRepository", r#"{"repositoryName": "Backend"}"#);
    assert!(
        said.starts_with(
            "InvalidParameterException: Invalid parameter at 'repositoryName' failed to satisfy constraint: \
             'must satisfy regular expression '[a-z0-9]+"
        ),
        "{said}"
    );
}

#[test]
fn ecs_calls_what_is_missing_blank() {
    assert_eq!(
        json("ecs", "CreateService", r#"{"cluster": "c"}"#),
        "InvalidParameterException: Service Name can not be blank."
    );
    assert_eq!(
        json("ecs", "RegisterTaskDefinition", r#"{"family": "web"}"#),
        "ClientException: Container Definitions can not be blank."
    );
    assert_eq!(
        json("ecs", "CreateService", r#"{"serviceName": "web", "launchType": "LAMBDA"}"#),
        "InvalidParameterException: 1 validation error detected: Value 'LAMBDA' at 'launchType' failed to satisfy \
         constraint: Member must satisfy enum value set: [EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES]"
    );
    assert_eq!(
        json("ecs", "CreateService", r#"{"serviceName": "web", "desiredCount": "2"}"#),
        "SerializationException: STRING_VALUE can not be converted to an Integer"
    );
}

#[test]
fn what_is_sensitive_is_hidden() {
    let long = "s".repeat(65_537);
    let body = format!(r#"{{"Name": "a", "SecretString": "{long}", "ClientRequestToken": "{}"}}"#, "t".repeat(32));
    assert_eq!(
        json("secretsmanager", "CreateSecret", &body),
        "ValidationException: 1 validation error detected: Value '***' at 'secretString' failed to satisfy \
         constraint: Member must have length less than or equal to 65536"
    );
}

#[test]
fn a_time_in_a_form_is_iso_8601() {
    let form = "Action=DescribeAlarmHistory&StartDate=";
    assert_eq!(query("monitoring", &format!("{form}1767225600")), "MalformedInput: timestamp must follow ISO8601");
    assert_eq!(query("monitoring", &format!("{form}2026-01-01T00:00:00Z")), "");
    assert_eq!(json("monitoring", "DescribeAlarmHistory", r#"{"StartDate": 1767225600}"#), "");
}

#[test]
fn cloudwatch_is_checked_in_cbor() {
    let path = "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm";
    let mut body = Vec::new();
    let alarm =
        serde_json::json!({"AlarmName": "a", "EvaluationPeriods": 0, "ComparisonOperator": "GreaterThanThreshold"});
    ciborium::into_writer(&alarm, &mut body).expect("CBOR");
    assert_eq!(
        said(&request("monitoring", &[("smithy-protocol", "rpc-v2-cbor")], path, &body)),
        "ValidationError: 1 validation error detected: Value '0' at 'evaluationPeriods' failed to satisfy constraint: \
         Member must have value greater than or equal to 1"
    );
}
