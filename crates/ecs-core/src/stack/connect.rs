//! A `[services.NAME]` table's `connect`: the service's place in Service Connect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes how a service takes part in Service Connect: with a name it is reached, and in any case it reaches the others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connect {
    /// Name under which the namespace's other services reach it (default: it only reaches them)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Port under which they reach it (default: the service's own)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Protocol that is spoken on it (default: TCP, of which Service Connect counts no requests)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<AppProtocol>,
}

/// Names the protocols that Service Connect understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AppProtocol {
    /// HTTP/1.1
    Http,
    /// HTTP/2
    Http2,
    /// gRPC
    Grpc,
}
