//! Lifecycle hooks: where a deployment waits for somebody's word.

use serde_json::{Value, json};

use super::Region;
use super::error::{Stop, invalid_parameter, service_deployment_not_found};
use super::json::{list, number, text, texts};
use super::lifecycle::LifecycleStage;
use super::rollback::Cause;
use crate::clock::Scale;

/// Minutes for which a pause lasts at most where its hook does not say, and at the very most (botocore ecs model,
/// DeploymentLifecycleHookTimeoutConfiguration and -Duration).
const USUAL_TIMEOUT: i64 = 1440;
const LONGEST_TIMEOUT: i64 = 20160;

/// Hooks of one kind that a service may have (developer guide, "Pause hooks", Constraints).
const MOST: usize = 10;

/// `status` of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookStatus {
    AwaitingAction,
    Succeeded,
    Failed,
    TimedOut,
}

impl HookStatus {
    fn name(self) -> &'static str {
        match self {
            HookStatus::AwaitingAction => "AWAITING_ACTION",
            HookStatus::Succeeded => "SUCCEEDED",
            HookStatus::Failed => "FAILED",
            HookStatus::TimedOut => "TIMED_OUT",
        }
    }
}

/// A hook at work: each stage, and each step of a shift, makes its own.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) id: String,
    /// The function of an AWS_LAMBDA hook; a PAUSE hook has none.
    target: Option<String>,
    pub(crate) status: HookStatus,
    pub(crate) expires: f64,
    pub(crate) continues: bool,
}

impl Hook {
    /// Starts a configured hook. There are no functions here: an AWS_LAMBDA hook has succeeded at once.
    pub(crate) fn start(configured: &Value, id: &str, at: f64) -> Hook {
        let timeout = &configured["timeoutConfiguration"];
        let minutes = number(timeout, "timeoutInMinutes").unwrap_or(USUAL_TIMEOUT);
        let pause = is_pause(configured);
        Hook {
            id: format!("ecs-{}-{id}", if pause { "pause" } else { "lambda" }),
            target: text(configured, "hookTargetArn").map(str::to_owned).filter(|_| !pause),
            status: if pause { HookStatus::AwaitingAction } else { HookStatus::Succeeded },
            // A person's time: it passes at speed 0 as well.
            expires: at + minutes as f64 * 60.0,
            continues: text(timeout, "action") == Some("CONTINUE"),
        }
    }

    pub(crate) fn show(&self, scale: &Scale) -> Value {
        let mut shown = json!({
            "hookId": self.id,
            "targetType": if self.target.is_some() { "AWS_LAMBDA" } else { "PAUSE" },
            "status": self.status.name(),
            "expiresAt": scale.wall(self.expires),
            "timeoutAction": if self.continues { "CONTINUE" } else { "ROLLBACK" },
        });
        if let Some(target) = &self.target {
            shown["targetArn"] = json!(target);
        }
        shown
    }
}

/// The configured hooks of a stage.
pub(crate) fn hooks_at(configuration: &Value, stage: LifecycleStage) -> Vec<&Value> {
    list(configuration, "lifecycleHooks")
        .iter()
        .filter(|hook| texts(hook, "lifecycleStages").contains(&stage.name()))
        .collect()
}

fn is_pause(hook: &Value) -> bool {
    text(hook, "targetType") == Some("PAUSE")
}

