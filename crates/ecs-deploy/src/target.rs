//! Which services it is about: from a stack document, from stack files, or from `--cluster` and `--service`.

use std::io::IsTerminal as _;

use ecs_core::document::{self, End, Event};
use ecs_core::member::{Member as _, Svc};
use ecs_core::stack::load;
use ecs_core::{Error, Kind, Result, Stack};
use serde_json::value::RawValue;

use crate::command::{Place, Run};

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What a person calls it: the key in the stack file, or the name of the service
    pub key: String,
    /// Name or ARN of the cluster
    pub cluster: String,
    /// Name of the ECS service
    pub service: String,
    /// Container that a new image goes into; none: the one that serves
    pub container: Option<String>,
}

/// All services that may be meant, and where they are.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Region, where something names it
    pub region: Option<String>,
    /// Account that the credentials must be for
    pub account: Option<String>,
    /// The services
    pub all: Vec<Target>,
    /// Whether they were named one by one, not found in a document
    pub named: bool,
}

impl Targets {
    /// Finds out which services there are.
    ///
    /// # Errors
    /// When nothing names any; when the document or the stack file is wrong, or cut short.
    pub async fn find(run: &Run, place: &Place) -> Result<Self> {
        if let Some(cluster) = &place.cluster {
            return Self::named(cluster, &place.service);
        }
        let files = if run.files.is_empty() { None } else { Some(load::load(&run.files)?) };
        let document = if run.flags.no_input || std::io::stdin().is_terminal() { None } else { read().await? };
        match (files, document) {
            (stack, Some(document)) => document.targets(stack),
            (Some(stack), None) => Ok(Self::of_stack(&stack)),
            (None, None) => Err(Error::usage("nothing says which services it is about").hint(
                "pipe a stack document into it (ecs-deploy … < stack.json), give --stack FILE, or --cluster and --service",
            )),
        }
    }

    fn named(cluster: &str, services: &[String]) -> Result<Self> {
        if services.is_empty() {
            return Err(Error::usage("--cluster is given, but no --service").hint("name the service: --service NAME"));
        }
        let mut all = Vec::new();
        let (mut region, mut account) = (None, None);
        for service in services {
            // An ARN says where it is: arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME.
            let parts: Vec<&str> = service.split(':').collect();
            if let [_, _, _, in_region, of, ..] = parts[..] {
                (region, account) = (Some(in_region.to_owned()), Some(of.to_owned()));
            }
            let name = ecs_aws::deployment::short(service).to_owned();
            all.push(Target { key: name.clone(), cluster: cluster.to_owned(), service: name, container: None });
        }
        Ok(Self { region, account, all, named: true })
    }

    /// Takes the names that a stack file gives, and those that follow from it.
    fn of_stack(stack: &Stack) -> Self {
        let target = |(key, service): (&String, &ecs_core::stack::Service)| Target {
            key: key.clone(),
            cluster: stack.cluster_name(),
            service: service.service_name(key),
            container: Some(service.container(key)),
        };
        Self {
            region: stack.region.clone(),
            account: stack.account.clone(),
            all: stack.services.iter().map(target).collect(),
            named: false,
        }
    }

    /// Returns those that are meant: the ones that `wanted` names by key or by name of the service.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn select<'w>(&self, wanted: impl IntoIterator<Item = &'w str>) -> Result<Vec<Target>> {
        let mut found: Vec<Target> = Vec::new();
        for name in wanted {
            let target = self.all.iter().find(|target| target.key == name || target.service == name);
            let target = target.ok_or_else(|| {
                let keys: Vec<_> = self.all.iter().map(|target| target.key.as_str()).collect();
                Error::usage(format!("there is no service `{name}`")).hint(format!("there are: {}", keys.join(", ")))
            })?;
            if !found.contains(target) {
                found.push(target.clone());
            }
        }
        Ok(found)
    }

    /// Returns those that are meant, or the only one where none is named.
    ///
    /// # Errors
    /// When there are several and none is named.
    pub fn select_one_at_least<'w>(&self, wanted: impl IntoIterator<Item = &'w str>) -> Result<Vec<Target>> {
        let found = self.select(wanted)?;
        match (found.is_empty(), self.all.as_slice()) {
            (false, _) => Ok(found),
            (true, [only]) => Ok(vec![only.clone()]),
            (true, all) if self.named && !all.is_empty() => Ok(all.to_vec()),
            (true, all) => {
                let keys: Vec<_> = all.iter().map(|target| target.key.as_str()).collect();
                Err(Error::usage("there are several services, and none is named")
                    .hint(format!("name one or more of {} with --service", keys.join(", "))))
            }
        }
    }
}

/// What a stack document says of its services.
struct Document {
    stack: Option<Box<RawValue>>,
    svc: Option<Box<RawValue>>,
}

/// Reads the document on stdin to its end: only a closed one says that the services are there.
async fn read() -> Result<Option<Document>> {
    let mut events = document::read(std::io::stdin())?;
    let (mut stack, mut svc) = (None, None);
    while let Some(event) = events.recv().await {
        match event {
            Event::Member(name, value) if name == "stack" => stack = Some(value),
            Event::Member(name, value) if name == Svc::NAME => svc = Some(value),
            Event::Member(..) => {}
            Event::End(End::Closed) => return Ok(Some(Document { stack, svc })),
            Event::End(End::Nothing) => return Ok(None),
            Event::End(End::Failed(error)) => return Err(error),
        }
    }
    Err(Error::other("the reader of stdin is gone"))
}

