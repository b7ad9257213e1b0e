//! The tag on the load balancer by which the stack's name in DNS is known once its file no longer has it.
//!
//! Route 53's records have no tags. So the load balancer bears one for each alias that leads to it, from before the alias
//! is made: a run that is killed in between leaves a tag without a record, which does no harm, and never a record that
//! nobody knows.

use std::fmt;

use ecs_core::{Identity, Owner, Stack};

use crate::LAYER;
use crate::dns::Zone;

/// What the tag's key begins with.
const PREFIX: &str = "ecs-pipe:alias:";
/// Longest value of a tag: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html>
const LONGEST: usize = 256;

/// One alias, as a tag tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasTag {
    /// The tag's key
    pub key: String,
    /// Id of the hosted zone
    pub zone: String,
    /// The domain name
    pub name: String,
}

/// What the tags of a load balancer tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// Whose it is
    pub owner: Owner,
    /// The aliases that lead to it, or did
    pub aliases: Vec<AliasTag>,
}

impl AliasTag {
    /// Makes the tag of an alias; none for a name so long that no tag holds it.
    pub fn new(stack: &Stack, zone: &Zone, name: &str) -> Option<Self> {
        // A key holds less than a name: a hash stands for it.
        let hash = Identity::new(&stack.name, LAYER, name).token(&[&zone.id]);
        let tag = Self { key: format!("{PREFIX}{hash}"), zone: zone.id.clone(), name: name.to_owned() };
        Some(tag).filter(|tag| tag.value().len() <= LONGEST)
    }

    /// Reads a tag; none where it is another one.
    pub fn read(key: &str, value: &str) -> Option<Self> {
        let (zone, name) = value.split_once('/').filter(|_| key.starts_with(PREFIX))?;
        Some(Self { key: key.to_owned(), zone: zone.to_owned(), name: name.to_owned() })
    }

    /// Returns the tag's value.
    pub fn value(&self) -> String {
        format!("{}/{}", self.zone, self.name)
    }
}

impl fmt::Display for AliasTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (in {})", self.name, self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_zone_and_name_and_each_alias_has_its_own() {
        let stack = Stack::default();
        let zone = |id: &str| Zone { id: id.to_owned(), name: "example.com".to_owned() };
        let tag = AliasTag::new(&stack, &zone("Z1"), "app.example.com").expect("a tag");
        assert_eq!(tag.value(), "Z1/app.example.com");
        assert_eq!(AliasTag::read(&tag.key, &tag.value()), Some(tag.clone()));
        assert_eq!(AliasTag::read("Name", "Z1/app.example.com"), None);
        let others =
            [AliasTag::new(&stack, &zone("Z2"), &tag.name), AliasTag::new(&stack, &zone("Z1"), "www.example.com")];
        assert!(others.into_iter().flatten().all(|other| other.key != tag.key));
        // A key has at most 128 characters, a value 256.
        assert!(tag.key.len() <= 128);
        assert_eq!(AliasTag::new(&stack, &zone("Z0123456789ABCDEFGHIJKLMNOPQRSTU"), &"a".repeat(253)), None);
    }
}
