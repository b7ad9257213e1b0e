//! STS, where moto is wrong: who calls.

use hyper::body::Bytes;

use crate::answer::Answer;
use crate::call::Request;
use crate::iam::CALLER;
use crate::proxy::Proxy;

/// What moto calls a caller whose credentials it did not give out: no principal has such an ARN.
const UNKNOWN: &str = "arn:aws:sts::123456789012:user/moto";

/// And the id of its user, which is that of an access key.
const UNKNOWN_ID: &str = "<UserId>AKIAIOSFODNN7EXAMPLE</UserId>";

/// Answers a call to STS.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let mut answer = proxy.upstream.forward(request).await;
    if request.operation == "GetCallerIdentity" && answer.status.is_success() {
        let body = String::from_utf8_lossy(&answer.body);
        let body = body.replace(UNKNOWN, CALLER).replace(UNKNOWN_ID, "<UserId>AIDAIOSFODNN7EXAMPLE</UserId>");
        answer.body = Bytes::from(body);
    }
    answer
}