/// Refuses hooks as ECS does (developer guide, "Troubleshooting blue/green deployments", Lifecycle hook issues).
pub(crate) fn check_hooks(configuration: &Value) -> Result<(), Stop> {
    let hooks = list(configuration, "lifecycleHooks");
    for hook in hooks {
        if !matches!(text(hook, "targetType"), None | Some("AWS_LAMBDA" | "PAUSE")) {
            return Err(invalid_parameter("Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE"));
        }
        let stages = texts(hook, "lifecycleStages");
        if stages.is_empty() {
            return Err(invalid_parameter("lifecycleStages must be specified for a deployment lifecycle hook."));
        }
        for stage in stages {
            if !LifecycleStage::HOOKED.iter().any(|hooked| hooked.name() == stage) {
                return Err(invalid_parameter(format!("Invalid lifecycle stage provided for hook: {stage}")));
            }
            if is_pause(hook) && matches!(stage, "TEST_TRAFFIC_SHIFT" | "PRODUCTION_TRAFFIC_SHIFT") {
                return Err(invalid_parameter("Invalid lifecycle stage provided for Pause Hook"));
            }
        }
        if !is_pause(hook) && (text(hook, "hookTargetArn").is_none() || text(hook, "roleArn").is_none()) {
            return Err(invalid_parameter("hookTargetArn and roleArn must be specified for an AWS_LAMBDA hook."));
        }
        if is_pause(hook) && (text(hook, "hookTargetArn").is_some() || text(hook, "roleArn").is_some()) {
            return Err(invalid_parameter("hookTargetArn and roleArn are not applicable for PAUSE hooks."));
        }
        let timeout = &hook["timeoutConfiguration"];
        if number(timeout, "timeoutInMinutes").is_some_and(|minutes| !(1..=LONGEST_TIMEOUT).contains(&minutes)) {
            return Err(invalid_parameter(format!("timeoutInMinutes must be between 1 and {LONGEST_TIMEOUT}.")));
        }
        if !matches!(text(timeout, "action"), None | Some("CONTINUE" | "ROLLBACK")) {
            return Err(invalid_parameter("Invalid timeout action. Valid values are: CONTINUE, ROLLBACK"));
        }
    }
    let pauses = hooks.iter().filter(|hook| is_pause(hook)).count();
    if pauses > MOST || hooks.len() - pauses > MOST {
        return Err(invalid_parameter(format!(
            "A service can have at most {MOST} lifecycle hooks of each targetType."
        )));
    }
    Ok(())
}

impl Region {
    /// ContinueServiceDeployment. The refusals' words are those of the developer guide.
    pub(crate) fn continue_service_deployment(&mut self, request: &Value) -> Result<Value, Stop> {
        let arn = text(request, "serviceDeploymentArn").unwrap_or_default();
        let id = text(request, "hookId").unwrap_or_default();
        let rolls_back = match text(request, "action") {
            None | Some("CONTINUE") => false,
            Some("ROLLBACK") => true,
            Some(_) => return Err(invalid_parameter("Invalid action. Valid values are: CONTINUE, ROLLBACK")),
        };
        let now = self.now;
        let Some((index, deployment)) = self.find_service_deployment(arn) else {
            return Err(service_deployment_not_found());
        };
        if deployment.status.ended() {
            return Err(invalid_parameter(
                "Continuing a service deployment is not allowed for service deployment in terminal states.",
            ));
        }
        if !id.starts_with("ecs-pause-") && !id.starts_with("ecs-lambda-") {
            return Err(invalid_parameter("Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}"));
        }
        let stage = deployment.lifecycle.as_ref().map(|lifecycle| lifecycle.stage);
        let waiting = |hook: &&mut Hook| hook.id == id && hook.status == HookStatus::AwaitingAction;
        let hook = deployment.lifecycle.as_mut().and_then(|lifecycle| lifecycle.hooks.iter_mut().find(waiting));
        let (Some(hook), Some(stage)) = (hook, stage) else {
            return Err(invalid_parameter(
                "Provided hookId is either completed, unavailable, or not associated with the given Resource ARN",
            ));
        };
        hook.status = if rolls_back { HookStatus::Failed } else { HookStatus::Succeeded };
        deployment.updated = now;
        let answer = json!({"serviceDeploymentArn": arn});
        if rolls_back {
            self.fail_deployment(index, &Cause::HookFailed(stage));
        }
        self.services[index].wake_at(now);
        Ok(answer)
    }
}
