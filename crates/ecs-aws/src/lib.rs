//! How the tools reach AWS: configuration, two clients per service, errors with their context, and the identity check.

#[cfg(feature = "deployments")]
pub mod deployment;
#[cfg(feature = "deployments")]
mod download;
mod error;
#[cfg(feature = "parameters")]
pub mod former_parameters;
#[cfg(feature = "in-use")]
mod in_use;
#[cfg(feature = "log-groups")]
pub mod log_group;
#[cfg(feature = "parameters")]
pub mod parameter;
mod session;

#[cfg(feature = "deployments")]
pub use download::download;
pub use error::{Answer, classify, present};
#[cfg(feature = "in-use")]
pub use in_use::InUse;
pub use session::{Api, Caller, Session};
