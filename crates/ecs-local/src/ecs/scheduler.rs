//! Time: takes tasks from stage to stage, and services towards what is wanted of them.

use std::collections::BTreeMap;

use super::Region;
use super::course::Course;
use super::deployment::{DeploymentStatus, Rollout, ServiceDeployment};
use super::error::Stop;
use super::facts::{Fact, Facts, Question};
use super::launch::{digests, needs};
use super::lifecycle::LifecycleStage;
use super::rollback::Cause;
use super::service::Status;
use super::task::{Effect, PROVISIONING, Progress, Reason, Stage, Task, TaskIds, Times};

/// Failures in a row after which ECS starts tasks ever more slowly.
const PATIENT: i64 = 3;
/// Seconds of the first wait; each is twice the one before. These pass at speed 0 as well, or there would be no end.
pub(crate) const FIRST_WAIT: f64 = 10.0;
/// Seconds of the longest wait (developer guide, "Service throttle logic": 27 minutes at most; here the older 15).
const LONGEST_WAIT: f64 = 900.0;

impl Region {
    /// Lets time pass until `now`, event by event.
    ///
    /// # Errors
    /// What must be known first; time then stands before the event that needs it, and the call can be repeated.
    pub(crate) fn advance(&mut self, now: f64, facts: &Facts) -> Result<(), Stop> {
        while let Some(at) = self.next_event(now) {
            facts.require(self.questions(at))?;
            self.now = self.now.max(at);
            self.learn_delays(facts);
            self.proceed_tasks(facts);
            for index in 0..self.services.len() {
                self.schedule(index, facts);
            }
        }
        self.now = self.now.max(now);
        self.forget_tasks();
        self.forget_services();
        self.forget_clusters();
        Ok(())
    }

    /// Whether nothing happens until `now`.
    pub(crate) fn is_quiet(&self, now: f64) -> bool {
        self.next_event(now).is_none()
    }

    /// When something happens next, if that is not after `now`.
    fn next_event(&self, now: f64) -> Option<f64> {
        let tasks = self.tasks.iter().filter_map(|task| task.due);
        let services = self.services.iter().filter_map(|service| service.wake);
        tasks.chain(services).filter(|&at| at <= now).reduce(f64::min)
    }

    /// What must be known for the events at a time.
    fn questions(&self, at: f64) -> Vec<Question> {
        let mut questions = Vec::new();
        for task in self.tasks.iter().filter(|task| task.due.is_some_and(|due| due <= at)) {
            if task.stage == Stage::Pending {
                let definition = self.task_definition(&task.definition);
                questions.extend(definition.into_iter().flat_map(|definition| needs(definition, &self.name)));
            }
        }
        // A task that may be stopped now drains for as long as its target group says now.
        for service in &self.services {
            let active = self.tasks.iter().filter(|task| task.service == service.arn && task.counts()).count();
            let shrinks = service.deployments.len() > 1 || i64::try_from(active).unwrap_or(i64::MAX) > service.wanted();
            if shrinks && active > 0 {
                questions.extend(service.target_groups().into_iter().map(Question::TargetGroup));
            }
        }
        questions.extend(self.traffic_questions());
        questions.extend(self.alarm_questions());
        questions
    }

    fn learn_delays(&mut self, facts: &Facts) {
        for target in self.tasks.iter_mut().filter(|task| task.counts()).flat_map(|task| &mut task.targets) {
            if let Some(Fact::TargetGroup { deregistration_delay, .. }) =
                facts.get(&Question::TargetGroup(target.target_group.clone()))
            {
                target.deregistration_delay = deregistration_delay;
            }
        }
    }

