//! The way to a certificate: asked for, proven by DNS records, issued.

use std::rc::Rc;

use ecs_core::{All as _, Result, Run, Stack};
use futures::future::join_all;

use crate::certificate::{Certificate, Certificates};
use crate::dns::Zones;
use crate::validation::{Dns, Validation};

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

/// Looks for the certificates and records that are to be deleted; the records go after the certificates.
///
/// # Errors
/// Any refusal by ACM or Route 53.
pub async fn destroy(
    run: &Run<'_>,
    dns: &Dns,
    stack: &Stack,
    zones: &Rc<Zones>,
    certificates: &Rc<Certificates>,
) -> Result<()> {
    let ours = certificates.ours(&dns.acm).await.map_err(|error| error.doing("reading the stack's certificates"))?;
    let arns: Vec<String> = ours.iter().map(|one| one.arn.clone()).collect();
    let records = ours.iter().map(|one| {
        let domain = one.names.first().map(String::as_str).unwrap_or_default();
        // The zone that the file names now; else the one that fits.
        let zone = stack.alb.certificate.as_ref().and_then(|config| config.zone.clone());
        run.ensure(dns, Validation::new(domain, &one.arn, zone, zones).for_destroy(arns.clone()))
    });
    join_all(records).await.all()?;
    let made = ours.iter().map(|one| run.ensure(&dns.acm, Certificate::for_destroy(stack, one, certificates)));
    join_all(made).await.all().map(drop)
}
