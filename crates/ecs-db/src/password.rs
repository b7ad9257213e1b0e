//! The master password: made once, kept in the Parameter Store, shown to RDS alone.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;
use ecs_aws::parameter::{self, Ssm, Wanted};
use ecs_aws::{Answer as _, present};
use ecs_core::stack::{ParameterLayer, PasswordStore};
use ecs_core::{Change, Error, Identity, Listing, Owner, Resource, Result, Run, Stack};
use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::sight::{Sight, keeps_its_own_password};
use crate::{LAYER, Rds};

/// Value of the parameter that keeps the password.
const TEMPLATE: &str = "${db.password}";
/// End of the name of the parameter that keeps the next password while it takes the place of the one before.
const NEXT: &str = ".next";
/// Length in characters: 192 random bits. RDS for PostgreSQL takes 8 to 128:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>
const LENGTH: usize = 32;
/// RDS takes printable ASCII but `/`, `"`, `@` and spaces; these 64 also need no escape in a URL or a shell.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The password's place in the Parameter Store, and the password itself once it is known.
pub struct Secret {
    ssm: Ssm,
    stack: String,
    names: Vec<String>,
    list: Listing<Vec<Live>>,
    value: RefCell<Option<Zeroizing<String>>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Secret {
    /// Makes the password's place: the parameters whose value is `${db.password}`; none when RDS keeps the password.
    pub fn new(ssm: &Ssm, stack: &Stack) -> Self {
        let kept_here = stack.db.password == PasswordStore::Parameter;
        let parameters = stack.parameters_of(ParameterLayer::Db).filter(|_| kept_here);
        let names =
            parameters.filter(|(_, parameter)| parameter.template() == TEMPLATE).map(|(name, _)| name.to_owned());
        Self {
            ssm: ssm.clone(),
            stack: stack.name.clone(),
            names: names.collect(),
            list: Listing::default(),
            value: RefCell::default(),
        }
    }

    /// Returns the parameters that keep the password.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the name of the parameter that keeps the next password while it takes the place of the one before.
    ///
    /// # Errors
    /// When the password is in no parameter.
    pub fn next_name(&self) -> Result<String> {
        let first = self.names.first().ok_or_else(|| Error::other("the database's password is in no parameter"))?;
        Ok(format!("{first}{NEXT}"))
    }

    /// Returns the next password, if a run has begun to bring it in.
    ///
    /// # Errors
    /// When it is another stack's; any refusal by SSM.
    pub async fn next(&self) -> Result<Option<Zeroizing<String>>> {
        let Ok(name) = self.next_name() else { return Ok(None) };
        let existing = self.existing().await?;
        match existing.iter().find(|live| live.name == name) {
            Some(live) => self.read(&live.name).await.map(Some),
            None => Ok(None),
        }
    }

    /// Says whether a parameter's value is the password.
    pub fn is(template: &str) -> bool {
        template == TEMPLATE
    }

    /// Makes the password unless it exists; an existing one is never changed.
    ///
    /// # Errors
    /// When an instance exists whose password is nowhere; any refusal by SSM.
    pub async fn ensure(self: &Rc<Self>, run: &Run<'_>, stack: &Stack, rds: &Rds, sight: &Rc<Sight>) -> Result<()> {
        // One after the other: the first holds the password that the others repeat.
        for name in &self.names {
            let password = Password {
                identity: Identity::new(&stack.name, LAYER, name),
                secret: Rc::clone(self),
                instance: (!run.destroys()).then(|| (rds.clone(), Rc::clone(sight))),
            };
            run.ensure(&self.ssm, password).await?;
        }
        Ok(())
    }

    /// Returns the password: the one that this run has made, or the one in the Parameter Store.
    ///
    /// # Errors
    /// When there is none; any refusal by SSM.
    pub async fn value(&self) -> Result<Zeroizing<String>> {
        match self.stored().await? {
            Some(value) => Ok(value),
            None => Err(Error::other("the database's password is in no parameter")
                .hint(format!("give one parameter the value `{TEMPLATE}` in the stack file"))),
        }
    }

    /// Returns the parameters that exist, by one call for all.
    async fn existing(&self) -> Result<Rc<Vec<Live>>> {
        let load = async || {
            // Not decrypted: only their existence matters.
            let names = self.names.iter().cloned().chain(self.next_name().ok()).collect();
            let call = self.ssm.read.get_parameters().set_names(Some(names)).with_decryption(false);
            let found = call.send().await.answer("ssm:GetParameters")?.parameters.unwrap_or_default();
            let live = found.into_iter().map(|parameter| Live {
                name: parameter.name.unwrap_or_default(),
                kind: parameter.r#type.unwrap_or(ParameterType::String),
                version: parameter.version,
            });
            Ok(live.collect())
        };
        self.list.get(load).await
    }

    /// Returns the password if this run knows it or a parameter holds it.
    ///
    /// One that a person has put there is as good; one of another stack is not, lest two databases share it.
    async fn stored(&self) -> Result<Option<Zeroizing<String>>> {
        if let Some(value) = &*self.value.borrow() {
            return Ok(Some(value.clone()));
        }
        let existing = self.existing().await?;
        let Some(first) = existing.iter().find(|live| self.names.contains(&live.name)) else { return Ok(None) };
        let value = self.read(&first.name).await?;
        *self.value.borrow_mut() = Some(value.clone());
        Ok(Some(value))
    }

    /// Reads a password out of its parameter, which must not be another stack's.
    async fn read(&self, name: &str) -> Result<Zeroizing<String>> {
        let owner = parameter::read_owner(&self.ssm, &Identity::new(&self.stack, LAYER, name)).await?;
        if let Owner::Stack(other) = owner {
            return Err(Error::other(format!("parameter {name} belongs to the stack `{other}`"))
                .hint("give the password another parameter in the stack file"));
        }
        let call = self.ssm.read.get_parameters().names(name).with_decryption(true);
        let found = call.send().await.answer("ssm:GetParameters")?.parameters.unwrap_or_default().pop();
        let value = present(found.and_then(|parameter| parameter.value), "ssm:GetParameters", "the parameter")?;
        Ok(Zeroizing::new(value))
    }
}

/// One parameter that keeps the password.
#[derive(Debug)]
struct Password {
    identity: Identity,
    secret: Rc<Secret>,
    /// The instance that the password would be for; a destroy asks nothing about it.
    instance: Option<(Rds, Rc<Sight>)>,
}

/// What SSM says the password's parameter is; its value is not read.
#[derive(Debug, Clone)]
struct Live {
    name: String,
    kind: ParameterType,
    version: i64,
}

impl Resource for Password {
    type Api = Ssm;
    type Live = Live;
    const KIND: &'static str = "parameter";
    /// It exists at once, and is gone at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        format!("version {}", live.version)
    }

