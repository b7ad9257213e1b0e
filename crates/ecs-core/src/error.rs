//! Errors that know what was being done, what AWS said, what is left behind and which exit code they end in.

use std::fmt::{self, Write as _};

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what kind of failure an error is: the engine decides by it what to do, and the tool which code to exit with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything that no other kind names.
    Other,
    /// AWS does not know the thing.
    NotFound,
    /// Something of that name is there already.
    AlreadyExists,
    /// Something else still uses it: "not yet", when deleting.
    InUse,
    /// AWS does not show everywhere yet what it has just made.
    NotYet,
    /// AWS must first end what it is doing with the thing: it drains, it is being changed, it is being deleted.
    Busy,
    /// AWS asks to slow down; the call had no effect.
    Throttled,
    /// The call may or may not have taken effect: a connection lost, a 5xx.
    Transient,
    /// The command line, the stack file or the document is wrong.
    Usage,
    /// The document on stdin ended before its closing brace.
    Truncated,
    /// Credentials are missing, refused, or for another account or region.
    Credentials,
    /// ECS rolled the deployment back.
    RolledBack,
    /// The wait was longer than allowed; it is still going on.
    TimedOut,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// Nobody reads our output any more.
    BrokenPipe,
}

impl Kind {
    /// Returns the exit code of a tool that fails like this.
    ///
    /// 141 is 128 + SIGPIPE, what a shell reports for a program that a closed pipe ended.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Other
            | Kind::NotFound
            | Kind::AlreadyExists
            | Kind::InUse
            | Kind::NotYet
            | Kind::Busy
            | Kind::Throttled
            | Kind::Transient => 1,
            Kind::Usage => 2,
            Kind::RolledBack => 4,
            Kind::TimedOut => 5,
            Kind::Truncated => 7,
            Kind::Credentials => 8,
            Kind::Interrupted => 130,
            Kind::BrokenPipe => 141,
        }
    }
}

/// A failure with its context as fields; [`Error::render`] is the only place that turns it into text.
#[derive(Debug, Clone)]
pub struct Error(Box<Fields>);

#[derive(Debug, Clone)]
struct Fields {
    kind: Kind,
    message: String,
    doing: Option<String>,
    code: Option<String>,
    call: Option<String>,
    request_id: Option<String>,
    left_behind: Vec<String>,
    hint: Option<String>,
    siblings: Vec<Error>,
}

