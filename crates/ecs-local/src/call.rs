//! Identifies a call: its service, region, operation, protocol, and what it is about.

use std::borrow::Cow;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Uri};
use serde_json::Value;
use url::form_urlencoded;

use crate::{cbor, scheduler};

/// How many names of a call are recorded.
const NAMES: usize = 20;

/// Request members that name what a call is about, the most telling first; list members match with any index.
///
/// Only names and ids stand here: no value of a secret is ever looked at.
const TELLING: &[&str] = &[
    "RoleName",
    "PolicyName",
    "PolicyArn",
    "AWSServiceName",
    "OpenIDConnectProviderArn",
    "UserName",
    "GroupName",
    "InstanceProfileName",
    "PolicySourceArn",
    "RuleArn",
    "ListenerArn",
    "TargetGroupArn",
    "LoadBalancerArn",
    "RuleArns",
    "ListenerArns",
    "TargetGroupArns",
    "LoadBalancerArns",
    "Names",
    "ResourceArns",
    "Name",
    "DBInstanceIdentifier",
    "DBSubnetGroupName",
    "DBParameterGroupName",
    "DBParameterGroupFamily",
    "ResourceName",
    "NatGatewayId",
    "RouteTableId",
    "AllocationId",
    "AssociationId",
    "SecurityGroupRuleId",
    "GroupId",
    "SubnetId",
    "InternetGatewayId",
    "NetworkAclId",
    "VpcEndpointId",
    "NetworkInterfaceId",
    "CidrBlock",
    "VpcId",
    "ServiceName",
    "ResourceId",
    "Path",
    "SecretId",
    "KeyId",
    "AlarmName",
    "AlarmNames",
    "TableName",
    "ResourceArn",
    "CertificateArn",
    "DomainName",
    "serviceName",
    "service",
    "services",
    "serviceDeploymentArns",
    "serviceRevisionArns",
    "tasks",
    "task",
    "taskDefinition",
    "taskDefinitions",
    "family",
    "familyPrefix",
    "clusterName",
    "cluster",
    "clusters",
    "repositoryName",
    "repositoryNames",
    "logGroupName",
    "logGroupNamePrefix",
    "resourceArn",
    "ResourceARN",
    "Engine",
];

/// The wire format of a call, and so of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A form in, XML out: EC2.
    Ec2Query,
    /// A form in, XML out: IAM, ELBv2, RDS, STS.
    Query,
    /// JSON both ways, with `X-Amz-Target`.
    Json,
    /// Smithy RPC v2 CBOR.
    Cbor,
    /// XML both ways, and the operation in method and path: Route 53.
    RestXml,
    /// Anything else.
    Rest,
}

/// A call to AWS, as it came over the wire, and as far as it was understood.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The signing name of the service; empty where the call is not signed.
    pub(crate) service: String,
    pub(crate) region: String,
    pub(crate) operation: String,
    pub(crate) protocol: Protocol,
    /// The members of a query call.
    pub(crate) form: Vec<(String, String)>,
    /// The members of a JSON or CBOR call; null for other protocols.
    pub(crate) json: Value,
}

impl Request {
    /// Identifies a call. What is not AWS's comes out as protocol `Rest` without a service.
    pub(crate) fn new(parts: Parts, body: Bytes) -> Request {
        let (service, region) = credential_scope(&parts).unwrap_or_default();
        let mut request = Request {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
            service,
            region,
            operation: String::new(),
            protocol: Protocol::Rest,
            form: Vec::new(),
            json: Value::Null,
        };
        if let Some((_, operation)) = request.header("x-amz-target").and_then(|target| target.rsplit_once('.')) {
            request.operation = operation.to_owned();
            request.protocol = Protocol::Json;
            request.json = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        } else if let Some(operation) = rpc_operation(request.uri.path()) {
            request.operation = operation.to_owned();
            request.protocol = Protocol::Cbor;
            request.json = cbor::to_json(&request.body).unwrap_or(Value::Null);
        } else if let Some((action, form)) = query_form(&request) {
            request.operation = action;
            request.form = form;
            request.protocol = if request.service == "ec2" { Protocol::Ec2Query } else { Protocol::Query };
        } else if request.service == "route53"
            && let Some(operation) = crate::route53::operation(request.method.as_str(), request.uri.path())
        {
            operation.clone_into(&mut request.operation);
            request.protocol = Protocol::RestXml;
        } else if request.service == "s3" && request.method == Method::GET {
            // Nobody asks S3 for anything but the layers that ECR keeps there.
            "GetObject".clone_into(&mut request.operation);
        } else if request.service == "scheduler"
            && let Some(operation) = scheduler::operation(&request.method, request.uri.path())
        {
            operation.clone_into(&mut request.operation);
            request.json = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        } else {
            request.operation = format!("{} {}", request.method, request.uri.path());
        }
        request
    }