    fn planned(&self) -> Live {
        Live { name: self.name(), kind: ParameterType::SecureString, version: 0 }
    }

    /// Returns the parameter if it exists.
    ///
    /// # Errors
    /// When there is an instance with a password of its own but no parameter: a new password would not be that one.
    async fn find(&self, _ssm: &Ssm) -> Result<Option<Live>> {
        let existing = self.secret.existing().await?;
        let none = !existing.iter().any(|live| self.secret.names.contains(&live.name));
        if let (true, Some((rds, sight))) = (none, &self.instance)
            && sight.get(rds).await?.as_ref().as_ref().is_some_and(keeps_its_own_password)
        {
            let what = format!("DB instance {} exists, but its master password is in no parameter", sight.identifier());
            return Err(Error::other(what).hint(format!(
                "put the password into the SecureString parameter {} and run with --adopt, or let RDS make one and keep \
                 it: `db.password = \"secrets_manager\"`",
                self.identity.name
            )));
        }
        Ok(existing.iter().find(|live| live.name == self.identity.name).cloned())
    }

    /// Writes the password of the other parameters, or a new one. Nobody knows a new one before SSM has stored it, so
    /// that the password of an instance is never lost.
    async fn create(&self, ssm: &Ssm) -> Result<Live> {
        let value = match self.secret.stored().await? {
            Some(value) => value,
            None => generate()?,
        };
        let wanted = Wanted { name: self.identity.name.clone(), value: value.clone(), secure: true };
        let version = parameter::put(ssm, &wanted, Some(&self.identity)).await?;
        *self.secret.value.borrow_mut() = Some(value);
        Ok(Live { version, ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let hint = format!("make the parameter {} a SecureString, or give the password another one", live.name);
        let change = Change::of("type", &live.kind, &ParameterType::SecureString);
        change.map(|change| change.refused(hint)).into_iter().collect()
    }

    async fn delete(&self, ssm: &Ssm, live: &Live) -> Result<()> {
        parameter::delete(ssm, &live.name).await
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, ssm: &Ssm, _live: &Live) -> Result<Owner> {
        parameter::read_owner(ssm, &self.identity).await
    }

    async fn adopt(&self, ssm: &Ssm, _live: &Live) -> Result<()> {
        parameter::adopt(ssm, &self.identity).await
    }

    fn forget(&self) {
        self.secret.list.forget();
    }
}

/// Makes a password of the operating system's random bytes; 64 characters to choose from make six bits of each count
/// alike.
pub fn generate() -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0_u8; LENGTH]);
    SysRng
        .try_fill_bytes(bytes.as_mut_slice())
        .map_err(|error| Error::other(format!("the operating system gives no random bytes: {error}")))?;
    Ok(Zeroizing::new(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_password_is_one_that_rds_takes() {
        let passwords: BTreeSet<String> = (0..100).map(|_| generate().expect("random bytes").to_string()).collect();
        assert_eq!(passwords.len(), 100);
        for password in passwords {
            assert_eq!(password.len(), LENGTH);
            assert!(
                password.chars().all(|c| c.is_ascii_graphic() && !"/@\"".contains(c)),
                "a character that RDS refuses"
            );
        }
    }

    #[test]
    fn the_alphabet_holds_each_character_once() {
        assert_eq!(ALPHABET.iter().collect::<BTreeSet<_>>().len(), 64);
    }
}
