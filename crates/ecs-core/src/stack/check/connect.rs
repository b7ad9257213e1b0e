//! Service Connect, file systems and a cluster of somebody else's.

use super::Mistake;
use crate::stack::pointer::pointer;
use crate::stack::{Stack, Volume};

/// Longest name of a Cloud Map namespace. Source: `CreateHttpNamespace`, `Name`; ECS takes no more of its characters.
const NAMESPACE: usize = 1024;

/// Longest name that Service Connect knows a service by, which is its port's name, too. Source: `PortMapping`, `name`.
const NAME: usize = 64;

/// Checks them.
pub(super) fn check(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    cluster(stack, region, found);
    if let Some(namespace) = &stack.cluster.namespace {
        let fine = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if namespace.is_empty() || namespace.len() > NAMESPACE || !namespace.chars().all(fine) {
            let mistake = Mistake::value("/cluster/namespace", format!("`{namespace}` cannot be a namespace"));
            found.push(mistake.hint("letters, digits and _.-"));
        }
    }
    for (key, service) in &stack.services {
        for (name, volume) in &service.volumes {
            self::volume(&["services", key, "volumes", name], volume, found);
        }
        let Some(connect) = &service.connect else { continue };
        let at = |member: &str| pointer(&["services", key, "connect", member]);
        if stack.cluster.namespace.is_none() {
            let place = pointer(&["services", key, "connect"]);
            let mistake = Mistake::key(place, format!("`{key}` connects to nothing: the cluster has no `namespace`"));
            found.push(mistake.hint("`[cluster]`, `namespace = \"…\"`").related(&["cluster", "namespace"]));
        }
        if let Some(name) = &connect.name {
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
            if name.is_empty() || name.len() > NAME || !name.chars().all(fine) || name.starts_with('-') {
                let mistake = Mistake::value(at("name"), format!("`{name}` cannot be a name in Service Connect"));
                found.push(mistake.hint("lower-case letters, digits, _ and -"));
            }
            let twin = stack.services.iter().take_while(|(other, _)| *other != key);
            let twin = twin.filter_map(|(other, service)| Some((other, service.connect.as_ref()?.name.as_ref()?)));
            if let Some((other, _)) = twin.into_iter().find(|(_, other)| *other == name) {
                found.push(Mistake::value(at("name"), format!("`{other}` is called `{name}`, too")));
            }
        } else if connect.port.is_some() || connect.protocol.is_some() {
            let member = if connect.port.is_some() { "port" } else { "protocol" };
            let mistake = Mistake::key(at(member), format!("a `{member}` without a `name`"));
            found.push(mistake.hint("a service without a name only reaches the others"));
        }
    }
}

/// Checks what is said of a cluster that exists.
fn cluster(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    let Some(arn) = &stack.cluster.arn else { return };
    let at = "/cluster/arn";
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", _, "ecs", there, account, name] = parts[..] else {
        found.push(Mistake::value(at, format!("`{arn}` is not the ARN of a cluster")));
        return;
    };
    if name.strip_prefix("cluster/").is_none_or(str::is_empty) {
        found.push(Mistake::value(at, format!("`{arn}` is not the ARN of a cluster")));
    }
    if region.is_some_and(|region| region != there) {
        found.push(Mistake::value(at, format!("the cluster is in {there}, the stack is not")));
    }
    if stack.account.as_ref().is_some_and(|own| own != account) {
        found.push(Mistake::value(at, format!("the cluster is in the account {account}, the stack is not")));
    }
    if stack.cluster.name.is_some() {
        let mistake =
            Mistake::value("/cluster/name", "`arn` and `name` exclude each other").related(&["cluster", "arn"]);
        found.push(mistake.hint("`arn` is of a cluster that exists, `name` of one that this stack makes"));
    }
}

/// Source: `EFSVolumeConfiguration`, `MountPoint`.
fn volume(path: &[&str], volume: &Volume, found: &mut Vec<Mistake>) {
    let at = |member: &str| pointer(&[path, &[member]].concat());
    let id = |text: &str, start: &str| {
        text.strip_prefix(start).is_some_and(|rest| rest.len() >= 8 && rest.chars().all(|c| c.is_ascii_hexdigit()))
    };
    if !id(&volume.file_system, "fs-") {
        found.push(Mistake::value(
            at("file_system"),
            format!("`{}` is not the id of a file system", volume.file_system),
        ));
    }
    if let Some(point) = volume.access_point.as_ref().filter(|point| !id(point, "fsap-")) {
        found.push(Mistake::value(at("access_point"), format!("`{point}` is not the id of an access point")));
    }
    for (member, directory) in [("path", Some(&volume.path)), ("root_directory", volume.root_directory.as_ref())] {
        if let Some(directory) = directory.filter(|directory| !directory.starts_with('/')) {
            found.push(Mistake::value(at(member), format!("the directory `{directory}` does not start with `/`")));
        }
    }
    let elsewhere = volume.root_directory.as_ref().is_some_and(|directory| directory != "/");
    if volume.access_point.is_some() && elsewhere {
        let mistake = Mistake::value(at("root_directory"), "`access_point` and `root_directory` exclude each other");
        found.push(mistake.hint("an access point has its own directory").related(&[path, &["access_point"]].concat()));
    }
}
