//! DB parameter groups: moto knows no parameters but those that were set, and cannot set one back.

use hyper::StatusCode;

use super::{NAMESPACE, VERSION};
use crate::answer::{Answer, escape, text, texts};
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// Some parameters of PostgreSQL on RDS: name, value of the default group, and when the server takes another
/// (PostgreSQL's documentation, "Server Configuration").
const PARAMETERS: &[(&str, &str, &str)] = &[
    ("autovacuum_naptime", "15", "dynamic"),
    ("log_min_duration_statement", "", "dynamic"),
    ("log_statement", "", "dynamic"),
    ("max_connections", "LEAST({DBInstanceClassMemory/9531392},5000)", "static"),
    ("rds.force_ssl", "0", "dynamic"),
    ("rds.logical_replication", "0", "static"),
    ("shared_buffers", "{DBInstanceClassMemory/32768}", "static"),
    ("shared_preload_libraries", "pg_stat_statements", "static"),
    ("statement_timeout", "", "dynamic"),
    ("work_mem", "", "dynamic"),
];

/// A parameter of a call: its name, and how it is to be applied.
struct Given<'r> {
    name: &'r str,
    method: &'r str,
}

fn given(request: &Request) -> Vec<Given<'_>> {
    let names = request.form.iter().filter_map(|(key, value)| Some((key.strip_suffix(".ParameterName")?, value)));
    let method = |key: &str| request.form_value(&format!("{key}.ApplyMethod")).unwrap_or_default();
    names.map(|(key, name)| Given { name, method: method(key) }).collect()
}

/// Checks a change of parameters.
pub(super) fn check_change(request: &Request) -> Result<(), Refusal> {
    for Given { name, method } in given(request) {
        let Some((_, _, kind)) = PARAMETERS.iter().find(|(known, _, _)| *known == name) else {
            return Err(Refusal::new("InvalidParameterValue", format!("Could not find parameter with name: {name}")));
        };
        if *kind == "static" && method == "immediate" {
            let message = "cannot use immediate apply method for static parameter";
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
    }
    Ok(())
}

/// Refuses to delete a group that an instance uses.
pub(super) async fn check_unused(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let name = request.form_value("DBParameterGroupName").unwrap_or_default();
    let form = [("Action", "DescribeDBInstances")];
    let xml = proxy.upstream.query("rds", &request.region, VERSION, &form).await.ok().unwrap_or_default();
    if texts(&xml, "DBParameterGroupName").contains(&name) {
        let message = "One or more database instances are still members of this parameter group";
        return Err(Refusal::new(
            "InvalidDBParameterGroupState",
            format!("{message} {name}, so the group cannot be deleted"),
        ));
    }
    Ok(())
}

/// Answers DescribeDBParameters: those that there are, with what was set in the group.
pub(super) async fn describe(proxy: &Proxy, request: &Request) -> Answer {
    let answer = proxy.upstream.forward(request).await;
    if !answer.status.is_success() {
        return answer;
    }
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let set = texts(&body, "Parameter");
    let value = |name: &str| {
        let one = set.iter().find(|one| text(one, "ParameterName") == Some(name))?;
        text(one, "ParameterValue")
    };
    let only = request.form_value("Source");
    let mut parameters = String::new();
    for (name, default, kind) in PARAMETERS {
        let (source, value) = match (value(name), *default) {
            (Some(value), _) => ("user", value.to_owned()),
            (None, "") => ("engine-default", String::new()),
            (None, default) => ("system", escape(default)),
        };
        if only.is_some_and(|only| only != source) {
            continue;
        }
        let value = if value.is_empty() { value } else { format!("<ParameterValue>{value}</ParameterValue>") };
        parameters.push_str(&format!(
            "<Parameter><ParameterName>{name}</ParameterName>{value}<Source>{source}</Source>\
             <ApplyType>{kind}</ApplyType><IsModifiable>true</IsModifiable></Parameter>"
        ));
    }
    Answer::query(&request.operation, NAMESPACE, &format!("<Parameters>{parameters}</Parameters>"))
}

/// Sets parameters back: moto cannot, so the group is made anew without them.
pub(super) async fn reset(proxy: &Proxy, request: &Request) -> Answer {
    let name = request.form_value("DBParameterGroupName").unwrap_or_default().to_owned();
    let query = async |form: &[(&str, &str)]| proxy.upstream.query("rds", &request.region, VERSION, form).await;
    let group = query(&[("Action", "DescribeDBParameterGroups"), ("DBParameterGroupName", &name)]).await.ok();
    let Some(group) = group.filter(|group| group.contains("<DBParameterGroupName>")) else {
        let refusal = Refusal::new("DBParameterGroupNotFound", format!("DBParameterGroup not found: {name}"));
        return refusal.with_status(StatusCode::NOT_FOUND).answer(request);
    };
    let arn = text(&group, "DBParameterGroupArn").unwrap_or_default();
    let tags = query(&[("Action", "ListTagsForResource"), ("ResourceName", arn)]).await.ok().unwrap_or_default();
    let set = query(&[("Action", "DescribeDBParameters"), ("DBParameterGroupName", &name)]).await.ok();
    let set = set.unwrap_or_default();
    let all = request.form_value("ResetAllParameters") == Some("true");
    let gone: Vec<&str> = given(request).iter().map(|one| one.name).collect();
    let mut create = vec![
        ("Action".to_owned(), "CreateDBParameterGroup".to_owned()),
        ("DBParameterGroupName".to_owned(), name.clone()),
        ("DBParameterGroupFamily".to_owned(), text(&group, "DBParameterGroupFamily").unwrap_or_default().to_owned()),
        ("Description".to_owned(), text(&group, "Description").unwrap_or_default().to_owned()),
    ];
    for (index, tag) in texts(&tags, "Tag").into_iter().enumerate() {
        for part in ["Key", "Value"] {
            create.push((format!("Tags.Tag.{}.{part}", index + 1), text(tag, part).unwrap_or_default().to_owned()));
        }
    }
    let mut modify = vec![
        ("Action".to_owned(), "ModifyDBParameterGroup".to_owned()),
        ("DBParameterGroupName".to_owned(), name.clone()),
    ];
    let kept = texts(&set, "Parameter")
        .into_iter()
        .filter(|one| !all && !gone.contains(&text(one, "ParameterName").unwrap_or_default()));
    for (index, one) in kept.enumerate() {
        for part in ["ParameterName", "ParameterValue", "ApplyMethod"] {
            let value = text(one, part).unwrap_or_default().to_owned();
            modify.push((format!("Parameters.Parameter.{}.{part}", index + 1), value));
        }
    }
    query(&[("Action", "DeleteDBParameterGroup"), ("DBParameterGroupName", &name)]).await;
    for form in [create, modify] {
        let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        if form.len() > 2 {
            query(&form).await;
        }
    }
    Answer::query(&request.operation, NAMESPACE, &format!("<DBParameterGroupName>{name}</DBParameterGroupName>"))
}
