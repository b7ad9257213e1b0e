//! DescribeTargetHealth: a target is as healthy as the task behind it.

use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::proxy::Proxy;

/// An answer of moto's with the health of targets as the tasks behind them have it; moto finds every target healthy.
pub(super) async fn show(proxy: &Proxy, request: &Request, mut answer: Answer) -> Answer {
    let target_group = request.form_value("TargetGroupArn").unwrap_or_default();
    let mut xml = String::from_utf8_lossy(&answer.body).into_owned();
    for member in texts(&xml.clone(), "member") {
        let Some((address, health)) = text(member, "Id").zip(text(member, "TargetHealth")) else { continue };
        let known = proxy.ecs.target_health(&request.region, target_group, address).await;
        if let Some((state, reason, description)) = known {
            let known =
                format!("<State>{state}</State><Reason>{reason}</Reason><Description>{description}</Description>");
            xml = xml.replace(member, &member.replace(health, &known));
        }
    }
    answer.body = xml.into();
    answer
}