    /// Takes every task that is due into its next stage.
    fn proceed_tasks(&mut self, facts: &Facts) {
        let (at, scale) = (self.now, self.scale);
        let mut registered: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut failed: Vec<(String, String, Reason)> = Vec::new();
        for index in 0..self.tasks.len() {
            if self.tasks[index].due.is_none_or(|due| due > at) {
                continue;
            }
            let trouble = self.trouble(&self.tasks[index], facts);
            if self.tasks[index].stage == Stage::Pending && trouble.is_none() {
                self.resolve_images(index, facts);
            }
            let task = &mut self.tasks[index];
            match task.proceed(at, trouble, &scale, &mut self.effects) {
                Progress::Going => {}
                Progress::Registered => {
                    for target in &task.targets {
                        *registered.entry((task.service.clone(), target.target_group.clone())).or_default() += 1;
                    }
                }
                Progress::Failed => {
                    let reason =
                        task.reason.clone().unwrap_or(Reason { code: "TaskFailedToStart", text: String::new() });
                    failed.push((task.service.clone(), task.deployment.clone(), reason));
                }
            }
            let (service, healthy) = (task.service.clone(), task.healthy.then(|| task.deployment.clone()));
            if let Some(service) = self.services.iter_mut().find(|candidate| candidate.arn == service) {
                service.wake_at(at);
                // A healthy task ends a row of failures, of the breaker's count as well ("resetOnHealthyTask").
                let resets =
                    service.configuration["deploymentCircuitBreaker"]["resetOnHealthyTask"] != serde_json::json!(false);
                let deployment =
                    service.deployments.iter_mut().find(|deployment| Some(&deployment.id) == healthy.as_ref());
                if let Some(deployment) = deployment {
                    deployment.failed_in_a_row = 0;
                    if resets {
                        deployment.failed = 0;
                    }
                }
            }
        }
        for ((service, target_group), count) in registered {
            self.say(&service, &format!("registered {count} targets in (target-group {target_group})"));
        }
        self.tell_events();
        for (service, deployment, reason) in failed {
            self.task_failed(&service, &deployment, &reason);
        }
    }

    /// Notes which images a task pulled. All tasks of a service's deployment run those of its first.
    fn resolve_images(&mut self, index: usize, facts: &Facts) {
        let task = &self.tasks[index];
        let content = self.task_definition(&task.definition).map(|definition| &definition.content);
        let mut found = content.map(|content| digests(content, &self.name, facts)).unwrap_or_default();
        let service = self.services.iter_mut().find(|service| service.arn == task.service);
        if let Some(service) = service {
            let deployment = service.deployments.iter().find(|deployment| deployment.id == task.deployment);
            let arn = deployment.map_or("", |deployment| deployment.revision.as_str());
            let revision = service.revisions.iter_mut().find(|revision| revision.arn == arn);
            match revision {
                Some(revision) if revision.digests.is_empty() => revision.digests.clone_from(&found),
                Some(revision) => found.clone_from(&revision.digests),
                None => {}
            }
        }
        self.tasks[index].course.digests = found;
    }

    /// Counts a task that did not start, and gives up where the circuit breaker says so.
    pub(crate) fn task_failed(&mut self, arn: &str, id: &str, reason: &Reason) {
        let at = self.now;
        if reason.text.starts_with("ECS was unable to assume the role") {
            self.say(arn, &format!("failed to launch a task with (error {}).", reason.text.trim_end_matches('.')));
        }
        let Some(index) = self.services.iter().position(|service| service.arn == arn) else { return };
        let service = &mut self.services[index];
        let breaker = service.breaker();
        let Some(position) = service.deployments.iter().position(|deployment| deployment.id == id) else { return };
        let deployment = &mut service.deployments[position];
        deployment.failed += 1;
        deployment.failed_in_a_row += 1;
        deployment.updated = at;
        let (failed, in_a_row, primary) = (deployment.failed, deployment.failed_in_a_row, position == 0);
        let watched = breaker && primary && deployment.rollout == Rollout::InProgress;
        let mut limit = None;
        if let Some(under_way) = service.under_way().filter(|_| watched) {
            under_way.failures = failed;
            under_way.updated = at;
            limit = Some(under_way.threshold);
        }
        let patient = limit.unwrap_or(PATIENT);
        let mut tired = false;
        if in_a_row >= patient {
            let doublings = i32::try_from(in_a_row - patient).unwrap_or(i32::MAX).min(10);
            service.deployments[position].not_before = at + (FIRST_WAIT * 2f64.powi(doublings)).min(LONGEST_WAIT);
            tired = in_a_row == patient && limit.is_none();
        }
        if tired {
            self.say(arn, "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.");
        }
        if limit.is_some_and(|limit| failed >= limit) {
            self.fail_deployment(index, &Cause::Breaker);
        }
    }

