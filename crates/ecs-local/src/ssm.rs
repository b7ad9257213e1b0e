//! Systems Manager, where moto is wrong: the pages of DescribeParameters.

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Request;
use crate::environment::ACCOUNT;
use crate::proxy::Proxy;

/// Answers a call to Systems Manager.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    if request.operation != "DescribeParameters" {
        return proxy.upstream.forward(request).await;
    }
    // moto's token is the number of the first parameter.
    let Ok(first) = request.json["NextToken"].as_str().unwrap_or("0").parse::<usize>() else {
        let message = "The specified token is not valid.";
        return Answer::refuse(request, StatusCode::BAD_REQUEST, "InvalidNextToken", message);
    };
    let mut answer = proxy.upstream.forward(request).await;
    if answer.status.is_success()
        && let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body)
    {
        page(&mut body, first, request.json["MaxResults"].as_u64(), &request.region);
        answer.body = Bytes::from(body.to_string());
    }
    answer
}

/// Makes a page no longer than asked for, and gives each parameter its ARN. moto's own page has ten.
///
/// A page may be shorter, or empty with another behind it: "information is returned on a best-effort basis" (API
/// reference, DescribeParameters).
fn page(body: &mut Value, first: usize, most: Option<u64>, region: &str) {
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let Some(parameters) = body["Parameters"].as_array_mut() else { return };
    for parameter in parameters.iter_mut() {
        let name = parameter["Name"].as_str().unwrap_or_default().trim_start_matches('/');
        parameter["ARN"] = json!(format!("arn:aws:ssm:{region}:{ACCOUNT}:parameter/{name}"));
    }
    if parameters.len() > most {
        parameters.truncate(most);
        body["NextToken"] = json!((first + most).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_long_as_asked_for() {
        let mut body = json!({"Parameters": [{"Name": "/a/b"}, {"Name": "c"}]});
        page(&mut body, 20, Some(1), "eu-west-1");
        let shown = json!({"Name": "/a/b", "ARN": "arn:aws:ssm:eu-west-1:123456789012:parameter/a/b"});
        assert_eq!(body, json!({"Parameters": [shown], "NextToken": "21"}));
    }
}
