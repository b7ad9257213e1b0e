//! Tasks: their life, stage by stage.

use super::course::Course;
use super::facts::Subnet;
use super::log::Log;
use crate::clock::Scale;

/// Seconds from a task's start until its network interface is attached and a host is found.
pub(crate) const PROVISIONING: f64 = 10.0;
/// Seconds to fetch secrets and pull an image of a few hundred megabytes.
pub(crate) const PENDING: f64 = 15.0;
/// Seconds to register with a target group once the containers run.
pub(crate) const ACTIVATING: f64 = 5.0;
/// Seconds until a new target passes its first health check: half of the usual interval of 30 s, on average.
pub(crate) const HEALTH_CHECK: f64 = 15.0;
/// Seconds for which a container that heeds SIGTERM takes to end.
pub(crate) const STOPPING: f64 = 5.0;
/// Seconds until the network interface is detached and gone.
pub(crate) const DEPROVISIONING: f64 = 10.0;

/// Where a task is in its life (developer guide, "Task lifecycle").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Provisioning => "PROVISIONING",
            Stage::Pending => "PENDING",
            Stage::Activating => "ACTIVATING",
            Stage::Running => "RUNNING",
            Stage::Deactivating => "DEACTIVATING",
            Stage::Stopping => "STOPPING",
            Stage::Deprovisioning => "DEPROVISIONING",
            Stage::Stopped => "STOPPED",
        }
    }
}

/// One target group that a task registers with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) target_group: String,
    pub(crate) port: i64,
    /// Seconds for which it drains.
    pub(crate) deregistration_delay: f64,
}

/// A change outside ECS, which moto must learn of before the next answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// A task's address joins a target group.
    Register { target_group: String, address: String, port: i64 },
    /// A task's address leaves a target group.
    Deregister { target_group: String, address: String, port: i64 },
    /// A task gets its network interface; EC2 chooses the id.
    Attach { task: String },
    /// A task's network interface goes.
    Detach { task: String },
    /// A container writes.
    Log(Log),
}

/// Why a task stops.
#[derive(Clone, Debug)]
pub(crate) struct Reason {
    /// `TaskStopCode`: "ServiceSchedulerInitiated".
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// A task.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) arn: String,
    pub(crate) cluster: String,
    /// The ARN of the service that it belongs to.
    pub(crate) service: String,
    /// The id of the deployment that it belongs to.
    pub(crate) deployment: String,
    pub(crate) definition: String,
    pub(crate) group: String,
    pub(crate) stage: Stage,
    /// When the stage ends, if it ends by itself.
    pub(crate) due: Option<f64>,
    /// Running, and its targets pass their health checks.
    pub(crate) healthy: bool,
    /// Asked to stop, or failed.
    pub(crate) ending: bool,
    pub(crate) reason: Option<Reason>,
    pub(crate) targets: Vec<Target>,
    pub(crate) subnet: Subnet,
    /// Ids of its security groups.
    pub(crate) groups: Vec<String>,
    pub(crate) address: String,
    pub(crate) platform_version: String,
    pub(crate) execute_command: bool,
    pub(crate) capacity_provider: Option<String>,
    /// What is to become of its containers.
    pub(crate) course: Course,
    pub(crate) ids: TaskIds,
    pub(crate) times: Times,
    /// Counts its changes.
    pub(crate) version: i64,
}

/// Ids that a task is shown with.
#[derive(Clone, Debug)]
pub(crate) struct TaskIds {
    pub(crate) attachment: String,
    pub(crate) eni: String,
    pub(crate) container: String,
}

/// When a task came to what, in simulated seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) created: f64,
    pub(crate) pull_started: Option<f64>,
    pub(crate) pull_stopped: Option<f64>,
    pub(crate) started: Option<f64>,
    pub(crate) stopping: Option<f64>,
    pub(crate) execution_stopped: Option<f64>,
    pub(crate) stopped: Option<f64>,
}

