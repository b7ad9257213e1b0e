//! How the tools reach AWS: configuration, two clients per service, errors with their context, and the identity check.

#[cfg(feature = "deployments")]
pub mod deployment;
mod error;
#[cfg(feature = "parameters")]
pub mod parameter;
mod session;

pub use error::{Answer, classify, present};
pub use session::{Api, Session};
