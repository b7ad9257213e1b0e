//! A service's place in Service Connect.

use aws_sdk_ecs::types::{ServiceConnectClientAlias, ServiceConnectConfiguration, ServiceConnectService};
use ecs_core::Result;

use crate::ecs;

/// A place in Service Connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// ARN of the namespace
    pub namespace: String,
    /// The name under which it is reached, which its port has too, and the port under which
    pub served: Option<(String, i32)>,
}

impl Connected {
    /// Returns it as a request has it.
    ///
    /// # Errors
    /// Never: all that is required is set.
    pub fn build(&self) -> Result<ServiceConnectConfiguration> {
        let services = self.served.iter().map(|(name, port)| {
            let alias = ecs::built(ServiceConnectClientAlias::builder().port(*port).dns_name(name).build())?;
            let service = ServiceConnectService::builder().port_name(name).discovery_name(name).client_aliases(alias);
            ecs::built(service.build())
        });
        let configuration = ServiceConnectConfiguration::builder().enabled(true).namespace(&self.namespace);
        Ok(configuration.set_services(Some(services.collect::<Result<_>>()?)).build())
    }

    /// Describes what ECS has in the same words as the one that is wanted.
    pub fn of(live: &ServiceConnectConfiguration) -> String {
        let served = live.services().iter().map(|service| {
            let alias = service.client_aliases().first();
            let name = alias.and_then(ServiceConnectClientAlias::dns_name).unwrap_or(service.port_name());
            format!("{name}:{}", alias.map(ServiceConnectClientAlias::port).unwrap_or_default())
        });
        let served: Vec<_> = served.collect();
        Self::words(&served.join(" "), live.namespace().unwrap_or_default())
    }

    fn words(served: &str, namespace: &str) -> String {
        if served.is_empty() { format!("client in {namespace}") } else { format!("{served} in {namespace}") }
    }
}

impl std::fmt::Display for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let served = self.served.as_ref().map(|(name, port)| format!("{name}:{port}")).unwrap_or_default();
        f.write_str(&Self::words(&served, &self.namespace))
    }
}
