//! The stages of a deployment that shifts traffic, one after the other.

use serde_json::{Value, json};

use super::Region;
use super::deployment::{DeploymentStatus, Rollout, ServiceDeployment};
use super::facts::Facts;
use super::hook::{Hook, HookStatus, hooks_at};
use super::rollback::Cause;
use super::service::{Service, Status};
use super::strategy::{Step, bake_time, steps};
use super::task::Stage;
use super::traffic::Weights;

/// Seconds that a stage without work of its own takes: the pace at which ECS looks at a deployment. AWS states none.
const PACE: f64 = 5.0;

/// `lifecycleStage` (developer guide, "Deployment lifecycle stages").
///
/// PRE_PRODUCTION_TRAFFIC_SHIFT is documented, but stands in no SDK's list of stages so far (botocore ecs model,
/// ServiceDeploymentLifecycleStage).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LifecycleStage {
    ReconcileService,
    PreScaleUp,
    ScaleUp,
    PostScaleUp,
    TestTrafficShift,
    PostTestTrafficShift,
    PreProductionTrafficShift,
    ProductionTrafficShift,
    PostProductionTrafficShift,
    BakeTime,
    CleanUp,
}

impl LifecycleStage {
    /// The stages that take hooks.
    pub(crate) const HOOKED: [LifecycleStage; 8] = [
        LifecycleStage::ReconcileService,
        LifecycleStage::PreScaleUp,
        LifecycleStage::PostScaleUp,
        LifecycleStage::TestTrafficShift,
        LifecycleStage::PostTestTrafficShift,
        LifecycleStage::PreProductionTrafficShift,
        LifecycleStage::ProductionTrafficShift,
        LifecycleStage::PostProductionTrafficShift,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            LifecycleStage::ReconcileService => "RECONCILE_SERVICE",
            LifecycleStage::PreScaleUp => "PRE_SCALE_UP",
            LifecycleStage::ScaleUp => "SCALE_UP",
            LifecycleStage::PostScaleUp => "POST_SCALE_UP",
            LifecycleStage::TestTrafficShift => "TEST_TRAFFIC_SHIFT",
            LifecycleStage::PostTestTrafficShift => "POST_TEST_TRAFFIC_SHIFT",
            LifecycleStage::PreProductionTrafficShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            LifecycleStage::ProductionTrafficShift => "PRODUCTION_TRAFFIC_SHIFT",
            LifecycleStage::PostProductionTrafficShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            LifecycleStage::BakeTime => "BAKE_TIME",
            LifecycleStage::CleanUp => "CLEAN_UP",
        }
    }

    /// The stage after this one; where `more` traffic is still to be shifted, the shift's stages come again.
    fn next(self, more: bool) -> LifecycleStage {
        match self {
            LifecycleStage::ReconcileService => LifecycleStage::PreScaleUp,
            LifecycleStage::PreScaleUp => LifecycleStage::ScaleUp,
            LifecycleStage::ScaleUp => LifecycleStage::PostScaleUp,
            LifecycleStage::PostScaleUp => LifecycleStage::TestTrafficShift,
            LifecycleStage::TestTrafficShift => LifecycleStage::PostTestTrafficShift,
            LifecycleStage::PostTestTrafficShift => LifecycleStage::PreProductionTrafficShift,
            LifecycleStage::PreProductionTrafficShift => LifecycleStage::ProductionTrafficShift,
            LifecycleStage::ProductionTrafficShift if more => LifecycleStage::PreProductionTrafficShift,
            LifecycleStage::ProductionTrafficShift => LifecycleStage::PostProductionTrafficShift,
            LifecycleStage::PostProductionTrafficShift => LifecycleStage::BakeTime,
            LifecycleStage::BakeTime | LifecycleStage::CleanUp => LifecycleStage::CleanUp,
        }
    }
}

/// How far a deployment that shifts traffic has come.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle {
    pub(crate) stage: LifecycleStage,
    /// When the stage's own time is over; its hooks and its tasks may take longer.
    due: f64,
    pub(crate) hooks: Vec<Hook>,
    steps: Vec<Step>,
    /// How many of the steps were taken.
    taken: usize,
    /// The new revision's share of production and test traffic, in percent.
    pub(crate) production: f64,
    pub(crate) test: f64,
    /// Each rule's weights before the deployment: what a rollback goes back to.
    pub(crate) before: Vec<(String, Weights)>,
}

impl Lifecycle {
    /// The lifecycle of a deployment that has not begun.
    pub(crate) fn new(configuration: &Value, at: f64) -> Lifecycle {
        Lifecycle {
            stage: LifecycleStage::PreScaleUp,
            due: at,
            hooks: Vec::new(),
            steps: steps(configuration),
            taken: 0,
            production: 0.0,
            test: 0.0,
            before: Vec::new(),
        }
    }

