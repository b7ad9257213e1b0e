//! RDS, where moto has nothing or is wrong: the engine versions on offer, what RDS refuses, and how long things take.

mod engine_version;
mod instance;
mod lifecycle;
mod member;
mod parameter_group;
mod subnet_group;

use std::borrow::Cow;

use self::lifecycle::Lifecycle;
use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::turn::Turn;

/// RDS's API version.
const VERSION: &str = "2014-10-31";

const NAMESPACE: &str = "http://rds.amazonaws.com/doc/2014-10-31/";

/// Names that RDS keeps in lower case (botocore rds model: "stored as a lowercase string").
const LOWERCASE: &[&str] =
    &["DBInstanceIdentifier", "NewDBInstanceIdentifier", "DBSubnetGroupName", "FinalDBSnapshotIdentifier"];

/// What we keep of RDS ourselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    turn: Turn,
    lifecycle: Lifecycle,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.lifecycle.clear();
    }
}

/// Brings moto up to date with the deletions that are over. Whoever asks moto for instances calls it first.
pub(crate) async fn settle(proxy: &Proxy) {
    lifecycle::settle(proxy).await;
}

/// Answers a call to RDS.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let _turn = proxy.rds.turn.take(request).await;
    settle(proxy).await;
    let request = &*in_lowercase(request);
    if request.operation == "DescribeDBEngineVersions" {
        return engine_version::describe(request);
    }
    if let Err(refusal) = check(proxy, request).await {
        return refusal.answer(request);
    }
    let answer = match request.operation.as_str() {
        "CreateDBInstance" => instance::create(proxy, request).await,
        "DeleteDBInstance" => instance::delete(proxy, request).await,
        "ModifyDBSubnetGroup" => subnet_group::modify(proxy, request).await,
        "DescribeDBParameters" => parameter_group::describe(proxy, request).await,
        "ResetDBParameterGroup" => parameter_group::reset(proxy, request).await,
        _ => proxy.upstream.forward(request).await,
    };
    if !answer.status.is_success() {
        return answer;
    }
    match request.operation.as_str() {
        "CreateDBInstance" | "CreateDBInstanceReadReplica" | "RestoreDBInstanceFromDBSnapshot" => {
            lifecycle::created(proxy, request);
        }
        "ModifyDBInstance" => lifecycle::modified(proxy, request),
        _ => {}
    }
    lifecycle::show(proxy, request, answer)
}

async fn check(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    match request.operation.as_str() {
        "CreateDBInstance" => instance::check_creation(proxy, request).await,
        "ModifyDBInstance" => instance::check_change(proxy, request).await,
        "CreateDBSubnetGroup" => subnet_group::check_creation(proxy, request).await,
        "DeleteDBSubnetGroup" => subnet_group::check_unused(proxy, request).await,
        "ModifyDBParameterGroup" => parameter_group::check_change(request),
        "DeleteDBParameterGroup" => parameter_group::check_unused(proxy, request).await,
        _ => instance::check_state(proxy, request),
    }
}

/// The call with its names in lower case.
fn in_lowercase(request: &Request) -> Cow<'_, Request> {
    let mut lowered = Cow::Borrowed(request);
    for member in LOWERCASE {
        if let Some(name) = request.form_value(member)
            && name.bytes().any(|byte| byte.is_ascii_uppercase())
        {
            lowered = Cow::Owned(lowered.with_form_value(member, &name.to_ascii_lowercase()));
        }
    }
    lowered
}
