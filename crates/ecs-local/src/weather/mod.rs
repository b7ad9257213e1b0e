//! The weather: how late calls are answered, what goes wrong with them, and how slowly things come to be.
//!
//! A scenario file (TOML) or a test says it; `Sky` holds the one that is on, which a test may change at any time.

mod alarm;
pub(crate) mod broken;
mod consistency;
mod deny;
mod fault;
mod hold;
mod latency;
mod misfortune;
pub(crate) mod pattern;
mod provisioning;
mod throttling;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;

pub use alarm::Alarm;
pub use consistency::Consistency;
pub use deny::Deny;
pub use fault::{Fault, Harm};
pub use hold::{Hold, When};
pub use latency::Latency;
pub use misfortune::{Happening, Misfortune};
pub use provisioning::{Failure, Kind, Provisioning};
pub use throttling::{Limit, Rates, Throttling};

use crate::call::Request;
use crate::error::Error;

pub(crate) use hold::{Go, Holds};

use fault::Tally;
use throttling::Buckets;

/// What the day is like. Without a file it is a fine one: no faults, no limits, AWS's usual times on the scaled clock.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Weather {
    /// How long each call takes.
    pub latency: Latency,
    /// How many calls are let through.
    pub throttling: Throttling,
    /// What goes wrong with calls.
    #[serde(rename = "fault")]
    pub faults: Vec<Fault>,
    /// How late what was made or deleted shows.
    pub consistency: Consistency,
    /// How long things take to come up and to go, and which never come up.
    pub provisioning: Provisioning,
    /// What happens to tasks and deployments of ECS services.
    #[serde(rename = "misfortune")]
    pub misfortunes: Vec<Misfortune>,
    /// Whether an image must have been pushed to its ECR repository even where nothing was pushed to it at all.
    pub strict_images: bool,
    /// What nobody is allowed to do.
    #[serde(rename = "deny")]
    pub denies: Vec<Deny>,
    /// Which alarms go off, and when.
    #[serde(rename = "alarm")]
    pub alarms: Vec<Alarm>,
}

impl Weather {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// It cannot be read, or is no scenario: with line and column.
    pub fn read(path: &Path) -> Result<Weather, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
        Weather::parse(&text).map_err(|why| Error::Weather { path: path.to_owned(), why })
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// It is none: why, with line and column.
    pub fn parse(text: &str) -> Result<Weather, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

/// The weather that is on, and what has come of it so far.
#[derive(Debug, Default)]
pub(crate) struct Sky {
    weather: RwLock<Arc<Weather>>,
    tally: Tally,
    buckets: Buckets,
}

impl Sky {
    /// The weather now.
    pub(crate) fn weather(&self) -> Arc<Weather> {
        Arc::clone(&self.weather.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the weather: counts begin anew.
    pub(crate) fn set(&self, weather: Weather) {
        *self.weather.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(weather);
        self.tally.clear();
        self.buckets.clear();
    }

    /// Says what befalls a call that comes at `now`, in seconds of real time.
    pub(crate) fn strike(&self, request: &Request, now: f64) -> Option<Harm> {
        let weather = self.weather();
        self.tally.strike(&weather.faults, request).or_else(|| {
            let let_through = self.buckets.take(&weather.throttling, &request.region, &request.name(), now);
            (!let_through).then_some(Harm::Throttle)
        })
    }
}