    /// When the first of the hooks expires that nobody has answered yet.
    fn waits(&self) -> Option<f64> {
        let open = self.hooks.iter().filter(|hook| hook.status == HookStatus::AwaitingAction);
        open.map(|hook| hook.expires).reduce(f64::min)
    }
}

impl ServiceDeployment {
    /// The lifecycle, as long as it runs and both revisions have their tasks.
    fn shifting(&self) -> Option<&Lifecycle> {
        let runs = matches!(
            self.status,
            DeploymentStatus::InProgress | DeploymentStatus::Pending | DeploymentStatus::RollbackRequested
        );
        self.lifecycle.as_ref().filter(|lifecycle| runs && lifecycle.stage < LifecycleStage::CleanUp)
    }
}

impl Service {
    /// Whether the service is in the midst of shifting traffic between revisions.
    pub(crate) fn is_shifting(&self) -> bool {
        self.status == Status::Active && self.in_flight().is_some_and(|deployment| deployment.shifting().is_some())
    }

    /// How many tasks a deployment of it is to have.
    pub(crate) fn requested(&self, position: usize) -> i64 {
        let Some(lifecycle) = self.in_flight().and_then(ServiceDeployment::shifting) else {
            return if position == 0 { self.wanted() } else { 0 };
        };
        let scaled = position == 0 && lifecycle.stage > LifecycleStage::PreScaleUp;
        if scaled || self.source() == Some(position) { self.wanted() } else { 0 }
    }

    /// Where the deployment is that a rollback would go back to, if it still has its tasks.
    pub(crate) fn source(&self) -> Option<usize> {
        let (completed, _) = self.completed.as_ref()?;
        self.deployments.iter().position(|deployment| deployment.id == *completed).filter(|position| *position > 0)
    }
}

impl Region {
    /// Takes a deployment that shifts traffic as far as it comes now.
    pub(crate) fn proceed_lifecycle(&mut self, index: usize, facts: &Facts) {
        loop {
            self.keep_tasks(index);
            // What was asked to stop goes no further.
            let service = &self.services[index];
            let Some(deployment) = service.in_flight() else { return };
            if deployment.status != DeploymentStatus::InProgress || self.watch_alarms(index, facts) {
                return;
            }
            if self.expire_hooks(index) || !self.is_stage_over(index) {
                return;
            }
            let Some(lifecycle) = self.services[index].in_flight().and_then(|deployment| deployment.lifecycle.as_ref())
            else {
                return;
            };
            let next = lifecycle.stage.next(lifecycle.taken < lifecycle.steps.len());
            self.enter_stage(index, next);
            if next == LifecycleStage::CleanUp {
                return;
            }
        }
    }

    /// Brings a deployment into a stage.
    pub(crate) fn enter_stage(&mut self, index: usize, stage: LifecycleStage) {
        let (at, scale) = (self.now, self.scale);
        let service = &mut self.services[index];
        let Some(deployment) = service.under_way() else { return };
        let configured: Vec<Value> = hooks_at(&deployment.configuration, stage).into_iter().cloned().collect();
        let hooks: Vec<Hook> = configured.iter().map(|hook| Hook::start(hook, &self.ids.secret(), at)).collect();
        let bake = bake_time(&deployment.configuration);
        deployment.updated = at;
        let Some(lifecycle) = &mut deployment.lifecycle else { return };
        lifecycle.stage = stage;
        lifecycle.hooks.extend(hooks);
        let mut lasts = PACE;
        match stage {
            LifecycleStage::ProductionTrafficShift => {
                if let Some(step) = lifecycle.steps.get(lifecycle.taken) {
                    lasts += step.bake;
                    lifecycle.production = step.percent;
                    lifecycle.taken += 1;
                }
            }
            LifecycleStage::TestTrafficShift => lifecycle.test = 100.0,
            LifecycleStage::BakeTime => lasts = bake,
            LifecycleStage::ReconcileService
            | LifecycleStage::PreScaleUp
            | LifecycleStage::ScaleUp
            | LifecycleStage::PostScaleUp
            | LifecycleStage::PostTestTrafficShift
            | LifecycleStage::PreProductionTrafficShift
            | LifecycleStage::PostProductionTrafficShift
            | LifecycleStage::CleanUp => {}
        }
        lifecycle.due = at + scale.lasts(lasts);
        service.wake_at(at + scale.lasts(lasts));
        match stage {
            LifecycleStage::ReconcileService => self.return_traffic(index),
            LifecycleStage::TestTrafficShift => self.shift_test(index),
            LifecycleStage::ProductionTrafficShift => self.shift_production(index),
            LifecycleStage::PreScaleUp
            | LifecycleStage::ScaleUp
            | LifecycleStage::PostScaleUp
            | LifecycleStage::PostTestTrafficShift
            | LifecycleStage::PreProductionTrafficShift
            | LifecycleStage::PostProductionTrafficShift
            | LifecycleStage::BakeTime
            | LifecycleStage::CleanUp => {}
        }
        self.read_scripts(index, stage.name());
    }

