//! What every ecs-pipe tool shares and what knows nothing of AWS: the streamed document, the stack file, the engine,
//! errors and exit codes, the console and the command line.

pub mod console;
pub mod cost;
pub mod deploy_rights;
pub mod diagram;
pub mod document;
pub mod error;
pub mod id;
pub mod listing;
pub mod member;
pub mod network_facts;
pub mod percent;
pub mod program;
pub mod resource;
pub mod run;
pub mod stack;
pub mod stop;
pub mod tag;
pub mod tool;

pub use error::{All, Error, Kind, Result};
pub use listing::Listing;
pub use resource::{Change, Health, Resource};
pub use run::{Held, Run};
pub use stack::Stack;
pub use tag::{Identity, Owner};