    /// A header's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Service and operation: "ec2:CreateVpc".
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }

    /// The application that the SDK names in its user agent (`app/NAME`); empty where it names none.
    pub(crate) fn tool(&self) -> &str {
        let agent = self.header("user-agent").unwrap_or_default();
        agent.split(' ').find_map(|part| part.strip_prefix("app/")).unwrap_or_default()
    }

    /// A member of a query call.
    pub(crate) fn form_value(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The values of a list of a query call, whether AWS calls its members `.member.N`, `.N` or `.Thing.N`.
    pub(crate) fn form_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.form.iter().filter(move |(key, _)| list_name(key) == name && key != name).map(|(_, value)| value.as_str())
    }

    /// The same query call with another value for a member.
    pub(crate) fn with_form_value(&self, name: &str, value: &str) -> Request {
        let mut form = self.form.clone();
        for (_, present) in form.iter_mut().filter(|(key, _)| key == name) {
            value.clone_into(present);
        }
        self.with_form(form)
    }

    /// The same query call with other members.
    pub(crate) fn with_form(&self, form: Vec<(String, String)>) -> Request {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
        Request { body: body.into(), form, ..self.clone() }
    }

    /// The names or ids that the call is about, joined by commas.
    pub(crate) fn resource(&self) -> String {
        let mut names: Vec<Cow<'_, str>> = match self.protocol {
            Protocol::Ec2Query | Protocol::Query => self.form_names(),
            Protocol::Json | Protocol::Cbor => json_names(&self.json),
            // The zone or the change.
            Protocol::RestXml => self.uri.path().split('/').nth(3).map(Cow::Borrowed).into_iter().collect(),
            Protocol::Rest => Vec::new(),
        };
        if names.len() > NAMES {
            let more = names.len() - NAMES;
            names.truncate(NAMES);
            names.push(Cow::Owned(format!("+{more}")));
        }
        names.join(",")
    }

    fn form_names(&self) -> Vec<Cow<'_, str>> {
        // A new EC2 resource is known by the name tag that it is created with.
        if self.operation.starts_with("Create") || self.operation == "AllocateAddress" {
            let tag = self
                .form
                .iter()
                .find(|(key, value)| value == "Name" && key.starts_with("TagSpecification.") && key.ends_with(".Key"));
            let name = tag.and_then(|(key, _)| self.form_value(&key.replace(".Key", ".Value")));
            if let Some(name) = name {
                return vec![Cow::Borrowed(name)];
            }
        }
        for telling in TELLING {
            let names: Vec<_> = self
                .form
                .iter()
                .filter(|(key, _)| key == telling || list_name(key) == *telling)
                .map(|(_, value)| Cow::Borrowed(value.as_str()))
                .collect();
            if !names.is_empty() {
                return names;
            }
        }
        // A describe with filters: their values are names and ids.
        let filters = self.form.iter().filter(|(key, _)| key.starts_with("Filter") && key.contains(".Value"));
        filters.map(|(_, value)| Cow::Borrowed(value.as_str())).collect()
    }
}

/// Service and region from `Credential=KEY/DATE/REGION/SERVICE/aws4_request`, in the header or the query string.
fn credential_scope(parts: &Parts) -> Option<(String, String)> {
    let header = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let credential = match header {
        Some(header) => header.split_once("Credential=")?.1.split([',', ' ']).next()?.to_owned(),
        None => form_urlencoded::parse(parts.uri.query()?.as_bytes())
            .find(|(key, _)| key == "X-Amz-Credential")?
            .1
            .into_owned(),
    };
    // The key may hold slashes; the scope's four parts are the last.
    let mut scope = credential.rsplit('/');
    let (_terminator, service, region) = (scope.next()?, scope.next()?, scope.next()?);
    Some((service.to_owned(), region.to_owned()))
}

/// The operation of `/service/SERVICE/operation/OPERATION`.
fn rpc_operation(path: &str) -> Option<&str> {
    let (_, operation) = path.strip_prefix("/service/")?.split_once("/operation/")?;
    Some(operation)
}

/// The action and the members of a query call.
fn query_form(request: &Request) -> Option<(String, Vec<(String, String)>)> {
    let typed =
        request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let source = if typed && request.method == Method::POST {
        &request.body[..]
    } else {
        request.uri.query().unwrap_or_default().as_bytes()
    };
    let form: Vec<(String, String)> = form_urlencoded::parse(source).into_owned().collect();
    let action = form.iter().find(|(key, _)| key == "Action")?.1.clone();
    Some((action, form))
}