impl Task {
    /// Whether the task counts for its service: it is coming up or running, and was not asked to stop.
    pub(crate) fn counts(&self) -> bool {
        !self.ending
    }

    /// Whether its last status is one of those before RUNNING.
    pub(crate) fn is_pending(&self) -> bool {
        self.stage < Stage::Running && !self.ending
    }

    /// Starts the end of this task. `effects` gets the targets that it leaves.
    pub(crate) fn stop(&mut self, at: f64, reason: Reason, scale: &Scale, effects: &mut Vec<Effect>) {
        if self.ending {
            return;
        }
        self.ending = true;
        self.healthy = false;
        self.reason = Some(reason);
        self.times.stopping = Some(at);
        let registered = self.stage == Stage::Running && !self.targets.is_empty();
        if registered && self.course.exit.is_some() {
            // Nothing is left to drain.
            effects.extend(self.effects(false));
            self.enter(Stage::Stopping, Some(at + scale.lasts(STOPPING)));
        } else if registered {
            let delay = self.targets.iter().map(|target| target.deregistration_delay).fold(0.0, f64::max);
            effects.extend(self.effects(false));
            self.enter(Stage::Deactivating, Some(at + scale.lasts(delay)));
        } else if self.stage == Stage::Running {
            self.enter(Stage::Stopping, Some(at + scale.lasts(STOPPING)));
        } else {
            self.enter(Stage::Deprovisioning, Some(at + scale.lasts(DEPROVISIONING)));
        }
    }

    /// Takes the task into the stage after the one that is due. A failure to start is returned.
    pub(crate) fn proceed(
        &mut self,
        at: f64,
        trouble: Option<Reason>,
        scale: &Scale,
        effects: &mut Vec<Effect>,
    ) -> Progress {
        let due = |seconds: f64| Some(at + scale.lasts(seconds));
        match self.stage {
            Stage::Provisioning => {
                self.times.pull_started = Some(at);
                self.enter(Stage::Pending, due(PENDING));
            }
            Stage::Pending => {
                if let Some(reason) = trouble {
                    self.times.execution_stopped = Some(at);
                    self.stop(at, reason, scale, effects);
                    return Progress::Failed;
                }
                self.times.pull_stopped = Some(at);
                let registers = !self.targets.is_empty();
                self.enter(Stage::Activating, due(if registers { ACTIVATING } else { 0.0 }));
            }
            Stage::Activating => {
                self.times.started = Some(at);
                effects.extend(self.effects(true));
                let due = self.begin(at, scale, effects);
                self.enter(Stage::Running, due);
                if !self.targets.is_empty() {
                    return Progress::Registered;
                }
            }
            Stage::Running => return self.decide(at, scale, effects),
            Stage::Deactivating => self.enter(Stage::Stopping, due(STOPPING)),
            Stage::Stopping => {
                self.times.execution_stopped.get_or_insert(at);
                self.enter(Stage::Deprovisioning, due(DEPROVISIONING));
            }
            Stage::Deprovisioning => {
                effects.push(Effect::Detach { task: self.arn.clone() });
                self.times.stopped = Some(at);
                self.enter(Stage::Stopped, None);
            }
            Stage::Stopped => self.due = None,
        }
        Progress::Going
    }

    fn enter(&mut self, stage: Stage, due: Option<f64>) {
        self.stage = stage;
        self.due = due;
        self.version += 1;
    }

    fn effects(&self, register: bool) -> Vec<Effect> {
        let effect = |target: &Target| {
            let (target_group, address, port) = (target.target_group.clone(), self.address.clone(), target.port);
            if register {
                Effect::Register { target_group, address, port }
            } else {
                Effect::Deregister { target_group, address, port }
            }
        };
        self.targets.iter().map(effect).collect()
    }
}

/// What came of a stage's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Going,
    Registered,
    Failed,
}
