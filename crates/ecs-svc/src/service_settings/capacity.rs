//! On what a service's tasks run.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::CapacityProviderStrategyItem;
use ecs_core::Result;
use ecs_core::stack::Spot;

use crate::ecs;

/// The capacity provider of tasks on demand; alone it is what the launch type FARGATE is.
pub const ON_DEMAND: &str = "FARGATE";
/// The capacity provider of tasks that AWS may take back.
pub const SPOT: &str = "FARGATE_SPOT";

/// Capacity providers, each with its base and its weight; those that get no tasks are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity(BTreeMap<String, (i32, i32)>);

impl Capacity {
    /// Makes what the stack file asks for.
    pub fn new(spot: Spot) -> Self {
        let shares = [(ON_DEMAND, (spot.base, spot.on_demand)), (SPOT, (0, spot.weight))];
        Self::shared(shares.map(|(name, share)| (name.to_owned(), share)))
    }

    /// Makes what a service has that asks for none.
    pub fn on_demand() -> Self {
        Self::shared([(ON_DEMAND.to_owned(), (0, 1))])
    }

    /// Reads a strategy: without one a service has a launch type.
    pub fn of(strategy: &[CapacityProviderStrategyItem]) -> Self {
        if strategy.is_empty() {
            return Self::on_demand();
        }
        Self::shared(strategy.iter().map(|item| (item.capacity_provider().to_owned(), (item.base(), item.weight()))))
    }

    /// Leaves out those without tasks. Of one alone, base and weight make no difference.
    fn shared(shares: impl IntoIterator<Item = (String, (i32, i32))>) -> Self {
        let mut shares: BTreeMap<_, _> = shares.into_iter().filter(|(_, share)| *share != (0, 0)).collect();
        if shares.len() == 1 {
            shares.values_mut().for_each(|share| *share = (0, 1));
        }
        Self(shares)
    }

    /// Returns it as a request has it.
    ///
    /// # Errors
    /// Never: all that is required is set.
    pub fn build(&self) -> Result<Vec<CapacityProviderStrategyItem>> {
        let items = self.0.iter().map(|(name, (base, weight))| {
            let item = CapacityProviderStrategyItem::builder().capacity_provider(name);
            ecs::built(item.base(*base).weight(*weight).build())
        });
        items.collect()
    }
}

impl std::fmt::Display for Capacity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |(name, (base, weight)): (&String, &(i32, i32))| match base {
            0 => format!("{name} {weight}"),
            base => format!("{name} {base} and {weight}"),
        };
        if *self == Self::on_demand() {
            return write!(f, "{ON_DEMAND}");
        }
        write!(f, "{}", self.0.iter().map(share).collect::<Vec<_>>().join(", "))
    }
}
