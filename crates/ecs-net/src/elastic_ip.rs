//! The elastic IP of a NAT gateway.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{Address, DomainType, ResourceType, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::id::AllocationId;
use ecs_core::{Identity, Kind, Listing, Owner, Resource, Result, Stack, tag};

use crate::{Ec2, ec2, nat_gateway};

/// The stack's elastic IPs, listed once for all of them.
pub type List = Rc<Listing<Vec<Address>>>;

/// Returns the elastic IPs of a stack.
///
/// # Errors
/// Any refusal by EC2.
pub async fn addresses(ec2: &Ec2, stack: &str, list: &List) -> Result<Rc<Vec<Address>>> {
    list.get(async || {
        let ours = ec2::filter(format!("tag:{}", tag::STACK), stack);
        let reply = ec2.read.describe_addresses().filters(ours).send().await;
        Ok(reply.answer("ec2:DescribeAddresses")?.addresses.unwrap_or_default())
    })
    .await
}

/// An elastic IP.
#[derive(Debug)]
pub struct ElasticIp {
    identity: Identity,
    list: List,
}

/// What EC2 says the elastic IP is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its allocation id
    pub id: AllocationId,
    /// Others of that name: two runs at the same moment each got one, and one NAT gateway holds one
    pub namesakes: Vec<AllocationId>,
    tags: Vec<Tag>,
}

impl ElasticIp {
    /// Makes the elastic IP of a zone's NAT gateway.
    pub fn new(stack: &Stack, zone: &str, list: &List) -> Self {
        Self { identity: nat_gateway::identity(stack, zone), list: Rc::clone(list) }
    }
}

/// Releases an address; one that is gone already is done.
///
/// # Errors
/// [`Kind::InUse`] while something holds it.
pub async fn release(ec2: &Ec2, id: &AllocationId) -> Result<()> {
    let released = ec2.write.release_address().allocation_id(id.as_str()).send().await;
    // EC2 answers `AuthFailure` while a NAT gateway holds the address: <https://github.com/kubernetes/kops/issues/1604>
    released.answer_if_found("ec2:ReleaseAddress").map(drop).map_err(|error| match error.code() {
        Some("AuthFailure") => error.with_kind(Kind::InUse),
        _ => error,
    })
}

impl Resource for ElasticIp {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "elastic IP";
    /// It exists at once; it is released when its NAT gateway is gone.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        Live { id: AllocationId::planned(&self.identity.name), namesakes: Vec::new(), tags: Vec::new() }
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let list = addresses(ec2, &self.identity.stack, &self.list).await?;
        let mut ours: Vec<_> = list.iter().filter(|address| ec2::is(&self.identity, address.tags())).collect();
        // The one in use, or else all runs choose the same one.
        ours.sort_by_key(|address| (address.association_id().is_none(), address.allocation_id()));
        let id = |address: &&Address| AllocationId::from(address.allocation_id().unwrap_or_default());
        Ok(ours.split_first().map(|(address, namesakes)| Live {
            id: id(address),
            namesakes: namesakes.iter().map(id).collect(),
            tags: address.tags().to_vec(),
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let tags = ec2::tags(&self.identity, ResourceType::ElasticIp);
        let call = ec2.write.allocate_address().domain(DomainType::Vpc).tag_specifications(tags);
        let reply = call.send().await.answer("ec2:AllocateAddress").map_err(|error| match error.code() {
            Some("AddressLimitExceeded") => {
                error.hint("raise the quota \"EC2-VPC Elastic IPs\" (5 per region by default) in Service Quotas, or release an address")
            }
            _ => error,
        })?;
        let id = present(reply.allocation_id, "ec2:AllocateAddress", "the allocation id")?;
        Ok(Live { id: id.into(), ..self.planned() })
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        for id in live.namesakes.iter().chain([&live.id]) {
            release(ec2, id).await?;
        }
        Ok(())
    }

    fn owner(&self, live: &Live) -> Owner {
        ec2::owner(&self.identity, &live.tags)
    }

    async fn adopt(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2::adopt(ec2, live.id.as_str(), &self.identity).await
    }

    fn forget(&self) {
        self.list.forget();
    }
}
