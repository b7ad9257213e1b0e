//! Flow logs: a role that their service can assume.

use super::refusal::Refusal;
use crate::call::Request;
use crate::form::Form;
use crate::iam::pass_role;
use crate::proxy::Proxy;

/// Refuses a role that is not there, or so new that it cannot be assumed.
///
/// <https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_flow_log.go>
pub(super) async fn create(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(role) = request.form_value("DeliverLogsPermissionArn") else { return Ok(()) };
    if pass_role::can_be_assumed(proxy, role).await {
        return Ok(());
    }
    Err(Refusal::new("InvalidParameter", format!("Unable to assume given IAM role {role}")))
}

/// Lets what is deleted be made again with the same token.
pub(super) fn delete(proxy: &Proxy, request: &Request) {
    for id in Form::of(request).values("FlowLogId") {
        proxy.ec2.tokens.forget(id);
    }
}
