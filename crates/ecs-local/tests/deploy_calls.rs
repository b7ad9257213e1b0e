//! The other calls of a tool that deploys: parameters, secrets, targets. Needs a Python with moto, as tests/local_aws.rs does.

mod support;

use serde_json::{Value, json};

use self::support::Aws;

#[tokio::test]
async fn parameters_are_found_by_name_page_by_page() {
    let aws = Aws::instant().await;
    let names: Vec<String> = (0..13).map(|number| format!("/web/p{number}")).collect();
    for name in &names {
        aws.put_parameter(name);
    }
    aws.put_parameter("/other");
    let mut wanted = names.clone();
    wanted.push("/web/missing".to_owned());
    let filter = json!([{"Key": "Name", "Option": "Equals", "Values": wanted}]);
    let describe = |more: Value| {
        let mut request = json!({"ParameterFilters": filter});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        aws.json("ssm", "AmazonSSM.DescribeParameters", request)
    };
    let mut found = Vec::new();
    let mut token = json!({"MaxResults": 4});
    loop {
        let (status, page) = describe(token.clone());
        assert_eq!(status, 200, "{page}");
        let parameters = page["Parameters"].as_array().expect("parameters");
        assert!(parameters.len() <= 4, "{page}");
        assert!(!page.to_string().contains("hunter2"), "no value");
        found.extend(parameters.iter().map(|parameter| parameter["Name"].as_str().expect("a name").to_owned()));
        let Some(next) = page["NextToken"].as_str() else { break };
        token = json!({"MaxResults": 4, "NextToken": next});
    }
    found.sort();
    let mut names = names;
    names.sort();
    assert_eq!(found, names);
    let (_, refusal) = describe(json!({"NextToken": "x"}));
    assert_eq!(refusal["__type"], "InvalidNextToken");
    let many: Vec<String> = (0..51).map(|number| format!("/web/p{number}")).collect();
    let (_, refusal) = describe(json!({"ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": many}]}));
    assert_eq!(refusal["__type"], "ValidationException");
    aws.local.stop().await;
}

#[tokio::test]
async fn a_secret_is_found_by_name_and_by_whole_or_partial_arn() {
    let aws = Aws::instant().await;
    let call =
        |operation: &str, request: Value| aws.json("secretsmanager", &format!("secretsmanager.{operation}"), request);
    let token = "0".repeat(32);
    let (_, made) =
        call("CreateSecret", json!({"Name": "db/password", "SecretString": "hunter2", "ClientRequestToken": token}));
    let arn = made["ARN"].as_str().expect("an ARN");
    // Secrets Manager adds a hyphen and six characters.
    let partial = &arn[..arn.len() - 7];
    assert!(partial.ends_with(":secret:db/password"), "{partial}");
    for id in ["db/password", arn, partial] {
        let (status, secret) = call("DescribeSecret", json!({"SecretId": id}));
        assert_eq!((status, &secret["ARN"]), (200, &json!(arn)), "{id}");
        assert!(!secret.to_string().contains("hunter2"), "no value");
    }
    for id in ["db", &partial.replace("password", "pass")] {
        let (_, refusal) = call("DescribeSecret", json!({"SecretId": id}));
        assert_eq!(refusal["__type"], "ResourceNotFoundException", "{id}: {refusal}");
    }
    aws.local.stop().await;
}