impl Error {
    /// Makes an error of a kind with a message: what happened, in one line, without a full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            kind,
            message: message.into(),
            doing: None,
            code: None,
            call: None,
            request_id: None,
            left_behind: Vec::new(),
            hint: None,
            siblings: Vec::new(),
        }))
    }

    /// Makes an error about the command line, the stack file or the document.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Makes an error of no particular kind.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Kind::Other, message)
    }

    /// Adds what was being done to what: `creating NAT gateway prod-nat-us-east-1a`. The innermost one stays.
    #[must_use]
    pub fn doing(mut self, doing: impl Into<String>) -> Self {
        self.0.doing.get_or_insert(doing.into());
        self
    }

    /// Adds AWS's error code and the call that it answered, as `service:Operation`.
    #[must_use]
    pub fn answered(mut self, code: Option<String>, call: impl Into<String>, request_id: Option<String>) -> Self {
        self.0.code = code;
        self.0.call = Some(call.into());
        self.0.request_id = request_id;
        self
    }

    /// Adds something that exists now and that a destroy or another run will meet.
    #[must_use]
    pub fn left_behind(mut self, what: impl Into<String>) -> Self {
        self.0.left_behind.push(what.into());
        self
    }

    /// Adds what to do about it. The innermost one stays.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert(hint.into());
        self
    }

    /// Changes the kind, where only the caller knows what the answer means.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns AWS's error code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the exit code: an interruption's if any part of it is one, else that of the first part that is a cause
    /// rather than a consequence.
    pub fn exit_code(&self) -> u8 {
        let consequences = [Kind::TimedOut, Kind::Truncated, Kind::BrokenPipe];
        let rank = |kind: &Kind| match consequences.iter().position(|consequence| consequence == kind) {
            Some(place) => place + 2,
            None => usize::from(*kind != Kind::Interrupted),
        };
        let kind = self.parts().map(Error::kind).min_by_key(rank);
        kind.unwrap_or(self.kind()).exit_code()
    }

    /// Joins errors that happened side by side into one; none when there are none.
    ///
    /// A failure that several were waiting for, such as a member that never came, is told once.
    pub fn join(errors: impl IntoIterator<Item = Error>) -> Option<Error> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        for mut other in errors {
            let siblings = std::mem::take(&mut other.0.siblings);
            for part in std::iter::once(other).chain(siblings) {
                first.absorb(part);
            }
        }
        Some(first)
    }

    /// Takes up an error that happened beside this one: what was said already is not said again, only what is left behind is added.
    fn absorb(&mut self, part: Error) {
        let same = |known: &Error| known.without_rest().render() == part.without_rest().render();
        let known = if same(self) {
            &mut self.0
        } else if let Some(place) = self.0.siblings.iter().position(same) {
            &mut self.0.siblings[place].0
        } else {
            self.0.siblings.push(part);
            return;
        };
        for what in part.0.left_behind {
            if !known.left_behind.contains(&what) {
                known.left_behind.push(what);
            }
        }
    }

    /// Returns the error without what is left behind.
    fn without_rest(&self) -> Error {
        let mut error = self.clone();
        error.0.left_behind.clear();
        error
    }

    /// Returns the parts of it that happened side by side, each of them alone.
    pub fn parts(&self) -> impl Iterator<Item = &Error> {
        std::iter::once(self).chain(&self.0.siblings)
    }

    /// Writes one part as text, without its siblings: the first line, then `call`, `left behind` and `hint`.
    pub fn render(&self) -> String {
        let fields = &self.0;
        let mut text = String::new();
        if let Some(doing) = &fields.doing {
            let _ = write!(text, "{doing}: ");
        }
        if let Some(code) = &fields.code {
            let _ = write!(text, "{code}: ");
        }
        text.push_str(&fields.message);
        match (&fields.call, &fields.request_id) {
            (Some(call), Some(id)) => {
                let _ = write!(text, "\n  call: {call}  request: {id}");
            }
            (Some(call), None) => {
                let _ = write!(text, "\n  call: {call}");
            }
            (None, _) => {}
        }
        if !fields.left_behind.is_empty() {
            let _ = write!(text, "\n  left behind: {}", fields.left_behind.join(", "));
        }
        if let Some(hint) = &fields.hint {
            let _ = write!(text, "\n  hint: {hint}");
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&part.render())?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Turns results that were awaited side by side into one: everything, or everything that went wrong.
///
/// Used as `join!(a, b).all()?`: `join!`, so that one failure does not abandon a sibling whose call is under way.
pub trait All {
    /// What comes out when nothing failed.
    type Output;

    /// Returns all values, or one error that holds every failure.
    ///
    /// # Errors
    /// When any of them is one.
    fn all(self) -> Result<Self::Output>;
}

impl<T> All for Vec<Result<T>> {
    type Output = Vec<T>;

    fn all(self) -> Result<Vec<T>> {
        let mut values = Vec::with_capacity(self.len());
        let mut errors = Vec::new();
        for result in self {
            match result {
                Ok(value) => values.push(value),
                Err(error) => errors.push(error),
            }
        }
        Error::join(errors).map_or(Ok(values), Err)
    }
}

macro_rules! all_of_tuple {
    ($($name:ident)+) => {
        impl<$($name),+> All for ($(Result<$name>,)+) {
            type Output = ($($name,)+);

            #[expect(non_snake_case, reason = "the type parameters name the tuple's members")]
            fn all(self) -> Result<Self::Output> {
                let ($($name,)+) = self;
                match ($($name,)+) {
                    ($(Ok($name),)+) => Ok(($($name,)+)),
                    ($($name,)+) => {
                        let errors = [$($name.err()),+].into_iter().flatten();
                        Err(Error::join(errors).unwrap_or_else(|| Error::other("a failure without an error")))
                    }
                }
            }
        }
    };
}

all_of_tuple!(A B);
all_of_tuple!(A B C);
all_of_tuple!(A B C D);
all_of_tuple!(A B C D E);
all_of_tuple!(A B C D E F);
all_of_tuple!(A B C D E F G);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_renders_everything_it_knows() {
        let error = Error::other("The maximum number has been reached")
            .answered(Some("NatGatewayLimitExceeded".into()), "ec2:CreateNatGateway", Some("3f1c".into()))
            .doing("creating NAT gateway prod-nat")
            .left_behind("elastic IP prod-nat (eipalloc-0a1)")
            .hint("raise the quota");
        assert_eq!(
            error.render(),
            "creating NAT gateway prod-nat: NatGatewayLimitExceeded: The maximum number has been reached\n  \
             call: ec2:CreateNatGateway  request: 3f1c\n  left behind: elastic IP prod-nat (eipalloc-0a1)\n  \
             hint: raise the quota"
        );
    }

    #[test]
    fn all_keeps_every_failure() {
        let both: (Result<u8>, Result<u8>) = (Err(Error::other("one")), Err(Error::usage("two")));
        let error = both.all().expect_err("both failed");
        assert_eq!(error.parts().map(Error::message).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(vec![Ok(1), Ok(2)].all().expect("none failed"), [1, 2]);
    }

    #[test]
    fn what_several_waited_for_is_told_once() {
        let missing = || Error::usage("the document has no member `net`");
        let joined =
            Error::join([missing(), Error::join([Error::other("one"), missing()]).expect("two")]).expect("three");
        assert_eq!(joined.parts().count(), 2);
    }

    #[test]
    fn an_interruption_decides_the_exit_code() {
        let joined = Error::join([Error::other("one"), Error::new(Kind::Interrupted, "stopped")]).expect("two");
        assert_eq!(joined.exit_code(), 130);
        let joined = [Error::new(Kind::Truncated, "cut"), Error::new(Kind::RolledBack, "back")];
        assert_eq!(Error::join(joined).expect("two").exit_code(), 4, "a cut input is a consequence");
        assert_eq!(Error::usage("bad").exit_code(), 2);
    }
}