    /// Takes one service a step towards what is wanted of it.
    fn schedule(&mut self, index: usize, facts: &Facts) {
        let at = self.now;
        let service = &mut self.services[index];
        if service.wake.is_none_or(|wake| wake > at) {
            return;
        }
        service.wake = None;
        if service.status == Status::Inactive || service.deployments.is_empty() {
            return;
        }
        if service.in_flight().is_some_and(|deployment| deployment.status == DeploymentStatus::Pending) {
            self.begin(index, facts);
        }
        self.heed_request(index);
        if self.services[index].is_shifting() {
            self.proceed_lifecycle(index, facts);
        } else if self.services[index].in_flight().is_some_and(|deployment| deployment.lifecycle.is_none()) {
            self.watch_alarms(index, facts);
        }
        // A deployment that shifts traffic has come to its cleaning up, or has failed, or there is none.
        if !self.services[index].is_shifting() {
            self.return_traffic_when_served(index);
            self.stop_surplus(index);
            self.start_missing(index);
            self.settle(index);
        }
        if self.services[index].in_flight().is_none() {
            self.end_scripts(index);
        }
    }

    /// Begins a service deployment: looks at its alarms, and at its rules where it is to shift traffic.
    fn begin(&mut self, index: usize, facts: &Facts) {
        let at = self.now;
        self.begin_watch(index, facts);
        let service = &mut self.services[index];
        let Some(deployment) = service.under_way() else { return };
        let staged = deployment.lifecycle.is_some();
        let ready = if staged { self.begin_traffic(index, facts) } else { Ok(()) };
        let service = &mut self.services[index];
        let leftover = match service.source() {
            Some(_) => service.deployments.len() > 2,
            None => service.deployments.len() > 1,
        };
        if let Some(deployment) = service.under_way() {
            deployment.status = DeploymentStatus::InProgress;
            deployment.started = Some(at);
            deployment.updated = at;
        }
        match ready {
            Ok(()) if !staged => self.read_scripts(index, LifecycleStage::ScaleUp.name()),
            Ok(()) if leftover => self.enter_stage(index, LifecycleStage::ReconcileService),
            Ok(()) => self.enter_stage(index, LifecycleStage::PreScaleUp),
            Err(why) => self.fail_deployment(index, &Cause::Network(why)),
        }
    }

