//! The way to a certificate: asked for, proven by DNS records, issued.

use std::rc::Rc;

use ecs_core::{All as _, Result, Run, Stack};
use futures::future::join_all;

use crate::certificate::{Certificate, Certificates};
use crate::dns::Zones;
use crate::validation::{self, Dns, Validation};

/// Returns the ARN of the certificate that the listener is to have, as soon as it can; none where it needs none.
///
/// # Errors
/// Any refusal by ACM or Route 53; a certificate that is not issued.
pub async fn certificate(
    run: &Run<'_>,
    dns: &Dns,
    stack: &Stack,
    zones: &Rc<Zones>,
    certificates: &Rc<Certificates>,
) -> Result<Option<String>> {
    let Some(config) = &stack.alb.certificate else { return Ok(stack.alb.certificate_arn.clone()) };
    let held = run.ensure(&dns.acm, Certificate::new(stack, config, certificates)).await?;
    let records = Validation::new(&config.domain, &held.arn, config.zone.clone(), zones);
    let places = run.ensure(dns, records).await?;
    if run.applies() && !held.is_issued() {
        for place in places.iter().filter(|place| place.zone.is_none()) {
            let text =
                format!("make this DNS record, the account has no hosted zone for {}: {}", place.domain, place.text());
            run.console().say("record", &text);
        }
    }
    run.ready(&dns.acm, &held).await?;
    Ok(Some(held.arn.clone()))
}

/// Looks for the certificates that are to be deleted.
///
/// # Errors
/// Any refusal by ACM.
pub async fn destroy(run: &Run<'_>, dns: &Dns, stack: &Stack, certificates: &Rc<Certificates>) -> Result<()> {
    let ours = certificates.ours(&dns.acm).await.map_err(|error| error.doing("reading the stack's certificates"))?;
    let made = ours.iter().map(|one| run.ensure(&dns.acm, Certificate::for_destroy(stack, one, certificates)));
    join_all(made).await.all()?;
    ours.iter().for_each(|one| validation::say_kept(run.console(), one));
    Ok(())
}