    /// Does what the hooks say whose time is over. Returns whether that was the end of the deployment.
    fn expire_hooks(&mut self, index: usize) -> bool {
        let at = self.now;
        let Some(lifecycle) = self.services[index].under_way().and_then(|deployment| deployment.lifecycle.as_mut())
        else {
            return false;
        };
        let stage = lifecycle.stage;
        let mut fails = false;
        for hook in lifecycle.hooks.iter_mut().filter(|hook| hook.status == HookStatus::AwaitingAction) {
            if hook.expires <= at {
                hook.status = HookStatus::TimedOut;
                fails |= !hook.continues;
            }
        }
        if fails {
            self.fail_deployment(index, &Cause::HookTimedOut(stage));
        }
        fails
    }

    /// Whether nothing keeps a deployment in its stage; else the service looks again when that may have changed.
    fn is_stage_over(&mut self, index: usize) -> bool {
        let at = self.now;
        let service = &mut self.services[index];
        let Some(lifecycle) = service.in_flight().and_then(|deployment| deployment.lifecycle.as_ref()) else {
            return false;
        };
        let (stage, due, expires) = (lifecycle.stage, lifecycle.due, lifecycle.waits());
        if due > at {
            service.wake_at(due);
            return false;
        }
        if let Some(expires) = expires {
            service.wake_at(expires);
            return false;
        }
        // The ends of tasks wake their service.
        match stage {
            LifecycleStage::ReconcileService => {
                let kept = service.source();
                let left = |position: usize, id: &str| {
                    position > 0
                        && Some(position) != kept
                        && self.tasks.iter().any(|task| task.deployment == id && task.stage < Stage::Stopping)
                };
                let ids = service.deployments.iter().map(|deployment| deployment.id.as_str()).enumerate();
                let gone: Vec<bool> = ids.map(|(position, id)| !left(position, id)).collect();
                let over = gone.iter().all(|gone| *gone);
                if over {
                    let mut position = 0;
                    service.deployments.retain(|_| {
                        position += 1;
                        position == 1 || Some(position - 1) == kept
                    });
                }
                over
            }
            LifecycleStage::ScaleUp => self.healthy(index, 0) >= self.services[index].wanted(),
            LifecycleStage::PreScaleUp
            | LifecycleStage::PostScaleUp
            | LifecycleStage::TestTrafficShift
            | LifecycleStage::PostTestTrafficShift
            | LifecycleStage::PreProductionTrafficShift
            | LifecycleStage::ProductionTrafficShift
            | LifecycleStage::PostProductionTrafficShift
            | LifecycleStage::BakeTime
            | LifecycleStage::CleanUp => true,
        }
    }

    /// How many tasks of a deployment serve.
    pub(crate) fn healthy(&self, index: usize, position: usize) -> i64 {
        let service = &self.services[index];
        let Some(deployment) = service.deployments.get(position) else { return 0 };
        let serves = |task: &&super::task::Task| {
            task.service == service.arn && task.deployment == deployment.id && task.healthy && task.counts()
        };
        i64::try_from(self.tasks.iter().filter(serves).count()).unwrap_or(i64::MAX)
    }

    /// Keeps every deployment at the count that its stage asks for.
    fn keep_tasks(&mut self, index: usize) {
        for position in 0..self.services[index].deployments.len() {
            let service = &self.services[index];
            let (requested, id) = (service.requested(position), service.deployments[position].id.clone());
            let mine = |task: &super::task::Task| task.service == service.arn && task.deployment == id && task.counts();
            let mut tasks: Vec<(usize, bool)> = self
                .tasks
                .iter()
                .enumerate()
                .filter(|(_, task)| mine(task))
                .map(|(position, task)| (position, task.healthy))
                .collect();
            let missing = requested - i64::try_from(tasks.len()).unwrap_or(i64::MAX);
            if missing > 0 && service.deployments[position].rollout != Rollout::Failed {
                self.start_tasks(index, position, missing);
            }
            // Those that are not up yet go first, then the newest.
            tasks.sort_by_key(|&(position, healthy)| (healthy, std::cmp::Reverse(position)));
            let surplus: Vec<usize> =
                tasks.iter().take(usize::try_from(-missing).unwrap_or(0)).map(|&(position, _)| position).collect();
            self.stop_tasks(index, &surplus);
        }
    }
}

/// The hooks of a deployment, as DescribeServiceDeployments shows them.
pub(crate) fn show_hooks(lifecycle: &Lifecycle, scale: &crate::clock::Scale) -> Value {
    json!(lifecycle.hooks.iter().map(|hook| hook.show(scale)).collect::<Vec<_>>())
}