/// A list member's name without its index: "Names" of `Names.member.3`, "SubnetId" of `SubnetId.1`.
fn list_name(key: &str) -> &str {
    let Some((rest, index)) = key.rsplit_once('.') else { return key };
    if index.parse::<u32>().is_err() {
        return key;
    }
    match rest.split_once('.') {
        Some((name, inner)) if !inner.contains('.') => name,
        Some(_) => key,
        None => rest,
    }
}

fn json_names(json: &Value) -> Vec<Cow<'_, str>> {
    for telling in TELLING {
        let names: Vec<_> = match json.get(telling) {
            Some(Value::String(name)) => vec![Cow::Borrowed(name.as_str())],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(Cow::Borrowed).collect(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => continue,
        };
        if !names.is_empty() {
            return names;
        }
    }
    Vec::new()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A call of a query service.
    pub(crate) fn query(service: &str, body: &str) -> Request {
        request(service, &[FORM], "/", body)
    }

    fn request(service: &str, headers: &[(&str, &str)], path: &str, body: &str) -> Request {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=testing/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut builder = hyper::Request::builder().method("POST").uri(path).header("authorization", scope);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (parts, ()) = builder.body(()).expect("a request").into_parts();
        Request::new(parts, Bytes::copy_from_slice(body.as_bytes()))
    }

    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

    #[test]
    fn query_call_is_identified_by_its_action() {
        let call = request("ec2", &[FORM], "/", "Action=DeleteSubnet&Version=2016-11-15&SubnetId=subnet-1");
        assert_eq!((call.service.as_str(), call.region.as_str()), ("ec2", "eu-west-1"));
        assert_eq!((call.operation.as_str(), call.protocol), ("DeleteSubnet", Protocol::Ec2Query));
        assert_eq!(call.resource(), "subnet-1");
    }

    #[test]
    fn create_in_ec2_is_about_its_name_tag() {
        let body = "Action=CreateSubnet&CidrBlock=10.0.1.0%2F24&VpcId=vpc-1\
                    &TagSpecification.1.ResourceType=subnet&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=public-a";
        assert_eq!(request("ec2", &[FORM], "/", body).resource(), "public-a");
        assert_eq!(
            request("ec2", &[FORM], "/", "Action=CreateSubnet&CidrBlock=10.0.1.0%2F24").resource(),
            "10.0.1.0/24"
        );
    }

    #[test]
    fn lists_are_joined_and_filters_count() {
        let call = request(
            "elasticloadbalancing",
            &[FORM],
            "/",
            "Action=DescribeLoadBalancers&Names.member.1=a&Names.member.2=b",
        );
        assert_eq!((call.protocol, call.resource().as_str()), (Protocol::Query, "a,b"));
        let call = request("ec2", &[FORM], "/", "Action=DescribeVpcs&Filter.1.Name=tag:Name&Filter.1.Value.1=prod-vpc");
        assert_eq!(call.resource(), "prod-vpc");
    }

    #[test]
    fn json_call_is_identified_by_its_target() {
        let target = ("x-amz-target", "AmazonSSM.PutParameter");
        let call = request(
            "ssm",
            &[target],
            "/",
            r#"{"Name":"/ecs/backend/DB_PASSWORD","Value":"hunter2","Type":"SecureString"}"#,
        );
        assert_eq!((call.operation.as_str(), call.protocol), ("PutParameter", Protocol::Json));
        assert_eq!(call.resource(), "/ecs/backend/DB_PASSWORD");
    }

    #[test]
    fn cbor_call_is_identified_by_its_path() {
        let path = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms";
        let call = request("monitoring", &[("smithy-protocol", "rpc-v2-cbor")], path, "");
        assert_eq!((call.operation.as_str(), call.protocol), ("DescribeAlarms", Protocol::Cbor));
    }

    #[test]
    fn the_tool_is_the_application_in_the_user_agent() {
        let agent = ("user-agent", "aws-sdk-rust/1.3.9 os/linux lang/rust/1.95.0 app/ecs-net");
        assert_eq!(request("ec2", &[FORM, agent], "/", "Action=DescribeVpcs").tool(), "ecs-net");
        assert_eq!(query("ec2", "Action=DescribeVpcs").tool(), "");
    }

    #[test]
    fn anything_else_is_a_method_and_a_path() {
        let call = request("lambda", &[], "/2015-03-31/functions", "{}");
        assert_eq!((call.operation.as_str(), call.protocol), ("POST /2015-03-31/functions", Protocol::Rest));
    }
}
