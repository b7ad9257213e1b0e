//! The identity tags that every resource carries from its create call on.

use sha2::{Digest as _, Sha256};

/// Tag key that holds the stack's name.
pub const STACK: &str = "ecs-pipe:stack";
/// Tag key that holds the layer's name.
pub const LAYER: &str = "ecs-pipe:layer";
/// Tag key that holds the resource's name.
pub const NAME: &str = "Name";

/// The identity of one resource: its stack, layer and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the stack
    pub stack: String,
    /// Name of the layer: `net`, `sg`, …
    pub layer: &'static str,
    /// Name of the resource
    pub name: String,
}

/// Says whose a resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// It carries this stack's tag.
    Ours,
    /// It carries another stack's tag: that stack's name.
    Stack(String),
    /// It carries no stack's tag.
    Nobody,
    /// Its tags cost a call of their own, made only before the resource is touched.
    Unread,
}

impl Identity {
    /// Makes the identity of a resource.
    pub fn new(stack: &str, layer: &'static str, name: impl Into<String>) -> Self {
        Self { stack: stack.to_owned(), layer, name: name.into() }
    }

    /// Returns the value of the tag `Name`: the name, with `_` for what not every service takes in a tag, such as the `*` of a
    /// certificate.
    ///
    /// Letters, digits, spaces and `_.:/=+-@` are what all take, such as ACM:
    /// <https://docs.aws.amazon.com/acm/latest/APIReference/API_Tag.html>
    pub fn tag_name(&self) -> String {
        let fine = |c: &char| c.is_alphanumeric() || " _.:/=+-@".contains(*c);
        self.name.chars().map(|c| if fine(&c) { c } else { '_' }).collect()
    }

    /// Returns the tags in an SDK's own type.
    pub fn tags<T>(&self, tag: impl Fn(&str, &str) -> T) -> Vec<T> {
        vec![tag(STACK, &self.stack), tag(LAYER, self.layer), tag(NAME, &self.tag_name())]
    }

    /// Makes the identity tags for a create call, where an SDK's builder can refuse a tag.
    ///
    /// # Errors
    /// Never: keys and values are set.
    pub fn try_tags<T, E: std::fmt::Display>(&self, tag: impl Fn(&str, &str) -> Result<T, E>) -> crate::Result<Vec<T>> {
        let tags = self.tags(tag).into_iter().collect::<Result<_, E>>();
        tags.map_err(|error| crate::Error::other(format!("a request cannot be built: {error}")))
    }

    /// Returns a client token, 32 hexadecimal digits, that is the same for every try of the same create call.
    ///
    /// `parts` are what makes it another call: the ids that it builds on, and how many there were before.
    pub fn token(&self, parts: &[&str]) -> String {
        let mut hash = Sha256::new();
        for part in [&self.stack, self.layer, &self.name].into_iter().chain(parts.iter().copied()) {
            hash.update(part);
            // A separator that no name holds, so that "ab" + "c" is not "a" + "bc".
            hash.update([0]);
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Says whose the resource with these tags is.
    pub fn owner<'t>(&self, tags: impl IntoIterator<Item = (&'t str, &'t str)>) -> Owner {
        match tags.into_iter().find(|(key, _)| *key == STACK) {
            Some((_, stack)) if stack == self.stack => Owner::Ours,
            Some((_, stack)) => Owner::Stack(stack.to_owned()),
            None => Owner::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_tag_holds_what_every_service_takes() {
        let name = |name: &str| Identity::new("prod", "alb", name).tag_name();
        assert_eq!(name("/aws/ecs/prod-1.a_b@c"), "/aws/ecs/prod-1.a_b@c");
        assert_eq!([name("*.example.com"), name("a,b#c")], ["_.example.com", "a_b_c"]);
    }

    #[test]
    fn the_stack_tag_alone_decides_the_owner() {
        let identity = Identity::new("prod", "net", "prod-vpc");
        assert_eq!(identity.owner([("Name", "x"), (STACK, "prod")]), Owner::Ours);
        assert_eq!(identity.owner([(STACK, "staging")]), Owner::Stack("staging".into()));
        assert_eq!(identity.owner([("Name", "prod-vpc")]), Owner::Nobody);
    }
}
