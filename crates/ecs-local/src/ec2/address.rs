//! Elastic IP addresses: how many, and who holds them.

use super::listing::value;
use super::refusal::Refusal;
use super::{existing, of_kind};
use crate::call::Request;
use crate::proxy::Proxy;

/// Elastic IP addresses in a region (VPC user guide, quotas).
const MOST: usize = 5;

/// Refuses to allocate more than there may be.
pub(super) async fn allocate(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    if of_kind(proxy, request, "DescribeAddresses", &[]).await.len() >= MOST {
        let message = "The maximum number of addresses has been reached.";
        return Err(Refusal::new("AddressLimitExceeded", message));
    }
    Ok(())
}

/// Refuses to release an address that is associated (EC2 API reference, ReleaseAddress).
pub(super) async fn release(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("AllocationId") else { return Ok(()) };
    let address = existing(proxy, request, id).await?;
    if value(&address, "associationId").is_empty() {
        return Ok(());
    }
    Err(Refusal::new("InvalidIPAddress.InUse", format!("Address with allocation id {id} is in use.")))
}