impl Document {
    fn targets(self, files: Option<Stack>) -> Result<Targets> {
        let wrong = |member: &str, error: serde_json::Error| {
            Error::usage(format!("the document's member `{member}` has the wrong shape: {error}"))
        };
        let written: Option<Stack> = match &self.stack {
            Some(stack) => serde_json::from_str(stack.get()).map_err(|error| wrong("stack", error))?,
            None => None,
        };
        let both = (files.as_ref().map(|stack| &stack.name), written.as_ref().map(|stack| &stack.name));
        if let (Some(file), Some(document)) = both
            && file != document
        {
            let message = format!("the document is about the stack `{document}`, the stack file about `{file}`");
            return Err(Error::usage(message).hint("take the document that belongs to the file, or leave out --stack"));
        }
        let svc: Option<Svc> = match &self.svc {
            Some(svc) => serde_json::from_str(svc.get()).map_err(|error| wrong(Svc::NAME, error))?,
            None => None,
        };
        let stack = written.or(files);
        let (region, account) = match &stack {
            Some(stack) => (stack.region.clone(), stack.account.clone()),
            None => (None, None),
        };
        let Some(svc) = svc else {
            // Before the first ecs-svc there is the stack alone; its names are the same.
            return stack.as_ref().map(Targets::of_stack).ok_or_else(|| {
                Error::usage("the document has neither a member `svc` nor a `stack`")
                    .hint(format!("pipe from ecs-svc, or write it by hand: {}", Svc::BY_HAND))
            });
        };
        if svc.cluster_arn.is_planned() {
            return Err(Error::usage("the document comes from a plan: its ids do not exist")
                .hint("run ecs-svc without `plan` first"));
        }
        let place: Vec<&str> = svc.cluster_arn.as_str().split(':').collect();
        let part = |index: usize| place.get(index).filter(|part| !part.is_empty()).map(|part| (*part).to_owned());
        let (here, of) = (part(3), part(4));
        if let (Some(region), Some(here)) = (&region, &here)
            && region != here
        {
            let message = format!("the document's cluster is in {here}, its stack in {region}");
            return Err(Error::new(Kind::Credentials, message));
        }
        let cluster = svc.cluster_arn.to_string();
        let all = svc.services.into_iter().map(|(key, service)| Target {
            key,
            cluster: cluster.clone(),
            service: service.name,
            container: Some(service.container).filter(|container| !container.is_empty()),
        });
        Ok(Targets { region: region.or(here), account: account.or(of), all: all.collect(), named: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(stack: &str, svc: &str) -> Document {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        Document { stack: (!stack.is_empty()).then(|| raw(stack)), svc: (!svc.is_empty()).then(|| raw(svc)) }
    }

    const SVC: &str = r#"{"cluster_arn": "arn:aws:ecs:eu-west-1:123456789012:cluster/c", "services": {
        "web": {"name": "web-service", "service_arn": "a", "task_definition_arn": "t", "container": "app"}}}"#;

    #[test]
    fn a_document_names_services_region_and_account() {
        let targets = document("", SVC).targets(None).expect("targets");
        assert_eq!((targets.region.as_deref(), targets.account.as_deref()), (Some("eu-west-1"), Some("123456789012")));
        let found = targets.select(["web-service"]).expect("by its name");
        assert_eq!((found[0].key.as_str(), found[0].container.as_deref()), ("web", Some("app")));
        assert_eq!(targets.select(["nothing"]).expect_err("no such service").kind(), Kind::Usage);
    }

    #[test]
    fn a_stack_alone_gives_the_names_that_follow_from_it() {
        let targets = document(r#"{"name": "prod"}"#, "").targets(None).expect("targets");
        let names: Vec<_> = targets.all.iter().map(|target| target.service.as_str()).collect();
        assert_eq!(names, ["backend-service", "frontend-service"]);
        assert!(targets.select_one_at_least([]).is_err(), "there are two");
    }

    #[test]
    fn what_cannot_be_deployed_to_is_refused() {
        let planned = SVC.replace("arn:aws:ecs:eu-west-1:123456789012:cluster/c", "planned:Cluster/c");
        assert_eq!(document("", &planned).targets(None).expect_err("a plan").kind(), Kind::Usage);
        let elsewhere = document(r#"{"name": "prod", "region": "us-east-1"}"#, SVC).targets(None);
        assert_eq!(elsewhere.expect_err("two regions").kind(), Kind::Credentials);
        assert!(document("", "").targets(None).is_err());
    }

    #[test]
    fn an_arn_says_where_the_service_is() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:service/c/web".to_owned();
        let targets = Targets::named("c", &[arn]).expect("a target");
        assert_eq!((targets.all[0].service.as_str(), targets.region.as_deref()), ("web", Some("eu-west-1")));
        assert!(Targets::named("c", &[]).is_err());
    }
}