    /// Stops tasks that are too many, or of an old deployment, as far as the minimum of healthy tasks allows.
    fn stop_surplus(&mut self, index: usize) {
        let service = &self.services[index];
        let wanted = service.wanted();
        let (least, most) = service.percents();
        // Rounded as the API reference says: the minimum up, the maximum down.
        let lower = (wanted * least + 99) / 100;
        let upper = wanted * most / 100;
        let primary = service.deployments[0].id.clone();
        let stalled = service.deployments[0].rollout == Rollout::Failed;
        let arn = service.arn.clone();
        let mine = |task: &Task| task.service == arn && task.counts();
        let tasks: Vec<(usize, bool, bool)> = self
            .tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| mine(task))
            .map(|(position, task)| (position, task.deployment == primary, task.healthy))
            .collect();
        let count = |wanted: fn(&(usize, bool, bool)) -> bool| {
            i64::try_from(tasks.iter().filter(|task| wanted(task)).count()).unwrap_or(i64::MAX)
        };
        let (new, new_healthy) = (count(|&(_, new, _)| new), count(|&(_, new, healthy)| new && healthy));
        let (old, old_healthy) = (count(|&(_, new, _)| !new), count(|&(_, new, healthy)| !new && healthy));
        let mut surplus: Vec<usize> = Vec::new();
        // Too many of the new: those that are not up yet go first, then the newest.
        let mut news: Vec<_> = tasks.iter().filter(|&&(_, new, _)| new).collect();
        news.sort_by_key(|&&(position, _, healthy)| (healthy, std::cmp::Reverse(position)));
        surplus.extend(news.iter().take(usize::try_from(new - wanted).unwrap_or(0)).map(|&&(position, ..)| position));
        // Of the old, what does not serve anyway, unless the new is given up and nothing replaces it.
        if !stalled {
            surplus.extend(tasks.iter().filter(|&&(_, new, healthy)| !new && !healthy).map(|&(position, ..)| position));
            let replaced = old_healthy - (wanted - new_healthy).max(0);
            let room = (wanted - new) - (upper - new - old);
            let allowed = new_healthy.min(wanted) + old_healthy - lower;
            let stops = replaced.max(room).min(allowed).clamp(0, old_healthy);
            let healthy = tasks.iter().filter(|&&(_, new, healthy)| !new && healthy);
            surplus.extend(healthy.take(usize::try_from(stops).unwrap_or(0)).map(|&(position, ..)| position));
        }
        self.stop_tasks(index, &surplus);
    }

    /// Stops tasks of a service, and says so.
    pub(crate) fn stop_tasks(&mut self, index: usize, positions: &[usize]) {
        if positions.is_empty() {
            return;
        }
        let (at, scale, arn) = (self.now, self.scale, self.services[index].arn.clone());
        let text = |task: &Task| format!("Scaling activity initiated by (deployment {})", task.deployment);
        let mut names = String::new();
        let mut drained: BTreeMap<String, usize> = BTreeMap::new();
        let mut running = 0;
        for &position in positions {
            let task = &mut self.tasks[position];
            let reason = Reason { code: "ServiceSchedulerInitiated", text: text(task) };
            if task.stage == Stage::Running {
                for target in &task.targets {
                    *drained.entry(target.target_group.clone()).or_default() += 1;
                }
            }
            running += 1;
            names.push_str(&format!(" (task {})", super::json::last_part(&task.arn)));
            task.stop(at, reason, &scale, &mut self.effects);
        }
        self.say(&arn, &format!("has stopped {running} running tasks:{names}."));
        let draining: usize = drained.values().sum();
        if draining > 0 {
            self.say(&arn, &format!("has begun draining connections on {draining} tasks."));
        }
        for (target_group, count) in drained {
            self.say(&arn, &format!("deregistered {count} targets in (target-group {target_group})"));
        }
        self.services[index].steady = false;
    }

    /// Starts tasks of the primary deployment, as far as the maximum allows.
    fn start_missing(&mut self, index: usize) {
        let service = &self.services[index];
        let (_, most) = service.percents();
        let wanted = service.wanted();
        let primary = &service.deployments[0];
        let active = |deployment: Option<&str>| {
            let mine = self.tasks.iter().filter(|task| task.service == service.arn && task.counts());
            i64::try_from(mine.filter(|task| deployment.is_none_or(|id| task.deployment == id)).count())
                .unwrap_or(i64::MAX)
        };
        let missing = wanted - active(Some(&primary.id));
        let room = wanted * most / 100 - active(None);
        let starts = missing.min(room).max(0);
        if starts > 0 && primary.rollout != Rollout::Failed {
            self.start_tasks(index, 0, starts);
        }
    }

    /// Starts tasks of a deployment, unless it has failed so often that it must wait.
    pub(crate) fn start_tasks(&mut self, index: usize, position: usize, starts: i64) {
        let at = self.now;
        let service = &mut self.services[index];
        service.steady = false;
        let not_before = service.deployments[position].not_before;
        if not_before > at {
            service.wake_at(not_before);
            return;
        }
        let arn = service.arn.clone();
        if !service.on_fargate() {
            self.say(
                &arn,
                "was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were \
                 found in your cluster. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.",
            );
            return;
        }
        let starts = self.place(index, position, starts);
        if starts == 0 {
            return;
        }
        let names: String = (0..starts).map(|_| format!(" (task {})", self.start_task(index, position))).collect();
        self.say(&arn, &format!("has started {starts} tasks:{names}."));
    }

    /// Starts a task of one of a service's deployments; returns its id.
    fn start_task(&mut self, index: usize, position: usize) -> String {
        let at = self.now;
        let id = self.ids.hex();
        let ids = TaskIds { attachment: self.ids.uuid(), eni: self.ids.eni(), container: self.ids.uuid() };
        let service = &self.services[index];
        let subnets = &service.placement.subnets;
        // Spread over the subnets: the one with the fewest tasks of this service.
        let used = |subnet: &str| {
            self.tasks
                .iter()
                .filter(|task| task.service == service.arn && task.counts() && task.subnet.id == subnet)
                .count()
        };
        let Some(subnet) = subnets.iter().min_by_key(|subnet| used(&subnet.id)).cloned() else { return id };
        let task = Task {
            arn: self.arn(&format!("task/{}/{id}", service.cluster)),
            cluster: service.cluster.clone(),
            service: service.arn.clone(),
            deployment: service.deployments[position].id.clone(),
            definition: service.deployments[position].definition.clone(),
            group: format!("service:{}", service.name),
            stage: Stage::Provisioning,
            due: Some(at + self.scale.lasts(PROVISIONING)),
            healthy: false,
            ending: false,
            reason: None,
            targets: service.targets(position),
            address: String::new(),
            platform_version: service.platform_version().to_owned(),
            execute_command: service.settings["enableExecuteCommand"] == serde_json::json!(true),
            capacity_provider: service.capacity_provider().map(str::to_owned),
            subnet,
            groups: service.placement.groups.clone(),
            course: Course::default(),
            ids,
            times: Times { created: at, ..Times::default() },
            version: 1,
        };
        let task = Task { address: self.address(&task), ..task };
        let service = &self.services[index];
        match super::json::text(&service.settings, "propagateTags") {
            Some("SERVICE") => self.tags.copy(&service.arn, &task.arn),
            Some("TASK_DEFINITION") => self.tags.copy(&task.definition, &task.arn),
            Some(_) | None => {}
        }
        if service.settings["enableECSManagedTags"] == serde_json::json!(true) {
            let managed = [("aws:ecs:clusterName", &service.cluster), ("aws:ecs:serviceName", &service.name)];
            let tags: Vec<_> =
                managed.iter().map(|(key, value)| serde_json::json!({"key": key, "value": value})).collect();
            self.tags.put(&task.arn, &serde_json::json!({"tags": tags}));
        }
        self.effects.push(Effect::Attach { task: task.arn.clone() });
        self.tasks.push(task);
        let name = self.services[index].name.clone();
        self.set_course(&name);
        id
    }

    /// A free address in a task's subnet. The first four and the last are AWS's.
    pub(crate) fn address(&mut self, task: &Task) -> String {
        let parsed = task.subnet.range.split_once('/').and_then(|(base, bits)| {
            let base: std::net::Ipv4Addr = base.parse().ok()?;
            let bits: u32 = bits.parse().ok().filter(|bits| (16..=28).contains(bits))?;
            Some((u32::from(base), 1_u32 << (32 - bits)))
        });
        let (base, size) = parsed.unwrap_or((0x0a00_0000, 65536));
        let next = self.addresses.entry(task.subnet.id.clone()).or_insert(0);
        let taken: Vec<&str> = self
            .tasks
            .iter()
            .filter(|other| other.stage != Stage::Stopped)
            .map(|other| other.address.as_str())
            .collect();
        let mut address = String::new();
        for _ in 0..size {
            let offset = 4 + *next % (size - 5);
            *next = next.wrapping_add(1);
            address = std::net::Ipv4Addr::from(base + offset).to_string();
            if !taken.contains(&address.as_str()) {
                break;
            }
        }
        address
    }

    /// Notes what has come to its end: deployments, drained services, steady states.
    fn settle(&mut self, index: usize) {
        let at = self.now;
        let service = &mut self.services[index];
        let arn = service.arn.clone();
        let tasks: Vec<&Task> = self.tasks.iter().filter(|task| task.service == arn).collect();
        if service.status == Status::Draining {
            let drained = service.deleted.unwrap_or(at);
            if tasks.iter().all(|task| task.stage == Stage::Stopped) {
                if at >= drained {
                    service.status = Status::Inactive;
                } else {
                    service.wake_at(drained);
                }
            }
            return;
        }
        let primary = service.deployments[0].id.clone();
        let healthy = tasks.iter().filter(|task| task.deployment == primary && task.healthy && task.counts()).count();
        // An old task is done with once its connections are drained.
        let old = |id: &str| tasks.iter().any(|task| task.deployment == id && task.stage < Stage::Stopping);
        service.deployments.retain(|deployment| deployment.id == primary || old(&deployment.id));
        let surplus = tasks.iter().filter(|task| task.deployment == primary && task.counts()).count() != healthy;
        let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
        let stable = healthy == service.desired && !surplus && service.deployments.len() == 1;
        if (!stable && !service.succeeds_early(healthy)) || self.bakes(index) {
            return;
        }
        let service = &mut self.services[index];
        let mut messages = Vec::new();
        let deployment = &mut service.deployments[0];
        if deployment.rollout == Rollout::InProgress {
            deployment.complete(at);
            let (id, revision, rollback) = (deployment.id.clone(), deployment.revision.clone(), deployment.rollback);
            messages.push(format!("(deployment {id}) deployment completed."));
            service.completed = Some((id, revision));
            if let Some(under_way) = service.under_way() {
                under_way.end(
                    at,
                    if rollback { DeploymentStatus::RollbackSuccessful } else { DeploymentStatus::Successful },
                    None,
                );
            }
        }
        if stable && !service.steady && service.deployments[0].rollout == Rollout::Completed {
            service.steady = true;
            messages.push("has reached a steady state.".to_owned());
        }
        for message in messages {
            self.say(&arn, &message);
        }
    }

    /// Whether a rolling deployment is done but for its alarms, which are watched a while longer.
    fn bakes(&mut self, index: usize) -> bool {
        let (at, scale) = (self.now, self.scale);
        let service = &mut self.services[index];
        let rolls = |deployment: &&mut ServiceDeployment| {
            deployment.lifecycle.is_none() && deployment.status == DeploymentStatus::InProgress && deployment.watches()
        };
        let Some(deployment) = service.under_way().filter(rolls) else { return false };
        let until = match deployment.watch.bakes_until {
            Some(until) => until,
            None => {
                let until = at + scale.lasts(deployment.bake_after_rolling());
                deployment.watch.bakes_until = Some(until);
                self.read_scripts(index, LifecycleStage::BakeTime.name());
                until
            }
        };
        if until > at {
            self.services[index].wake_at(until);
        }
        until > at
    }

    /// Adds an event to a service.
    pub(crate) fn say(&mut self, arn: &str, message: &str) {
        let (id, at) = (self.ids.uuid(), self.now);
        if let Some(service) = self.services.iter_mut().find(|service| service.arn == arn) {
            let message = format!("(service {}) {message}", service.name);
            service.events.add(id, at, message);
        }
    }
}
